"""A model fitted to one person: it gets better on their photos, is kept apart, and knows nothing of the room."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.errors import DataError, InputError
from components.core.networks.generator.reposer import PERSONAL, Generator, Reposer
from components.core.people.person import PersonCrop, person_from_photo
from components.core.pictures.images import Pixels
from components.core.settings import PreprocessSettings, SynthesizeSettings, TrainSettings
from components.core.shooting.personal import store as stores
from components.core.shooting.personal import tuning
from components.core.shooting.personal.store import Store
from components.core.shooting.personal.tuning import PersonalSettings, fitted_to
from components.core.shooting.shots import shoot
from components.synthesize.folder import photos_of
from components.synthesize.render import Rendering

CUT = PreprocessSettings.model_validate({"resolution": 64, "texel": 16, "min_person": 8})
QUICK = PersonalSettings(steps=8, every=4, rate=2e-3, least_gain=0.0, face=False)

HARD = replace(QUICK, steps=16, rate=4e-3)


@pytest.fixture(scope="module")
def model() -> Reposer:
    """Untrained, 64 px."""
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    return Reposer(Generator(settings, 64, 16), settings, 64, 16, "synthetic")


@pytest.fixture(scope="module")
def rendered() -> list[Rendering]:
    """Two photos of one synthetic person."""
    drawn = SynthesizeSettings.model_validate({"photos_per_person": 2, "outfits_per_person": 1, "height": 160,
                                               "back_views": 0.0})
    return [photo for _, _, photo in photos_of(drawn, 7)]


def crops(photos: Sequence[Rendering], room: tuple[int, int, int] | None = None) -> list[PersonCrop]:
    """Cut out; `room`: the person's exact colours, in a room of that colour."""
    out = []
    for photo in photos:
        rgb: Pixels = photo.rgb
        if room is not None:
            share = photo.matte[..., None] / 255
            rgb = np.rint(photo.rgb * share + np.array(room) * (1 - share)).astype(np.uint8)
        out.append(person_from_photo(rgb, photo.iuv, CUT, photo.matte))
    return out


@pytest.fixture
def fit(model: Reposer, tmp_path: Path) -> Callable[..., tuning.Fitted]:
    return lambda photos, settings=QUICK: fitted_to(model, photos, settings, Store(tmp_path / "personal"))


def test_it_helps_leaves_the_model_alone_and_is_found_again(
        model: Reposer, rendered: list[Rendering], fit: Callable[..., tuning.Fitted], monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    done = fit(crops(rendered))
    assert done.helped and done.after < done.before and not done.kept and done.model.origin == PERSONAL
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    moved = {name for name, value in done.model.network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith(QUICK.layers) for name in moved)
    assert len(list((tmp_path / "personal").iterdir())) == 1

    def work(*_: object) -> None:
        raise AssertionError("it was kept")

    monkeypatch.setattr(tuning._Fit, "run", work)
    again = fit(crops(rendered[::-1]))  # in any order
    assert again.kept and (again.before, again.after) == (done.before, done.after)
    pose = crops(rendered)[0].native_iuv
    pictures = [shoot(one.model, crops(rendered), [pose], size=128).images for one in (done, again)]
    assert np.array_equal(*pictures)
    for photos, settings in (([*rendered, rendered[0]], QUICK), (rendered, replace(QUICK, rate=1e-4))):
        with pytest.raises(AssertionError, match="kept"):
            fit(crops(photos), settings)


def test_the_room_is_not_learnt(model: Reposer, rendered: list[Rendering], fit: Callable[..., tuning.Fitted]) -> None:
    magenta, green = (255, 0, 255), np.full((128, 128, 3), (0, 255, 0), np.uint8)
    photos = crops(rendered, magenta)
    done = fit(photos, HARD)
    assert done.helped

    def painted(by: Reposer, pose: Pixels) -> tuple[Pixels, Pixels]:
        shot = shoot(by, photos, [pose], background=green, size=128)
        return shot.images[0], shot.mattes[0]

    for photo in photos:
        image, matte = painted(done.model, photo.native_iuv)
        plain, _ = painted(model, photo.native_iuv)
        assert (matte == 0).mean() > 0.2 and np.array_equal(image[matte == 0], green[matte == 0])
        assert _like(image, magenta) <= _like(plain, magenta) + 0.001
    # What is behind the person makes no difference to what is learnt, but for the rim, where the photo mixes both.
    other = fit(crops(rendered, (0, 0, 255)), HARD)
    pictures = [painted(by, photos[0].native_iuv)[0].astype(int) for by in (done.model, other.model, model)]
    apart = [np.abs(picture - pictures[0]).mean() for picture in pictures[1:]]
    assert apart[0] < 0.5 and apart[1] > 0.1  # grey levels


def _like(picture: Pixels, colour: tuple[int, int, int]) -> float:
    return float((np.abs(picture.astype(int) - colour).max(2) < 100).mean())


def test_an_interrupted_fit_goes_on(rendered: list[Rendering], fit: Callable[..., tuning.Fitted], tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    step = tuning._Fit._step

    def interrupted(self: tuning._Fit, number: int, *rest: object) -> None:
        steps.append(number)
        if len(steps) == 7:
            raise KeyboardInterrupt
        step(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(tuning._Fit, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(crops(rendered))
    done = fit(crops(rendered))
    assert steps[:7] == list(range(7)) and steps[7:] == list(range(4, 8)) and done.helped
    assert [path.stem[-10:] for path in (tmp_path / "personal").iterdir()] != ["unfinished"]
    assert len(list((tmp_path / "personal").iterdir())) == 1


def test_where_nothing_helps_the_model_stays_as_it_is(model: Reposer, rendered: list[Rendering],
                                                      fit: Callable[..., tuning.Fitted]) -> None:
    done = fit(crops(rendered), replace(QUICK, steps=2, every=1, rate=10.0, warm_up=1))
    assert not done.helped and done.model is model
    assert fit(crops(rendered), replace(QUICK, steps=2, every=1, rate=10.0, warm_up=1)).kept


def test_what_is_kept_is_no_model(model: Reposer, rendered: list[Rendering], fit: Callable[..., tuning.Fitted],
                                  tmp_path: Path) -> None:
    done = fit(crops(rendered))
    (path,) = (tmp_path / "personal").iterdir()
    assert path.stat().st_mode & 0o77 == 0 and path.parent.stat().st_mode & 0o77 == 0
    with pytest.raises(DataError, match=r"photoshoot\.personal"):
        Reposer.load(path)
    with pytest.raises(InputError, match="one person"):
        done.model.save(tmp_path / "generator.safetensors")
    path.write_bytes(path.read_bytes()[:100])  # torn, as by a disk
    assert not fit(crops(rendered)).kept and fit(crops(rendered)).kept


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(stores.MOST_FILES + 3):
        store.write(f"{number:03d}", {"x": torch.zeros(1)}, {})
        os.utime(tmp_path / f"{number:03d}.safetensors", (time.time() - 100 + number,) * 2)
    assert store.read("001") is None and store.read("003") is not None
    store.write("new", {"x": torch.zeros(1)}, {})  # 003 was used last but one, so 004 is the oldest
    assert store.read("004") is None and store.read("003") is not None
    os.utime(tmp_path / "new.safetensors", (0, 0))
    store.write("newer", {"x": torch.zeros(1)}, {})
    assert store.read("new") is None and store.read("newer") is not None
