import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset
from components.core.pictures.texture import sample
from components.core.settings import PreprocessSettings
from components.preprocess import preprocess, run

SMALL = PreprocessSettings(resolution=64, texel=16, shard_size=2)
GIVEN = SMALL.model_copy(update={"pose_maps": "given"})
Bring = Callable[..., Path]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_from_photos_to_people(bring: Bring, tmp_path: Path) -> None:
    folder = bring(5)
    (folder / "labels.csv").write_text("photo,identity,remark\np0.png,ann,x\np1.png,bob,y\n")
    summary = preprocess(folder, tmp_path / "people", SMALL)
    people = PeopleDataset.open(tmp_path / "people")
    assert (summary.accepted, summary.rejected, summary.origin, summary.faces_seen) == (5, [], "photos", 5)
    assert summary.views == {"front": 5} and summary.digest == people.digest
    assert people.labels == {"p0": "ann", "p1": "bob"}
    assert [record.channel_order for record in people.records] == ["VUI", "IUV", "VUI", "IUV", "VUI"]
    assert len(list((tmp_path / "people").glob("shard-*.tar"))) == 3
    for number, person in enumerate(people):
        record = person.record
        assert person.photo.shape == (64, 64, 3) and person.texture.shape == (24, 16, 16, 3)
        assert record.box == (-18, -2, 145, 161)  # 140 rows of body, 0.08 more on each side, centred on the body
        assert record.scale == pytest.approx(64 / 163)
        assert record.coverage == pytest.approx(person.seen.mean())
        assert record.head_box is not None and 2 < record.head_box[1] < 8 and record.face_seen
        torso = person.texture[1][person.seen[1]]
        assert np.abs(torso.astype(int) - (194, 128 + number, 44)).max() <= 3
        # The figure has no hair nor skirt: the matte is the silhouette, soft at its edge.
        body = person.iuv[..., 0] > 0
        overlap = np.minimum(person.matte, body * 255).sum() / np.maximum(person.matte, body * 255).sum()
        assert overlap > 0.85
        image, valid = sample(person.texture, person.iuv, person.seen)
        assert np.abs(image[valid].astype(int) - person.photo[valid]).mean() < 6


def test_photos_in_a_folder_of_that_name(bring: Bring, tmp_path: Path) -> None:
    folder = bring(2)
    (folder / "photos").mkdir()
    for path in folder.glob("*.png"):
        path.rename(folder / "photos" / path.name)
    (folder / "synthetic.json").write_text("{}")
    assert preprocess(folder, tmp_path / "people", SMALL).origin == "synthetic"


def test_bad_photos_are_listed_and_skipped(bring: Bring, tmp_path: Path) -> None:
    folder = bring(8)
    (folder / "p0.png").write_bytes((folder / "p0.png").read_bytes()[:200])
    (folder / "iuv" / "p1.png").unlink()
    Image.new("RGB", (30, 30), (2, 100, 100)).save(folder / "iuv" / "p2.png")
    shutil.copy(folder / "p3.png", folder / "iuv" / "p3.png")
    Image.new("RGB", (128, 160)).save(folder / "iuv" / "p4.png")
    tiny = np.zeros((160, 128, 3), np.uint8)
    tiny[10:30, 10:40] = (2, 50, 50)
    Image.fromarray(tiny).save(folder / "iuv" / "p5.png")
    (folder / "p6.heic").write_bytes(b"whatever a telephone writes")
    (folder / "p6.png").unlink()
    (folder / "notes.txt").write_text("not a photo, not mentioned")
    summary = preprocess(folder, tmp_path / "people", GIVEN)
    reasons = {one["photo"]: one["reason"] for one in summary.rejected}
    assert summary.accepted == 1
    assert list(reasons) == ["p0.png", "p1.png", "p2.png", "p3.png", "p4.png", "p5.png", "p6.heic"]
    assert "cut short" in reasons["p0.png"] or "corrupt" in reasons["p0.png"]
    assert reasons["p1.png"] == "no pose map -- add iuv/p1.png, or let preprocess.pose_maps=auto make it"
    assert "30 x 30 pixels, its photo is 128 x 160" in reasons["p2.png"]
    assert "neither channel order fits" in reasons["p3.png"]
    assert "nobody" in reasons["p4.png"]
    assert "only 20 pixels" in reasons["p5.png"]
    assert "known format" in reasons["p6.heic"]
    assert PeopleDataset.open(tmp_path / "people").rejected == list(reasons.items())


