{{/* The permissions of the operator in watched namespaces, with their purpose. */}}
{{- define "tabular-operator.operatorRules" -}}
# Watches the resources; reads one directly if the cache is stale; adds and removes the finalizer.
- apiGroups: [tabular-operator.dev]
  resources: [modelrefreshes, modelsyncs]
  verbs: [get, list, watch, patch]
# Writes the status.
- apiGroups: [tabular-operator.dev]
  resources: [modelrefreshes/status, modelsyncs/status]
  verbs: [update]
# Creates an event for each transition.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# Checks whether the namespace of a resource in deletion is being deleted too.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}

{{/* Reads Secrets by name, all or the listed ones: (dict "names" …). */}}
{{- define "tabular-operator.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  {{- with .names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
{{- end }}

{{/* Reads ServiceAccounts by name and requests tokens for them, all or the listed ones: (dict "names" …). */}}
{{- define "tabular-operator.tokenRules" -}}
- apiGroups: [""]
  resources: [serviceaccounts]
  {{- with .names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  {{- with .names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [create]
{{- end }}

{{/* A Role of a namespace and its binding to the operator: (dict "root" . "name" … "namespace" … "rules" …). */}}
{{- define "tabular-operator.grant" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "tabular-operator.metadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "tabular-operator.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name | quote }}
subjects:
  {{- include "tabular-operator.subject" .root | nindent 2 }}
{{- end }}

{{/* Holds the Lease. */}}
{{- define "tabular-operator.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "tabular-operator.leaseName" . | quote }}]
  verbs: [get, update]
{{- end }}
