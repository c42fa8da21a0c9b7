"""The study of the controls, on a handful of synthetic people."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Assignment, Identities
from components.core.presets import preset
from components.core.settings import PreprocessSettings, Settings, SynthesizeSettings
from components.evaluate.controls import controls
from components.evaluate.evaluated import Ground
from components.evaluate.judge import measured_control, on_ground
from components.evaluate.measurer import Measurer
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.measure import Instruments
from components.evaluate.measuring.pairs import choose
from components.preprocess import preprocess
from components.synthesize import synthesize
from pipelines.experiments.controls import page, study

SMALL = ["evaluate.pairs=16", "evaluate.bootstrap=100", "evaluate.probes=8", "evaluate.distractors=9",
         "evaluate.min_images=4"]


class World(NamedTuple):
    people: Path
    identities: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Ten synthetic people of three photos at 64 px, five of them held out."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:  # for so few, starting processes costs more than the work
        patch.setattr("components.preprocess.run.cores", lambda: 1)
        synthesize(root / "photos", SynthesizeSettings.model_validate(
            {"people": 10, "photos_per_person": 3, "height": 160, "back_views": 0.1}), workers=1)
        preprocess(root / "photos", root / "people", PreprocessSettings.model_validate(
            {"resolution": 64, "texel": 16, "matte": "silhouette", "min_person": 32}))
    people = PeopleDataset.open(root / "people")
    names = sorted(set(people.labels.values()))
    rows = []
    for name, seen in zip(people.ids, people.column("face_seen"), strict=True):
        label = people.labels[name] if seen else None
        rows.append(Assignment(name, label, 1.0, None if label is None else "train" if label in names[:5] else "test"))
    (root / "identities").mkdir()
    Identities(rows, people.digest, {}).write(root / "identities")
    return World(root / "people", root / "identities")


def settings() -> Settings:
    return preset("smoke").with_changes(SMALL)


def test_a_deal_keeps_people_whole_and_the_sizes_of_the_splits(world: World) -> None:
    given = Identities.open(world.identities)

    def splits(identities: Identities) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in identities.rows.values():
            found.setdefault(str(row.split), set()).add(str(row.identity))
        return found

    assert study.dealt(given, 0).digest == given.digest
    dealt = [study.dealt(given, draw) for draw in range(1, 6)]
    for one in dealt:
        assert {name: len(who) for name, who in splits(one).items()} == {
            name: len(who) for name, who in splits(given).items()}
        assert [row.identity for row in one.rows.values()] == [row.identity for row in given.rows.values()]
    assert len({one.digest for one in dealt}) > 1 and study.dealt(given, 3).digest == dealt[2].digest


def test_what_is_remembered_is_what_would_be_measured(world: World) -> None:
    chosen, people = settings(), PeopleDataset.open(world.people)
    owners, album = Identities.open(world.identities), Album(PeopleDataset.open(world.people))
    instruments = Instruments(chosen.evaluate, people.origin)
    everybody = {name: group for split in study.SPLITS for name, group in owners.members(people, split).items()}
    remembering = study.Remembering(album, instruments, everybody)
    measured = []
    for measurer in (remembering, remembering, Measurer(album, instruments, None)):  # the second time from memory
        ground = Ground(people, owners, measurer, chosen.evaluate, chosen.register_.gate)
        pair_set = choose(people, owners, "test", 16, 0)
        training, against = on_ground(ground, pair_set)
        warped = np.ones(len(pair_set.transfer))
        measured.append([measured_control(ground, control, pair_set.transfer, warped, training, against)
                         for control in controls(album, training.reals.indices.tolist())])
    first, again, anew = measured
    assert first == again
    for mine, theirs in zip(first, anew, strict=True):
        for group in ("metrics", "memorisation"):
            for name, metric in theirs[group].items():
                assert mine[group][name]["value"] == pytest.approx(metric["value"], abs=1e-4), name


def test_the_command_writes_a_page_and_goes_on_where_it_was(world: World, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [(world.people, world.identities)]
    found = study.run(sets, tmp_path / "work", settings(), 2)
    assert {one.draw for one in found} == {0, 1} and len(found) == 8
    kept = sorted((tmp_path / "work").rglob("*.json"))
    assert [path.name for path in kept] == ["000.json", "001.json"]
    monkeypatch.setattr(study, "_judged", lambda ground, people, draw: [
        dataclasses.replace(one, draw=draw) for one in found[:4]])
    more = study.run(sets, tmp_path / "work", settings(), 3)
    assert more[:8] == found and {one.draw for one in more[8:]} == {2}

    from pipelines.cli.app import app

    arguments = ["experiment", "controls", "--preset", "smoke", "--people", str(world.people), "--identities",
                 str(world.identities), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "docs"),
                 "--draws", "2"]
    for change in SMALL:
        arguments += ["--set", change]
    monkeypatch.setattr(study, "run", lambda *_: found)
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "docs" / "controls.md").read_text()
    assert "Copy-cat" in text and "| ssim |" in text and "of 2 draws" in text and '"copy_cat"' in result.output


def test_a_line_says_how_far_its_bound_is() -> None:
    def outcome(value: float | None, said: str) -> study.Outcome:
        lines = [{"name": "ssim", "value": value, "bound": 0.6, "comparison": ">=", "outcome": said}]
        right = said == "passed"
        return study.Outcome("real_photos", "p", 0, said, right, "" if right else "why", lines)

    (row,) = page.rows([outcome(0.8, "passed"), outcome(0.9, "passed"), outcome(None, "not judged")])
    (line,) = row.lines
    assert (row.behaved, row.draws, row.reasons) == (2, 3, ["why"])
    assert (line.passed, line.failed, line.not_judged, line.worst) == (2, 0, 1, 0.8)
    assert line.mean == pytest.approx(0.85) and line.distance == pytest.approx(0.25 / np.std([0.8, 0.9], ddof=1))
    assert "**Yes: Real photos in 1 of 3 draws.**" in page.markdown([row], "x", "y")
    assert "**No: in none of 3 draws.**" in page.markdown([dataclasses.replace(row, behaved=3)], "x", "y")
    assert "| ssim | 0.85 | 0.071 | 0.8 | >= 0.6 | 3.5 | 2 | 0 | 1 |" in page.markdown([row], "x", "y")


def test_people_of_one_split_cannot_be_dealt(world: World, tmp_path: Path) -> None:
    given = Identities.open(world.identities)
    rows = [dataclasses.replace(row, split="train") if row.identity else row for row in given.rows.values()]
    (tmp_path / "all").mkdir()
    Identities(rows, given.people_digest, given.scores).write(tmp_path / "all")
    with pytest.raises(InputError, match="the test split is empty"):
        study.run([(world.people, tmp_path / "all")], tmp_path / "work", settings(), 2)
