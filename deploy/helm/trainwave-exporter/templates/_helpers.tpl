{{- define "trainwave-exporter.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "trainwave-exporter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "trainwave-exporter.labels" -}}
{{ include "trainwave-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "trainwave-exporter.metadata" -}}
name: {{ include "trainwave-exporter.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "trainwave-exporter.labels" . | nindent 2 }}
{{- end -}}

{{- /* What the operator says, with the key's file added: who sets another has the last word. */ -}}
{{- define "trainwave-exporter.config" -}}
{{- $key := dict "trainwave" (dict "api_key_file" (printf "/var/run/secrets/trainwave/%s/%s" .Values.apiKey.existingSecret .Values.apiKey.key)) -}}
{{- mergeOverwrite $key (deepCopy .Values.config) | toYaml -}}
{{- end -}}
