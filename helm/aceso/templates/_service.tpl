{{- /* The parts of one service; each takes dict "root" "name" "fact" "svc". */ -}}

{{- define "aceso.options" -}}
{{- $v := .root.Values -}}
{{- if .fact.grpc }}
listen: "0.0.0.0:9000"
reflection: {{ $v.reflection }}
{{- end }}
http-listen: "0.0.0.0:8080"
state-dir: /var/lib/aceso
log: {{ $v.log | quote }}
tenant: {{ $v.tenant | quote }}
# Long enough for endpoints to notice that this pod leaves.
linger: 3s
drain: 5s
{{- if .fact.pg }}
pg-url: file:/etc/aceso/secrets/pg-url
{{- end }}
{{- if .fact.nats }}
nats-url: {{ include "aceso.natsUrl" .root | quote }}
{{- if include "aceso.natsCreds" .root }}
nats-creds: /etc/aceso/secrets/nats-creds
{{- end }}
{{- end }}
{{- if $v.tls.enabled }}
tls-cert: /etc/aceso/secrets/tls.crt
tls-key: /etc/aceso/secrets/tls.key
tls-ca: /etc/aceso/secrets/ca.crt
{{- end }}
{{- if $v.tokens.secretName }}
token-file: /etc/aceso/secrets/tokens
{{- end }}
{{- if and .fact.models $v.models.existingClaim }}
repository: /models
{{- end }}
{{- if eq .name "lab" }}
# Its applications run in other namespaces: names that hold there.
{{- if $v.services.collector.enabled }}
otlp-endpoint: {{ printf "%s.%s:4317" (include "aceso.fullname" (dict "root" .root "name" "collector")) .root.Release.Namespace | quote }}
{{- end }}
{{- if $v.services.controller.enabled }}
controller-addr: {{ printf "%s.%s:8001" (include "aceso.fullname" (dict "root" .root "name" "controller")) .root.Release.Namespace | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "aceso.config" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "aceso.fullname" . }}
  labels:
    {{- include "aceso.labels" . | nindent 4 }}
data:
  {{ .name }}.yaml: |
    {{- $options := fromYaml (include "aceso.options" .) }}
    {{- toYaml (mergeOverwrite $options (.svc.config | default dict)) | nindent 4 }}
{{- end -}}

