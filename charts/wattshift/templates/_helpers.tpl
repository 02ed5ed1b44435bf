{{/* What several templates say. */}}

{{- define "wattshift.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "wattshift" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-wattshift" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods of a part: (dict "root" $ "part" "controller") */}}
{{- define "wattshift.selector" -}}
app.kubernetes.io/name: wattshift
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "wattshift.labels" -}}
{{ include "wattshift.selector" . }}
app.kubernetes.io/part-of: wattshift
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "wattshift.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "wattshift.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of the trace collector; empty where there is none. */}}
{{- define "wattshift.tracingPort" -}}
{{- with .Values.tracing.endpoint -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}
{{- end -}}

{{/* Of every pod; the image's user unless another is given: (dict "user" 999) */}}
{{- define "wattshift.podSecurity" -}}
{{- $user := .user | default 10001 | int -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $user }}
  runAsGroup: {{ $user }}
  fsGroup: {{ $user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "wattshift.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* The part of a pod that all mock devices share: (dict "root" $ "part" "agent") */}}
{{- define "wattshift.whoAmI" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}

{{/* Where the controller says that it is ready for requests. A standby is, too: its Service takes the leader's pod only. */}}
{{- define "wattshift.readinessPath" -}}/healthz{{- end -}}

{{/* The site file as given, YAML; what is wrong with it is said here. */}}
{{- define "wattshift.siteGiven" -}}
{{- if and .Values.site .Values.siteFile -}}
{{- fail "site, siteFile: give one of the two" -}}
{{- else if .Values.siteFile -}}
{{- $site := fromYaml .Values.siteFile -}}
{{- with $site.Error -}}{{- fail (printf "siteFile: is not YAML: %s" .) -}}{{- end -}}
{{- toYaml $site -}}
{{- else if .Values.site -}}
{{- toYaml .Values.site -}}
{{- else -}}
{{- fail "site: a site file is needed; give it with --set-file siteFile=site.yaml, or as the map `site`" -}}
{{- end -}}
{{- end -}}

{{/* Ports of the meters that are asked by Modbus, with blanks between. */}}
{{- define "wattshift.meterPorts" -}}
{{- $site := include "wattshift.siteGiven" . | fromYaml -}}
{{- range concat (list ($site.grid | default dict)) ($site.feeders | default list) -}}
{{- with dig "meter" "modbus" dict . -}}{{ .port | default 502 | int }} {{ end -}}
{{- end -}}
{{- end -}}

{{/* The site file as the controller reads it, YAML. */}}
{{- define "wattshift.site" -}}
{{- $site := include "wattshift.siteGiven" . | fromYaml -}}
{{- $name := include "wattshift.fullname" . -}}
{{- $own := $site.kubernetes | default dict -}}
{{- $_ := set $site "kubernetes" (merge (dict "namespace" .Release.Namespace) $own (dict "name" $name)) -}}
{{- $_ = set $site "state_dir" "/var/lib/wattshift" -}}
{{- if hasKey $site "store_url" -}}
{{- fail "site.store_url: belongs into store.url, which goes into a Secret" -}}
{{- end -}}
{{- if hasKey $site "mock" -}}
{{- fail "site.mock: is for devices as processes of one machine; on a cluster they are pods: mock.enabled" -}}
{{- end -}}
{{- $given := $site.telemetry | default dict -}}
{{- if and .Values.prometheus.enabled .Values.prometheus.url -}}
{{- fail "prometheus.enabled, prometheus.url: give one of the two" -}}
{{- else if .Values.prometheus.enabled -}}
{{- $url := printf "http://%s-prometheus:%v" $name .Values.prometheus.service.port -}}
{{- $_ = set $site "telemetry" (merge (dict "kind" "prometheus" "url" $url) $given) -}}
{{- else if .Values.prometheus.url -}}
{{- $_ = set $site "telemetry" (merge (dict "kind" "prometheus" "url" .Values.prometheus.url) $given) -}}
{{- else if ne (dig "telemetry" "kind" "" $site) "prometheus" -}}
{{- fail "site.telemetry: a Prometheus is needed on a cluster; set prometheus.enabled, prometheus.url, or telemetry.kind and url of the site" -}}
{{- end -}}
{{- if and .Values.mock.enabled .Values.mock.market.enabled -}}
{{- $_ = set $site "prices" (dict "kind" "http" "url" (printf "http://%s-market:9100/prices" $name) "every_s" 1) -}}
{{- end -}}
{{- toYaml $site -}}
{{- end -}}

{{/* What the ConfigMap and the Leases are named by. */}}
{{- define "wattshift.objectsName" -}}
{{- (include "wattshift.site" . | fromYaml).kubernetes.name -}}
{{- end -}}

{{- define "wattshift.usesPostgres" -}}
{{- if or .Values.postgres.enabled .Values.store.url .Values.store.existingSecret.name -}}true{{- end -}}
{{- end -}}

{{- define "wattshift.storeSecret" -}}
{{- .Values.store.existingSecret.name | default (printf "%s-store" (include "wattshift.fullname" .)) -}}
{{- end -}}

{{- define "wattshift.apiKeySecret" -}}
{{- .Values.apiKey.existingSecret.name | default (printf "%s-api-key" (include "wattshift.fullname" .)) -}}
{{- end -}}

{{/* A password that is made once: (dict "root" $ "name" secret "key" key) */}}
{{- define "wattshift.kept" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- $old := dig "data" .key "" ($there | default dict) -}}
{{- if $old -}}{{- b64dec $old -}}{{- else -}}{{- randAlphaNum 32 -}}{{- end -}}
{{- end -}}

{{/* Values that don't go together. */}}
{{- define "wattshift.check" -}}
{{- if hasKey .Values.siteFiles "site.yaml" -}}
{{- fail "siteFiles: site.yaml is the site file itself; give it as siteFile" -}}
{{- end -}}
{{- if and (gt (int .Values.controller.replicas) 1) (not (include "wattshift.usesPostgres" .)) -}}
{{- fail (printf "controller.replicas: %d need a Postgres (store.url or store.existingSecret); SQLite on a volume has one writer, so replicas: 1" (int .Values.controller.replicas)) -}}
{{- end -}}
{{- if and .Values.postgres.enabled (or .Values.store.url .Values.store.existingSecret.name) -}}
{{- fail "postgres.enabled, store: give one of the two; postgres.enabled is the mock site's own database" -}}
{{- end -}}
{{- if and .Values.postgres.enabled (not .Values.mock.enabled) -}}
{{- fail "postgres.enabled: is for a mock site; a real one has its own database, with backups, and names it in store.url" -}}
{{- end -}}
{{- end -}}

{{/* A RoleBinding of a Role to the ServiceAccount of the same name: (dict "root" $ "part" "agent" "name" "x") */}}
{{- define "wattshift.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "wattshift.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}

{{/* Container of a mock device: (dict "root" $ "name" "row" "program" "racks.rack_row" "args" (list ...) "resources" {...} "port" 9100) */}}
{{/* and "portName" for one without metrics, "served" for one behind a Service */}}
{{- define "wattshift.device" -}}
- name: {{ .name }}
  image: {{ include "wattshift.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [python, -m, orchestrator.sim.{{ .program }}]
  args:
    {{- range .args }}
    - {{ . | toString | quote }}
    {{- end }}
  env:
    {{- include "wattshift.whoAmI" . | nindent 4 }}
  ports:
    - name: {{ .portName | default "metrics" }}
      containerPort: {{ .port }}
  {{- if .served }}
  readinessProbe:
    httpGet: {path: /healthz, port: {{ .port }}}
    initialDelaySeconds: 3 # sooner is an Event for nothing
    periodSeconds: 2
    timeoutSeconds: 2
  {{- end }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  {{- include "wattshift.containerSecurity" . | nindent 2 }}
  {{- with .volumeMounts }}
  volumeMounts:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Options of orchestrator.sim that tell of a fleet's machines: a JSON list. */}}
{{- define "wattshift.fleetArgs" -}}
{{- $args := list "--model" .fleet.model "--machines" (int .fleet.machines_per_rack) -}}
{{- range .fleet.modes -}}
{{- $args = concat $args (list "--mode" (printf "%s:%v:%v" .name .power_w .hashrate_ths)) -}}
{{- end -}}
{{- $args = concat $args (list "--sleep-w" .fleet.sleep_w "--warm-up-s" .fleet.warm_up_s "--seed" (int .root.Values.mock.seed)) -}}
{{- toJson $args -}}
{{- end -}}

{{/* Files of rules by name, JSON, with the site's own address of the runbooks. */}}
{{- define "wattshift.ruleFiles" -}}
{{- $runbooks := printf "runbook_url: %s/" (trimSuffix "/" .Values.alerts.runbookUrl) -}}
{{- $files := dict -}}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" -}}
{{- $_ := set $files (base $path) ($.Files.Get $path | replace "runbook_url: docs/runbooks/" $runbooks) -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/* The key within the Secret of the API key. */}}
{{- define "wattshift.apiKeyKey" -}}
{{- if .Values.apiKey.existingSecret.name -}}{{ .Values.apiKey.existingSecret.key }}{{- else -}}api-key{{- end -}}
{{- end -}}

{{/* Labels of pods: none that a new version of the chart changes, which would restart them. */}}
{{- define "wattshift.podLabels" -}}
{{ include "wattshift.selector" . }}
app.kubernetes.io/part-of: wattshift
{{- end -}}

{{/* What a mock Job runs: (dict "root" $ "args" (list ...)), after the Job's own metadata. */}}
{{- define "wattshift.jobSpec" -}}
{{- $name := include "wattshift.fullname" .root -}}
suspend: true # the controller lets it run
backoffLimit: 3
ttlSecondsAfterFinished: 3600
podFailurePolicy:
  rules:
    - action: Ignore # stopped with its checkpoint written
      onExitCodes: {operator: In, values: [3]}
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
template:
  metadata:
    labels:
      {{- include "wattshift.podLabels" (dict "root" .root "part" "jobs") | nindent 6 }}
  spec:
    restartPolicy: Never
    automountServiceAccountToken: false
    enableServiceLinks: false
    terminationGracePeriodSeconds: 20
    {{- with include "wattshift.pullSecrets" .root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- include "wattshift.podSecurity" (dict) | nindent 4 }}
    containers:
      {{- $mounts := list (dict "name" "checkpoints" "mountPath" "/checkpoints") }}
      {{- include "wattshift.device" (dict "root" .root "name" "job" "program" "jobs.pod_job" "args" .args "port" 9100 "resources" .root.Values.mock.jobs.resources "volumeMounts" $mounts) | nindent 6 }}
    volumes:
      - name: checkpoints
        persistentVolumeClaim:
          claimName: {{ $name }}-checkpoints
{{- end -}}
