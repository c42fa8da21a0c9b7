"""Runs side by side, and the versions in the registry: views of what MLflow and the home folder hold."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import yaml

from components.core import tracking
from components.core.errors import InputError
from pipelines.display import figure
from pipelines.home import Home
from pipelines.run import RESULT_FILE, SETTINGS_FILE

_LATEST = 5


@dataclass(frozen=True)
class Comparison:
    """Runs with their figures and the settings in which they differ."""

    runs: list[str]
    metrics: dict[str, list[Any]]
    facts: dict[str, list[str]]
    settings: dict[str, list[str]]

    def rows(self) -> list[tuple[str, ...]]:
        """Table rows: facts, figures, settings that differ."""
        rows = [(name, *values) for name, values in self.facts.items()]
        rows += [(name, *map(figure, values)) for name, values in self.metrics.items()]
        return rows + [(name, *values) for name, values in self.settings.items()]


def compare_runs(home: Home, run_ids: list[str]) -> Comparison:
    """Read finished runs (default: the last five). Raises `InputError` when there is nothing to compare."""
    if not run_ids:
        run_ids = [path.parent.name for path in sorted(home.root.glob(f"runs/*/{RESULT_FILE}"))][-_LATEST:]
    if not run_ids:
        raise InputError("no finished runs", path=home.root / "runs", remedy="`photoshoot run` makes one")
    results = [home.run_result(run_id) for run_id in run_ids]
    trees = [
        tracking.flatten(yaml.safe_load((home.root / "runs" / run_id / SETTINGS_FILE).read_text(encoding="utf-8")))
        for run_id in run_ids
    ]
    names = list(dict.fromkeys(name for result in results for name in result["metrics"]))
    keys = list(dict.fromkeys(key for tree in trees for key in tree))
    return Comparison(
        runs=run_ids,
        metrics={name: [result["metrics"].get(name) for result in results] for name in names},
        facts={
            "version": [result["model_version"] for result in results],
            "gate": [result["verdict"] for result in results],
            "seconds": [f"{result['seconds']:.0f}" for result in results],
        },
        settings={
            key: [json.dumps(tree.get(key)) for tree in trees]
            for key in keys if len({json.dumps(tree.get(key)) for tree in trees}) > 1
        },
    )


@dataclass(frozen=True)
class Version:
    """A registered version."""

    version: str
    aliases: list[str]
    verdict: str
    run: str
    created: str


def list_versions(home: Home, model_name: str) -> list[Version]:
    """All versions of a model, newest first. Raises `InputError` when the model does not exist."""
    mlflow = tracking.client(home.tracking_uri)
    found = mlflow.search_model_versions(f"name = '{model_name}'")
    if not found:
        raise InputError(f"no registered model {model_name}", path=home.tracking_uri,
                         remedy="`photoshoot run` registers one")
    aliases: dict[str, list[str]] = {}
    for alias, version in mlflow.get_registered_model(model_name).aliases.items():
        aliases.setdefault(str(version), []).append(alias)
    return [
        Version(
            version=str(v.version),
            aliases=sorted(aliases.get(str(v.version), [])),
            verdict=v.tags.get("verdict", "-"),
            run=v.run_id or "-",
            created=time.strftime("%Y-%m-%d %H:%M", time.localtime(v.creation_timestamp / 1000)),
        )
        for v in sorted(found, key=lambda v: int(v.version), reverse=True)
    ]
