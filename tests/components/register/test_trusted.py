"""A registered version whose model or alias somebody changed: loaded, served, compared with, shot with, promoted."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from commands import called
from recording import believed, lenient

import photoshoot
from components.core.digest import file_digest
from components.core.errors import DataError
from components.evaluate.challenge import challenge
from components.register import register
from components.register.registry import Registry
from pipelines.doctor.finding import Level
from pipelines.doctor.stores import champion


@pytest.fixture(scope="module")
def home(world, evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two versions of one model, the first of them champion."""
    home = tmp_path_factory.mktemp("home")
    (home / "runs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr("components.register.run.try_version", lambda *_: np.zeros((64, 64, 3), np.uint8))
        evaluation = believed(evaluated, home / "believed")
        for pairs in (1, 2):
            register(world.model, evaluation, world.people, world.identities, home / f"out{pairs}", lenient(pairs),
                     tracking_uri=f"sqlite:///{home}/mlflow.db")
        yield home


@pytest.fixture
def registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    registry = Registry("photoshoot", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    yield registry
    registry.point("champion", "1")


@pytest.fixture
def changed(registry: Registry, tmp_path: Path) -> Iterator[str]:
    """The champion's weights were replaced by others of the same kind, behind MLflow's back."""
    with registry.folder(registry.get("1")) as folder:
        file = folder / "artifacts" / "generator.safetensors"
    shutil.copy(file, tmp_path / "kept")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    yield "generator.safetensors was changed"
    shutil.copy(tmp_path / "kept", file)


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command on the home: exit code, what it printed, what it said beside."""

    def call(*arguments: str) -> tuple[int, str, str]:
        return called(monkeypatch, capsys, *arguments, "--home", str(home))

    return call


def test_a_changed_model_is_neither_loaded_nor_served_nor_compared_with(
        registry: Registry, changed: str, world, evaluated: Path, untrained: Callable[..., Path], tmp_path: Path,
        run: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match=changed):
        photoshoot.load("models:/photoshoot@champion", tracking_uri=registry.uri)
    with pytest.raises(DataError, match=changed):
        mlflow.pyfunc.load_model("models:/photoshoot/1")
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert metrics["model"]["digest"]
    # Another model is to be compared with the champion: what stands there now says nothing of the champion.
    untrained(tmp_path / "model", seed=1)
    metrics["model"]["digest"] = file_digest(tmp_path / "model" / "generator.safetensors")
    shutil.copytree(evaluated, tmp_path / "evaluation")
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    done = challenge(tmp_path / "model", world.people, world.identities, tmp_path / "evaluation", tmp_path / "out",
                     lenient(), tracking_uri=registry.uri)
    assert done.status == "refused" and changed in done.reason
    photo = world.root / "photos" / "photos"
    code, _, err = run("shoot", "--photo", str(next(photo.iterdir())), "--out", str(tmp_path / "shot"))
    assert code == 4 and changed in err and "--accept-changed" in err
    code, out, _ = run("audit", "--json")
    assert code == 4 and [found["what"] for found in json.loads(out)["findings"]] == [f"artifacts/{changed}"]


def test_the_commands_say_it_and_put_it_back(registry: Registry, run: Callable[..., Any], home: Path,
                                             caplog: pytest.LogCaptureFixture) -> None:
    code, out, _ = run("audit", "--json")
    assert code == 0 and json.loads(out)["findings"] == [] and json.loads(out)["versions"] == 2
    registry.point("champion", "2")
    wrong = "the alias champion points to version 2, the ledger says version 1"
    assert wrong in run("versions")[2] and wrong in run("history")[2]
    (found,) = champion(registry.uri, "photoshoot")
    assert found.level == Level.PROBLEM and wrong in found.found
    with pytest.warns(UserWarning, match=wrong):
        photoshoot.load("models:/photoshoot@champion", tracking_uri=registry.uri)
    with caplog.at_level(logging.WARNING):
        mlflow.pyfunc.load_model("models:/photoshoot@champion")
    assert wrong in caplog.text
    code, out, _ = run("audit")
    assert code == 4 and wrong in out
    assert run("promote", "--repair")[1].startswith("the alias champion pointed to version 2: it points to version 1")
    assert registry.aliased("champion") == "1" and run("audit")[0] == 0
    assert champion(registry.uri, "photoshoot")[0].level == Level.OK
    code, _, err = run("promote")
    assert code == 2 and "takes a version, or --repair" in err
