{{/* A name or label value, truncated to a valid end: (dict "text" … "length" …). */}}
{{- define "tabular-operator.cut" -}}
{{ regexReplaceAll "[^A-Za-z0-9]+$" (trunc .length .text) "" }}
{{- end }}

{{/* The chart's name. */}}
{{- define "tabular-operator.name" -}}
{{ include "tabular-operator.cut" (dict "text" (.Values.nameOverride | default .Chart.Name) "length" 53) }}
{{- end }}

{{/* The name of the objects of the release. It leaves ten characters for a suffix. */}}
{{- define "tabular-operator.fullname" -}}
{{- $name := include "tabular-operator.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- include "tabular-operator.cut" (dict "text" (.Values.fullnameOverride | default $full) "length" 53) }}
{{- end }}

{{/* The name of the Service, without dots and with a letter at the start. */}}
{{- define "tabular-operator.serviceName" -}}
{{ regexReplaceAll "^([0-9])" (include "tabular-operator.fullname" . | replace "." "-") "s-${1}" }}
{{- end }}

{{/* The namespace of the operator. */}}
{{- define "tabular-operator.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/* The labels that the Deployment selects its pods by. They are immutable. */}}
{{- define "tabular-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tabular-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels of every object. A label from the values takes precedence: (dict "root" . "labels" .Values.service.labels). */}}
{{- define "tabular-operator.labels" -}}
{{- $own := include "tabular-operator.selectorLabels" .root | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" (include "tabular-operator.cut" (dict "text" (.root.Chart.AppVersion | toString | replace "+" "_") "length" 63)) }}
{{- $_ := set $own "app.kubernetes.io/part-of" "tabular-operator" }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $own "helm.sh/chart" (include "tabular-operator.cut" (dict "text" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") "length" 63)) }}
{{- mergeOverwrite $own .root.Values.commonLabels (.labels | default dict) | toYaml }}
{{- end }}

{{/* Name, labels and annotations of an object: (dict "root" . "name" … "namespace" … "labels" … "annotations" …). Without "namespace", the object is cluster-scoped. */}}
{{- define "tabular-operator.metadata" -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
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
  name: {{ include "tabular-operator.serviceAccountName" . | quote }}
  namespace: {{ include "tabular-operator.namespace" . | quote }}
{{- end }}

{{/* The Lease. */}}
{{- define "tabular-operator.leaseName" -}}
{{ .Values.leaderElection.leaseName | default (include "tabular-operator.fullname" .) }}
{{- end }}

{{/* The image, by its digest if one is set. */}}
{{- define "tabular-operator.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end }}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" $repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* "true" if a switch is true, or is null and the operator watches all namespaces: (dict "root" . "switch" .Values.…). */}}
{{- define "tabular-operator.inCluster" -}}
{{- if kindIs "invalid" .switch }}{{ if not .root.Values.watchNamespaces }}true{{ end }}{{ else if .switch }}true{{ end }}
{{- end }}

{{/* Rejects invalid combinations of values, each with the remedy. */}}
{{- define "tabular-operator.checks" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) }}
{{- fail "replicas: must be at most 1 if leaderElection.enabled is false, because two operators would act at the same time; enable leader election, or set replicas to 1" }}
{{- end }}
{{- if and (ne .Values.uninstall.runs "Leave") (not .Values.leaderElection.enabled) }}
{{- fail "uninstall.runs: must be Leave if leaderElection.enabled is false, because the uninstall requires the Lease; set uninstall.runs to Leave, or enable leader election" }}
{{- end }}
{{- if and (eq .Values.uninstall.runs "Leave") .Values.crds.enabled (not .Values.crds.keep) }}
{{- fail "crds.keep: must be true if uninstall.runs is Leave, because the resources keep their finalizers, which block the deletion of the CRDs; set crds.keep to true, or uninstall.runs to Cancel or Wait" }}
{{- end }}
{{- range $flag, $instead := dict "lease-name" "leaderElection.leaseName" "lease-namespace" "namespaceOverride, since the Lease is beside the operator" "leader-election" "leaderElection.enabled" "watch-namespace" "watchNamespaces" }}
{{- range $.Values.extraArgs }}
{{- if regexMatch (printf "^--%s(=|$)" $flag) . }}
{{- fail (printf "extraArgs: must not contain --%s, because it would not apply to the permissions and to the Job of the uninstall; set %s" $flag $instead) }}
{{- end }}
{{- end }}
{{- range $.Values.extraEnv }}
{{- if eq .name (printf "TABULAR_OPERATOR_%s" ($flag | replace "-" "_" | upper)) }}
{{- fail (printf "extraEnv: must not contain %s, because it would not apply to the permissions and to the Job of the uninstall; set %s" .name $instead) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.customCloud .Values.customCloudConfigMap.name }}
{{- fail "set exactly one of customCloud and customCloudConfigMap.name" }}
{{- end }}
{{- if and (eq .Values.cloud "custom") (not .Values.customCloud) (not .Values.customCloudConfigMap.name) }}
{{- fail "cloud: custom requires customCloud or customCloudConfigMap.name" }}
{{- end }}
{{- if and (ne .Values.cloud "custom") (or .Values.customCloud .Values.customCloudConfigMap.name) }}
{{- fail "cloud: must be custom if customCloud or customCloudConfigMap.name is set" }}
{{- end }}
{{- if and .Values.extraCA.configMap .Values.extraCA.secret }}
{{- fail "set at most one of extraCA.configMap and extraCA.secret" }}
{{- end }}
{{- if and .Values.workloadIdentity.enabled (not .Values.workloadIdentity.clientId) }}
{{- fail "workloadIdentity.clientId: must be set if workloadIdentity.enabled is true" }}
{{- end }}
{{- if regexMatch "^\\[?(127[.]|(0*:)+0*1\\]?$)" .Values.metrics.bindAddress }}
{{- fail "metrics.bindAddress: must not be a loopback address, because the kubelet and Prometheus cannot reach it; set it to 0.0.0.0, or to :: for IPv6" }}
{{- end }}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) }}
{{- fail "health.port: must differ from metrics.port" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) }}
{{- fail "serviceMonitor.enabled: requires service.enabled; enable the Service, or use podMonitor.enabled" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "set at most one of serviceMonitor.enabled and podMonitor.enabled; with both, Prometheus would count everything twice" }}
{{- end }}
{{- range $key := list "secretAccess" "tokenAccess" }}
{{- $seen := dict }}
{{- range index $.Values $key }}
{{- if hasKey $seen .namespace }}
{{- fail (printf "%s: must contain the namespace %s once; put all names into one entry" $key .namespace) }}
{{- end }}
{{- $_ := set $seen .namespace true }}
{{- end }}
{{- end }}
{{- range $name := .Values.prometheusRule.disabledAlerts }}
{{- if not (regexMatch (printf "(?m)^ *(- )?alert: %s$" (regexQuoteMeta $name)) ($.Files.Get "files/rules.yaml")) }}
{{- fail (printf "prometheusRule.disabledAlerts: unknown alert %s" $name) }}
{{- end }}
{{- end }}
{{- end }}
