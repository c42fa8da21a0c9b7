{{/* What all pods share, written once so that none is laxer than another. */}}

{{/* Labels of a pod. Takes (list . "component" (list "roles")): a role is what the network policies go by. */}}
{{- define "photoshoot.podLabels" -}}
{{ include "photoshoot.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- range index . 2 }}
photoshoot/{{ . }}: "true"
{{- end }}
{{- end -}}

{{/* Takes (list . user). */}}
{{- define "photoshoot.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 1 }}
  runAsGroup: {{ index . 1 }}
  fsGroup: {{ index . 1 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "photoshoot.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Node selector and tolerations. Takes a dict with both. */}}
{{- define "photoshoot.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Spread over nodes, where there is more than one. Takes (list . "component"). */}}
{{- define "photoshoot.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "photoshoot.selector" . | nindent 8 }}
{{- end -}}

{{/* One variable out of a Secret. Takes (list "NAME" "secret" "key"). */}}
{{- define "photoshoot.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* How PostgreSQL's client library connects, but for host, database and user, which are in the URL. The password is
     never in a URL: libpq takes it from PGPASSWORD. Takes (list . "secret" "key"). */}}
{{- define "photoshoot.database.env" -}}
{{- $ := index . 0 -}}
{{ include "photoshoot.secretEnv" (list "PGPASSWORD" (index . 1) (index . 2)) }}
{{ include "photoshoot.database.ssl" $ }}
{{- end -}}

{{- define "photoshoot.database.ssl" -}}
- name: PGSSLMODE
  value: {{ .Values.database.sslMode }}
{{- if include "photoshoot.database.ca" . }}
- name: PGSSLROOTCERT
  value: /database-ca/ca.crt
{{- end }}
{{- end -}}

{{- define "photoshoot.database.mount" -}}
{{- if include "photoshoot.database.ca" . -}}
- name: database-ca
  mountPath: /database-ca
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "photoshoot.database.volume" -}}
{{- if include "photoshoot.database.ca" . -}}
- name: database-ca
  secret:
    secretName: {{ include "photoshoot.database.ca" . }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end -}}
{{- end -}}

{{/* Small helpers that ask or tell something once: what they may use. */}}
{{- define "photoshoot.smallResources" -}}
resources:
  requests: {cpu: 20m, memory: 64Mi, ephemeral-storage: 16Mi}
  limits: {memory: 256Mi, ephemeral-storage: 64Mi}
{{- end -}}

{{/* The scripts that the chart's own pods run. */}}
{{- define "photoshoot.scriptsVolume" -}}
- name: scripts
  configMap:
    name: {{ include "photoshoot.name" . }}-scripts
    # Executable: PostgreSQL's image runs such files and would take others into its own shell.
    defaultMode: 0555
{{- end -}}

{{- define "photoshoot.scriptsMount" -}}
- name: scripts
  mountPath: /scripts
  readOnly: true
{{- end -}}

{{/* How the serving, and what follows the alias, log in to MLflow. */}}
{{- define "photoshoot.serving.env" -}}
- name: MLFLOW_TRACKING_URI
  value: {{ include "photoshoot.mlflow.url" . }}
- name: MLFLOW_DISABLE_TELEMETRY
  value: "true"
{{- if .Values.mlflow.auth.enabled }}
- name: MLFLOW_TRACKING_USERNAME
  value: serving
{{ include "photoshoot.secretEnv" (list "MLFLOW_TRACKING_PASSWORD" (include "photoshoot.auth.secret" .) "serving-password") }}
{{- end }}
{{- end -}}

{{/* What the serving runs: the version in the environment or, before anything told one, what the alias names. */}}
{{- define "photoshoot.serving.command" -}}
command: [sh, -c]
args:
  - >-
    if [ -n "$MODEL_VERSION" ]; then uri="models:/$MODEL_NAME/$MODEL_VERSION";
    else uri="models:/$MODEL_NAME@$MODEL_ALIAS"; fi;
    exec mlflow models serve --model-uri "$uri" --env-manager local --host 0.0.0.0 --port 8080 --workers 1
{{- end -}}
