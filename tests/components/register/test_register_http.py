"""Registration against a real MLflow server, over HTTP, with its artifacts behind it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core.settings import RegisterSettings
from components.register import register
from components.register.registry import Registry

_START_S = 90


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
               "--artifacts-destination", str(tmp_path / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path,
                                   start_new_session=True)
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + _START_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail((tmp_path / "server.log").read_text()[-2000:])
                time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the session that was started above, and nothing else
        process.wait(30)


def test_a_version_registered_over_http_works_in_a_fresh_process(world, evaluated: Path, server: str,
                                                                 tmp_path: Path) -> None:
    summary = register(world.model, evaluated, world.people, tmp_path / "out", RegisterSettings(),
                       tracking_uri=server)  # registration itself loads the version in a fresh process and paints
    assert (tmp_path / "out" / "try.png").stat().st_size > 100
    registry = Registry("photoshoot", server)
    assert registry.aliased("challenger") == summary.model_version == "1"
    assert registry.aliased("champion") is None
    assert list((tmp_path / "artifacts").rglob("generator.safetensors"))
