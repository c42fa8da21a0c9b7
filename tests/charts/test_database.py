"""The scripts that speak to PostgreSQL, against a real server; skipped where PostgreSQL is not installed.

The server asks for passwords: that each program has its own is what is tested.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import postgres_programs, postgres_server, wait_for

FILES = Path(__file__).resolve().parents[2] / "charts" / "photoshoot" / "files"
PATHS = f"{postgres_programs()}{os.pathsep}{os.environ['PATH']}"
pytestmark = pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed")


class Database:
    """A server whose `postgres` role needs no password from here, with the environment of the chart's pods."""

    def __init__(self, port: int, environment: dict[str, str]) -> None:
        self.environment = {"PATH": PATHS, "LC_ALL": "C"} | environment | {
            "PGHOST": "127.0.0.1", "PGPORT": str(port)}

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(word) for word in command], env=self.environment | environment,
                              capture_output=True, text=True, timeout=60)

    def query(self, database: str, statement: str, login: tuple[str, str]) -> str:
        """What a statement answers, or the error."""
        ended = self.run("psql", "-XAtqc", statement, database, PGUSER=login[0], PGPASSWORD=login[1])
        return (ended.stdout + ended.stderr).strip()


@pytest.fixture(scope="module")
def database(everything: Any) -> Iterator[Database]:
    """A new server after its first start: databases.sh has run in the environment that the chart gives it."""
    pod = everything.environment(everything.container("StatefulSet", "-database"))
    with postgres_server("--auth-host=scram-sha-256", "--auth-local=scram-sha-256",
                         *pod["POSTGRES_INITDB_ARGS"].split(), role="postgres",
                         password=pod["POSTGRES_PASSWORD"]) as server:
        found = Database(server.port, pod)
        made = found.run("sh", FILES / "databases.sh", PGPASSWORD=pod["POSTGRES_PASSWORD"])
        assert made.returncode == 0, made.stderr
        yield found


@pytest.fixture(scope="module")
def logins(database: Database) -> dict[str, tuple[str, str]]:
    return {user: (user, database.environment[f"{user.upper()}_PASSWORD"]) for user in ("mlflow", "optuna")}


def test_each_program_enters_its_own_databases_only(database: Database, logins: dict[str, tuple[str, str]]) -> None:
    enters = {(user, name) for user, login in logins.items() for name in ("mlflow", "mlflow_auth", "optuna")
              if database.query(name, "SELECT 1", login) == "1"}
    assert enters == {("mlflow", "mlflow"), ("mlflow", "mlflow_auth"), ("optuna", "optuna")}
    assert "password authentication failed" in database.query("mlflow", "SELECT 1", ("mlflow", "wrong"))
    assert database.query("optuna", "CREATE TABLE trials (n int); SELECT 1", logins["optuna"]) == "1"


