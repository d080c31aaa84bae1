{{/* Names and labels. `root` is the chart's own context; a part that is not the operator's has a `suffix`, "-admission". */}}

{{- define "transship.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "transship.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if and (not $name) (contains (include "transship.name" .) .Release.Name) }}
{{- $name = .Release.Name }}
{{- else if not $name }}
{{- $name = printf "%s-%s" .Release.Name (include "transship.name" .) }}
{{- end }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "a Service cannot be named after %s: give a fullnameOverride that begins with a letter and has no dots" $name) }}
{{- end }}
{{- $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "transship.selector" -}}
app.kubernetes.io/name: "{{ include "transship.name" .root }}{{ .suffix }}"
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "transship.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: "{{ include "transship.name" .root }}{{ .suffix }}"
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: transship
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with include "transship.furtherLabels" (list .root (default dict .labels)) }}
{{ . }}
{{- end }}
{{- end }}

{{- /* Those that somebody gives, of an object and of all: what the chart itself says, they cannot say again. */}}
{{- define "transship.furtherLabels" -}}
{{- $labels := merge (deepCopy (last .)) (first .).Values.commonLabels }}
{{- range list "name" "instance" "version" "managed-by" "part-of" "component" }}
{{- if hasKey $labels (printf "app.kubernetes.io/%s" .) }}
{{- fail (printf "the label app.kubernetes.io/%s is the chart's own: leave it out of the labels in your values" .) }}
{{- end }}
{{- end }}
{{- if hasKey $labels "helm.sh/chart" }}
{{- fail "the label helm.sh/chart is the chart's own: leave it out of the labels in your values" }}
{{- end }}
{{- with $labels }}{{ toYaml . }}{{ end }}
{{- end }}

{{- define "transship.serviceAccountName" -}}
{{- default (ternary (include "transship.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "transship.admissionServiceAccountName" -}}
{{- $account := .Values.admission.serviceAccount }}
{{- default (ternary (printf "%s-admission" (include "transship.fullname" .)) "default" $account.create) $account.name }}
{{- end }}

{{- define "transship.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}