@pytest.mark.parametrize(("harm", "message"), [
    ("missing", "no such folder"),
    ("empty", "no photos in this folder"),
    ("label", r"labels\.csv: line 3 names the photo gone\.png, which is not there -- "),
    ("twice", r"p0\.jpg and p0\.png share one stem"),
    ("columns", "no columns photo and identity"),
    ("contradiction", "p0.png has two identities, a and b"),
    ("hopeless", "none of the 2 photos has a pose map -- bring pose maps.*; or preprocess.pose_maps=auto makes them"),
])
def test_bad_folders_are_one_line_and_leave_nothing(bring: Bring, tmp_path: Path, harm: str, message: str) -> None:
    folder = bring(2)
    if harm == "missing":
        shutil.rmtree(folder)
    elif harm == "empty":
        for path in folder.glob("*.png"):
            path.unlink()
    elif harm == "label":
        (folder / "labels.csv").write_text("photo,identity\np0.png,a\ngone.png,b\n")
    elif harm == "twice":
        Image.open(folder / "p0.png").save(folder / "p0.jpg")
    elif harm == "columns":
        (folder / "labels.csv").write_text("file,who\np0.png,a\n")
    elif harm == "contradiction":
        (folder / "labels.csv").write_text("photo,identity\np0.png,a\np0.png,b\n")
    else:
        shutil.rmtree(folder / "iuv")
    out = tmp_path / "out" / "people"
    with pytest.raises(InputError, match=message) as caught:
        preprocess(folder, out, GIVEN)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_a_users_own_matte_is_taken(bring: Bring, tmp_path: Path) -> None:
    folder = bring(2)
    (folder / "matte").mkdir()
    Image.new("L", (128, 160), 200).save(folder / "matte" / "p0.png")
    Image.new("L", (20, 20), 200).save(folder / "matte" / "p1.png")
    summary = preprocess(folder, tmp_path / "people", SMALL)
    assert [one["photo"] for one in summary.rejected] == ["p1.png"]
    assert "matte is 20 x 20" in summary.rejected[0]["reason"]
    person = PeopleDataset.open(tmp_path / "people")[0]
    # Full inside the photo, nothing where the crop leaves it.
    assert set(np.unique(person.matte)) == {0, 200}
    assert (person.matte[:, 32] == 200).sum() > 60 and not person.matte[:, 0].any()


def test_the_silhouette_when_asked_for(bring: Bring, tmp_path: Path) -> None:
    preprocess(bring(1), tmp_path / "people", SMALL.model_copy(update={"matte": "silhouette"}))
    person = PeopleDataset.open(tmp_path / "people")[0]
    assert np.array_equal(person.matte > 0, person.iuv[..., 0] > 0)


def test_the_outcome_does_not_depend_on_the_number_of_workers(
        bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bring(5)
    (folder / "iuv" / "p3.png").unlink()
    preprocess(folder, tmp_path / "one", SMALL)
    monkeypatch.setattr(run, "_FEW_PHOTOS", 0)
    monkeypatch.setattr(run, "cores", lambda: 2)
    preprocess(folder, tmp_path / "two", SMALL)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_interrupted_work_goes_on_where_it_stopped(bring: Bring, tmp_path: Path, cutting: Any) -> None:
    folder = bring(5)
    preprocess(folder, tmp_path / "whole", SMALL)
    cutting.go_on()
    cutting.stop = lambda photo: len(cutting.photos) == 3
    with pytest.raises(KeyboardInterrupt):
        preprocess(folder, tmp_path / "people", SMALL)
    assert not (tmp_path / "people").exists()
    cutting.go_on()
    preprocess(folder, tmp_path / "people", SMALL)
    assert len(cutting.photos) == 3  # the first shard of two was whole
    assert tree(tmp_path / "people") == tree(tmp_path / "whole")
    assert not (tmp_path / "people.partial").exists()


def test_a_changed_photo_or_setting_starts_anew(bring: Bring, tmp_path: Path, cutting: Any) -> None:
    folder = bring(3)
    cutting.stop = lambda photo: "p2" in photo
    with pytest.raises(KeyboardInterrupt):
        preprocess(folder, tmp_path / "people", SMALL)
    cutting.go_on()
    other = SMALL.model_copy(update={"texel": 8})
    preprocess(folder, tmp_path / "people", other)
    preprocess(folder, tmp_path / "expected", other)
    assert tree(tmp_path / "people") == tree(tmp_path / "expected")


def test_a_killed_process_leaves_nothing_that_looks_whole(bring: Bring, tmp_path: Path) -> None:
    folder = bring(12)
    code = ("import sys; from pathlib import Path; from components.preprocess import preprocess, run\n"
            "from components.core.settings import PreprocessSettings\n"
            "s = PreprocessSettings(resolution=64, texel=16, shard_size=2)\n"
            "preprocess(Path(sys.argv[1]), Path(sys.argv[2]), s)\n")
    out = tmp_path / "people"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(out)], start_new_session=True,
                               cwd=Path(run.__file__).parents[2], env={**os.environ, "PYTHONPATH": "."})
    partial = tmp_path / "people.partial"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not (partial / "rows-00001.parquet").exists():
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() or len(PeopleDataset.open(out)) == 12
    preprocess(folder, out, SMALL)
    preprocess(folder, tmp_path / "whole", SMALL)
    assert tree(out) == tree(tmp_path / "whole")


def test_doing_it_again_replaces_the_data_set(bring: Bring, tmp_path: Path) -> None:
    folder = bring(3)
    preprocess(folder, tmp_path / "people", SMALL)
    (folder / "p2.png").unlink()
    assert preprocess(folder, tmp_path / "people", SMALL).accepted == 2
    assert len(PeopleDataset.open(tmp_path / "people")) == 2


def test_real_photos(shared_data: Path, tmp_path: Path) -> None:
    summary = preprocess(shared_data / "people", tmp_path / "people", SMALL.model_copy(update={"shard_size": 64}))
    assert summary.accepted == 20 and summary.rejected == []
    assert summary.views.get("back") == 2 and summary.faces_seen == 18
