"""A photoshoot with photos and nothing else: poses chosen, pictures ranked and painted again, files that own up."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from components.core.errors import InputError
from components.core.faces.sface import SAME_COSINE
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.pictures.images import Pixels, read_photo, write_png
from components.core.pictures.iuv import write_iuv
from components.core.poses.drawing import target_map
from components.core.poses.library import library
from components.core.poses.physique import template_physique
from components.core.settings import PreprocessSettings, SynthesizeSettings, TrainSettings
from components.core.shooting.personal.tuning import PersonalSettings
from components.core.shooting.sitting import Shown
from components.core.shooting.subjects import Subject
from components.core.shooting.wardrobe import wardrobe
from components.core.stores.published import GROUPS
from components.register.registry import Files, Registry
from components.shoot import session
from components.shoot.delivery import GENERATED, SHEET
from components.shoot.likeness import Likeness
from components.shoot.session import SessionSummary, Wishes, photoshoot
from components.shoot.targets import Asked, chosen_targets, taken
from components.synthesize import synthesize
from pipelines.cli import main
from pipelines.pictures.shooting import new_folder
from tests.support.networks import needs_weights

CUT = PreprocessSettings.model_validate({"resolution": 64, "texel": 16, "min_person": 8, "matte": "silhouette"})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic person and an untrained generator."""
    root = tmp_path_factory.mktemp("shop")
    draw(root, 3)
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    Reposer(Generator(settings, 64, 16), settings, 64, 16, "synthetic").save(root / "generator.safetensors")
    return root


def draw(root: Path, who: int) -> None:
    drawn = {"people": 1, "photos_per_person": 2, "outfits_per_person": 1, "height": 256, "back_views": 0.0,
             "first_person": who}
    synthesize(root / "drawn", SynthesizeSettings.model_validate(drawn))


def person(shop: Path) -> list[Subject]:
    photos = sorted((shop / "drawn" / "photos").iterdir())
    return [Subject(path, shop / "drawn" / "iuv" / f"{path.stem}.png") for path in photos]


class Judge:
    """Says what the test wants of one picture after the other, in the order they are painted."""

    def __init__(self, *likenesses: float | None) -> None:
        self.waiting = list(likenesses)

    def strangers(self) -> list[int]:
        return []

    def of(self, picture: Pixels) -> float | None:
        return self.waiting.pop(0)


@pytest.fixture
def shoot(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SessionSummary]:
    """shoot(judge, wishes): without landmarks, so the body is the template's."""

    def call(judge: Judge | None, asked: Asked, **wishes: Any) -> SessionSummary:
        monkeypatch.setattr(session, "likeness_to", lambda photos, fetch: (judge, None))
        monkeypatch.setattr(session, "bodies", lambda *_: [])
        return photoshoot(shop / "generator.safetensors", person(shop), Wishes(asked, size=64, **wishes),
                          tmp_path / "out", "photoshoot version 7", preprocess=CUT)

    return call


def test_chosen_pictures_are_ranked_and_those_unlike_are_painted_again(
        shoot: Callable[..., SessionSummary], tmp_path: Path) -> None:
    done = shoot(Judge(0.5, 0.1, None, 0.9, 0.7, 0.2, 0.4), Asked(count=4))
    assert done.likeness == [0.9, 0.7, 0.5, 0.4] and done.rank == [1, 2, 3, 4]
    assert [reason.split(": ")[1] for reason in done.repainted] == [
        "the face is unlike (0.10)", "no face is found", "the face is unlike (0.20)"]
    assert not {reason.split(":")[0] for reason in done.repainted} & set(done.poses)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [SHEET, *(f"{pose}.png" for pose in done.poses)])


def test_too_few_good_pictures_are_said_and_none_is_an_error(
        shoot: Callable[..., SessionSummary], tmp_path: Path) -> None:
    done = shoot(Judge(0.5, 0.1, 0.1, 0.1, 0.1, 0.1), Asked(count=2))
    assert len(done.images) == 1 and any("1 pictures instead of 2" in note for note in done.notes)
    (tmp_path / "out").rename(tmp_path / "before")
    with pytest.raises(InputError, match=r"none of 6 pictures looks like the person: the most alike has 0\.30"):
        shoot(Judge(0.1, 0.3, None, 0.1, 0.1, 0.1), Asked(count=2))
    assert not (tmp_path / "out").exists()


def test_poses_that_were_asked_for_are_handed_over_in_their_order_and_commented(
        shoot: Callable[..., SessionSummary]) -> None:
    done = shoot(Judge(0.1, 0.8), Asked(["waving", "arms-crossed-left"]))
    assert done.poses == ["waving", "arms-crossed-left"] and done.rank == [2, 1] and not done.repainted
    assert done.notes == ["waving: the face is unlike (0.10); handed over, for the pose was asked for"]
    with pytest.raises(InputError, match="same name"):
        shoot(None, Asked(["waving", "waving"]))
    with pytest.raises(InputError, match="wavin -- did you mean waving"):
        shoot(None, Asked(["wavin"]))
    with pytest.raises(InputError, match="chosen by chance"):
        shoot(None, Asked(["waving"], count=3))


