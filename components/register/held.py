"""The evidence that stays with a version: kept in its run at registration, judged anew at promotion.

A tag of MLflow says what the gate said; anybody who may write tags may say something else. So a promotion believes the
evaluation itself: its figures, the comparison and the gate's settings are kept, their digests are in the ledger's
record, and the gate is computed from them again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.core.artifacts.comparison import COMPARISON
from components.core.artifacts.evaluation import METRICS
from components.core.artifacts.model import GENERATOR
from components.core.digest import file_digest, json_digest
from components.core.documents import MOST_JSON, Unreadable, json_object, read_bytes
from components.core.errors import DataError
from components.core.record.custody import ARTIFACTS
from components.core.record.ledger import Journal, Record
from components.core.record.registry import Version
from components.core.settings import RegisterSettings
from components.register.gate import Verdict, verdict
from components.register.registry import Registry

SETTINGS = "settings.json"
_FOLDER, _LONGEST = "evidence", 16


def keep(registry: Registry, run_id: str, metrics: Path, comparison: Mapping[str, Any] | None,
         settings: RegisterSettings) -> dict[str, str]:
    """Keep the evidence of a version among the artifacts of its run: path -> sha256.

    The folder is named by the content, so what an earlier record refers to stays as it is.
    """
    with tempfile.TemporaryDirectory(prefix="photoshoot-evidence-") as name:
        folder = Path(name)
        shutil.copyfile(metrics, folder / METRICS)
        (folder / SETTINGS).write_text(settings.model_dump_json(indent=1), encoding="utf-8")
        if comparison is not None:
            (folder / COMPARISON).write_text(json.dumps(comparison, indent=1), encoding="utf-8")
        found = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
        place = f"{_FOLDER}/{json_digest(found)[:_LONGEST]}"
        for file in found:
            registry.keep(run_id, folder / file, place)
    return {f"{place}/{file}": digest for file, digest in found.items()}


def judged_anew(registry: Registry, version: Version, journal: Journal) -> Verdict:
    """The gate's verdict on a version, from the figures that its evaluation found and the settings it was held against.

    Raises `DataError` where the evidence is gone, was changed since, or is of another model.
    """
    record = journal.registration(version.number)
    if record is None:
        raise DataError("the ledger has no record of its registration")
    with tempfile.TemporaryDirectory(prefix="photoshoot-evidence-") as name:
        found = {path.name: path for path in _fetched(registry, version, record, Path(name))}
        metrics = _read(found[METRICS])
        comparison = _read(found[COMPARISON]) if COMPARISON in found else None
        settings = _settings(found[SETTINGS])
        digest = file_digest(found[METRICS])
    model = metrics["model"]["digest"]
    latest = journal.record(version.number) or record
    if latest.files.get(f"{ARTIFACTS}/{GENERATOR}") != model or record.digests.get("model") != model:
        raise DataError("its evaluation is of another model")
    if comparison is not None and (comparison.get("model"), comparison.get("evaluation")) != (model, digest):
        raise DataError("its comparison is of another model or evaluation")
    return verdict(metrics, comparison, record.rival, settings)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json_object(read_bytes(path, MOST_JSON), finite=False)
    except Unreadable as error:
        raise DataError(f"its evidence is damaged ({error})", path=path.name) from None


def _fetched(registry: Registry, version: Version, record: Record, folder: Path) -> list[Path]:
    if not record.evidence:
        raise DataError("no evidence was kept with it")
    paths = []
    for place, digest in record.evidence.items():
        try:
            path = registry.fetch(version.run_id, place, folder)
        except DataError as error:
            raise DataError(f"{place} of its run cannot be read ({error.problem})") from None
        if file_digest(path) != digest:
            raise DataError(f"{place} of its run was changed after it was registered")
        paths.append(path)
    if not {METRICS, SETTINGS} <= {path.name for path in paths}:
        raise DataError("the evidence kept with it is not complete")
    return paths


def _settings(path: Path) -> RegisterSettings:
    try:
        return RegisterSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"the settings of its gate cannot be used any more ({first['msg']})") from None
