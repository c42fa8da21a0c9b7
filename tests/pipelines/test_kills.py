"""SIGKILL at random moments of every command that works for long, then the same command: the same result, and the files
of a home that nobody touched."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import Command, digests, last_line, shares, survives, untouched
from smoke import SMALL

from components.core.record import tracking
from pipelines.home.folder import Home

Run = tuple[Path, dict[str, Any]]
PHOTOS = 12
KILLS = {"preprocess": 11, "train": 11, "shoot": 8, "promote": 8, "challenge": 4, "register": 3, "tune": 2, "run": 3}


class Made:
    """A home with a run, and what the run made."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (outputs,) = home.glob("runs/*/outputs.json")
        self.run = outputs.parent
        self.outputs = {name: Path(path) for name, path in json.loads(outputs.read_text()).items()}
        (self.photos,) = home.glob("artifacts/*/synthesize/photos")

    def copy(self, folder: Path) -> None:
        """A copy of the home that knows where it lies."""
        shutil.copytree(self.home, folder / "home", symlinks=True)
        Home.at(folder / "home")

    def evidence(self, folder: Path) -> list[str]:
        """Options that name what a version rests on, in the copy."""
        here = {name: str(folder / "home" / path.relative_to(self.home)) for name, path in self.outputs.items()}
        return [text for name in ("model", "people", "identities", "evaluation") for text in (f"--{name}", here[name])]


def _commands(made: Made) -> Iterator[Command]:
    yield Command("preprocess", lambda folder: _some_photos(made, folder), lambda folder: [
        "preprocess", "--photos", "photos", "--out", "people", "--preset", "smoke", *_set("preprocess.shard_size=2")],
        lambda folder: digests(folder / "people"))
    people, identities = str(made.outputs["people"]), str(made.outputs["identities"])
    yield Command("train", lambda folder: None, lambda folder: [
        "train", "--people", people, "--identities", identities, "--out", "model", "--preset", "smoke",
        *_set("train.steps=10", "train.checkpoint_every=2", "train.sample_every=5")],
        _trained, lambda folder: {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'record.db'}"})
    photo, iuv, pose = (str(made.run / "example" / f"{name}.png") for name in ("photo", "iuv", "pose"))
    yield Command("shoot", made.copy, lambda folder: [
        "shoot", "--photo", photo, "--iuv", iuv, "--pose", pose, "--version", "1", "--home", "home",
        "--out", "pictures"], lambda folder: digests(folder / "pictures"))
    yield Command("promote", made.copy, lambda folder: [
        "promote", "1", "--force", "--reason", "to see", "--home", "home", "--json"], _ledger)
    yield Command("challenge", made.copy, lambda folder: [
        "challenge", *made.evidence(folder), "--out", "comparison"], lambda folder: digests(folder / "comparison"),
        _recorded)
    yield Command("register", made.copy, lambda folder: [
        "register", *made.evidence(folder), "--out", "version",
        *_set("register.model_name=another")], _registered, _recorded)
    yield Command("tune", made.copy, lambda folder: [
        "tune", *SMALL, "--trials", "4", "--workers", "1", "--home", "home", "--json",
        *_set("cluster.validation=0.4", "tune.steps=2", "tune.looks=1", "tune.heartbeat=1", "tune.pairs=8")],
        lambda folder: _said(folder, "study", "winner", "weights", "score", "trials"))
    yield Command("run", made.copy, lambda folder: ["run", *SMALL, *_set("train.steps=5"), "--home", "home", "--json"],
                  lambda folder: _said(folder, "model_version", "verdict", "metrics", "people", "aliases"))


def _said(folder: Path, *keys: str) -> dict[str, Any]:
    said = last_line(folder)
    return {key: said[key] for key in keys}


def _set(*changes: str) -> list[str]:
    return [text for change in changes for text in ("--set", change)]


def _some_photos(made: Made, folder: Path) -> None:
    for name, ending in (("photos", "jpg"), ("iuv", "png")):
        target = folder / "photos" / ("iuv" if name == "iuv" else "")
        target.mkdir(parents=True, exist_ok=True)
        for photo in sorted((made.photos / name).iterdir())[:PHOTOS]:
            shutil.copyfile(photo, target / f"{photo.stem}.{ending}")


def _recorded(folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'home' / 'mlflow.db'}"}


def _trained(folder: Path) -> dict[str, Any]:
    mlflow = tracking.client(f"sqlite:///{folder / 'record.db'}")
    runs = mlflow.search_runs(["0"])
    # Two where it was killed when all was recorded: then the same command is another training, with nothing to do.
    assert sum(run.info.status == "FINISHED" for run in runs) in (1, 2)
    assert not (folder / "mlruns").exists()
    card = json.loads((folder / "model" / "model.json").read_text())
    return {"model": digests(folder / "model")["generator.safetensors"], "losses": card["losses"],
            "curves": digests(folder / "model")["curves.json"]}


def _ledger(folder: Path) -> dict[str, Any]:
    from pipelines.results.promotion import history

    found = history(Home.found(folder / "home"), "photoshoot")
    return {"entries": [(entry["to"], entry["why"]) for entry in found.entries], "notes": found.notes}


def _registered(folder: Path) -> dict[str, Any]:
    mlflow = tracking.client(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    versions = mlflow.search_model_versions("name = 'another'")
    return {"versions": [(version.version, version.tags["verdict"], version.tags["tried"]) for version in versions],
            "aliases": sorted(mlflow.get_registered_model("another").aliases.items())}


@pytest.fixture(scope="module")
def commands(smoke_run: Run) -> dict[str, Command]:
    return {command.name: command for command in _commands(Made(smoke_run[0]))}


@pytest.mark.long
def test_a_training_that_was_killed_leaves_no_trace(commands: dict[str, Command], tmp_path: Path) -> None:
    command = commands["train"]
    whole = untouched(command, tmp_path / "whole")
    survives(command, tmp_path / "killed", whole, random.uniform(0.2, 0.9))


@pytest.mark.endurance
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", KILLS)
def test_a_command_that_was_killed_leaves_no_trace(name: str, commands: dict[str, Command], tmp_path: Path) -> None:
    """PHOTOSHOOT_KILL_SEED repeats the moments of a failure."""
    seed = os.environ.get("PHOTOSHOOT_KILL_SEED") or str(random.randrange(2**31))
    print(f"PHOTOSHOOT_KILL_SEED={seed}")
    whole = untouched(commands[name], tmp_path / "whole")
    killed = [survives(commands[name], tmp_path / f"{number}", whole, share)
              for number, share in enumerate(shares(KILLS[name], random.Random(f"{seed} {name}")))]
    assert sum(killed) >= len(killed) // 2