def test_the_seed_chooses_and_tags_narrow(shoot: Callable[..., SessionSummary]) -> None:
    def poses(seed: int) -> list[str]:
        return shoot(None, Asked(["random"], ["portrait"], 3, seed)).poses

    assert poses(7) == poses(7) != poses(8)
    assert all("portrait" in library()[name].tags for name in poses(7))


def test_a_named_pose_a_pose_map_of_it_and_a_transparent_one(
        shoot: Callable[..., SessionSummary], tmp_path: Path) -> None:
    write_iuv(tmp_path / "brought.png", target_map(library()["waving"], template_physique(), 256))
    done = shoot(None, Asked(["waving", str(tmp_path / "brought.png")]), background="transparent")
    named, brought = (Image.open(path) for path in done.images)
    assert named.mode == brought.mode == "RGBA" and done.poses == ["waving", "brought"]
    assert np.asarray(named)[:4, :4, 3].max() < 128


def test_a_picture_s_file_says_that_it_was_generated_and_by_what(shoot: Callable[..., SessionSummary]) -> None:
    done = shoot(None, Asked(["waving", "hands-clasped-low"]))
    assert done.contact_sheet is not None
    for path in (*done.images, done.contact_sheet):
        content = Path(path).read_bytes()
        assert GENERATED.encode() in content and b"photoshoot version 7" in content and b"x:xmpmeta" in content
        Image.open(path).load()


def test_background_and_somebody_else_s_clothes(shop: Path, shoot: Callable[..., SessionSummary], tmp_path: Path
                                                ) -> None:
    asked = Asked(["headshot-frontal"])
    plain = read_photo(shoot(None, asked).images[0])
    write_png(tmp_path / "green.png", np.full((80, 120, 3), (0, 200, 0), np.uint8))
    green = read_photo(shoot(None, asked, background=str(tmp_path / "green.png")).images[0])
    apart = [np.abs(picture[0, 0].astype(int) - (0, 200, 0)).max() for picture in (green, plain)]
    assert apart[0] < 60 < apart[1]
    synthesize(tmp_path / "other", SynthesizeSettings.model_validate(
        {"people": 1, "photos_per_person": 1, "height": 160, "first_person": 9}))
    photo = next((tmp_path / "other" / "photos").iterdir())
    dressed = shoot(None, asked, clothes=[Subject(photo, tmp_path / "other" / "iuv" / f"{photo.stem}.png")])
    assert not np.array_equal(read_photo(dressed.images[0]), plain)


@pytest.mark.parametrize(("seen", "framings"), [
    (Shown(("portrait", "half"), False, False, True), {"portrait", "half"}),
    (Shown(("portrait",), False, False, True), {"portrait"}),
    (Shown(("portrait", "half", "knees", "full"), True, True, True), {"portrait", "half", "knees", "full"}),
])
def test_poses_fit_what_the_photos_show(seen: Shown, framings: set[str]) -> None:
    poses = [target.pose for target in taken(chosen_targets(Asked(), seen, []), 200)]
    assert {pose.framing for pose in poses if pose} == framings
    tags = {tag for pose in poses if pose for tag in pose.tags}
    assert ("back" in tags) == seen.back and ("profile" in tags) == seen.side
    assert any("legs are not in the photos" in note for note in seen.notes()) == ("knees" not in framings)


def test_folders_are_numbered_where_one_exists(tmp_path: Path) -> None:
    day = date(2030, 1, 2)
    for name in ("photoshoot-2030-01-02", "photoshoot-2030-01-02-2", "photoshoot-2030-01-02-3"):
        assert new_folder(tmp_path, day) == tmp_path / name
        (tmp_path / name).mkdir()