def test_connections_are_encrypted_and_the_server_is_who_it_says(
    database: Database, everything: Any, logins: dict[str, tuple[str, str]], tmp_path: Path,
) -> None:
    """With the certificate that the chart makes, the server's arguments, and the clients' environment."""
    secret = {k: base64.b64decode(v) for k, v in everything.one("Secret", "-database-tls")["data"].items()}
    (tmp_path / "ca.crt").write_bytes(secret["ca.crt"])
    server = everything.container("StatefulSet", "-database")
    options = dict(word.split("=", 1) for word in server["args"] if word != "-c")
    assert options["ssl"] == "on"
    root = {"PGUSER": "postgres", "PGPASSWORD": database.environment["POSTGRES_PASSWORD"]}
    folder = Path(database.run("psql", "-XAtqc", "SHOW data_directory", "postgres", **root).stdout.strip())
    for option, name in (("ssl_cert_file", "tls.crt"), ("ssl_key_file", "tls.key")):
        assert options[option] == f"/tls/{name}"
        (folder / name).write_bytes(secret[name])
        os.chown(folder / name, folder.stat().st_uid, folder.stat().st_gid)
        (folder / name).chmod(0o600)
        assert database.run("psql", "-Xqc", f"ALTER SYSTEM SET {option} = '{name}'", "postgres", **root).returncode == 0
    database.run("psql", "-Xqc", "ALTER SYSTEM SET ssl = on", "postgres", **root)
    database.run("psql", "-Xqc", "SELECT pg_reload_conf()", "postgres", **root)

    client = {e["name"]: e.get("value") for e in everything.container("Deployment", "-mlflow")["env"]}
    assert (client["PGSSLMODE"], client["PGSSLROOTCERT"]) == ("require", "/database-ca/ca.crt")
    url = client["MLFLOW_BACKEND_STORE_URI"]
    host = url.partition("@")[2].partition(":")[0]
    trusting = {"PGSSLROOTCERT": str(tmp_path / "ca.crt"), "PGHOSTADDR": "127.0.0.1", "PGUSER": "mlflow",
                "PGPASSWORD": logins["mlflow"][1]}

    def ask(host: str, **more: str) -> str:
        ended = database.run("psql", "-XAtqc", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "mlflow",
                             **(trusting | {"PGHOST": host} | more))
        return (ended.stdout + ended.stderr).strip()

    wait_for(lambda: ask(host, PGSSLMODE="require") == "t")
    assert ask(host, PGSSLMODE="verify-full") == "t"
    assert "does not match host name" in ask("another-database", PGSSLMODE="verify-full")
    # Somebody else's certificate is not taken, even where only encryption is asked for: the certificate is known.
    other = tmp_path / "other.crt"
    other.write_bytes(secret["tls.crt"])
    assert "certificate verify failed" in ask(host, PGSSLMODE="require", PGSSLROOTCERT=str(other))


def test_a_backup_is_whole_and_can_be_restored(
    database: Database, logins: dict[str, tuple[str, str]], everything: Any, tmp_path: Path,
) -> None:
    job = everything.environment(everything.container("CronJob", "-backup"))
    rows = "CREATE TABLE IF NOT EXISTS runs (name text); INSERT INTO runs VALUES ('first'); SELECT count(*) FROM runs"
    before = database.query("mlflow", rows, logins["mlflow"])
    old, aborted = tmp_path / "20200101T000000Z", tmp_path / ".part-20200102T000000Z"
    for leftover in (old, aborted):
        leftover.mkdir()
        os.utime(leftover, (0, 0))

    def backup(**changes: str) -> subprocess.CompletedProcess[str]:
        mine = {k: v for k, v in job.items() if k not in ("PGHOST", "PGPORT")} | {"FOLDER": str(tmp_path)}
        return database.run("sh", FILES / "backup.sh", **(mine | changes))

    # A dump that fails leaves no backup behind, and takes none away.
    failed = backup(OPTUNA_PASSWORD="wrong")
    assert failed.returncode != 0 and "password authentication failed" in failed.stderr
    assert [p.name for p in tmp_path.glob("[0-9]*")] == [old.name]

    made = backup()
    assert made.returncode == 0, made.stderr
    (folder,) = tmp_path.iterdir()  # the old one and what was aborted are gone
    assert {p.name for p in folder.iterdir()} == {"mlflow.dump", "mlflow_auth.dump", "optuna.dump", "SHA256SUMS"}
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0

    # The README's restore.
    assert database.query("mlflow", "DELETE FROM runs; SELECT count(*) FROM runs", logins["mlflow"]) == "0"
    restored = database.run(
        "pg_restore", "--username=postgres", "--clean", "--if-exists", "--exit-on-error", "--single-transaction",
        "--dbname=mlflow", folder / "mlflow.dump", PGPASSWORD=database.environment["POSTGRES_PASSWORD"])
    assert restored.returncode == 0, restored.stderr
    assert database.query("mlflow", "SELECT count(*) FROM runs", logins["mlflow"]) == before
    assert database.query("mlflow", "INSERT INTO runs VALUES ('second') RETURNING 1", logins["mlflow"]) == "1"
