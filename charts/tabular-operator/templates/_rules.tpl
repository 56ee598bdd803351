{{/* What the operator may do where it serves, and why. */}}
{{- define "tabular-operator.operatorRules" -}}
# Follows the resources; reads one past its cache when the cache is stale; puts its finalizer on and takes it off.
- apiGroups: [tabular-operator.dev]
  resources: [modelrefreshes, modelsyncs]
  verbs: [get, list, watch, patch]
# Records what it does.
- apiGroups: [tabular-operator.dev]
  resources: [modelrefreshes/status, modelsyncs/status]
  verbs: [update]
# Tells each transition.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# Asks whether the namespace of a resource that is being deleted is being deleted too.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}

{{/* Reads Secrets by name, all or those that are listed: (dict "names" …). */}}
{{- define "tabular-operator.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  {{- with .names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
{{- end }}

{{/* Reads ServiceAccounts by name and asks for tokens of them, all or those that are listed: (dict "names" …). */}}
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
  name: {{ .name }}
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
  resourceNames: [{{ include "tabular-operator.leaseName" . }}]
  verbs: [get, update]
{{- end }}
