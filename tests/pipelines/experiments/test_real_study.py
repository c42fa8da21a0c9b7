"""The study of real people, on two who do not exist: seen as plain photos are, painted by an untrained model."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from networks import needs_weights
from typer.testing import CliRunner

import photoshoot.model as model_of
from components.core.artifacts.model import GENERATOR
from components.core.errors import InputError
from components.core.faces.levelling import levelled
from components.core.faces.yunet import faces_in
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.pictures.images import read_photo
from components.core.settings import PreprocessSettings, SynthesizeSettings, TrainSettings
from components.core.shooting.personal.store import Store
from components.core.shooting.personal.tuning import PersonalSettings, fitted_to
from components.core.stores.published import GROUPS
from components.synthesize import synthesize
from pipelines.cli.app import app
from pipelines.experiments.real import study
from pipelines.experiments.real.measures.judges import Judges
from pipelines.experiments.real.pictures import people as gathering
from pipelines.experiments.real.pictures.poses import pose_list, tasks

SIZE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people's two photos, without their exact maps and mattes; and an untrained model beside them."""
    needs_weights(*GROUPS["landmarks"], "yunet", "sface")
    pytest.importorskip("ai_edge_litert")
    root = tmp_path_factory.mktemp("real")
    synthesize(root / "folder", SynthesizeSettings(people=2, photos_per_person=2, height=384, back_views=0), workers=1)
    shutil.rmtree(root / "folder" / "iuv")
    Reposer(Generator(TrainSettings(width=8), SIZE, 16), TrainSettings(width=8), SIZE, 16, "synthetic").save(
        root / GENERATOR)
    return root / "folder"


@pytest.fixture(scope="module")
def seen(folder: Path) -> gathering.Gathered:
    """The people as the study sees them."""
    return gathering.gather(folder, PreprocessSettings(min_person=8), Judges(), folder.parent / "out" / "photos")


def ask(folder: Path, *more: str) -> dict[str, object]:
    """The command with --json."""
    out = folder.parent / "out"
    found = CliRunner().invoke(app, ["experiment", "real", "--photos", str(folder), "--out", str(out), "--size",
                                     str(SIZE), "--model", str(folder.parent / GENERATOR), "--json", *more])
    assert found.exit_code == 0, found.output
    content: dict[str, object] = json.loads(found.stdout.strip().splitlines()[-1])
    return content


def test_labels_say_who_is_who_and_without_them_the_faces_do(folder: Path, seen: gathering.Gathered) -> None:
    assert [len(subject.photos) for subject in seen.subjects] == [2, 2]
    by_face = gathering._by_face(seen.photos)
    assert set(by_face) == {photo.name for photo in seen.photos}
    assert by_face == gathering._by_face(seen.photos[::-1])


def test_everybody_gets_others_poses_their_own_and_the_one_they_are_in(seen: gathering.Gathered) -> None:
    poses = pose_list(seen, 6)
    assert sorted(name for name, _ in poses) == [subject.name for subject in seen.subjects]
    for subject in seen.subjects:
        asked = tasks(subject, poses, 6)
        assert [one.kind for one in asked] == ["others", "portrait", "own", "own", "same"]
        assert asked[0].target not in subject.photos
        assert all(one.target not in one.sources and one.sources for one in asked if one.kind == "own")
        whole, portrait = (asked[at].target.iuv[..., 0] > 0 for at in (0, 1))
        assert not (portrait & ~whole).any()
        assert 0 < portrait.sum() < 0.6 * whole.sum()
        assert asked[-1].sources == [asked[-1].target]


def test_the_table_is_written_and_what_is_finished_is_not_painted_again(folder: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder.parent / "out"
    quick = PersonalSettings(steps=2, every=1, rate=2e-3, least_gain=0.0, face=False)
    monkeypatch.setattr(model_of, "fitted_to", partial(fitted_to, settings=quick, store=Store(out / "personal")))
    first = ask(folder, "--several", "1", "--several", "2")
    rows = first["rows"]
    assert isinstance(rows, dict)
    assert set(rows) == {"others", "portrait", "own", "same"}
    assert set(rows["own"]) == {"real photo 64 px", "texture warp 64 px", "model 64 px"}
    assert rows["others"]["model 64 px, 2 photos"]["pictures"] == 2
    assert rows["others"]["personalised model 64 px, 2 photos"]["pictures"] == 2
    assert len(list((out / "personal").iterdir())) == 2  # once for each person
    assert set(first["fitted"]) == {"others", "portrait"}  # two photos leave none to compare with
    truth, warp = rows["same"]["real photo 64 px"], rows["same"]["texture warp 64 px"]
    assert truth["specks"]["value"] < 0.01
    assert 10 < warp["head_psnr"]["value"] < 50
    assert warp["seconds"]["value"] > 0

    figures, page = (out / "real.md").read_text(), (out / "real.html").read_text()
    assert figures.splitlines()[2].startswith("**In ")
    names = [path.stem for path in (folder / "photos").rglob("*.jpg")]
    assert names
    assert not any(name in figures for name in names)
    files = [part.split('"')[0] for part in page.split('<img loading="lazy" src="')[1:]]
    assert len(files) > 20
    assert all((out / file).is_file() for file in files)

    painted: list[str] = []
    paint = study.paint
    monkeypatch.setattr(study, "paint", lambda row, *rest: painted.append(row.name) or paint(row, *rest))
    torn = sorted(out.glob("rows/*/model-64-px/*.json"))[0]
    torn.write_text(torn.read_text()[:100])
    again = ask(folder, "--several", "1", "--several", "2")["rows"]
    assert painted == ["model 64 px"]
    assert isinstance(again, dict)
    assert again["others"]["model 64 px"]["sface"] == rows["others"]["model 64 px"]["sface"]


def test_one_person_is_not_enough(folder: Path, tmp_path: Path) -> None:
    photo = sorted((folder / "photos").rglob("*.jpg"))[0]
    (tmp_path / "one").mkdir()
    shutil.copy(photo, tmp_path / "one")
    with pytest.raises(InputError, match="poses come from others"):
        gathering.gather(tmp_path / "one", PreprocessSettings(min_person=8), Judges(), tmp_path / "work")


def test_the_points_of_a_tilted_face_are_found_where_they_are(shared_data: Path) -> None:
    needs_weights(*GROUPS["landmarks"], "yunet", "sface")
    photo = read_photo(shared_data / "people_plain" / "plain_07.jpg", 80)
    upright = max(faces_in(photo, turned=False), key=lambda one: one.score)
    tilt = cv2.getRotationMatrix2D(upright.middle, 35, 1.0)
    tilted = np.asarray(cv2.warpAffine(photo, tilt, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)
    wanted = upright.points @ tilt[:, :2].T + tilt[:, 2]
    found = max(faces_in(tilted, turned=False), key=lambda one: one.score)
    eyes = float(np.linalg.norm(wanted[0] - wanted[1]))
    before, after = (np.linalg.norm(one.points - wanted, axis=1).mean() / eyes
                     for one in (found, levelled(tilted, found)))
    assert after < 0.2
    assert before > 2 * after
    assert levelled(photo, upright) is upright
