"""Evidence for small versions: figures that pass the gate, or not, kept and recorded as registration does.

Imported as ``recording``: pytest puts this folder on its path.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from components.core.errors import DataError
from components.core.judging.gate import CONTROLS, MEMORISATION, PARTS
from components.core.record.custody import ARTIFACTS, digests_of
from components.core.record.ledger import RECORDED, Record
from components.core.settings import RegisterSettings
from components.register.gate import CHAMPION_METRICS, verdict
from components.register.held import keep
from components.register.ledger import Ledger
from components.register.registry import Registry

SETTINGS = RegisterSettings()


def figures(model: str, ssim: float = 0.9) -> dict[str, Any]:
    """The content of a metrics.json: all lines of the default gate pass where `ssim` does."""
    good = {"ssim": ssim, "perceptual": 0.1, "over_warp": 0.5, "matte_iou": 0.9, "identity_recovered": 0.9,
            "frechet_ratio": 1.1, "pose_fidelity": 1.0, "face_found": 1.0}
    metrics = {name: {"value": value, "low": value, "high": value, "n": 100} for name, value in good.items()}
    metrics["frechet_ratio"]["features"] = SETTINGS.gate.features
    return {"format": "photoshoot.evaluation/2", "model": {"digest": model}, "counts": {"pairs": 100},
            "metrics": metrics, "parts": {name: {"l1": {"value": 0.01}} for name in PARTS},
            "memorisation": {name: {"value": 0.0} for name in MEMORISATION},
            "controls": {name: {"behaved": True} for name in CONTROLS}}


def compared_with(champion: str, model: str, evaluation: str) -> dict[str, Any]:
    """The content of a comparison.json in which the new model is a little better in everything."""
    gain = {"gain": {"value": 0.01, "low": 0.005, "high": 0.02, "n": 100}}
    return {"status": "compared", "champion": {"version": champion}, "pairs": 100, "model": model,
            "evaluation": evaluation, "metrics": dict.fromkeys(CHAMPION_METRICS, gain), "parts": {"face": gain},
            "slices": {"view.front": gain}}


def record(registry: Registry, number: str, *, ssim: float = 0.9, champion: str | None = None) -> Record:
    """Keep evidence for a version that has a run, and record the version; tags say what its gate says."""
    version = registry.get(number)
    with registry.folder(version) as folder, tempfile.TemporaryDirectory() as name:
        files = digests_of(folder)
        model = files[f"{ARTIFACTS}/generator.safetensors"]
        path = Path(name) / "metrics.json"
        path.write_text(json.dumps(figures(model, ssim)))
        evaluation = digests_of(Path(name))["metrics.json"]
        comparison = None if champion is None else compared_with(champion, model, evaluation)
        kept = keep(registry, version.run_id, path, comparison, SETTINGS)
        found = verdict(figures(model, ssim), comparison, champion, SETTINGS)
    made = Record("register", number, "tester", "2026-01-01T00:00:00.000+00:00", found.summary, files, kept,
                  {"model": model, "evaluation": evaluation}, found.outcome, champion, champion)
    made = Ledger(registry.name, registry.uri).record(made)
    registry.tag(number, {"verdict": found.outcome, "verdict.summary": found.summary, "digest.model": model,
                          "digest.evaluation": evaluation, "champion.compared": champion or "none",
                          RECORDED: str(made.number)})
    return made


def bare_version(client: mlflow.MlflowClient, name: str, folder: Path, tags: dict[str, str]) -> str:
    """Register a folder that has a generator, its code and nothing else, with a run to keep evidence in; its number."""
    number = len(client.search_model_versions(f"name = '{name}'")) + 1
    (folder / ARTIFACTS).mkdir(parents=True)
    (folder / ARTIFACTS / "generator.safetensors").write_bytes(f"generator {number}".encode())
    (folder / "pyfunc_model.py").write_text("from photoshoot.serving import served\n")
    experiment = client.get_experiment_by_name("kept")
    place = experiment.experiment_id if experiment else client.create_experiment(
        "kept", artifact_location=(folder.parent / "runs").as_uri())
    run = client.create_run(place).info.run_id
    return str(client.create_model_version(name, str(folder), run_id=run, tags=tags, await_creation_for=0).version)


def bare_store(folder: Path) -> Path:
    """An sqlite store with four bare versions: all but the last passed their gate, before there was a champion."""
    file = folder / "mlflow.db"
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    client.create_registered_model("photoshoot")
    registry = Registry("photoshoot", f"sqlite:///{file}")
    for number in "1234":
        bare_version(client, "photoshoot", file.parent / number, {"digest.people": "p", "digest.code": "c"})
        record(registry, number, ssim=0.9 if number < "4" else 0.1)
    return file


TRIED: list[str] = []
"""What `tried` was asked to try since somebody last cleared it."""


def tried(uri: str, tracking_uri: str, pictures: Mapping[str, bytes]) -> np.ndarray:
    """Stands for the fresh process, which tests over HTTP start for real."""
    TRIED.append(uri)
    return np.zeros((4, 4, 3), np.uint8)


def broken(uri: str, tracking_uri: str, pictures: Mapping[str, bytes]) -> np.ndarray:
    """Stands for a fresh process in which a version does not work."""
    raise DataError(f"{uri} does not work in a fresh process: no such layer")


def lenient(pairs: int = 1) -> RegisterSettings:
    """A gate that lets everything pass; another number of pairs makes it other evidence, and so another version."""
    return RegisterSettings.model_validate({"gate": {
        "min_pairs": pairs, "min_people": 1, "ssim": -1, "perceptual": 100, "over_warp": 100, "matte_iou": 0,
        "identity_recovered": -100, "frechet_ratio": 1e6, "pose_fidelity": None, "face_found": None,
        "face_error": None, "hands_error": None, "upper_body_error": None, "lower_body_error": None}})


def believed(evaluation: Path, out: Path) -> Path:
    """An evaluation with metrics that a gate can pass (the small world's photos are too few for most of them)."""
    shutil.copytree(evaluation, out)
    metrics = json.loads((out / "metrics.json").read_text())
    metrics["metrics"]["frechet_ratio"] = {"value": 1.5, "low": 1.0, "high": 2.0, "n": 50, "by": "half"}
    metrics["metrics"]["identity_recovered"] = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 50, "by": "identity"}
    metrics["metrics"]["frechet_ratio"]["features"] = "builtin-features"
    for name in MEMORISATION:
        metrics["memorisation"][name] |= {"value": 0.0, "low": 0.0, "high": 0.0, "passed": True}
    for name in CONTROLS:
        metrics["controls"][name]["behaved"] = True
    (out / "metrics.json").write_text(json.dumps(metrics))
    return out
