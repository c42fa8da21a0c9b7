"""Pictures are judged at a size where faces can be told apart, the model's and the baselines' alike."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts.evaluation import judged_at
from components.core.errors import DataError
from components.core.judging.gate import Verdict, thresholds
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Assignment, Identities
from components.core.people.person import PersonCrop
from components.core.settings import EvaluateSettings, GateSettings, PreprocessSettings
from components.core.shooting.shots import shoot
from components.evaluate import challenge, evaluate
from components.evaluate.evaluated import open_evaluated
from components.evaluate.measuring.album import Album, album_for
from components.evaluate.measuring.measure import Instruments, batch_of, measure
from components.evaluate.measuring.methods import ModelMethod, SourceCopy, TextureWarp, truth
from components.evaluate.measuring.pairs import EvaluationPair, choose
from components.evaluate.memorisation.probes import look
from components.evaluate.report.pictures import photo_shown
from components.preprocess import preprocess
from components.register.card import model_card

OWN, LARGE = 64, 128
SETTINGS = EvaluateSettings.model_validate({"pairs": 6, "min_images": 12, "rows": 2, "bootstrap": 100, "probes": 8})


@dataclass(frozen=True)
class Large:
    """The small world's people with larger crops beside the networks'."""

    people: PeopleDataset
    folder: Path
    identities: Path
    model: Path

    def album(self, size: int | None = None) -> Album:
        return Album(self.people, size)

    def pairs(self) -> list[EvaluationPair]:
        return choose(self.people, Identities.open(self.identities), "test", 6, 0).transfer


@pytest.fixture(scope="module")
def large(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Large:
    root = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.preprocess.run.cores", lambda: 1)
        preprocess(world.root / "photos", root / "people", PreprocessSettings(
            resolution=OWN, texel=16, matte="silhouette", min_person=32, large=LARGE))
    people, was = PeopleDataset.open(root / "people"), Identities.open(world.identities)
    (root / "identities").mkdir()
    Identities([Assignment(row.person_id, row.identity, 1.0, row.split) for row in was.rows.values()], people.digest,
               {}).write(root / "identities")
    return Large(people, root / "people", root / "identities", world.model)


def test_everybody_is_shown_at_the_size_and_the_baselines_too(large: Large) -> None:
    album, pairs = large.album(LARGE), large.pairs()[:3]
    model = ModelMethod(Reposer.load(large.model / "generator.safetensors"))
    for rendered in (truth(album, pairs, 128), *(method.render(album, pairs, 128) for method in (
            model, TextureWarp(), SourceCopy()))):
        assert rendered.images.shape == rendered.poses.shape == (3, LARGE, LARGE, 3)
        assert rendered.mattes.shape == (3, LARGE, LARGE) and rendered.mattes.any()
    for index in (0, 5):  # without a new atlas it is quicker, and the same picture
        one, other = album[index], album.picture(index)
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("photo", "iuv", "matte"))
        assert one.texture.shape[1] > other.texture.shape[1] == large.people.texel
    assert album.own.size == OWN and album.own[0].photo.shape == (OWN, OWN, 3)
    assert large.album().own.size == OWN and large.album()[0].photo.tobytes() == large.people[0].photo.tobytes()


def test_a_photo_shows_more_in_the_larger_crop(large: Large) -> None:
    """And so do both who paint from it: each is nearer to what the camera saw than its small picture, enlarged."""
    own, album = large.album(), large.album(LARGE)
    index = int(np.argmax(large.people.column("coverage")))
    pair = EvaluationPair(index, index, "x", "reconstruction")
    inside = album[index].matte == 255
    real = album[index].photo[inside].astype(int)
    for method in (TextureWarp(), ModelMethod(Reposer.load(large.model / "generator.safetensors"))):
        fine, small = (method.render(where, [pair], 128).images[0] for where in (album, own))
        enlarged = np.asarray(Image.fromarray(small).resize((LARGE, LARGE), Image.Resampling.BICUBIC))
        apart = [np.abs(picture[inside].astype(int) - real).mean() for picture in (fine, enlarged)]
        assert apart[0] < apart[1], method.name


def test_the_models_picture_is_the_one_that_people_would_get(large: Large) -> None:
    reposer, album = Reposer.load(large.model / "generator.safetensors"), large.album(LARGE)
    index = int(np.argmax(large.people.column("coverage")))
    person, kept = large.people[index], large.people.larger(index)
    crop = PersonCrop(person.photo, person.iuv, person.matte, person.texture, person.seen, person.record.box,
                      kept.photo, kept.iuv, kept.matte, PreprocessSettings.model_validate(large.people.settings))
    grey = np.full((LARGE, LARGE, 3), 128, np.uint8)
    shot = shoot(reposer, crop, [kept.iuv], grey, size=LARGE)
    found = ModelMethod(reposer).render(album, [EvaluationPair(index, index, "x", "repose")], 128)
    # The pose is made small from the kept crop there, and from the photo here: hardly anything is decided otherwise.
    assert np.abs(found.images[0].astype(int) - shot.images[0]).mean() < 0.5
    assert np.array_equal(found.poses[0], album[index].iuv)


def test_a_sheet_shows_no_colours_that_were_spread_beside_a_person(large: Large) -> None:
    """Of landmarks' mattes the photo's own surroundings are not kept."""
    person, wall = large.people[0], np.full((OWN, OWN, 3), 7, np.uint8)
    assert np.array_equal(photo_shown(person, wall), person.photo)
    told = replace(person, record=replace(person.record, matte_source="landmarks"))
    assert np.array_equal(photo_shown(told, wall)[person.matte == 0], wall[person.matte == 0])
    assert np.array_equal(photo_shown(told, wall)[person.matte == 255], person.photo[person.matte == 255])


def test_memory_is_bounded_and_memorisation_is_probed_where_it_would_lie(large: Large) -> None:
    album = large.album(LARGE)
    assert (batch_of(large.album()), batch_of(album)) == (16, 4)
    model = open_evaluated(large.model, large.folder, large.identities, SETTINGS, GateSettings(), None)
    assert model.album.size == LARGE
    method, pairs = model.method, large.pairs()[:2]
    seen, own = model.measurer.look(method, pairs, "x"), look(large.album(), method, pairs, "x")
    assert np.array_equal(seen.picture.colours, own.picture.colours)


def test_an_evaluation_says_the_size_and_the_gate_judges_by_it(large: Large, evaluated: Path, tmp_path: Path) -> None:
    evaluate(large.model, large.folder, large.identities, tmp_path / "out", SETTINGS)
    found, own = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "out", evaluated))
    assert (found["size"], own["size"]) == (LARGE, OWN) == (judged_at(found), judged_at(own))
    assert set(found["controls"]) == {"copy_cat", "baked_background", "real_photos"}
    lines = {line.name: line for line in thresholds(found, GateSettings())}
    assert lines["over_warp"].value == found["metrics"]["over_warp"]["value"] is not None
    assert lines.keys() == {line.name for line in thresholds(own, GateSettings())}
    said = [f"judged at {LARGE} px" in (folder / "report.html").read_text() for folder in (tmp_path / "out", evaluated)]
    assert said == [True, False]
    # A champion is judged at the same size: held against itself it is neither better nor worse.
    candidate = challenge._Challenger.open(large.model, large.folder, large.identities, tmp_path / "out")
    again = challenge._measure(Reposer.load(large.model / "generator.safetensors"), candidate, candidate.lines)
    assert [line["perceptual"] for line in again] == [line["perceptual"] for line in candidate.lines]
    assert f"hold at {LARGE} px only" in model_card("x", found, Verdict.of(tuple(lines.values())))


def test_the_truth_is_exact_at_any_size(large: Large) -> None:
    class Exact:
        name = "truth"

        def render(self, people: Album, pairs: Any, background: Any) -> Any:
            return truth(people, pairs, background)

    album = large.album(LARGE)
    found = measure(album, large.pairs(), Exact(), Instruments(SETTINGS, "synthetic"), "truth")
    assert found["l1"] == pytest.approx(0, abs=1e-9) and (found["matte_iou"] == 1).all()
    assert found["perceptual"] == pytest.approx(0, abs=1e-6)


def test_the_size_follows_what_the_photos_are_worth(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    identities, column = Identities.open(large.identities), large.people.column
    chosen: Callable[[], int] = lambda: album_for(large.people, identities, SETTINGS).size  # noqa: E731
    assert chosen() == LARGE
    small = [(0, 0, 90, 90)] * len(large.people)
    monkeypatch.setattr(large.people, "column", lambda name: small if name == "box" else column(name))
    assert chosen() == OWN


def test_a_size_that_no_crops_are_kept_for_is_refused(large: Large, world: Any) -> None:
    def asked(people: PeopleDataset, identities: Path, size: int) -> int:
        return album_for(people, Identities.open(identities), SETTINGS.model_copy(update={"size": size})).size

    plain = PeopleDataset.open(world.people)
    assert [asked(large.people, large.identities, size) for size in (OWN, 96, LARGE)] == [OWN, 96, LARGE]
    assert asked(plain, world.identities, OWN) == OWN
    with pytest.raises(DataError, match="larger crops of 128 px"):
        asked(large.people, large.identities, 256)
    with pytest.raises(DataError, match="no larger crops"):
        asked(plain, world.identities, LARGE)
