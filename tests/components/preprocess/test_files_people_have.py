"""Folders as people bring them: each kind of file comes to what it is, its pose map exactly the one that was made."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset
from components.core.pictures.folder import list_photos
from components.core.pictures.images import read_upright
from components.core.pictures.iuv import read_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess import PreprocessSummary, preprocess
from components.preprocess.photos import PhotoFolder

SMALL = PreprocessSettings(resolution=64, texel=16, min_coverage=0.001)
Picture = tuple[np.ndarray, np.ndarray]
Brought = Callable[..., Path]


@pytest.fixture(scope="module")
def people() -> list[Picture]:
    """Photos [160, 120, 3] of two people who do not exist, with their exact pose maps."""
    from components.synthesize import photos_of

    found = []
    for person in range(2):
        _, _, photo = next(iter(photos_of(SynthesizeSettings(people=2, photos_per_person=1, height=160), person)))
        found.append((photo.rgb, photo.iuv))
    return found


@pytest.fixture
def brought(people: list[Picture], tmp_path: Path) -> Path:
    """photos/a.png and photos/b.png with iuv/a.png as (I, U, V) and iuv/b.png as (V, U, I)."""
    folder = tmp_path / "brought"
    (folder / "photos").mkdir(parents=True)
    (folder / "iuv").mkdir()
    for name, (photo, iuv), step in zip("ab", people, (1, -1), strict=True):
        Image.fromarray(photo).save(folder / "photos" / f"{name}.png")
        Image.fromarray(np.ascontiguousarray(iuv[..., ::step])).save(folder / "iuv" / f"{name}.png")
    return folder


def planes_of(folder: Path) -> dict[str, np.ndarray]:
    """Photo -> its pose map as (I, U, V), as it is read for that photo."""
    found = {}
    for photo in PhotoFolder.open(folder).photos:
        upright = read_upright(photo.path)
        found[photo.name] = read_iuv(photo.iuv, upright.size, upright.orientation).planes
    return found


def check_read(folder: Path, people: list[Picture], names: tuple[str, str] = ("a.png", "b.png")) -> PreprocessSummary:
    """Both photos are used, with exactly the pose maps that were made."""
    planes = planes_of(folder)
    assert tuple(planes) == names
    for name, (_, iuv) in zip(names, people, strict=True):
        assert np.array_equal(planes[name], iuv), name
    out = folder.with_name("people")
    summary = preprocess(folder, out, SMALL)
    assert (summary.accepted, summary.rejected) == (2, [])
    assert tuple(PeopleDataset.open(out).column("photo")) == names
    return summary


def reason(folder: Path) -> str:
    """Why photos/a.png is left out, b.png being used."""
    summary = preprocess(folder, folder.with_name("people"), SMALL)
    assert summary.accepted == 1 and len(summary.rejected) == 1
    return summary.rejected[0]["reason"]


def test_pose_maps_that_lost_nothing(brought: Path, people: list[Picture]) -> None:
    for name in "ab":
        path = brought / "iuv" / f"{name}.png"
        image = Image.open(path)
        image.putalpha(255)
        image.save(path)
    check_read(brought, people)
    for name in "ab":
        path = brought / "iuv" / f"{name}.png"
        np.save(path.with_suffix(".npy"), np.asarray(Image.open(path).convert("RGB")))
        path.unlink()
    check_read(brought, people)
    for name in "ab":
        (brought / "iuv" / f"{name}.npy").rename(brought / "iuv" / f"{name}.PNG")  # told by content
    check_read(brought, people)


def test_a_palette_that_kept_every_colour(brought: Path, people: list[Picture]) -> None:
    coarse = [(photo, np.dstack([iuv[..., 0], iuv[..., 1:] // 128 * 128])) for photo, iuv in people]
    for name, (_, iuv) in zip("ab", coarse, strict=True):
        colours, index = np.unique(iuv.reshape(-1, 3), axis=0, return_inverse=True)
        image = Image.fromarray(index.reshape(iuv.shape[:2]).astype(np.uint8), "P")
        image.putpalette(colours.ravel().tolist())
        image.save(brought / "iuv" / f"{name}.png")
    check_read(brought, coarse)
    Image.fromarray(people[0][1]).quantize(256).save(brought / "iuv" / "a.png")
    assert "all 256 colours" in reason(brought)


@pytest.mark.parametrize("mark", ["_IUV.png", "_iuv.png", "_densepose.png", "_DensePose.npy", "_IUV.jpg"])
def test_pose_maps_beside_the_photos_are_never_photos(brought: Path, people: list[Picture], mark: str) -> None:
    for name in "ab":
        path = brought / "iuv" / f"{name}.png"
        target = brought / "photos" / f"{name}{mark}"
        if target.suffix == ".npy":
            np.save(target, np.asarray(Image.open(path)))
        else:
            shutil.copy(path, target)  # a PNG named .jpg is still one
    shutil.rmtree(brought / "iuv")
    check_read(brought, people)


def test_pose_maps_in_iuv_come_before_those_beside(brought: Path, people: list[Picture]) -> None:
    (brought / "photos" / "a_IUV.png").write_bytes(b"an older one")
    (brought / "iuv" / "a.npy").write_bytes(b"another")
    (brought / "iuv" / "b.png").rename(brought / "iuv" / "b_iuv.png")
    check_read(brought, people)


def test_a_map_of_the_photo_as_stored_is_turned_with_it(brought: Path, people: list[Picture]) -> None:
    for name, (photo, iuv), tag, turns in zip("ab", people, (6, 8), (1, -1), strict=True):
        exif = Image.Exif()
        exif[0x0112] = tag
        image = Image.fromarray(np.ascontiguousarray(np.rot90(photo, turns)))
        image.save(brought / "photos" / f"{name}.png", exif=exif)
        Image.fromarray(np.ascontiguousarray(np.rot90(iuv, turns))).save(brought / "iuv" / f"{name}.png")
    check_read(brought, people)
    turned = PeopleDataset.open(brought.with_name("people"))[0].photo
    for name, (photo, iuv) in zip("ab", people, strict=True):
        Image.fromarray(photo).save(brought / "photos" / f"{name}.png")
        Image.fromarray(iuv).save(brought / "iuv" / f"{name}.png")
    check_read(brought, people)
    assert np.array_equal(turned, PeopleDataset.open(brought.with_name("people"))[0].photo)


def test_a_matte_of_the_photo_as_stored_is_turned_with_it(brought: Path, people: list[Picture]) -> None:
    photo, iuv = people[0]
    matte = np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(0))
    (brought / "matte").mkdir()
    mattes = []
    for turns, tag in ((0, 1), (1, 6)):
        exif = Image.Exif()
        exif[0x0112] = tag
        Image.fromarray(np.ascontiguousarray(np.rot90(photo, turns))).save(brought / "photos" / "a.png", exif=exif)
        Image.fromarray(np.ascontiguousarray(np.rot90(matte, turns))).save(brought / "matte" / "a.png")
        check_read(brought, people)
        mattes.append(PeopleDataset.open(brought.with_name("people"))[0].matte)
    assert np.array_equal(*mattes)


@pytest.mark.parametrize(("ending", "format"), [(".heic", "HEIF"), (".HEIF", "HEIF"), (".jpg", "HEIF"),
                                                (".avif", "AVIF"), (".png", "AVIF")])
def test_photos_that_telephones_make(brought: Path, people: list[Picture], ending: str, format: str) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif, which writes them, is not installed")
    heif.register_heif_opener()
    for name, (photo, _) in zip("ab", people, strict=True):
        (brought / "photos" / f"{name}.png").unlink()
        Image.fromarray(photo).save(brought / "photos" / f"{name}{ending}", format=format, quality=95)
    check_read(brought, people, (f"a{ending}", f"b{ending}"))
    for photo, (pixels, _) in zip(list_photos(brought).photos, people, strict=True):
        assert np.abs(read_upright(photo.path).pixels.astype(int) - pixels).mean() < 6


def test_a_telephones_photo_that_is_broken_is_called_what_it_is(brought: Path) -> None:
    (brought / "photos" / "a.png").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(200)))
    assert "HEIC, but corrupt or cut short" in reason(brought)


def test_without_its_decoder_a_heic_says_what_to_install(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (brought / "photos" / "a.png").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(200)))
    assert "a HEIC file, whose decoder is not installed -- pip install pi-heif" in reason(brought)


def test_photos_of_kinds_that_are_not_read_say_what_they_are(brought: Path) -> None:
    Image.open(brought / "photos" / "a.png").convert("P").save(brought / "photos" / "a.png", format="GIF")
    assert "256 colours are no photo -- export it as JPEG or PNG" in reason(brought)
    (brought / "photos" / "a.png").rename(brought / "photos" / "a.cr3")
    (brought / "photos" / "a.cr3").write_bytes(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(400))
    assert "a raw file is not developed here" in reason(brought)


def test_pose_maps_that_lost_something_say_what(brought: Path, people: list[Picture]) -> None:
    path = brought / "iuv" / "a.png"
    Image.fromarray(people[0][1]).save(path, format="JPEG", quality=95)
    assert "this is JPEG: JPEG does not keep labels -- save pose maps as 8-bit RGB PNG" in reason(brought)
    cast = people[0][1].copy()
    cast[..., 1:] //= 255
    Image.fromarray(cast).save(path)
    assert "U and V reach only 1: they were in 0..1 and were cast to bytes unscaled" in reason(brought)
    path.unlink()
    (brought / "iuv" / "a.pkl").write_bytes(b"\x80\x03]q\0.")
    told = reason(brought)
    assert "DensePose dump" in told and f"`photoshoot pose-maps {brought / 'iuv' / 'a.pkl'} --photos DIR`" in told


def test_a_dump_instead_of_pose_maps_is_named_with_the_command(brought: Path) -> None:
    shutil.rmtree(brought / "iuv")
    (brought / "results.pkl").write_bytes(b"\x80\x03]q\0.")
    with pytest.raises(InputError, match=r"-- `photoshoot pose-maps .*results\.pkl --photos .*brought` makes pose"):
        preprocess(brought, brought.with_name("people"), SMALL.model_copy(update={"pose_maps": "given"}))


def test_sub_folders_and_same_names_in_them(brought: Path, people: list[Picture]) -> None:
    for name, person in (("a", "anna"), ("b", "ben")):
        for kind in ("photos", "iuv"):
            (brought / kind / person).mkdir()
            (brought / kind / f"{name}.png").rename(brought / kind / person / "1.png")
    check_read(brought, people, ("anna/1.png", "ben/1.png"))
    dataset = PeopleDataset.open(brought.with_name("people"))
    assert list(dataset.labels.values()) == ["anna", "ben"] and len(set(dataset.ids)) == 2
    # labels.csv wins, and pose maps may lie flat where stems tell.
    (brought / "photos" / "ben" / "1.png").rename(brought / "photos" / "ben" / "2.png")
    (brought / "iuv" / "anna" / "1.png").rename(brought / "iuv" / "1.png")
    (brought / "iuv" / "ben" / "1.png").rename(brought / "iuv" / "2.png")
    (brought / "labels.csv").write_text("photo,identity\n1,eve\n")
    check_read(brought, people, ("anna/1.png", "ben/2.png"))
    assert list(PeopleDataset.open(brought.with_name("people")).labels.values()) == ["eve"]
    # ... and do not where they do not.
    (brought / "photos" / "ben" / "2.png").rename(brought / "photos" / "ben" / "1.png")
    (brought / "iuv" / "2.png").unlink()
    assert not any(photo.iuv.exists() for photo in list_photos(brought).photos)


def test_names_from_a_mac_find_what_belongs_to_them(brought: Path, people: list[Picture]) -> None:
    composed, decomposed = "b Zoë Ångström", unicodedata.normalize("NFD", "b Zoë Ångström")
    assert composed != decomposed
    (brought / "photos" / "b.png").rename(brought / "photos" / f"{decomposed}.png")
    (brought / "iuv" / "b.png").rename(brought / "iuv" / f"{composed}.png")
    (brought / "labels.csv").write_text(f"photo,identity\n{composed}.png,zoë\n", encoding="utf-8")
    check_read(brought, people, ("a.png", f"{composed}.png"))
    ids = list(PeopleDataset.open(brought.with_name("people")).ids)
    (brought / "photos" / f"{decomposed}.png").rename(brought / "photos" / f"{composed}.png")
    (brought / "iuv" / f"{composed}.png").rename(brought / "iuv" / f"{decomposed}.png")
    check_read(brought, people, ("a.png", f"{composed}.png"))
    assert list(PeopleDataset.open(brought.with_name("people")).ids) == ids


def test_names_that_are_no_unicode_do_not_stop_the_others(brought: Path, people: list[Picture]) -> None:
    for kind in ("photos", "iuv"):
        (brought / kind / "b.png").rename(brought / kind / os.fsdecode(b"b\xff.png"))
    check_read(brought, people, ("a.png", "b\ufffd.png"))


def test_what_is_not_a_photo_is_passed_over(brought: Path, people: list[Picture]) -> None:
    for name in ("._a.jpg", ".DS_Store", "Thumbs.db", "readme.txt"):
        (brought / "photos" / name).write_bytes(b"junk")
    for folder in ("__MACOSX", ".thumbnails", "identities"):
        (brought / "photos" / folder).mkdir()
        shutil.copy(brought / "photos" / "a.png", brought / "photos" / folder / "montage.png")
    (brought / "photos" / "identities" / "members.parquet").touch()
    (brought / "photos" / "round").symlink_to(brought / "photos")
    (brought / "photos").rename(brought / "Photos")
    (brought / "iuv").rename(brought / "IUV")
    check_read(brought, people)


def _jpeg(**kwargs: object) -> Callable[[Image.Image], tuple[str, bytes]]:
    def make(image: Image.Image) -> tuple[str, bytes]:
        buffer = io.BytesIO()
        image.convert(str(kwargs.get("mode", "RGB"))).save(buffer, format=str(kwargs.get("format", "JPEG")), quality=95)
        return str(kwargs.get("name", "a.jpg")), buffer.getvalue()

    return make


@pytest.mark.parametrize("make", [_jpeg(name="a.JPG"), _jpeg(mode="CMYK"), _jpeg(mode="L"),
                                  _jpeg(format="WEBP", name="a.webp"), _jpeg(format="MPO", name="a.jpeg"),
                                  _jpeg(format="TIFF", name="a.tif"), _jpeg(format="BMP", name="a.bmp"),
                                  _jpeg(format="PNG", name="a.jpe")],
                         ids=["upper", "cmyk", "grey", "webp", "mpo", "tiff", "bmp", "png-named-jpe"])
def test_photos_of_every_kind(brought: Path, people: list[Picture], make: Callable[..., tuple[str, bytes]]) -> None:
    name, data = make(Image.open(brought / "photos" / "a.png"))
    (brought / "photos" / "a.png").unlink()
    (brought / "photos" / name).write_bytes(data)
    check_read(brought, people, (name, "b.png"))


_REFUSED = {"08-iuvjpeg": "this is JPEG", "11-iuvhalf": "512 x 512 pixels, its photo is 1024 x 1024",
            "16-heic": "HEIC", "20-iuvpalette": "all 256 colours", "23-empty": "nobody",
            "24-viz": "neither channel order fits"}
_LABELS = {"10-folders": ["anna", "anna", "bea"], "13-labels": ["a", "b"], "14-labelstem": ["a", "b"]}


def test_the_folders_that_were_collected(shared_data: Path, tmp_path: Path) -> None:
    """Real photos, folder by folder: three photos of which none, or one with the reason, is left out."""
    tool = shared_data.parent / "tools" / "photo_cases.py"
    if not tool.is_file():
        pytest.skip("no photo_cases.py beside the data")
    subprocess.run([sys.executable, str(tool), str(tmp_path / "cases")], check=True, capture_output=True)
    cases = sorted((tmp_path / "cases").iterdir())
    assert len(cases) >= 24
    for case in cases:
        out = tmp_path / "people" / case.name
        if case.name.startswith("17"):
            with pytest.raises(InputError, match="share one stem"):
                preprocess(case, out, SMALL)
            continue
        summary = preprocess(case, out, SMALL)
        wanted = _REFUSED.get(case.name)
        assert summary.accepted == (3 if wanted is None else 2), (case.name, summary.rejected)
        assert all(one["photo"].startswith("t2s_spotlight_001.") for one in summary.rejected), case.name
        assert wanted is None or wanted in summary.rejected[0]["reason"], case.name
        people = PeopleDataset.open(out)
        assert list(people.labels.values()) == _LABELS.get(case.name, []), case.name
        shutil.rmtree(out)
