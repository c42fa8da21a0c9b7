"""Folders as identities: taken at their word, checked by the faces, and never the same face across the split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.cluster import cluster, cluster_portraits
from components.cluster.byhand.editing import ByHand
from components.cluster.folders import NO_FOLDER, FolderCheck, check_folders
from components.cluster.grouping.tree import Rule
from components.core.errors import InputError, SettingsError
from components.core.people.identities import Identities
from components.core.pictures.images import read_photo, write_png
from components.core.settings import ClusterSettings

pytestmark = pytest.mark.usefixtures("colour_embedder")
SETTINGS = ClusterSettings(method="folders", leak_distance=0.0)
MakePeople = Callable[..., Path]
NAMES = {"0": "anna/", "1": "ben/", "2": "cleo/", "3": "dan/"}


def by_person(name: str) -> str:
    """The folder of whom the photo shows: p0-3 is anna's."""
    return NAMES[name[1]]


def test_folders_that_are_right_become_the_identities(make_people: MakePeople, tmp_path: Path) -> None:
    summary = cluster(make_people([4, 3, 2, 1], folder_of=by_person), tmp_path / "out", SETTINGS)
    identities = Identities.open(tmp_path / "out")
    assert {name: identities.of(name) for name in ("p0-0", "p0-3", "p1-2", "p2-0", "p3-0")} == {
        "p0-0": "anna", "p0-3": "anna", "p1-2": "ben", "p2-0": "cleo", "p3-0": "dan"}
    assert (summary.k, summary.method, summary.folders) == (4, "folders", FolderCheck())
    assert summary.bcubed is not None and summary.bcubed.f == 1.0  # against labels.csv, which is another source
    assert sum(summary.identities_per_split.values()) == 4 and not (tmp_path / "out" / "folders.png").exists()
    assert {one["person"] for one in summary.set_aside} == {"q-behind", "q-tiny"}


def test_folders_that_are_wrong_are_reported_with_pictures_and_nobody_is_moved(
    make_people: MakePeople, tmp_path: Path
) -> None:
    def folder_of(name: str) -> str:  # ben's third photo is in anna's folder; cleo has two folders; dan's lies loose
        return {"p1-2": "anna/", "p2-0": "other/", "p2-1": "other/", "p3-0": ""}.get(name, by_person(name))

    out = tmp_path / "out"
    people = make_people([4, 4, 4, 1], folder_of=folder_of, labelled=False)
    summary = cluster(people, out, SETTINGS)
    found = summary.folders
    assert found is not None and (found.alike_count, found.mixed_count) == (1, 1)
    assert found.alike[0].folders == ("cleo", "other") and found.alike[0].distance <= found.alike[0].limit
    assert {photo.partition("/")[0] for photo in found.alike[0].photos} == {"cleo", "other"}
    assert found.mixed[0].folder == "anna" and found.mixed[0].photos == ["anna/p1-2.png"]
    assert (found.mixed[0].like, found.mixed[0].of) == ("ben", 5)
    assert found.lines()[1] == "1 of 5 photos in anna seem to show ben: anna/p1-2.png"
    assert Identities.open(out).of("p1-2") == "anna" and summary.bcubed is None
    assert {one["person"]: one["reason"] for one in summary.set_aside}["p3-0"] == NO_FOLDER
    assert json.loads((out / "scores.json").read_text())["folders"]["mixed"][0]["like"] == "ben"
    picture = read_photo(out / "folders.png")
    for colour in ((230, 30, 30), (30, 230, 30), (30, 30, 230)):  # faces of all three
        assert (np.abs(picture.astype(int) - colour).max(axis=-1) <= 20).sum() > 1000


def test_the_same_face_on_both_sides_of_the_split_still_stops(make_people: MakePeople, tmp_path: Path) -> None:
    people = make_people([4, 1], labelled=False, folder_of=lambda name: {
        "p0-0": "anna/", "p0-1": "anna/", "p1-0": "dan/"}.get(name, "ben/"))
    strict = SETTINGS.model_copy(update={"leak_distance": 0.2, "overrides": str(tmp_path / "overrides.jsonl")})
    with pytest.raises(InputError, match=r"trained on and held out.*identities merge (anna ben|ben anna)"):
        cluster(people, tmp_path / "out", strict)
    assert (tmp_path / "out" / "folders.png").exists()
    # ... until somebody says that it is one person.
    ByHand(tmp_path / "out", tmp_path / "overrides.jsonl").merge(["anna", "ben"])
    summary = cluster(people, tmp_path / "out", strict)
    assert summary.k == 2 and summary.folders == FolderCheck()
    found = ByHand(tmp_path / "out", tmp_path / "overrides.jsonl").identities()
    assert {one.name: len(one.photos) for one in found} == {"anna": 4, "dan": 1}


