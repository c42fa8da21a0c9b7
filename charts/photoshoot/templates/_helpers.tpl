{{- define "photoshoot.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.mlflow.name" -}}
{{- printf "%s-mlflow" (include "photoshoot.name" .) -}}
{{- end -}}

{{- define "photoshoot.steps.name" -}}
{{- .Values.steps.serviceAccount.name | default (printf "%s-runner" (include "photoshoot.name" .)) -}}
{{- end -}}

{{/* Labels of everything. */}}
{{- define "photoshoot.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Name, namespace and labels of one thing. Takes (list . "suffix" "component"). */}}
{{- define "photoshoot.metadata" -}}
{{- $ := index . 0 -}}
name: {{ include "photoshoot.name" $ }}-{{ index . 1 }}
namespace: {{ $.Release.Namespace }}
labels:
  {{- include "photoshoot.labels" $ | nindent 2 }}
  app.kubernetes.io/component: {{ index . 2 }}
{{- end -}}

{{/* What selects the release's pods. */}}
{{- define "photoshoot.ours" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What selects one component's pods. Takes (list . "component"). */}}
{{- define "photoshoot.selector" -}}
{{ include "photoshoot.ours" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Takes (list . image). A digest names content; a tag is somebody's promise. */}}
{{- define "photoshoot.imageName" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default (index . 0).Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.image" -}}
{{- include "photoshoot.imageName" (list . .Values.image) -}}
{{- end -}}

{{- define "photoshoot.serving.image" -}}
{{- $own := .Values.serving.image -}}
{{- if $own.repository -}}{{- include "photoshoot.imageName" (list . $own) -}}{{- else -}}{{- include "photoshoot.image" . -}}{{- end -}}
{{- end -}}

{{- define "photoshoot.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
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

{{/* "true" when there is a PostgreSQL server to talk to. */}}
{{- define "photoshoot.postgresql" -}}
{{- if ne .Values.database.type "sqlite" -}}true{{- end -}}
{{- end -}}

{{- define "photoshoot.database.host" -}}
{{- if eq .Values.database.type "in-cluster" -}}
{{- printf "%s-database.%s.svc" (include "photoshoot.name" .) .Release.Namespace -}}
{{- else -}}
{{- .Values.database.host -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.database.port" -}}
{{- eq .Values.database.type "in-cluster" | ternary 5432 .Values.database.port -}}
{{- end -}}

{{- define "photoshoot.database.secret" -}}
{{- .Values.database.existingSecret | default (printf "%s-database" (include "photoshoot.name" .)) -}}
{{- end -}}

{{/* Secret with the in-cluster server's certificate. */}}
{{- define "photoshoot.database.tls" -}}
{{- .Values.database.server.tlsSecret | default (printf "%s-database-tls" (include "photoshoot.name" .)) -}}
{{- end -}}

{{/* Secret with the certificate by which clients know the server; empty where they take any. */}}
{{- define "photoshoot.database.ca" -}}
{{- if .Values.database.caSecret -}}
{{- .Values.database.caSecret -}}
{{- else if and (eq .Values.database.type "in-cluster") (ne .Values.database.sslMode "disable") -}}
{{- include "photoshoot.database.tls" . -}}
{{- end -}}
{{- end -}}

{{/* Secret with Optuna's password; empty where there are no studies on the cluster. A Secret of its own, because who may
     look into the steps' Secrets need not see MLflow's. */}}
{{- define "photoshoot.studies.secret" -}}
{{- if .Values.database.studiesSecret -}}
{{- .Values.database.studiesSecret -}}
{{- else if eq .Values.database.type "in-cluster" -}}
{{- printf "%s-studies" (include "photoshoot.name" .) -}}
{{- end -}}
{{- end -}}

{{/* SQLAlchemy's URL of a database, without the password. Takes (list . "user" "database"). */}}
{{- define "photoshoot.database.url" -}}
{{- $ := index . 0 -}}
{{- printf "postgresql+psycopg://%s@%s:%v/%s" (index . 1) (include "photoshoot.database.host" $) (include "photoshoot.database.port" $) (index . 2) -}}
{{- end -}}

{{- define "photoshoot.auth.secret" -}}
{{- .Values.mlflow.auth.existingSecret | default (printf "%s-auth" (include "photoshoot.mlflow.name" .)) -}}
{{- end -}}

{{/* Secret with which steps log in to MLflow. */}}
{{- define "photoshoot.steps.secret" -}}
{{- .Values.steps.credentials.existingSecret | default (printf "%s-mlflow-client" (include "photoshoot.name" .)) -}}
{{- end -}}

{{/* Secret with the token that the studio asks visitors for. */}}
{{- define "photoshoot.studio.secret" -}}
{{- .Values.studio.tokenSecret | default (printf "%s-studio" (include "photoshoot.name" .)) -}}
{{- end -}}

{{/* "true" when something of the chart reads versions, as MLflow's user serving. */}}
{{- define "photoshoot.readsVersions" -}}
{{- if or .Values.serving.enabled .Values.studio.enabled -}}true{{- end -}}
{{- end -}}

{{/* "true" when MLflow keeps anything on the volume. */}}
{{- define "photoshoot.mlflow.onVolume" -}}
{{- if not (and (include "photoshoot.postgresql" .) .Values.mlflow.artifacts.destination) -}}true{{- end -}}
{{- end -}}

{{- define "photoshoot.mlflow.claim" -}}
{{- .Values.mlflow.persistence.existingClaim | default (include "photoshoot.mlflow.name" .) -}}
{{- end -}}

{{- define "photoshoot.mlflow.url" -}}
{{- printf "http://%s.%s.svc:%v" (include "photoshoot.mlflow.name" .) .Release.Namespace .Values.mlflow.service.port -}}
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
