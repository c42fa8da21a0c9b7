"""The scripts that speak to PostgreSQL, against a real server; skipped where PostgreSQL is not installed.

The server asks for passwords: that each program has its own is what is tested.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[2] / "charts" / "photoshoot" / "files"
# Debian keeps the server's programs out of the path.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PATHS = os.pathsep.join([*map(str, DEBIAN), os.environ["PATH"]])
pytestmark = pytest.mark.skipif(shutil.which("initdb", path=PATHS) is None, reason="PostgreSQL is not installed")
# PostgreSQL refuses to run as root.
USER = {"user": 65534, "group": 65534} if os.getuid() == 0 else {}


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
def database(tmp_path_factory: pytest.TempPathFactory, everything: Any) -> Iterator[Database]:
    """A new server after its first start: databases.sh has run in the environment that the chart gives it."""
    folder = tmp_path_factory.mktemp("postgresql")
    if USER:
        os.chown(folder, USER["user"], USER["group"])
        for parent in folder.parents[:3]:
            parent.chmod(parent.stat().st_mode | 0o055)  # pytest's folders are closed to others
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    pod = everything.environment(everything.container("StatefulSet", "-database"))
    server = Database(port, pod)
    (folder / "password").write_text(pod["POSTGRES_PASSWORD"])
    subprocess.run(["initdb", "--username=postgres", f"--pwfile={folder / 'password'}", "--auth-host=scram-sha-256",
                    "--auth-local=scram-sha-256", "--no-sync", *pod["POSTGRES_INITDB_ARGS"].split(),
                    str(folder / "data")], env=server.environment, cwd=folder, check=True, capture_output=True, **USER)
    process = subprocess.Popen(
        ["postgres", "-D", str(folder / "data"), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-F",
         "-k", str(folder)], env=server.environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        **USER)
    try:
        deadline = time.monotonic() + 60
        while server.run("pg_isready", "--username=postgres").returncode:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        made = server.run("sh", FILES / "databases.sh", PGPASSWORD=pod["POSTGRES_PASSWORD"])
        assert made.returncode == 0, made.stderr
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def logins(database: Database) -> dict[str, tuple[str, str]]:
    return {user: (user, database.environment[f"{user.upper()}_PASSWORD"]) for user in ("mlflow", "optuna")}


def test_each_program_enters_its_own_databases_only(database: Database, logins: dict[str, tuple[str, str]]) -> None:
    enters = {(user, name) for user, login in logins.items() for name in ("mlflow", "mlflow_auth", "optuna")
              if database.query(name, "SELECT 1", login) == "1"}
    assert enters == {("mlflow", "mlflow"), ("mlflow", "mlflow_auth"), ("optuna", "optuna")}
    assert "password authentication failed" in database.query("mlflow", "SELECT 1", ("mlflow", "wrong"))
    assert database.query("optuna", "CREATE TABLE trials (n int); SELECT 1", logins["optuna"]) == "1"


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
