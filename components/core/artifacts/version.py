"""A registered version: the files that MLflow keeps with it, and what registration leaves beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.artifacts.files import write_json
from components.core.atomic import atomic_path
from components.core.documents import MOST_SUMMARY, json_object, read_bytes
from components.core.errors import DataError

FORMAT = "photoshoot.version/1"
SERVING_FORMAT = "photoshoot.serving/1"
"""What the code that is kept with a version asks `photoshoot.serving` for; also in the version's metadata."""
PREPROCESS, LINEAGE, EXAMPLE = "preprocess.json", "lineage.json", "example"
"""Files of a version beside its generator: how it cuts people out, what it was trained on, the pair it is tried on."""
LINEAGE_FORMAT = "photoshoot.lineage/1"
VERDICT, MODEL_CARD, TRY = "verdict.json", "model_card.md", "try.png"
"""What registration leaves beside the report: the gate's verdict, the card, the picture the version was tried with."""


def write_verdict(folder: Path, verdict: Mapping[str, Any]) -> None:
    """Write the version's number and aliases, and the gate's verdict line by line."""
    write_json(folder / VERDICT, {"format": FORMAT, **verdict})


def write_files(folder: Path, preprocess: Mapping[str, Any], lineage: Mapping[str, Any],
                example: Mapping[str, bytes]) -> dict[str, str]:
    """Write a version's files beside its generator into `folder`; their paths by the names MLflow has for them."""
    (folder / PREPROCESS).write_text(json.dumps(dict(preprocess), indent=1), encoding="utf-8")
    write_lineage(folder, lineage)
    (folder / EXAMPLE).mkdir()
    for column, picture in example.items():
        (folder / EXAMPLE / f"{column}.png").write_bytes(picture)
    return {Path(name).stem: str(folder / name) for name in (PREPROCESS, LINEAGE, EXAMPLE)}


def write_lineage(folder: Path, lineage: Mapping[str, Any]) -> None:
    """Write what a model was trained on beside its generator."""
    with atomic_path(folder / LINEAGE) as partial:
        partial.write_text(json.dumps(dict(lineage), indent=0), encoding="utf-8")


def lineage(people: str, identities: str, training_photos: set[str]) -> dict[str, Any]:
    """What a model was trained on: digests of the two artifacts and of its photos, those of the model that it started
    from included."""
    return {"format": LINEAGE_FORMAT, "people": people, "identities": identities,
            "training_photos": sorted(training_photos)}


def trained_on(folder: Path) -> set[str]:
    """Digests of the photos a version was trained on. Raises `DataError` when its files do not say."""
    path = folder / LINEAGE
    try:
        photos = json_object(read_bytes(path, MOST_SUMMARY), MOST_SUMMARY)["training_photos"]
        return {str(photo) for photo in list(photos)}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError("it does not say what it was trained on", path=path,
                        remedy="register it again with this version") from None
