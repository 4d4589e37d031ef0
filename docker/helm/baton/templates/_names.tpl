{{- define "baton.selector" -}}
app.kubernetes.io/name: baton
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "baton.labels" -}}
{{ include "baton.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "baton.name" -}}
{{ if eq .Release.Name "baton" }}baton{{ else }}{{ printf "%s-baton" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}
