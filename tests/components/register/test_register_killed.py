"""Registration that is killed at any of its requests: the same again makes one whole version, and the ledger holds."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recording import believed, lenient

from components.register import register
from components.register.audit import audit
from components.register.promotion import standing
from components.register.registry import Registry

_REQUESTS = 45
"""About as many as a registration makes, with the promotion of what passes."""


def killed(world, evaluated: Path, uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> int:
    """Register as often as there are kills, each under another name, and once more after each; how many were killed."""
    monkeypatch.setattr("components.register.run.try_version", lambda *_: np.zeros((64, 64, 3), np.uint8))
    draw, died = random.Random(kills), 0
    evaluation = believed(evaluated, folder / "believed")
    folders = (world.model, evaluation, world.people, world.identities)
    with subprocess.Popen([sys.executable, str(Path(__file__).with_name("registrar.py"))], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}) as process:
        assert process.stdin and process.stdout and process.stdout.readline() == "ready\n"
        for trial in range(kills):
            name = f"killed-{kills}-{trial}"
            settings = lenient().model_copy(update={"model_name": name})
            job = {"uri": uri, "folders": [str(path) for path in folders], "out": str(folder / f"{name}-out"),
                   "settings": settings.model_dump(), "sent": draw.random() < 0.5,
                   "kill_at": 1 + (trial * _REQUESTS) // kills + draw.randrange(max(1, _REQUESTS // kills))}
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            code = json.loads(process.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            died += code != 0
            summary = register(*folders, folder / f"{name}-out", settings, tracking_uri=uri)
            registry = Registry(name, uri)
            now = standing(registry)
            assert summary.passed and summary.aliases == ["challenger", "champion"]
            assert now.champion == summary.model_version and len(now.journal.counting) == 1 and not now.notes
            # Not one version more than one, unless it was killed while MLflow itself made it.
            assert len({found.version for found in now.journal.records}) == 1 and len(registry.all()) <= 2
            assert not audit(registry).findings, (job["kill_at"], audit(registry).findings)
            assert not list(folder.glob("*partial*"))
        process.stdin.close()
    return died


def test_registration_killed_twice(world, evaluated: Path, sqlite_server, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    assert killed(world, evaluated, sqlite_server.uri, tmp_path, monkeypatch, 2) >= 1


@pytest.mark.endurance
def test_registration_killed_everywhere(world, evaluated: Path, sqlite_server, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    assert killed(world, evaluated, sqlite_server.uri, tmp_path, monkeypatch, 12) >= 8
