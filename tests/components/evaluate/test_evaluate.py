import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError, InputError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Assignment, Identities
from components.core.record.recorder import NoRecord
from components.core.settings import EvaluateSettings
from components.evaluate import evaluate
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.identity import similarities
from components.evaluate.measuring.measure import Instruments, judge_name, measure, measure_reals
from components.evaluate.measuring.methods import ModelMethod, Rendered, SourceCopy, TextureWarp, truth
from components.evaluate.measuring.pairs import choose
from components.evaluate.measuring.quality import over

SETTINGS = EvaluateSettings.model_validate({"pairs": 24, "min_images": 12, "rows": 4, "bootstrap": 100})


@pytest.fixture(scope="module")
def evaluated_on(world):
    people, identities = PeopleDataset.open(world.people), Identities.open(world.identities)
    pair_set = choose(people, identities, "test", 12, 0)
    return Album(people), pair_set, Instruments(SETTINGS, "synthetic")


class TruthMethod:
    """Always right, except for the `frame` of background that it paints over whatever it was given."""

    name = "truth"

    def __init__(self, invents: bool = False) -> None:
        self._invents = invents

    def render(self, people, pairs, background):
        real = truth(people, pairs, background)
        if not self._invents:
            return real
        room = np.random.default_rng(0).integers(0, 256, real.images.shape, dtype=np.uint8)
        return Rendered(over(real.images, real.mattes, room), real.mattes, real.poses)


def test_the_truth_scores_perfectly_and_a_stranger_does_not(evaluated_on) -> None:
    album, pair_set, instruments = evaluated_on
    reals = measure_reals(album, pair_set.members, instruments)
    found = measure(album, pair_set.transfer, TruthMethod(), instruments, "truth")
    assert found["l1"] == pytest.approx(0, abs=1e-9) and found["ssim"] == pytest.approx(1, abs=1e-9)
    assert found["perceptual"] == pytest.approx(0, abs=1e-6) and (found["matte_iou"] == 1).all()
    faces = similarities(pair_set.transfer, found, reals)
    assert np.nanmin(faces.output) == pytest.approx(1, abs=1e-5)
    copied = measure(album, pair_set.transfer, SourceCopy(), instruments, "copy")
    assert copied["perceptual"].mean() > 0.05 and copied["ssim"].mean() < 0.9


def test_an_invented_background_is_no_help_inside_the_person(evaluated_on) -> None:
    album, pair_set, instruments = evaluated_on
    honest, inventor = (measure(album, pair_set.transfer, TruthMethod(invents), instruments, "truth")
                        for invents in (False, True))
    assert np.abs(honest["l1"] - inventor["l1"]).max() < 0.01  # soft edges only
    assert (inventor["perceptual"] >= honest["perceptual"]).all()


def test_every_pair_is_rendered_with_its_own_texture(evaluated_on, world) -> None:
    album, pair_set, _ = evaluated_on
    pair = pair_set.transfer[0]
    spliced, plain = (TextureWarp().render(album, [replace(pair, kind=kind)], 0).images[0]
                      for kind in ("transfer", "repose"))
    target = album[pair.target]
    head = np.isin(target.iuv[..., 0], (23, 24))
    assert np.array_equal(spliced[head], plain[head])
    assert not np.array_equal(spliced, plain)


def test_the_model_paints_over_the_background_it_is_given(evaluated_on, world) -> None:
    album, pair_set, _ = evaluated_on
    method = ModelMethod(Reposer.load(world.model / "generator.safetensors"))
    dark, light = (method.render(album, pair_set.transfer[:3], grey) for grey in (0, 255))
    assert np.array_equal(dark.mattes, light.mattes)
    solid, empty = dark.mattes == 255, dark.mattes == 0
    assert np.array_equal(dark.images[solid], light.images[solid])
    assert (dark.images[empty] == 0).all() and (light.images[empty] == 255).all()


def test_an_evaluation_is_complete_and_says_what_it_stands_on(evaluated: Path, world) -> None:
    content = json.loads((evaluated / "metrics.json").read_text())
    assert content["format"] == "photoshoot.evaluation/2"
    people = PeopleDataset.open(world.people)
    assert content["people"]["digest"] == people.digest
    assert len(content["people"]["rejected"]) == len(people.rejected)
    assert content["counts"]["pairs"] == len([line for line in (evaluated / "pairs.jsonl").read_text().splitlines()
                                              if json.loads(line)["kind"] == "transfer"]) > 0
    assert content["judge"] | {"separation": None} == {
        "embedder": "builtin-judge", "face_loss": "builtin", "judge_in_loss": False, "separation": None}
    for name in ("ssim", "psnr", "l1", "perceptual", "matte_iou", "face_similarity", "identity_recovered", "kernel"):
        metric = content["metrics"][name]
        assert metric["low"] <= metric["value"] <= metric["high"] and metric["n"] > 0, name
    assert set(content["baselines"]) == {"texture_warp", "copy_source"}
    assert content["metrics"]["frechet"]["value"] is None and "covariance" in content["metrics"]["frechet"]["reason"]
    assert content["training_gap"]["l1"]["gap"]["value"] == pytest.approx(
        content["training_gap"]["l1"]["held_out"]["value"] - content["training_gap"]["l1"]["train"]["value"], abs=2e-6)
    assert (evaluated / "contact_sheet.png").stat().st_size > 10_000
    assert len(list((evaluated / "samples").glob("*.png"))) == SETTINGS.rows


