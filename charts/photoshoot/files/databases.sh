#!/bin/sh
# The first start of the in-cluster PostgreSQL server: a user for each program, which owns its databases and may enter no
# other. Run by the image's entry point. Passwords come from the environment, so no process list shows them.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres \
  --set=mlflow="$MLFLOW_USER" --set=optuna="$OPTUNA_USER" \
  --set=runs="$MLFLOW_DATABASE" --set=auth="$AUTH_DATABASE" --set=studies="$OPTUNA_DATABASE" <<'SQL'
\getenv mlflow_password MLFLOW_PASSWORD
\getenv optuna_password OPTUNA_PASSWORD
CREATE ROLE :"mlflow" LOGIN PASSWORD :'mlflow_password';
CREATE ROLE :"optuna" LOGIN PASSWORD :'optuna_password';
CREATE DATABASE :"runs" OWNER :"mlflow";
CREATE DATABASE :"auth" OWNER :"mlflow";
CREATE DATABASE :"studies" OWNER :"optuna";
REVOKE ALL ON DATABASE :"runs", :"auth", :"studies" FROM PUBLIC;
SQL
