{{- define "porelay.fullname" -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{/* Given (dict "root" $ "component" name "role" role). */}}
{{- define "porelay.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
porelay/role: {{ .role }}
{{- end -}}

{{- define "porelay.common" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "porelay.labels" -}}
{{ include "porelay.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{/* A number as it was written: helm reads every number as a float, and would write 17179869184 as 1.7e+10. */}}
{{- define "porelay.text" -}}
{{- if kindIs "float64" . -}}{{ ternary (printf "%.0f" .) (toString .) (eq . (floor .)) }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Bytes of a quantity, such as 1.5Gi. */}}
{{- define "porelay.bytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number .) | float64) | int64 -}}
{{- end -}}

{{/* All services with their defaults and settings, checked. */}}
{{- define "porelay.services" -}}
{{- $services := dict -}}
{{- range $name, $given := .Values.services -}}
{{- $service := mergeOverwrite (dict "config" (deepCopy $.Values.config)) (deepCopy $.Values.serviceDefaults) (deepCopy (default dict $given)) -}}
{{- if $service.enabled -}}
{{- include "porelay.check" (dict "name" $name "service" $service "keda" $.Values.keda.enabled) -}}
{{- $_ := set $services $name $service -}}
{{- end -}}
{{- end -}}
{{- toYaml $services -}}
{{- end -}}

{{- define "porelay.check" -}}
{{- $scale := .service.scale -}}{{- $config := .service.config -}}
{{- if gt (int $scale.min) (int $scale.max) -}}
{{- fail (printf "services.%s.scale: min is %v and max is %v, wanted min not above max." .name $scale.min $scale.max) -}}
{{- end -}}
{{- if and (eq .name "ingest") (lt (min $scale.min .service.replicas) 1) -}}
{{- fail (printf "services.ingest: scale.min is %v and replicas is %v, wanted at least 1: it listens for drops and looks through the inbox." $scale.min .service.replicas) -}}
{{- end -}}
{{- if lt (float64 $config.grace_s) (float64 $config.checkpoint_s) -}}
{{- fail (printf "services.%s.config: grace_s is %v and checkpoint_s is %v, so an orderly end would lose as much as a kill. Raise grace_s, or lower checkpoint_s." .name $config.grace_s $config.checkpoint_s) -}}
{{- end -}}
{{- if and .service.dask.address .service.dask.workers -}}
{{- fail (printf "services.%s.dask: address is %q and workers is %v, wanted one of them: workers makes a cluster, address names one." .name .service.dask.address .service.dask.workers) -}}
{{- end -}}
{{- end -}}

{{/* Given (dict "root" $ "name" name "service" service). */}}
{{- define "porelay.image" -}}
{{- $image := .root.Values.image -}}
{{- $suffix := ternary "-cuda" "" (gt (int .service.gpu) 0) -}}
{{- .service.image | default (printf "%s/%s:%s%s" $image.registry .name ($image.tag | default .root.Chart.AppVersion) $suffix) -}}
{{- end -}}

{{- define "porelay.secret" -}}
{{- .service.secret | default (printf "%s%s" .root.Values.secrets.prefix .name) -}}
{{- end -}}

{{- define "porelay.store.port" -}}
{{- $url := urlParse .Values.config.s3_url -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (ternary 443 80 (eq $url.scheme "https")) -}}
{{- end -}}

{{- define "porelay.management.port" -}}
{{- $url := urlParse .Values.broker.managementUrl -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (ternary 443 80 (eq $url.scheme "https")) -}}
{{- end -}}

{{/* Seconds from SIGTERM to SIGKILL: the worker's own grace, and time to close its connections and to stop its child. */}}
{{- define "porelay.grace" -}}
{{- add (ceil .config.grace_s | int) 20 -}}
{{- end -}}

{{/* The same for every pod of ours: given (dict "root" $). */}}
{{- define "porelay.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "porelay.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where the broker's user, its certificate and the keys of the bucket are. Given (dict "root" $ "config" config). */}}
{{- define "porelay.env" -}}
{{- range $name, $value := .config }}
- {name: PORELAY_{{ upper $name }}, value: {{ include "porelay.text" $value | quote }}}
{{- end }}
- {name: PORELAY_CACHE, value: /cache}
- {name: PORELAY_S3_ACCESS_KEY_FILE, value: /secrets/s3_access_key}
- {name: PORELAY_S3_SECRET_KEY_FILE, value: /secrets/s3_secret_key}
{{- if .root.Values.ca.configMap }}
- {name: PORELAY_S3_CA_FILE, value: /ca/ca.pem}
{{- end }}
{{- end -}}

{{- define "porelay.env.broker" -}}
- {name: PORELAY_AMQP_URL_FILE, value: /secrets/amqp_url}
{{- if .Values.broker.clientCertificates }}
- {name: PORELAY_AMQP_CERT_FILE, value: /secrets/tls.crt}
- {name: PORELAY_AMQP_KEY_FILE, value: /secrets/tls.key}
{{- end }}
{{- if .Values.ca.configMap }}
- {name: PORELAY_AMQP_CA_FILE, value: /ca/ca.pem}
{{- end }}
{{- end -}}

{{/* What a process may use, by its container's limits and, half of it, by the room of its cache: the other half is for
what is being written. Given (dict "config" config "resources" resources "cache" cache "container" name). */}}
{{- define "porelay.env.limits" -}}
{{- if not (hasKey .config "cache_bytes") }}
- {name: PORELAY_CACHE_BYTES, value: {{ div (include "porelay.bytes" .cache.size) 2 | quote }}}
{{- end }}
{{- if not (hasKey .config "max_memory_bytes") }}
- {name: PORELAY_MAX_MEMORY_BYTES, value: {{ div (mul (include "porelay.bytes" .resources.limits.memory) 3) 4 | quote }}}
{{- end }}
{{- if not (hasKey .config "workers") }}
- name: PORELAY_WORKERS
  valueFrom:
    resourceFieldRef: {containerName: {{ .container }}, resource: limits.cpu, divisor: "1"}
{{- end }}
{{- end -}}

{{- define "porelay.mounts" -}}
- {name: secrets, mountPath: /secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
- {name: cache, mountPath: /cache}
{{- if .Values.ca.configMap }}
- {name: ca, mountPath: /ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "porelay.volume.ca" -}}
{{- with .Values.ca }}
{{- if .configMap }}
- name: ca
  configMap:
    name: {{ .configMap }}
    items: [{key: {{ .key }}, path: ca.pem}]
{{- end }}
{{- end }}
{{- end -}}

{{- define "porelay.volume.cache" -}}
- name: tmp
  emptyDir: {}
- name: cache
  {{- if .storageClass }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: {{ .storageClass }}
        resources: {requests: {storage: {{ .size }}}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .size }}}
  {{- end }}
{{- end -}}

{{- define "porelay.secret.items" -}}
{{- $keys := concat (list "s3_access_key" "s3_secret_key") . -}}
[{{ range $i, $key := $keys }}{{ if $i }}, {{ end }}{key: {{ $key }}, path: {{ $key }}}{{ end }}]
{{- end -}}

{{/* Where a pod may and shall run. Given (dict "root" $ "service" service). */}}
{{- define "porelay.place" -}}
{{- $gpu := ternary .root.Values.gpu dict (gt (int .service.gpu) 0) -}}
{{- with mergeOverwrite (deepCopy (default dict $gpu.nodeSelector)) .service.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (default list $gpu.tolerations) .service.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .service.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $gpu.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Classes belong to the cluster, so their names hold the namespace. */}}
{{- define "porelay.class" -}}
{{- printf "%s-%s-%s" .root.Release.Namespace (include "porelay.fullname" .root) .priority -}}
{{- end -}}

{{- define "porelay.priority" -}}
{{- $classes := .root.Values.priorityClasses -}}
{{- get $classes .priority | default (ternary (include "porelay.class" .) "" $classes.create) -}}
{{- end -}}

{{/* Egress rules of a NetworkPolicy. Given (dict "peers" peers "ports" ports). */}}
{{- define "porelay.egress.to" -}}
- ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "porelay.egress.dns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  to: {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
{{- end -}}