class Notes(NoRecord):
    """Keeps what was recorded."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.headlines: dict[str, float] = {}
        self.files: list[str] = []

    def metrics(self, values, step=None) -> None:
        self.values |= values

    def headline(self, values) -> None:
        self.headlines |= values

    def artifact(self, path: Path, folder=None) -> None:
        assert path.is_file()
        self.files.append(path.name)


def test_the_same_evaluation_twice_is_the_same_and_is_recorded(evaluated: Path, world, tmp_path: Path) -> None:
    notes = Notes()
    evaluate(world.model, world.people, world.identities, tmp_path / "again", SETTINGS, notes)
    assert notes.files == ["metrics.json", "pairs.jsonl", "contact_sheet.png", "report.html"]
    for name in notes.files:
        assert (tmp_path / "again" / name).read_bytes() == (evaluated / name).read_bytes(), name
    assert notes.headlines["ssim"] == notes.values["evaluate/ssim"]
    content = json.loads((evaluated / "metrics.json").read_text())
    assert notes.values["evaluate/pairs"] == content["counts"]["pairs"]
    assert "evaluate/texture_warp/ssim" in notes.values


def relabelled(world, out: Path, split_of) -> Path:
    """The world's identities with other splits: `split_of(position within the person, row)` -> (identity, split)."""
    people, identities = PeopleDataset.open(world.people), Identities.open(world.identities)
    seen: dict[str, int] = {}
    rows = []
    for row in identities.rows.values():
        name = row.identity or "nobody"
        seen[name] = seen.get(name, -1) + 1
        identity, split = split_of(seen[name], row)
        rows.append(Assignment(row.person_id, identity, 1.0, split))
    out.mkdir()
    Identities(rows, people.digest, {}).write(out)
    return out


def test_people_with_one_photo_only_still_get_a_report_and_a_judge_that_was_in_the_loss_is_named(
        world, tmp_path: Path) -> None:
    alone = relabelled(world, tmp_path / "ids", lambda at, row: (
        (row.identity, row.split) if row.split == "train" or at == 0 else (None, None)))
    settings = EvaluateSettings.model_validate({**SETTINGS.model_dump(), "embedder": "builtin"})
    summary = evaluate(world.model, world.people, alone, tmp_path / "out", settings)
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["counts"]["pairs"] == 0 and content["reconstruction"]["pairs"] > 0
    assert all(metric["value"] is None and metric["reason"] for metric in content["metrics"].values())
    assert content["reconstruction"]["metrics"]["ssim"]["value"] is not None
    assert any("nothing here is about re-posing" in note for note in summary.notes)
    assert "own pose" in (tmp_path / "out" / "report.html").read_text()
    assert content["judge"]["judge_in_loss"] is True
    assert any("also in the model's loss" in note for note in summary.notes)


def test_nobody_held_out_gives_a_report_that_says_so(world, tmp_path: Path) -> None:
    nobody = relabelled(world, tmp_path / "ids", lambda at, row: (
        (row.identity, "train") if row.identity else (None, None)))
    evaluate(world.model, world.people, nobody, tmp_path / "out", SETTINGS)
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["counts"]["photos"] == 0
    assert all(metric["value"] is None for metric in content["metrics"].values())
    assert "nothing to show" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_the_judge_follows_where_the_people_come_from() -> None:
    assert judge_name(SETTINGS, "synthetic") == "builtin-judge"
    assert judge_name(SETTINGS, "photos") == "sface"


def test_what_does_not_belong_together_is_refused_and_leaves_nothing(
        world, untrained: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no generator here"):
        evaluate(tmp_path, world.people, world.identities, tmp_path / "out", SETTINGS)
    untrained(tmp_path / "larger", 128)
    with pytest.raises(DataError, match="the model is for 128 px"):
        evaluate(tmp_path / "larger", world.people, world.identities, tmp_path / "out", SETTINGS)
    other = tmp_path / "other"
    shutil.copytree(world.identities, other)
    identities = Identities.open(other)
    Identities(identities.rows.values(), "another digest", {}).write(other)
    with pytest.raises(DataError, match="another people data set"):
        evaluate(world.model, world.people, other, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()
