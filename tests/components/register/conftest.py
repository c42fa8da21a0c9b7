"""Real MLflow servers over HTTP, on sqlite and on PostgreSQL, with three small versions in their registry."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest

from components.core.images import encode_png
from components.register import registry as registering
from components.register.promotion import COMPARED, NOBODY
from components.register.registry import Files, Registry

_START_S = 90
_NOBODY = 65534
MODEL = "photoshoot"

# A version that takes no time to load: it paints the grey level that its "generator" names.
_GREY = '''
from pathlib import Path

import mlflow.models
import mlflow.pyfunc
import numpy as np
import pandas as pd

from components.core.images import encode_png


class Grey(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.level = int(Path(context.artifacts["generator"]).read_text())

    def predict(self, context, model_input, params=None):
        image = np.zeros((8, 8, 3), np.uint8)
        image[:4] = self.level
        return pd.DataFrame({"image": [encode_png(image)] * len(model_input)})


mlflow.models.set_model(Grey())
'''


@dataclass(frozen=True)
class Server:
    """A running server: its address, and the folder of its artifacts."""

    uri: str
    artifacts: Path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, store: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder,
                                   start_new_session=True)
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + _START_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail((folder / "server.log").read_text()[-2000:])
                time.sleep(0.2)
        yield Server(address, folder / "artifacts")
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the session that was started above, and nothing else
        process.wait(30)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of our own with an empty database; its address for MLflow. Skips where there is none."""
    found = [*filter(None, [shutil.which("initdb")]), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if not found:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    binaries, data, port = Path(found[-1]).resolve().parent, folder / "data", free_port()
    # PostgreSQL refuses to run as root, and pytest's folders are closed to others: nobody gets a folder in /tmp.
    as_user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if os.getuid() == 0 else []
    if as_user:
        os.chown(folder, _NOBODY, _NOBODY)

    def run(name: str, *arguments: str) -> None:
        done = subprocess.run([*as_user, str(binaries / name), *arguments], capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stderr

    run("initdb", "-D", str(data), "-U", "photoshoot", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    start = [*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w"]
    subprocess.run([*start, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "photoshoot", "mlflow")
        yield f"postgresql+psycopg://photoshoot@127.0.0.1:{port}/mlflow"
    finally:
        subprocess.run([*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"], check=True,
                       stdout=subprocess.DEVNULL, cwd=folder)


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sqlite")
    with mlflow_server(folder, f"sqlite:///{folder}/server.db") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="photoshoot-postgres-", ignore_cleanup_errors=True) as name, \
            postgres(Path(name)) as store, mlflow_server(tmp_path_factory.mktemp("postgres"), store) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each test that asks for it runs on both databases."""
    found: Server = request.getfixturevalue("sqlite_server" if request.param == "sqlite" else "postgres_server")
    return found


@pytest.fixture(scope="session")
def originals() -> dict[str, bool]:
    """Addresses of the servers whose registry has the small versions."""
    return {}


@pytest.fixture
def small_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                   originals: dict[str, bool]) -> Callable[[str, str], Registry]:
    """A registry with three versions that load at once and paint grey of 60, 120 and 180; all passed their gate,
    before there was a champion. Logged once for each server and copied for each test."""

    def make(name: str, uri: str) -> Registry:
        original, registry = Registry("original", uri), Registry(name, uri)
        if uri not in originals:
            _log(original, tmp_path, monkeypatch)
            originals[uri] = True
        client = mlflow.MlflowClient(uri)
        for version in original.all():
            client.copy_model_version(f"models:/original/{version.number}", name)
        return registry

    return make


def _log(registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, generator = folder / "grey.py", folder / "generator.safetensors"
    code.write_text(_GREY)
    monkeypatch.setattr(registering, "_CODE", code)
    picture = encode_png(np.zeros((4, 4, 3), np.uint8))
    for level in (60, 120, 180):
        generator.write_text(str(level))
        example = dict.fromkeys(("source_photo", "source_pose", "target_pose"), picture)
        version = registry.log(Files(generator, {}, {"training_photos": []}, example), None)
        registry.tag(version, {"verdict": "passed", COMPARED: NOBODY, "digest.model": f"model-{level}",
                               "digest.evaluation": f"metrics-{level}", "digest.people": "people",
                               "digest.code": "code"})
