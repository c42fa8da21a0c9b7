"""Real MLflow servers over HTTP, on sqlite and on PostgreSQL, with three small versions in their registry."""

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from recording import record
from servers import MlflowServer, mlflow_server

from components.core.pictures.images import encode_png
from components.register import registry as registering
from components.register.registry import Files, Registry

MODEL = "photoshoot"

# A version that takes no time to load: it paints the grey level that its "generator" names.
_GREY = '''
from pathlib import Path

import mlflow.models
import mlflow.pyfunc
import numpy as np
import pandas as pd

from components.core.pictures.images import encode_png


class Grey(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.level = int(Path(context.artifacts["generator"]).read_text())

    def predict(self, context, model_input, params=None):
        image = np.zeros((8, 8, 3), np.uint8)
        image[:4] = self.level
        return pd.DataFrame({"image": [encode_png(image)] * len(model_input)})


mlflow.models.set_model(Grey())
'''


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("sqlite")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory,
                    postgres: Callable[[str], str]) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), postgres("registry")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> MlflowServer:
    """Each test that asks for it runs on both databases."""
    found: MlflowServer = request.getfixturevalue("sqlite_server" if request.param == "sqlite" else "postgres_server")
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
            record(registry, version.number)
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
        registry.tag(version, {"digest.people": "people", "digest.code": "code"})
