{{/* What the pods of operator and webhook have in common. */}}

{{- define "transship.env" -}}
- name: TRANSSHIP_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.namespaces }}
- name: TRANSSHIP_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name | quote }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ $value | toRawJson | quote }}{{ end }}
{{- end }}
{{- if and .Values.proxy.https .Values.proxy.secret }}
{{- fail "proxy.https and proxy.secret both name the proxy for HTTPS: leave one out" }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if regexMatch "(?i)^(https?|no|all)_proxy$" (default "" .name) }}
{{- fail (printf "%s is no variable for extraEnv: take proxy.https, proxy.http, proxy.secret and proxy.noProxy, which keep the API server reachable" .name) }}
{{- end }}
{{- end }}
{{- with .Values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.secret }}
- name: HTTPS_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $.Values.proxy.key | quote }}
{{- end }}
{{- with .Values.proxy.http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .Values.proxy.https .Values.proxy.secret .Values.proxy.http }}
# The kubelet puts the API server's address in.
{{- $direct := list "$(KUBERNETES_SERVICE_HOST)" ".svc" ".cluster.local" "169.254.169.254" "169.254.170.23" }}
- name: NO_PROXY
  value: {{ concat $direct .Values.proxy.noProxy | join "," | quote }}
{{- end }}
{{- if .Values.ca.configMap }}
- name: TRANSSHIP_CA_BUNDLE
  value: /etc/transship/ca/{{ .Values.ca.key }}
{{- end }}
{{- if .Values.dockerConfig.secret }}
- name: TRANSSHIP_DOCKER_CONFIG
  value: /etc/transship/registries/{{ .Values.dockerConfig.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "transship.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.ca.configMap }}
- name: ca
  mountPath: /etc/transship/ca
  readOnly: true
{{- end }}
{{- if .Values.dockerConfig.secret }}
- name: registries
  mountPath: /etc/transship/registries
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "transship.volumes" -}}
{{- with .Values.ca.configMap }}
- name: ca
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- with .Values.dockerConfig.secret }}
- name: registries
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "transship.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- if .labelSelector }}
  - {{- toYaml . | nindent 4 }}
  {{- else }}
  - {{- omit . "labelSelector" | toYaml | nindent 4 }}
    labelSelector:
      matchLabels: {{- include "transship.selector" $ | nindent 8 }}
    {{- if not (hasKey . "matchLabelKeys") }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}
