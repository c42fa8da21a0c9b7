"""The copy-cat and the baked-background method against the real gate, and the real photos that must pass it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.judging.gate import CONTROLS, Line, Verdict, controls, requirement, thresholds
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Assignment, Identities
from components.core.settings import EvaluateSettings, GateSettings, SynthesizeSettings
from components.evaluate import evaluate
from components.evaluate.controls import BakedBackground, Control, CopyCat, Memory, verdict_on
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.methods import truth
from components.evaluate.measuring.pairs import EvaluationPair

SETTINGS = EvaluateSettings.model_validate({"pairs": 32, "min_images": 16, "rows": 2, "bootstrap": 100, "probes": 16,
                                            "distractors": 9})
GATE = GateSettings.model_validate({"face_found": None})
"""Heads of 18 pixels: whether a judge tells them from smears is a matter of luck."""


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, cut_out: Callable[..., None],
           untrained: Callable[..., Path]) -> Path:
    """Twelve people of four photos, half of them trained on, and a generator that nobody trained."""
    root = tmp_path_factory.mktemp("halves")
    cut_out(root, SynthesizeSettings.model_validate(
        {"people": 12, "photos_per_person": 4, "height": 160, "back_views": 0.0}))
    people = PeopleDataset.open(root / "people")
    names = sorted(set(people.labels.values()))
    rows = [Assignment(name, people.labels[name], 1.0, "train" if people.labels[name] in names[:6] else "test")
            for name in people.ids]
    (root / "identities").mkdir()
    Identities(rows, people.digest, {}).write(root / "identities")
    untrained(root / "model")
    return root


@pytest.fixture(scope="module")
def judgement(halves: Path) -> dict:
    evaluate(halves / "model", halves / "people", halves / "identities", halves / "out", SETTINGS,
             gate=GATE)
    content: dict = json.loads((halves / "out" / "metrics.json").read_text())
    return content


def test_each_control_is_judged_rightly_and_for_the_right_reason(judgement: dict) -> None:
    cat, baked, real = (judgement["controls"][name] for name in CONTROLS)
    assert cat["verdict"] == "failed" and {"training_gap", "identity_capture", "neighbour_test"} <= set(
        cat["failed_lines"])
    assert "background_retrieval" not in cat["failed_lines"]
    assert baked["verdict"] == "failed" and "background_retrieval" in baked["failed_lines"]
    assert not {"ssim", "perceptual", "identity_recovered", "identity_capture", "face_error"} & set(
        baked["failed_lines"])
    assert real["verdict"] == "passed" and real["failed_lines"] == []
    assert judgement["controls_behaved"] is True and judgement["valid"] is True and controls(judgement).passed


def test_the_untrained_model_is_not_taken_for_a_good_one(judgement: dict) -> None:
    verdict = Verdict.of(thresholds(judgement, GATE))
    assert "face_found" not in {line.name for line in verdict.lines}
    assert {"perceptual", "over_warp"} & set(verdict.failed_lines)
    for name, test in judgement["memorisation"].items():
        line = next(line for line in verdict.lines if line.name == name)
        assert (line.value, line.bound, line.comparison, line.passed) == (
            test["value"], test["bound"], test["comparison"], test["passed"])
        assert test["meaning"] and test["n"] > 0


def test_the_proof_lies_where_it_is_said_to_lie(judgement: dict, halves: Path) -> None:
    shown = [picture for test in judgement["memorisation"].values() for picture in test["pictures"]]
    assert len(shown) >= 6 and all(picture["caption"] for picture in shown)
    assert sorted(picture["file"] for picture in shown) == sorted(
        f"memorisation/{path.name}" for path in (halves / "out" / "memorisation").iterdir())


def test_every_pair_says_what_kind_it_is_and_where_it_went_wrong(halves: Path, judgement: dict) -> None:
    lines = [json.loads(line) for line in (halves / "out" / "pairs.jsonl").read_text().splitlines()]
    for line in lines:
        assert set(line["slices"]) == {"view", "clothes", "arms", "legs"}
        assert set(line["parts"]) == {"face", "hands", "upper_body", "lower_body"}
    faces = [line["parts"]["face"] for line in lines if line["kind"] == "transfer"]
    shown = [error for error in faces if error is not None]
    assert judgement["parts"]["face"]["l1"]["value"] == pytest.approx(np.mean(shown), abs=1e-5)
    assert all(line["slices"]["clothes"] == "same" for line in lines if line["kind"] == "repose")


def test_where_a_control_cannot_be_tried_the_evaluation_is_not_valid(evaluated: Path) -> None:
    """Six training photos are too few for any test of memorisation: nothing is known, so nothing is believed."""
    content = json.loads((evaluated / "metrics.json").read_text())
    assert content["valid"] is False and content["controls_behaved"] is False
    baked = content["controls"]["baked_background"]
    assert baked["behaved"] is False and "background_retrieval: no value, only 6 training photos" in baked["reason"]
    assert any("not valid" in note and "baked background" in note for note in content["notes"])
    line = controls(content)
    assert not line.passed and "baked_background" in line.reason
    assert json.loads((evaluated / "pairs.jsonl").read_text().splitlines()[0])["parts"]


def test_the_copy_cat_gives_a_training_photo_back_and_knows_its_own(halves: Path) -> None:
    people, identities = PeopleDataset.open(halves / "people"), Identities.open(halves / "identities")
    training = np.concatenate(list(identities.members(people, "train").values()))
    held = np.concatenate(list(identities.members(people, "test").values()))
    album, memory = Album(people), Memory(Album(people), training.tolist())
    assert all(memory.nearest(int(index), by_appearance=True) == index for index in training)
    indices = ((held[0], held[1]), (training[0], training[1]))
    chosen = [EvaluationPair(int(source), int(target), "a", "transfer") for source, target in indices]
    copied = CopyCat(memory).render(album, chosen, 128)
    assert np.array_equal(copied.images[1], truth(album, chosen, 128).images[1])
    assert any(np.array_equal(copied.poses[0], album[int(index)].iuv) for index in training)
    baked = BakedBackground(memory).render(album, chosen[1:], 128)
    outside = baked.mattes[0] == 0
    assert np.array_equal(baked.images[0][outside], album[int(training[1])].photo[outside])


def line(name: str, value: float | None, passed: bool) -> Line:
    return Line(name, value, 1.0, "<=", passed, "too few" if value is None else "", judged=value is not None)


def test_failing_for_want_of_data_is_not_failing_for_the_right_reason() -> None:
    control = Control(CopyCat.__new__(CopyCat), "failed", ("training_gap",))
    right = verdict_on(control, Verdict.of([line("training_gap", 2.0, False)]))
    assert right["behaved"] is True and "reason" not in right
    for amiss in (line("training_gap", None, False), line("training_gap", 0.5, True)):
        wrong = verdict_on(control, Verdict.of([amiss, line("ssim", 0.1, False)]))
        assert wrong["verdict"] == "failed" and wrong["behaved"] is False and "training_gap" in wrong["reason"]
    real = Control(control.method, "passed")
    assert verdict_on(real, Verdict.of([line("ssim", None, False)]))["reason"] == "ssim: no value, too few"


def test_a_control_behaves_only_where_the_whole_interval_says_so() -> None:
    """A cheat that is caught by luck is not caught, and real photos that miss a bound by luck are no scandal."""
    cat, real = (Control(CopyCat.__new__(CopyCat), expected, ("training_gap",)) for expected in ("failed", "passed"))

    def of(value: float, low: float, high: float) -> dict:
        metric = {"value": value, "low": low, "high": high}
        return {"verdict": Verdict.of([requirement("training_gap", metric, 0.35, "<=")])}

    caught = verdict_on(cat, **of(0.9, 0.8, 0.95))
    assert caught["behaved"] is True and caught["verdict"] == "failed"
    for amiss, why in ((of(0.4, 0.3, 0.5), "too few to tell"), (of(0.3, 0.2, 0.32), "passed")):
        found = verdict_on(cat, **amiss)
        assert found["behaved"] is False and why in found["reason"]
    found = verdict_on(real, **of(0.4, 0.3, 0.5))
    assert (found["verdict"], found["behaved"]) == ("not judged", False)
