"""What a pipeline run leaves in its folder under the home: names of files, and the result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

SETTINGS_FILE = "settings.yaml"
RESULT_FILE = "result.json"
EXAMPLE = "example"
"""Folder of a run with a pair to try its version on: photo.png, iuv.png (the photo's pose map), pose.png."""
RECORDS = "evaluation"
"""Folder of a run with what `compare` needs: metrics, metrics of each pair, the sheet's rows, loss curves."""


@dataclass(frozen=True)
class RunResult:
    """What `photoshoot run --json` prints as its last line."""

    status: str
    run_id: str
    mlflow_run_id: str
    model_version: str
    verdict: str
    """"passed"; "failed": a bad model; "not judged": too little to tell."""
    metrics: dict[str, Any]
    people: dict[str, Any]
    report: str
    contact_sheet: str
    steps: dict[str, str]
    seconds: float
    verdict_summary: str = ""
    """The verdict in a sentence: how many requirements failed, or lack evidence, and which."""
    aliases: list[str] = field(default_factory=list)
    champion: str | None = None
    """The version that is champion now; None: nobody."""
    gate: list[dict[str, Any]] = field(default_factory=list)
    device_seconds: dict[str, float] = field(default_factory=dict)
    """By kind of device, of the steps that ran (reused ones cost nothing)."""
    cost: str = ""
    """In words, with the price where the settings have one."""
    link: str = ""
    """To the run's page in the MLflow UI."""

    def to_json(self) -> str:
        """One object on one line."""
        return json.dumps(asdict(self))
