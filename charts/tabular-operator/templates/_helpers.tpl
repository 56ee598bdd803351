{{/* A name or a label's value, cut before what cannot end it: (dict "text" … "length" …). */}}
{{- define "tabular-operator.cut" -}}
{{ regexReplaceAll "[^A-Za-z0-9]+$" (trunc .length .text) "" }}
{{- end }}

{{/* The chart's name. */}}
{{- define "tabular-operator.name" -}}
{{ include "tabular-operator.cut" (dict "text" (.Values.nameOverride | default .Chart.Name) "length" 53) }}
{{- end }}

{{/* The name of the release's objects. Ten characters are left for what is put behind it. */}}
{{- define "tabular-operator.fullname" -}}
{{- $name := include "tabular-operator.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- include "tabular-operator.cut" (dict "text" (.Values.fullnameOverride | default $full) "length" 53) }}
{{- end }}

{{/* The name of the Service, which has no dots and begins with a letter. */}}
{{- define "tabular-operator.serviceName" -}}
{{ regexReplaceAll "^([0-9])" (include "tabular-operator.fullname" . | replace "." "-") "s-${1}" }}
{{- end }}

{{/* The namespace of the operator. */}}
{{- define "tabular-operator.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/* The labels by which the Deployment finds its pods. They can never change. */}}
{{- define "tabular-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tabular-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object. A label that somebody else asks for wins: (dict "root" . "labels" .Values.service.labels). */}}
{{- define "tabular-operator.labels" -}}
{{- $own := include "tabular-operator.selectorLabels" .root | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" (include "tabular-operator.cut" (dict "text" (.root.Chart.AppVersion | toString | replace "+" "_") "length" 63)) }}
{{- $_ := set $own "app.kubernetes.io/part-of" "tabular-operator" }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $own "helm.sh/chart" (include "tabular-operator.cut" (dict "text" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") "length" 63)) }}
{{- mergeOverwrite $own .root.Values.commonLabels (.labels | default dict) | toYaml }}
{{- end }}

{{/* Name, labels and annotations of an object: (dict "root" . "name" … "namespace" … "labels" … "annotations" …). Without "namespace" it is the cluster's. */}}
{{- define "tabular-operator.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "tabular-operator.labels" (dict "root" .root "labels" .labels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The operator's ServiceAccount. */}}
{{- define "tabular-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "tabular-operator.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* The operator's ServiceAccount, as the subject of a binding. */}}
{{- define "tabular-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "tabular-operator.serviceAccountName" . }}
  namespace: {{ include "tabular-operator.namespace" . }}
{{- end }}

{{/* The Lease. */}}
{{- define "tabular-operator.leaseName" -}}
{{ .Values.leaderElection.leaseName | default (include "tabular-operator.fullname" .) }}
{{- end }}

{{/* The image, by its digest where one is given. */}}
{{- define "tabular-operator.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end }}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" $repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* "true" where a switch is on, or is null and the operator serves all namespaces: (dict "root" . "switch" .Values.…). */}}
{{- define "tabular-operator.inCluster" -}}
{{- if kindIs "invalid" .switch }}{{ if not .root.Values.watchNamespaces }}true{{ end }}{{ else if .switch }}true{{ end }}
{{- end }}

{{/* What stands in the way of a rendering, each with what to write instead. */}}
{{- define "tabular-operator.checks" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) }}
{{- fail "replicas is more than 1 and leaderElection.enabled is false: two operators would act at once. Turn leader election on, or run one replica." }}
{{- end }}
{{- if and (ne .Values.uninstall.runs "Leave") (not .Values.leaderElection.enabled) }}
{{- fail "uninstall.runs needs the Lease, and leaderElection.enabled is false: set uninstall.runs to Leave, or turn leader election on." }}
{{- end }}
{{- range $flag, $instead := dict "lease-name" "leaderElection.leaseName" "lease-namespace" "namespaceOverride, since the Lease is beside the operator" "leader-election" "leaderElection.enabled" "watch-namespace" "watchNamespaces" }}
{{- range $.Values.extraArgs }}
{{- if regexMatch (printf "^--%s(=|$)" $flag) . }}
{{- fail (printf "extraArgs has --%s, of which the operator's permissions and the Job of an uninstall would not know: set %s." $flag $instead) }}
{{- end }}
{{- end }}
{{- range $.Values.extraEnv }}
{{- if eq .name (printf "TABULAR_OPERATOR_%s" ($flag | replace "-" "_" | upper)) }}
{{- fail (printf "extraEnv has %s, of which the operator's permissions and the Job of an uninstall would not know: set %s." .name $instead) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.customCloud .Values.customCloudConfigMap.name }}
{{- fail "customCloud and customCloudConfigMap.name are both set: give one of them." }}
{{- end }}
{{- if and (eq .Values.cloud "custom") (not .Values.customCloud) (not .Values.customCloudConfigMap.name) }}
{{- fail "cloud is custom: say which by customCloud or customCloudConfigMap.name." }}
{{- end }}
{{- if and (ne .Values.cloud "custom") (or .Values.customCloud .Values.customCloudConfigMap.name) }}
{{- fail "customCloud and customCloudConfigMap.name need cloud: custom." }}
{{- end }}
{{- if and .Values.extraCA.configMap .Values.extraCA.secret }}
{{- fail "extraCA.configMap and extraCA.secret are both set: give one of them." }}
{{- end }}
{{- if and .Values.workloadIdentity.enabled (not .Values.workloadIdentity.clientId) }}
{{- fail "workloadIdentity.enabled is true: give workloadIdentity.clientId." }}
{{- end }}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) }}
{{- fail "metrics.port and health.port are the same: give each a port of its own." }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) }}
{{- fail "serviceMonitor.enabled is true and service.enabled is false: turn the Service on, or take podMonitor.enabled." }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true: everything would be counted twice. Turn one of them off." }}
{{- end }}
{{- range $key := list "secretAccess" "tokenAccess" }}
{{- $seen := dict }}
{{- range index $.Values $key }}
{{- if hasKey $seen .namespace }}
{{- fail (printf "%s names the namespace %s twice: put its names into one entry." $key .namespace) }}
{{- end }}
{{- $_ := set $seen .namespace true }}
{{- end }}
{{- end }}
{{- range $name := .Values.prometheusRule.disabledAlerts }}
{{- if not (regexMatch (printf "(?m)^ *(- )?alert: %s$" (regexQuoteMeta $name)) ($.Files.Get "files/rules.yaml")) }}
{{- fail (printf "prometheusRule.disabledAlerts names %s, and there is no such alert." $name) }}
{{- end }}
{{- end }}
{{- end }}
