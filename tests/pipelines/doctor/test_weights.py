"""Networks that are fetched by name: which the settings ask for, whether they are here."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from components.core.settings import Settings
from components.core.stores import known_weights as room
from components.core.stores.known_weights import KNOWN
from components.core.stores.published import GROUPS
from components.core.stores.wanted import wanted_weights
from pipelines.doctor.finding import Level
from pipelines.doctor.weights import weights

ASKED = ["train.perceptual=vgg19", "train.face=vggface2", "cluster.embedder=vggface2"]


def test_the_losses_networks_are_asked_for_once_and_only_where_the_loss_is_on() -> None:
    assert wanted_weights(Settings()) == []
    landmarks = list(GROUPS["landmarks"])
    plain = Settings().with_changes(["cluster.embedder=builtin", "evaluate.embedder=builtin-judge"])
    assert wanted_weights(plain, photos=True) == landmarks
    assert wanted_weights(plain, photos=True, lacking=False) == []
    for kind, needed in (("landmarks", landmarks), ("given", []), ("densepose", [])):
        assert wanted_weights(plain.with_changes([f"preprocess.pose_maps={kind}"]), True, kind != "landmarks") == needed
    assert wanted_weights(plain.with_changes(["synthesize.write_maps=false"])) == landmarks
    assert wanted_weights(Settings().with_changes(ASKED)) == ["vggface2", "vgg19"]
    off = ["train.perceptual=vgg16", "train.weights.perceptual=0", "train.face=vggface2", "train.weights.face=0"]
    assert wanted_weights(Settings().with_changes(off)) == []
    assert wanted_weights(Settings().with_changes([*off, "tune.enabled=true"])) == ["vgg16", "vggface2"]


def test_what_is_missing_or_wrong_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(room.PLACE, str(tmp_path))
    settings = Settings().with_changes(ASKED[:2])
    (tmp_path / KNOWN["vgg19"].file).write_bytes(b"something else")
    wrong, missing = weights(settings)
    assert (wrong.what, wrong.level) == ("weights vgg19", Level.PROBLEM) and "sha256" in wrong.found
    assert (missing.what, missing.level) == ("weights vggface2", Level.PROBLEM)
    assert KNOWN["vggface2"].url in missing.how_to_mend
    digest = hashlib.sha256(b"something else").hexdigest()
    monkeypatch.setitem(KNOWN, "vgg19", replace(KNOWN["vgg19"], sha256=digest))
    assert weights(settings)[0].level == Level.OK
