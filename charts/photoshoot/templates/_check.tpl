{{/* What a schema cannot say in words that a person understands. */}}
{{- define "photoshoot.check" -}}
{{- include "photoshoot.check.images" . -}}
{{- include "photoshoot.check.database" . -}}
{{- include "photoshoot.check.mlflow" . -}}
{{- include "photoshoot.check.kserve" . -}}
{{- include "photoshoot.check.studio" . -}}
{{- include "photoshoot.check.rest" . -}}
{{- end -}}

{{- define "photoshoot.check.images" -}}
{{- range $name, $image := dict "image" .Values.image "database.image" .Values.database.image "serving.image" .Values.serving.image "studio.image" .Values.studio.image -}}
{{- if eq $image.tag "latest" -}}
{{- fail (printf "%s.tag is latest, which means something else tomorrow: give the tag that the image was built with, or %s.digest" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.serving.image.repository) (or .Values.serving.image.tag .Values.serving.image.digest) -}}
{{- fail "serving.image has a tag or a digest but no repository: give serving.image.repository too, or leave all three empty to serve with the tools image" -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.check.database" -}}
{{- with .Values.database -}}
{{- if eq .type "external" -}}
{{- if not .host -}}
{{- fail "database.type is external, but database.host is empty: give the address of your PostgreSQL server" -}}
{{- end -}}
{{- if not .existingSecret -}}
{{- fail "database.type is external, but database.existingSecret is empty: name a Secret with the key mlflow-password" -}}
{{- end -}}
{{- else if .host -}}
{{- fail (printf "database.host is %q, but database.type is %s: set database.type to external, or leave database.host empty" .host .type) -}}
{{- end -}}
{{- if and (has .sslMode (list "verify-ca" "verify-full")) (not .caSecret) (ne .type "in-cluster") -}}
{{- fail (printf "database.sslMode is %s, but database.caSecret is empty: name a Secret with the key ca.crt" .sslMode) -}}
{{- end -}}
{{- $databases := values .names | uniq -}}
{{- if lt (len $databases) 3 -}}
{{- fail "database.names has the same name twice: MLflow's runs, MLflow's users and Optuna's studies each need a database of their own" -}}
{{- end -}}
{{- if eq .users.mlflow .users.optuna -}}
{{- fail (printf "database.users.mlflow and database.users.optuna are both %q: give each its own, so that a step with Optuna's password cannot read MLflow's users" .users.mlflow) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.check.mlflow" -}}
{{- $sqlite := eq .Values.database.type "sqlite" -}}
{{- with .Values.mlflow -}}
{{- if not (regexMatch "^(gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?)?$" .artifacts.destination) -}}
{{- fail (printf "mlflow.artifacts.destination is %q: give gs://bucket/prefix, or nothing to keep artifacts on the volume" .artifacts.destination) -}}
{{- end -}}
{{- if has "*" .allowedHosts -}}
{{- fail "mlflow.allowedHosts has *, which lets any web page talk to MLflow through its visitor's browser: name the hosts" -}}
{{- end -}}
{{- if and (ne .service.type "ClusterIP") (not .auth.enabled) -}}
{{- fail (printf "mlflow.service.type is %s and mlflow.auth.enabled is false: MLflow would be open to whoever reaches the address; switch mlflow.auth.enabled on" .service.type) -}}
{{- end -}}
{{- if gt (int .replicas) 1 -}}
{{- if $sqlite -}}
{{- fail (printf "mlflow.replicas is %d, but SQLite serves one server only: set database.type to in-cluster or external, or mlflow.replicas to 1" (int .replicas)) -}}
{{- end -}}
{{- if and (not .artifacts.destination) (ne .persistence.accessMode "ReadWriteMany") -}}
{{- fail (printf "mlflow.replicas is %d, but the volume with the artifacts can be mounted once only: set mlflow.artifacts.destination to gs://bucket/prefix, or mlflow.persistence.accessMode to ReadWriteMany, or mlflow.replicas to 1" (int .replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.check.kserve" -}}
{{- with .Values.serving -}}
{{- if .kserve.enabled -}}
{{- if not .enabled -}}
{{- fail "serving.kserve.enabled, but serving.enabled is false: switch both on" -}}
{{- end -}}
{{- if eq .alias .kserve.canaryAlias -}}
{{- fail (printf "serving.alias and serving.kserve.canaryAlias are both %q: a canary is another version" .alias) -}}
{{- end -}}
{{- if gt (int .kserve.minReplicas) (int .kserve.maxReplicas) -}}
{{- fail "serving.kserve.minReplicas is more than serving.kserve.maxReplicas" -}}
{{- end -}}
{{- if and (eq (int .kserve.minReplicas) 0) (eq .kserve.mode "Standard") -}}
{{- fail "serving.kserve.minReplicas is 0, which the mode Standard cannot do: take Knative, or 1" -}}
{{- end -}}
{{- if and $.Values.networkPolicy.enabled (not .allowFrom) -}}
{{- fail "serving.kserve.enabled, but the network policy lets nobody in: name KServe's gateway, and with Knative the namespace knative-serving, in serving.allowFrom" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.check.studio" -}}
{{- with .Values.studio -}}
{{- if not (regexMatch "^(gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?)?$" .weights.location) -}}
{{- fail (printf "studio.weights.location is %q: give gs://bucket/prefix, or leave it empty for an image that brings its networks along" .weights.location) -}}
{{- end -}}
{{- if and .weights.location .weights.existingClaim -}}
{{- fail "studio.weights has a location and a claim: give one of them" -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.host) -}}
{{- fail "studio.ingress.enabled, but studio.ingress.host is empty: give the page's host name" -}}
{{- end -}}
{{- if and .ingress.enabled $.Values.networkPolicy.enabled (not .allowFrom) -}}
{{- fail "studio.ingress.enabled, but the network policy lets nobody in: name the ingress controller's pods in studio.allowFrom" -}}
{{- end -}}
{{- if and .serviceMonitor.enabled $.Values.networkPolicy.enabled (not .allowFrom) -}}
{{- fail "studio.serviceMonitor.enabled, but the network policy lets nobody in: name Prometheus's pods in studio.allowFrom" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "photoshoot.check.rest" -}}
{{- if eq .Values.database.type "sqlite" -}}
{{- range $name := list "dashboard" "backup" -}}
{{- if (index $.Values $name).enabled -}}
{{- fail (printf "%s.enabled needs PostgreSQL: set database.type to in-cluster or external" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.dashboard.enabled (not (include "photoshoot.studies.secret" .)) (ne .Values.database.type "sqlite") -}}
{{- fail "dashboard.enabled needs Optuna's password: name a Secret with the key optuna-password in database.studiesSecret" -}}
{{- end -}}
{{- if not (regexMatch "^(gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?)?$" .Values.backup.destination) -}}
{{- fail (printf "backup.destination is %q: give gs://bucket/prefix, or nothing to keep backups on a volume" .Values.backup.destination) -}}
{{- end -}}
{{- if and .Values.mlflow.auth.enabled (eq .Values.steps.credentials.user .Values.mlflow.auth.adminUser) -}}
{{- fail (printf "steps.credentials.user is the administrator %q: give the steps a user of their own" .Values.mlflow.auth.adminUser) -}}
{{- end -}}
{{- end -}}
