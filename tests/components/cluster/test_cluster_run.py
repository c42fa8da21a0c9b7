import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import components.cluster.run as module
from components.cluster import cluster
from components.cluster.faces.embed import embed
from components.cluster.faces.subjects import NO_FACE, SMALL_HEAD, PeopleSubjects
from components.core.errors import DataError, InputError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities, Pairs
from components.core.pictures.images import read_photo
from components.core.record.recorder import NoRecord
from components.core.settings import ClusterSettings

pytestmark = pytest.mark.usefixtures("colour_embedder")


def test_from_people_to_identities(make_people: Callable[..., Path], tmp_path: Path) -> None:
    people = make_people([4, 3, 1, 2, 1, 1])
    out = tmp_path / "identities"
    summary = cluster(people, out, ClusterSettings(validation=0.2, test=0.3))
    assert sorted(file.name for file in out.iterdir()) == [
        "identities.parquet", "members.parquet", "montage.png", "scores.json"]

    assert summary.k == 6 and summary.people == 14 and summary.labelled == 12
    assert summary.bcubed is not None and summary.pairwise is not None
    assert (summary.bcubed.precision, summary.bcubed.recall, summary.pairwise.f) == (1.0, 1.0, 1.0)
    assert summary.set_aside == [{"person": "q-behind", "photo": "q-behind.png", "reason": NO_FACE},
                                 {"person": "q-tiny", "photo": "q-tiny.png", "reason": SMALL_HEAD}]
    assert sum(summary.identities_per_split.values()) == 6 and sum(summary.photos_per_split.values()) == 12
    assert sum(summary.one_photo_people.values()) == 3

    identities, dataset = Identities.open(out), PeopleDataset.open(people)
    assert str(identities.of("p0-0")).startswith("person-digest-") and identities.of("q-tiny") is None
    assert identities.of("p1-0") != identities.of("p0-0") == identities.of("p0-3")
    assert 0 < identities.row("p0-0").confidence <= 1
    seen: set[str] = set()
    for split in ("train", "validation", "test"):
        members = identities.members(dataset, split)
        assert len(members) == summary.identities_per_split[split]
        assert not seen & set(members)
        assert any(len(group) > 1 for group in members.values())
        assert all(dataset.labels[dataset.ids[i]] == dataset.labels[dataset.ids[j]] for i, j in Pairs(members.values()))
        seen |= set(members)
    assert identities.scores["bcubed"]["f"] == 1.0
    assert json.loads((out / "scores.json").read_text())["format"] == "photoshoot.scores/1"
    montage = read_photo(out / "montage.png", 80)
    assert montage.shape[0] > 7 * 72 and len(np.unique(montage.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("method", ["kmeans", "average", "hdbscan"])
def test_labels_change_nothing_but_the_scores(make_people: Callable[..., Path], tmp_path: Path, method: Any) -> None:
    settings = ClusterSettings(method=method)
    with_labels = cluster(make_people([3, 2, 2]), tmp_path / "a", settings)
    without = cluster(make_people([3, 2, 2], labelled=False), tmp_path / "b", settings)
    assert without.bcubed is None and without.pairwise is None and without.labelled == 0
    assert dataclasses.replace(with_labels, bcubed=None, pairwise=None, pairwise_f=None, labelled=0) == without
    rows = [list(Identities.open(tmp_path / name).rows.values()) for name in "ab"]
    assert rows[0] == rows[1]


def test_auto_takes_the_embedder_for_the_kind_of_people(
    make_people: Callable[..., Path], tmp_path: Path, colour_embedder: list[str]
) -> None:
    people = make_people([2, 2])
    cluster(people, tmp_path / "a", ClusterSettings())
    header = json.loads((people / "people.json").read_text())
    (people / "people.json").write_text(json.dumps({**header, "origin": "synthetic"}))
    cluster(people, tmp_path / "b", ClusterSettings())
    cluster(people, tmp_path / "c", ClusterSettings(embedder="builtin-judge"))
    assert colour_embedder == ["sface", "builtin-both", "builtin-judge"]


def test_too_few_people_leave_nothing_behind(make_people: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "identities"
    with pytest.raises(InputError, match=r"1 person.*too few to split"):
        cluster(make_people([3]), out, ClusterSettings())
    with pytest.raises(InputError, match="none of 2 people has a face"):
        cluster(make_people([]), out, ClusterSettings())
    with pytest.raises(DataError, match="no people data set"):
        cluster(tmp_path / "nothing", out, ClusterSettings())
    assert not out.exists() and not list(tmp_path.glob("identities*"))


def test_what_is_recorded(make_people: Callable[..., Path], tmp_path: Path) -> None:
    class Record(NoRecord):
        def __init__(self) -> None:
            self.figures: dict[str, float] = {}
            self.images: list[str] = []

        def metrics(self, values: Any, step: int | None = None) -> None:
            self.figures.update(values)

        def image(self, key: str, image: np.ndarray, step: int | None = None) -> None:
            assert image.dtype == np.uint8 and image.ndim == 3
            self.images.append(key)

    record = Record()
    cluster(make_people([3, 2, 1]), tmp_path / "out", ClusterSettings(), record)
    assert record.figures["identities"] == 3 and record.figures["bcubed_f"] == 1.0 and record.figures["set_aside"] == 2
    assert record.images == ["identities"]


def test_embedding_keeps_the_order_and_the_batch_apart(
    make_people: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = PeopleSubjects(PeopleDataset.open(make_people([2, 2, 3])))
    one = module.load_embedder("colours", "cpu")
    whole = embed(people, one)
    monkeypatch.setattr("components.cluster.faces.embed._BATCH", 3)
    parts = embed(people, one)
    assert whole.indices.tolist() == parts.indices.tolist() == list(range(7))
    np.testing.assert_allclose(whole.embeddings, parts.embeddings, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(whole.embeddings, axis=1), 1, atol=1e-5)
    assert whole.left_out == {7: NO_FACE, 8: SMALL_HEAD}
    assert (whole.heads > 20).all()
