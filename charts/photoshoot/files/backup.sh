#!/bin/sh
# All databases into FOLDER/<time>/<database>.dump, in pg_dump's custom format, each by the user that owns it. A backup
# has its name only when every dump is whole and readable; backups older than KEEP_DAYS go after that, never before.
set -eu
stamp=$(date -u +%Y%m%dT%H%M%SZ)
rm -rf "$FOLDER"/.part-*
part="$FOLDER/.part-$stamp"
mkdir "$part"

dump() { # user password database...
  user=$1 password=$2
  shift 2
  for database; do
    PGUSER=$user PGPASSWORD=$password pg_dump --no-password --format=custom --file="$part/$database.dump" "$database"
    pg_restore --list "$part/$database.dump" > /dev/null
    echo "$database: $(wc -c < "$part/$database.dump") bytes"
  done
}

# shellcheck disable=SC2086 # a list of names without spaces
dump "$MLFLOW_USER" "$MLFLOW_PASSWORD" $MLFLOW_DATABASES
# shellcheck disable=SC2086
[ -z "${OPTUNA_DATABASES:-}" ] || dump "$OPTUNA_USER" "$OPTUNA_PASSWORD" $OPTUNA_DATABASES
(cd "$part" && sha256sum -- *.dump > SHA256SUMS)
sync
mv "$part" "$FOLDER/$stamp"
echo "backup $stamp"

find "$FOLDER" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*T[0-9]*Z' -mtime "+$KEEP_DAYS" -exec rm -rf {} +
