"""Pose maps of plain photos as files: where they go, what is kept, what is left out and why."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import needs_weights
from PIL import Image

from components.core.errors import InputError
from components.core.pictures.iuv import read_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.core.stores.published import GROUPS
from components.preprocess import posemap
from components.preprocess.posemap import Wanted, write_pose_maps
from components.synthesize import synthesize
from pipelines.cli.app import main

SETTINGS = PreprocessSettings()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two people who do not exist, with the exact maps, which are then put aside."""
    needs_weights(*GROUPS["landmarks"])
    pytest.importorskip("ai_edge_litert")
    out = tmp_path_factory.mktemp("plain") / "folder"
    synthesize(out, SynthesizeSettings(people=2, photos_per_person=1, height=320, back_views=0, seed=4), workers=1)
    (out / "iuv").rename(out.parent / "exact")
    return out


def test_maps_and_mattes_are_written_kept_and_what_has_none_is_told(plain: Path, tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(plain / "photos", folder / "anna")
    Image.new("RGB", (80, 60), (90, 120, 60)).save(folder / "meadow.png")
    (folder / "torn.jpg").write_bytes(next((folder / "anna").iterdir()).read_bytes()[:500])
    out = tmp_path / "maps"
    done = write_pose_maps([folder], out, SETTINGS, Wanted("VUI", mattes=True))
    assert (done.photos, done.written, done.kept) == (4, 2, 0)
    reasons = {one["photo"]: one["reason"] for one in done.rejected}
    assert list(reasons) == ["meadow.png", "torn.jpg"]
    assert reasons["meadow.png"] == "nobody is found in it"
    assert ("cut short" in reasons["torn.jpg"] or "corrupt" in reasons["torn.jpg"])
    stems = sorted(path.stem for path in (folder / "anna").iterdir())
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert files == sorted(f"anna/{stem}{end}.png" for stem in stems for end in ("", "-matte"))
    for stem in stems:
        exact, read = read_iuv(plain.parent / "exact" / f"{stem}.png"), read_iuv(out / "anna" / f"{stem}.png")
        ours, truth = read.planes[..., 0] > 0, exact.planes[..., 0] > 0
        assert read.order == "VUI" and (ours & truth).sum() / (ours | truth).sum() > 0.75
        matte, true = (np.asarray(Image.open(path)) > 127 for path in
                       (out / "anna" / f"{stem}-matte.png", plain / "truth" / "matte" / f"{stem}.png"))
        assert (matte & true).sum() / (matte | true).sum() > 0.9

    # Again: nothing is made that is there, neither are networks loaded for what has none.
    first = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (folder / "meadow.png").unlink()
    (folder / "torn.jpg").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(posemap, "prepare", lambda: pytest.fail("there is nothing to do"))
        again = write_pose_maps([folder], out, SETTINGS, Wanted("VUI", mattes=True))
    assert (again.written, again.kept) == (0, 2)
    (out / "anna" / f"{stems[0]}-matte.png").unlink()
    some = write_pose_maps([folder], out, SETTINGS, Wanted("VUI", mattes=True))
    assert (some.written, some.kept) == (1, 1)
    assert first.keys() == {path: 0 for path in out.rglob("*.png")}.keys()


def test_the_command_takes_single_photos_and_ends_with_2_where_one_has_no_map(
        plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    photo = sorted((plain / "photos").iterdir())[0]
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "meadow.png")
    for arguments, code in (([], 0), ([str(tmp_path / "meadow.png")], 2)):
        monkeypatch.setattr(sys, "argv", ["photoshoot", "posemap", str(photo), *arguments, "--out",
                                          str(tmp_path / f"out{code}"), "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (ended.value.code or 0) == code and told["written"] == 1 and len(told["rejected"]) == code // 2
        assert read_iuv(tmp_path / f"out{code}" / f"{photo.stem}.png").order == "IUV"


def test_several_people_each_get_a_map_whose_name_no_other_photo_has(plain: Path, tmp_path: Path) -> None:
    both = [np.asarray(Image.open(path)) for path in sorted((plain / "photos").iterdir())]
    Image.fromarray(np.hstack(both)).save(tmp_path / "pair.png")
    Image.fromarray(both[0]).save(tmp_path / "pair-2.png")
    done = write_pose_maps([tmp_path], tmp_path / "all", SETTINGS.model_copy(update={"person": "all"}), Wanted())
    assert sorted(one["person"] for one in done.notes) == ["pair", "pair-2", "pair-3"]
    maps = [read_iuv(tmp_path / "all" / f"{name}.png").planes[..., 0] > 0 for name in ("pair", "pair-3")]
    assert not (maps[0] & maps[1]).any() and maps[0].shape == (320, 480)
    one = write_pose_maps([tmp_path / "pair.png"], tmp_path / "one", SETTINGS, Wanted())
    assert [note["note"] for note in one.notes if "more in the photo" in note["note"]]


def test_a_pose_map_takes_no_photo_s_place(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (80, 60)).save(tmp_path / folder / "p.png")
    with pytest.raises(InputError, match=r"would lie beside it under its name -- write to .*a/iuv"):
        write_pose_maps([tmp_path / "a"], tmp_path / "a", SETTINGS, Wanted())
    with pytest.raises(InputError, match=r"a/p\.png and .*b/p\.png would both be"):
        write_pose_maps([tmp_path / "a" / "p.png", tmp_path / "b"], tmp_path / "out", SETTINGS, Wanted())
    with pytest.raises(InputError, match=r"gone\.png: no such file or folder"):
        write_pose_maps([tmp_path / "gone.png"], tmp_path / "out", SETTINGS, Wanted())
