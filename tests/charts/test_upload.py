"""The second half of the backup to a bucket, over real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from servers import gcs_emulator

SCRIPT = Path(__file__).resolve().parents[2] / "charts" / "photoshoot" / "files" / "upload.py"


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with gcs_emulator("team-bucket") as url:
        yield url


def upload(folder: Path, destination: str, emulator: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"STORAGE_EMULATOR_HOST": emulator, "GOOGLE_CLOUD_PROJECT": "team"}
    return subprocess.run([sys.executable, str(SCRIPT), str(folder), destination], env=environment,
                          capture_output=True, text=True, timeout=60)


def test_a_backup_arrives_and_ends_with_its_digests(tmp_path: Path, emulator: str) -> None:
    day = tmp_path / "20261122T021700Z"
    day.mkdir()
    files = {"SHA256SUMS": b"digests", "mlflow.dump": bytes(range(256)) * 1000, "optuna.dump": b"studies"}
    for name, content in files.items():
        (day / name).write_bytes(content)
    (tmp_path / ".part-20261122T030000Z").mkdir()
    (tmp_path / ".part-20261122T030000Z" / "mlflow.dump").write_bytes(b"half")

    done = upload(tmp_path, "gs://team-bucket/backups/", emulator)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[1].rsplit("/", 1)[1] for line in done.stdout.splitlines()] == [
        "mlflow.dump", "optuna.dump", "SHA256SUMS"]
    client = storage.Client(project="team", credentials=AnonymousCredentials(), client_options={
        "api_endpoint": emulator})
    found = {blob.name: blob.download_as_bytes() for blob in client.list_blobs("team-bucket")}
    assert found == {f"backups/{day.name}/{name}": content for name, content in files.items()}


def test_what_goes_wrong_is_said(tmp_path: Path, emulator: str) -> None:
    empty = upload(tmp_path, "gs://team-bucket", emulator)
    assert empty.returncode == 1 and "holds no backup" in empty.stderr
    (tmp_path / "20261122T021700Z").mkdir()
    (tmp_path / "20261122T021700Z" / "mlflow.dump").write_bytes(b"runs")
    missing = upload(tmp_path, "gs://no-such-bucket/backups", emulator)
    assert missing.returncode == 1 and missing.stderr.startswith("error: gs://no-such-bucket/backups: 404")
