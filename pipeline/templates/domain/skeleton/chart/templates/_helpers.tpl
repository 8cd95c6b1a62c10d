{{/* All names derive from the release's; Helm holds it to 53 characters, the longest suffix has 12. */}}
{{- define "primitive.selector" -}}
app.kubernetes.io/name: {{ .Values.primitive.id | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "primitive.labels" -}}
{{ include "primitive.selector" . }}
app.kubernetes.io/component: {{ .Values.primitive.type | quote }}
app.kubernetes.io/managed-by: primitive-pipeline
ameide.io/primitive: {{ .Release.Name | quote }}
ameide.io/tier: backend
{{- end }}