def test_what_is_decided_by_hand_comes_before_folders(make_people: MakePeople, tmp_path: Path) -> None:
    people, overrides = make_people([3, 2], folder_of=by_person, labelled=False), tmp_path / "overrides.jsonl"
    cluster(people, tmp_path / "out", SETTINGS)
    ByHand(tmp_path / "out", overrides).split("anna", ["anna/p0-1.png"])
    ByHand(tmp_path / "out", overrides).confirm("ben", "benjamin")
    summary = cluster(people, tmp_path / "out", SETTINGS.model_copy(update={"overrides": str(overrides)}))
    found = {one.name: one.photos for one in ByHand(tmp_path / "out", overrides).identities()}
    assert summary.k == 3 and set(found["benjamin"]) == {"ben/p1-0.png", "ben/p1-1.png"}
    assert set(found["anna"]) == {"anna/p0-0.png", "anna/p0-2.png"} and ["anna/p0-1.png"] in found.values()


def test_without_the_method_folders_only_score(make_people: MakePeople, tmp_path: Path) -> None:
    rows = []
    for number, folder_of in enumerate((by_person, lambda name: "")):
        people = make_people([3, 2, 2], folder_of=folder_of, labelled=False)
        cluster(people, tmp_path / f"{number}", ClusterSettings())
        rows.append(list(Identities.open(tmp_path / f"{number}").rows.values()))
        people.rename(tmp_path / f"people{number}")
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("folder_of", "settings", "message"), [
    (lambda name: "", {}, "not in two or more sub-folders"), (lambda name: "all/", {}, "two or more sub-folders"),
    (by_person, {"identities": 2}, "no meaning for folders")])
def test_folders_that_cannot_be_taken(make_people: MakePeople, tmp_path: Path, folder_of: Callable[[str], str],
                                      settings: dict[str, int], message: str) -> None:
    with pytest.raises((InputError, SettingsError), match=message):
        cluster(make_people([2, 2], folder_of=folder_of), tmp_path / "out", SETTINGS.model_copy(update=settings))
    assert not (tmp_path / "out").exists()


def test_portraits_in_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr("components.cluster.faces.subjects.check_detector", lambda: None)
    monkeypatch.setattr("components.cluster.faces.subjects.portrait",
                        lambda photo, whom: SimpleNamespace(chip=np.asarray(photo), head=100.0))
    colours = {"anna": (230, 30, 30), "ben": (30, 230, 30), "iuv": (9, 9, 9)}
    for person, colour in colours.items():
        for number in range(3):
            write_png(tmp_path / "in" / "photos" / person / f"{number}.png",
                      np.full((150, 150, 3), np.asarray(colour) + 4 * number, np.uint8))
    found = cluster_portraits(tmp_path / "in", None, SETTINGS)
    assert found.identities == {name: [f"{name}/{number}.png" for number in range(3)] for name in ("anna", "ben")}
    scored = cluster_portraits(tmp_path / "in", None, ClusterSettings(leak_distance=0.0)).summary
    assert scored.labelled == 6 and scored.bcubed is not None and scored.bcubed.f == 1.0
    (tmp_path / "in" / "labels.csv").write_text("photo;identity\nanna/0;eve\n")
    assert cluster_portraits(tmp_path / "in", None, ClusterSettings(leak_distance=0.0)).summary.labelled == 1
    assert set(cluster_portraits(tmp_path / "in", None, SETTINGS).identities) == {"anna", "ben"}


@pytest.mark.parametrize("seed", range(4))
def test_a_check_finds_what_is_wrong_and_nothing_else(seed: int) -> None:
    """60 people of 1 to 8 photos at the distances of real faces: some folders halved, some faces moved."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(60, 128)) / np.sqrt(128)
    truth = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    points = centre[truth] + rng.normal(size=(len(truth), 128)) * 0.35 / np.sqrt(128)
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    labels, rule = truth.copy(), Rule(0.75, 1.3)
    names, photos = [f"n{number}" for number in range(61)], [str(number) for number in range(len(truth))]
    assert check_folders(points, labels, names[:60], photos, rule) == FolderCheck()
    halved = int(np.flatnonzero(np.bincount(truth) >= 4)[0])
    labels[np.flatnonzero(truth == halved)[:2]] = 60
    moved = int(np.flatnonzero((truth != halved) & (np.bincount(truth)[truth] >= 3))[-1])
    goal = int(np.flatnonzero(np.bincount(truth) >= 3)[1])
    labels[moved] = goal
    found = check_folders(points, labels, names, photos, rule)
    assert [one.folders for one in found.alike] == [(names[halved], "n60")]
    assert [(one.folder, one.photos, one.like) for one in found.mixed] == [(names[goal], [str(moved)],
                                                                            names[truth[moved]])]
