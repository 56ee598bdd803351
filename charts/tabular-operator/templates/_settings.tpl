{{/* The operator's settings, as the environment variables of its flags. */}}
{{- define "tabular-operator.settings" -}}
- name: TABULAR_OPERATOR_CLOUD
  value: {{ .Values.cloud }}
{{- if eq .Values.cloud "custom" }}
- name: TABULAR_OPERATOR_CLOUD_FILE
  value: /etc/tabular-operator/cloud/{{ include "tabular-operator.cloudKey" . }}
{{- end }}
{{- if or .Values.extraCA.configMap .Values.extraCA.secret }}
- name: TABULAR_OPERATOR_EXTRA_CA_FILE
  value: /etc/tabular-operator/extra-ca/{{ .Values.extraCA.key }}
{{- end }}
{{- with .Values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.watchNamespaces }}
- name: TABULAR_OPERATOR_WATCH_NAMESPACE
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.operatorIdentityNamespaces }}
- name: TABULAR_OPERATOR_OPERATOR_IDENTITY_NAMESPACE
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.leaderElection.enabled }}
- name: TABULAR_OPERATOR_LEASE_NAME
  value: {{ include "tabular-operator.leaseName" . | quote }}
{{- with .Values.leaderElection.leaseDuration }}
- name: TABULAR_OPERATOR_LEASE_DURATION
  value: {{ . }}
{{- end }}
{{- else }}
- name: TABULAR_OPERATOR_LEADER_ELECTION
  value: "false"
{{- end }}
{{- range $name, $value := dict "POLL_MIN" .Values.polling.min "POLL_MAX" .Values.polling.max "POLL_FRACTION" .Values.polling.fraction "CALL_TIMEOUT" .Values.polling.callTimeout "LISTING_LAG" .Values.polling.listingLag "MAX_REFRESH_DURATION" .Values.polling.maxRefreshDuration "REFERENCE_GRACE" .Values.polling.referenceGrace "MAX_CONCURRENT_RECONCILES" .Values.limits.maxConcurrentReconciles "MAX_CALLS_PER_SERVER" .Values.limits.maxCallsPerServer }}
{{- with $value }}
- name: TABULAR_OPERATOR_{{ $name }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
- name: TABULAR_OPERATOR_METRICS_ADDRESS
  value: "{{ include "tabular-operator.bindAddress" . }}:{{ .Values.metrics.port }}"
{{- /* 0 disables them. */}}
{{- if not (kindIs "invalid" .Values.metrics.resources) }}
- name: TABULAR_OPERATOR_RESOURCE_METRICS
  value: {{ .Values.metrics.resources | int | quote }}
{{- end }}
{{- if ne (int .Values.health.port) 8081 }}
- name: TABULAR_OPERATOR_HEALTH_ADDRESS
  value: "{{ include "tabular-operator.bindAddress" . }}:{{ .Values.health.port }}"
{{- end }}
{{- with .Values.traces.endpoint }}
- name: TABULAR_OPERATOR_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: TABULAR_OPERATOR_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: TABULAR_OPERATOR_LOG_FORMAT
  value: {{ .Values.log.format }}
{{- end }}

{{/* The address of metrics and probes, with brackets around an IPv6 address. */}}
{{- define "tabular-operator.bindAddress" -}}
{{- $isBare := and (contains ":" .Values.metrics.bindAddress) (not (hasPrefix "[" .Values.metrics.bindAddress)) -}}
{{ ternary (printf "[%s]" .Values.metrics.bindAddress) .Values.metrics.bindAddress $isBare }}
{{- end }}

{{/* The port of a URL: the explicit port, or the default of the scheme. */}}
{{- define "tabular-operator.port" -}}
{{- $named := regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse .).host) -}}
{{ $named | default (ternary "80" "443" (hasPrefix "http://" .)) }}
{{- end }}

{{/* The key of the cloud file in its ConfigMap. */}}
{{- define "tabular-operator.cloudKey" -}}
{{ ternary .Values.customCloudConfigMap.key "cloud.yaml" (not (empty .Values.customCloudConfigMap.name)) }}
{{- end }}

{{/* The ConfigMap of the cloud file. */}}
{{- define "tabular-operator.cloudConfigMap" -}}
{{ .Values.customCloudConfigMap.name | default (printf "%s-cloud" (include "tabular-operator.fullname" .)) }}
{{- end }}

{{/* The pod's volumes, as a list in YAML. */}}
{{- define "tabular-operator.volumes" -}}
{{- if eq .Values.cloud "custom" }}
- name: cloud
  configMap:
    name: {{ include "tabular-operator.cloudConfigMap" . | quote }}
{{- end }}
{{- if .Values.extraCA.configMap }}
- name: extra-ca
  configMap:
    name: {{ .Values.extraCA.configMap | quote }}
{{- else if .Values.extraCA.secret }}
- name: extra-ca
  secret:
    secretName: {{ .Values.extraCA.secret | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The container's mounts, as a list in YAML. */}}
{{- define "tabular-operator.volumeMounts" -}}
{{- if eq .Values.cloud "custom" }}
- name: cloud
  mountPath: /etc/tabular-operator/cloud
  readOnly: true
{{- end }}
{{- if or .Values.extraCA.configMap .Values.extraCA.secret }}
- name: extra-ca
  mountPath: /etc/tabular-operator/extra-ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
