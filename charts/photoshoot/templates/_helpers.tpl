{{- define "photoshoot.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.mlflow.name" -}}
{{- printf "%s-mlflow" (include "photoshoot.name" .) -}}
{{- end -}}

{{- define "photoshoot.steps.name" -}}
{{- .Values.steps.serviceAccount.name | default (printf "%s-steps" (include "photoshoot.name" .)) -}}
{{- end -}}

{{- define "photoshoot.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "photoshoot.mlflow.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: mlflow
{{- end -}}

{{- define "photoshoot.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Annotations of a service account: Workload Identity first, then what the user adds. */}}
{{- define "photoshoot.accountAnnotations" -}}
{{- $annotations := dict -}}
{{- with .googleServiceAccount -}}
{{- $_ := set $annotations "iam.gke.io/gcp-service-account" . -}}
{{- end -}}
{{- with mergeOverwrite $annotations .annotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* "true" when MLflow keeps anything on the volume. */}}
{{- define "photoshoot.mlflow.onVolume" -}}
{{- if not (and .Values.mlflow.database.existingSecret .Values.mlflow.artifacts.destination) -}}true{{- end -}}
{{- end -}}

{{- define "photoshoot.mlflow.claim" -}}
{{- .Values.mlflow.persistence.existingClaim | default (include "photoshoot.mlflow.name" .) -}}
{{- end -}}

{{/* Every name the service has inside the cluster, with and without its port: MLflow compares Host headers exactly. */}}
{{- define "photoshoot.mlflow.allowedHosts" -}}
{{- $name := include "photoshoot.mlflow.name" . -}}
{{- $short := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list $name $short (printf "%s.svc" $short) (printf "%s.svc.%s" $short .Values.clusterDomain) -}}
{{- $hosts := list "localhost" "localhost:*" "127.0.0.1" "127.0.0.1:*" -}}
{{- range $names -}}
{{- $hosts = concat $hosts (list . (printf "%s:%v" . $.Values.mlflow.service.port)) -}}
{{- end -}}
{{- concat $hosts .Values.mlflow.allowedHosts | join "," -}}
{{- end -}}

{{/* Browsers name the page's origin with each change they ask for; MLflow takes none but those it is told. */}}
{{- define "photoshoot.mlflow.origins" -}}
{{- $origins := list -}}
{{- range . -}}
{{- $origins = concat $origins (list (printf "https://%s" .) (printf "http://%s" .)) -}}
{{- end -}}
{{- join "," $origins -}}
{{- end -}}

{{/* What a schema cannot say in words that a person understands. */}}
{{- define "photoshoot.check" -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag is latest, which means something else tomorrow: give the tag that the image was built with, or image.digest" -}}
{{- end -}}
{{- with .Values.mlflow -}}
{{- if not (regexMatch "^(gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?)?$" .artifacts.destination) -}}
{{- fail (printf "mlflow.artifacts.destination is %q: give gs://bucket/prefix, or nothing to keep artifacts on the volume" .artifacts.destination) -}}
{{- end -}}
{{- if has "*" .allowedHosts -}}
{{- fail "mlflow.allowedHosts has *, which lets any web page talk to MLflow through its visitor's browser: name the hosts" -}}
{{- end -}}
{{- if gt (int .replicas) 1 -}}
{{- if not .database.existingSecret -}}
{{- fail (printf "mlflow.replicas is %d, but SQLite serves one server only: name a Secret with a database URL in mlflow.database.existingSecret, or set mlflow.replicas to 1" (int .replicas)) -}}
{{- end -}}
{{- if and (not .artifacts.destination) (ne .persistence.accessMode "ReadWriteMany") -}}
{{- fail (printf "mlflow.replicas is %d, but the volume with the artifacts can be mounted once only: set mlflow.artifacts.destination to gs://bucket/prefix, or mlflow.persistence.accessMode to ReadWriteMany, or mlflow.replicas to 1" (int .replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