{{- define "aceso.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "aceso.fullname" . }}
  labels:
    {{- include "aceso.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "aceso.selector" . | nindent 4 }}
  ports:
    {{- if .fact.grpc }}
    - {name: grpc, port: 9000, targetPort: grpc, appProtocol: grpc}
    {{- end }}
    - {name: http, port: 8080, targetPort: http, appProtocol: http}
    {{- if eq .name "collector" }}
    - {name: otlp-grpc, port: 4317, targetPort: grpc, appProtocol: grpc}
    - {name: otlp-http, port: 4318, targetPort: http, appProtocol: http}
    {{- else if eq .name "controller" }}
    - {name: kserve-grpc, port: 8001, targetPort: grpc, appProtocol: grpc}
    - {name: kserve-http, port: 8000, targetPort: http, appProtocol: http}
    {{- end }}
{{- end -}}

{{- define "aceso.deployment" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $gpu := and (eq .name "worker") $v.gpu.enabled -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "aceso.fullname" . }}
  labels:
    {{- include "aceso.labels" . | nindent 4 }}
spec:
  replicas: {{ .svc.replicas }}
  revisionHistoryLimit: 5
  {{- if or .fact.single $gpu }}
  strategy: {type: Recreate}
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 1, maxSurge: 1}
  {{- end }}
  selector:
    matchLabels:
      {{- include "aceso.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "aceso.labels" . | nindent 8 }}
      annotations:
        # A change of the configuration replaces the pods.
        checksum/config: {{ include "aceso.config" . | sha256sum }}
        prometheus.io/scrape: "true"
        prometheus.io/port: "8080"
        prometheus.io/path: /metrics
        {{- with .svc.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "aceso.podSpec" (merge (dict "gpu" $gpu) .) | nindent 6 }}
{{- end -}}

{{- define "aceso.podSpec" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ include "aceso.fullname" . }}
automountServiceAccountToken: {{ .fact.kube | default false }}
# Its variables would be taken for options (ACESO_COLLECTOR_PORT).
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .svc.terminationGracePeriodSeconds }}
{{- with $v.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .svc.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if and .gpu $v.gpu.runtimeClassName }}
runtimeClassName: {{ $v.gpu.runtimeClassName }}
{{- end }}
{{- with .svc.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .svc.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .svc.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- else }}
{{- if gt (int .svc.replicas) 1 }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "aceso.selector" . | nindent 14 }}
{{- end }}
{{- end }}
securityContext:
  {{- include "aceso.podSecurity" (dict "uid" 10001) | nindent 2 }}
containers:
  - name: {{ .name }}
    image: {{ include "aceso.image" .root | quote }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    command: [aceso-{{ .name }}]
    args: [--config, /etc/aceso/config/{{ .name }}.yaml]
    envFrom:
      - configMapRef: {name: {{ include "aceso.fullname" (dict "root" .root "name" "peers") }}}
    ports:
      {{- if .fact.grpc }}
      - {name: grpc, containerPort: 9000}
      {{- end }}
      - {name: http, containerPort: 8080}
    # HTTP, also with mutual TLS: the kubelet has no certificate for a grpc probe.
    startupProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 2
      failureThreshold: 60
    readinessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 5
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    resources:
      {{- $resources := deepCopy .svc.resources }}
      {{- if .gpu }}
      {{- $_ := set $resources "limits" (mergeOverwrite ($resources.limits | default dict) (dict $v.gpu.resource 1)) }}
      {{- end }}
      {{- toYaml $resources | nindent 6 }}
    securityContext:
      {{- include "aceso.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/aceso/config, readOnly: true}
      {{- if include "aceso.secretSources" . }}
      - {name: secrets, mountPath: /etc/aceso/secrets, readOnly: true}
      {{- end }}
      - {name: state, mountPath: /var/lib/aceso}
      - {name: tmp, mountPath: /tmp}
      {{- if and .fact.models $v.models.existingClaim }}
      - {name: models, mountPath: /models, readOnly: true}
      {{- end }}
volumes:
  - name: config
    configMap: {name: {{ include "aceso.fullname" . }}}
  {{- with include "aceso.secretSources" . }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- . | nindent 8 }}
  {{- end }}
  - name: state
    emptyDir: {}
  - name: tmp
    emptyDir: {}
  {{- if and .fact.models $v.models.existingClaim }}
  - name: models
    persistentVolumeClaim: {claimName: {{ $v.models.existingClaim }}, readOnly: true}
  {{- end }}
{{- end -}}

{{- define "aceso.secretSources" -}}
{{- $v := .root.Values -}}
{{- $list := list -}}
{{- if .fact.pg -}}
{{- $list = append $list (dict "secret" (dict "name" (include "aceso.pgSecret" .root) "items" (list (dict "key" (ternary "url" $v.postgresql.existingSecretKey $v.postgresql.bundled) "path" "pg-url")))) -}}
{{- end -}}
{{- if and .fact.nats (include "aceso.natsCreds" .root) -}}
{{- $list = append $list (dict "secret" (dict "name" (include "aceso.natsSecret" .root) "items" (list (dict "key" "creds" "path" "nats-creds")))) -}}
{{- end -}}
{{- if $v.tls.enabled -}}
{{- $name := required "tls.enabled needs tls.secretName: a Secret with tls.crt, tls.key and ca.crt" $v.tls.secretName -}}
{{- $items := list -}}
{{- range list "tls.crt" "tls.key" "ca.crt" -}}
{{- $items = append $items (dict "key" . "path" .) -}}
{{- end -}}
{{- $list = append $list (dict "secret" (dict "name" $name "items" $items)) -}}
{{- end -}}
{{- if $v.tokens.secretName -}}
{{- $list = append $list (dict "secret" (dict "name" $v.tokens.secretName "items" (list (dict "key" $v.tokens.key "path" "tokens")))) -}}
{{- end -}}
{{- if $list -}}
{{ toYaml $list }}
{{- end -}}
{{- end -}}
