{{- define "aceso.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* dict "root" $ "name" component */ -}}
{{- define "aceso.fullname" -}}
{{- printf "%s-%s" (include "aceso.name" .root) .name -}}
{{- end -}}

{{- define "aceso.selector" -}}
app.kubernetes.io/name: aceso
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "aceso.labels" -}}
{{ include "aceso.selector" . }}
app.kubernetes.io/part-of: aceso
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "aceso.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /*
What the chart knows of each service; what people choose is in values.yaml.
  grpc     serves gRPC             pg, nats   needs them
  single   one process: its state is in memory, or two would do the work twice
  kube     calls the Kubernetes API with an account of its own
  clients  called from outside this release
  models   reads the model repository
*/ -}}
{{- define "aceso.facts" -}}
collector: {grpc: true, pg: true, nats: true, single: true, clients: true}
trainer: {grpc: true, pg: true, nats: true, single: true}
detector: {grpc: true, pg: true, nats: true, single: true}
rca: {grpc: true, pg: true, nats: true}
responder: {grpc: true, pg: true, nats: true, single: true, kube: true}
controller: {grpc: true, single: true, clients: true, models: true}
worker: {}
lab: {grpc: true, pg: true, nats: true, single: true, kube: true, clients: true}
console: {nats: true, clients: true}
{{- end -}}

{{- define "aceso.pgSecret" -}}
{{- .Values.postgresql.existingSecret | default (include "aceso.fullname" (dict "root" . "name" "postgresql")) -}}
{{- end -}}

{{- define "aceso.natsSecret" -}}
{{- .Values.nats.existingSecret | default (include "aceso.fullname" (dict "root" . "name" "nats")) -}}
{{- end -}}

{{- /* Whether NATS asks who we are. */ -}}
{{- define "aceso.natsCreds" -}}
{{- if or .Values.nats.bundled .Values.nats.existingSecret }}yes{{ end -}}
{{- end -}}

{{- define "aceso.natsUrl" -}}
{{- if .Values.nats.bundled -}}
nats://{{ include "aceso.fullname" (dict "root" . "name" "nats") }}:4222
{{- else -}}
{{ required "nats.bundled is false: set nats.url, e.g. nats://nats.messaging:4222" .Values.nats.url }}
{{- end -}}
{{- end -}}

{{- /* A password that stays the same over upgrades: dict "root" $ "secret" NAME "key" KEY */ -}}
{{- define "aceso.password" -}}
{{- $old := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- if and $old (hasKey ($old.data | default dict) .key) -}}
{{- index $old.data .key | b64dec -}}
{{- else -}}
{{- randAlphaNum 32 -}}
{{- end -}}
{{- end -}}

{{- define "aceso.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
fsGroup: {{ .uid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "aceso.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