def test_one_synthetic_photo_on_the_command_line(
        shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    needs_weights(*GROUPS["landmarks"], "sface")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    files = Files(shop / "generator.safetensors", CUT.model_dump(mode="json"), {}, {})
    Registry("photoshoot", f"sqlite:///{tmp_path}/mlflow.db").log(files, None)

    def call(arguments: Sequence[str]) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["photoshoot", *arguments, "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), json.loads(capsys.readouterr().out)

    photo = str(person(shop)[0].photo)
    given = ["shoot", "--photo", photo, "--version", "1", "--size", "64"]
    code, said = call([*given, "--pose", "waving", "--pose", "random", "--count", "2"])
    # An untrained generator paints nobody's face: chosen poses are not handed over.
    assert code == 2 and "looks like the person" in said["error"] and not list(tmp_path.glob("photoshoot-*"))
    code, said = call([*given, "--pose", "waving", "--pose", "headshot-frontal"])
    assert code == 0 and Path(said["out"]).name.startswith("photoshoot-") and said["version"] == "photoshoot version 1"
    assert len(said["images"]) == 2 and all(alike is None or alike < SAME_COSINE for alike in said["likeness"])
    code, said = call(["poses", "--home", str(tmp_path / "home"), "add", "mine", "--photo", photo])
    assert code == 0 and Path(said["file"]).read_text().startswith("name: mine\n")
    code, said = call(["poses", "--home", str(tmp_path / "home"), "--tags", "own", "--out", str(tmp_path / "own.html")])
    assert [pose["name"] for pose in said["poses"]] == ["mine"] and "mine" in (tmp_path / "own.html").read_text()


def test_a_photo_of_somebody_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_weights("sface")
    vectors = iter([None, [1.0, 0.0], [0.9, 0.44], [0.2, 0.98], [0.6, 0.8]])
    monkeypatch.setattr(Likeness, "_vector", lambda self, photo: None if (v := next(vectors)) is None else np.array(v))
    measure = Likeness([np.zeros((8, 8, 3), np.uint8)] * 4)
    assert measure.known and measure.strangers() == [3]
    assert measure.of(np.zeros((8, 8, 3), np.uint8)) == pytest.approx(0.904)


def test_each_picture_wears_other_clothes_of_a_wardrobe_and_the_seed_decides_which(
        shop: Path, shoot: Callable[..., SessionSummary], tmp_path: Path) -> None:
    clothes = wardrobe()[:3]
    nobody = tmp_path / "nobody.png"
    write_png(nobody, np.zeros((64, 64, 3), np.uint8))
    empty = Subject(nobody, clothes[0].iuv)  # a pose map of another size

    def worn(seed: int, *photos: Subject) -> SessionSummary:
        return shoot(None, Asked(["headshot-frontal", "waving", "hands-clasped-low"], seed=seed), wardrobe=photos)

    done = worn(1, *clothes)
    assert sorted(map(str, done.clothes)) == sorted(str(one.photo) for one in clothes)
    first = [read_photo(path) for path in done.images]
    again = worn(1, *clothes)
    assert again.clothes == done.clothes and np.array_equal(first[0], read_photo(again.images[0]))
    assert any(worn(seed, *clothes).clothes != done.clothes for seed in range(2, 6))
    own = shoot(None, Asked(["headshot-frontal"]))
    assert own.clothes == [None] and not np.array_equal(first[0], read_photo(own.images[0]))
    # What cannot be worn is left out and named; where nothing is left, it is an error.
    some = worn(0, clothes[0], empty)
    assert set(some.clothes) == {str(clothes[0].photo)} and any(str(nobody) in note for note in some.notes)
    with pytest.raises(InputError, match=r"none of 2 photos can be worn"):
        worn(0, empty, Subject(nobody, clothes[1].iuv))


def test_a_personalised_photoshoot_says_so_and_leaves_registry_and_home_alone(
        shop: Path, shoot: Callable[..., SessionSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSHOOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(shop)
    draw(tmp_path, 4)  # somebody whom an untrained generator does not paint as well as it ever will
    sitter = person(tmp_path)
    monkeypatch.setitem(globals(), "person", lambda _: sitter)
    if not (shop / "mlflow.db").exists():
        files = Files(shop / "generator.safetensors", CUT.model_dump(mode="json"), {}, {})
        Registry("photoshoot", f"sqlite:///{shop}/mlflow.db").log(files, None)

    def held() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(shop.rglob("*")) if path.is_file()}

    quick = PersonalSettings(steps=4, every=2, rate=2e-3, warm_up=1, least_gain=0.0, face=False)
    before, asked = held(), Asked(["waving", "hands-clasped-low"])
    plain = shoot(None, asked)
    assert plain.personalised is None
    first = [read_photo(path) for path in plain.images]
    done = shoot(None, asked, personalise=quick)
    assert done.personalised is not None and done.personalised.helped and not done.personalised.cached
    assert done.version == "photoshoot version 7, personalised on 2 photos"
    for path in (*done.images, done.contact_sheet):
        assert b"photoshoot version 7, personalised on 2 photos" in Path(str(path)).read_bytes()
    assert not all(np.array_equal(one, read_photo(path)) for one, path in zip(first, done.images, strict=True))
    again = shoot(None, asked, personalise=quick)
    assert again.personalised is not None and again.personalised.cached
    unhelped = shoot(None, asked, personalise=replace(quick, steps=1, least_gain=0.9))
    assert unhelped.version == "photoshoot version 7" and any("not personalised" in note for note in unhelped.notes)
    assert held() == before and [path.name for path in (tmp_path / "cache").iterdir()] == ["personal"]
    monkeypatch.setattr(sys, "argv", ["photoshoot", "shoot", "--photo", str(person(shop)[0].photo), "--personalise",
                                      "--version", "starter", "--home", str(tmp_path / "home"), "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == InputError("").exit_code
