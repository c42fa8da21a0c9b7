"""The chart's MLflow server, started here with exactly the command and environment that the chart gives its pod."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "photoshoot"
PATIENCE = 120.0
API = "/api/2.0/mlflow/experiments/get?experiment_id=0"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a server that runs the pod's command, with the volume's path and the port replaced and nothing else."""
    volume = tmp_path_factory.mktemp("data")
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render({}, name="photoshoot", namespace="vision")
    deployment = yaml.safe_load(files["photoshoot/templates/mlflow-deployment.yaml"])
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    bin_folder = Path(sys.executable).parent
    command = [str(bin_folder / server["command"][0]), *server["command"][1:]]
    command += [a.replace("/data/", f"{volume}/").replace("--port=5000", f"--port={number}") for a in server["args"]]
    environment = {e["name"]: e["value"].replace("////data/", f"///{volume}/") for e in server["env"]}
    with (volume / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | environment | {"PATH": f"{bin_folder}:{os.environ['PATH']}"},
            cwd=volume, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while _status(number, "/health", "10.1.2.3:5000") != 200:
            assert process.poll() is None and time.monotonic() < deadline, (volume / "log").read_text()[-2000:]
            time.sleep(0.3)
        yield number
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _status(port: int, path: str, host: str) -> int | None:
    """HTTP status of a GET with that Host header; None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


# One test, not one for each name: tests are spread over processes, and each process would start a server.
def test_answers_to_the_services_names_and_no_other(port: int) -> None:
    service = "photoshoot-mlflow"
    own = (service, f"{service}.vision", f"{service}.vision.svc", f"{service}.vision.svc.cluster.local")
    known = [*own, *(f"{name}:5000" for name in own), "localhost:8080"]
    strange = ["evil.example.com", "10.1.2.3:5000", f"{service}.other.svc:5000", f"{service}:5001"]
    assert {host: _status(port, API, host) for host in known} == dict.fromkeys(known, 200)
    assert {host: _status(port, API, host) for host in strange} == dict.fromkeys(strange, 403)
    # The kubelet asks by address, and only for /health.
    assert _status(port, "/health", "10.1.2.3:5000") == 200
