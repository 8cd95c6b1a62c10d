{{/* All names derive from the release's; Helm holds it to 53 characters, the longest suffix has 12: `-environment`. */}}
{{- define "primitive.selector" -}}
app.kubernetes.io/name: {{ .Values.primitive.id | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "primitive.labels" -}}
{{ include "primitive.selector" . }}
app.kubernetes.io/component: {{ .Values.primitive.type | quote }}
app.kubernetes.io/managed-by: primitive-pipeline
ameide.io/primitive: {{ .Release.Name | quote }}
ameide.io/tier: {{ .Values.primitive.tier | quote }}
{{- end }}

{{- define "primitive.image" -}}
{{ required "image.ref is not set: give the full reference by digest" .Values.image.ref | quote }}
{{- end }}

{{- define "primitive.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "primitive.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The chart's settings: a ConfigMap or the custom resource carries them. */}}
{{- define "primitive.settings" -}}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
STOP_TIMEOUT_S: {{ sub (int .Values.terminationGracePeriodSeconds) 5 | quote }}
{{- end }}

{{/* Later ones win: the chart's settings, then the environment's, then what only a cluster knows. */}}
{{- define "primitive.environment" -}}
{{- if eq .Values.runtime "workload" }}
- configMapRef:
    name: "{{ .Release.Name }}-settings"
{{- end }}
- configMapRef:
    name: "{{ .Release.Name }}-environment"
    optional: true
{{- include "primitive.secrets" .Values.secrets }}
{{- end }}

{{- define "primitive.secrets" -}}
{{- range . }}
- secretRef:
    name: {{ . | quote }}
{{- end }}
{{- end }}
