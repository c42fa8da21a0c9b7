from dataclasses import replace
from pathlib import Path

import pytest
from networks import needs_weights

from components.cluster import cluster
from components.cluster.byhand.editing import ByHand
from components.cluster.members import read_members, write_members
from components.core.errors import InputError
from components.core.people.identities import Identities
from components.core.settings import ClusterSettings, PreprocessSettings
from components.preprocess import preprocess


@pytest.fixture(scope="module")
def people(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_weights("sface")
    out = tmp_path_factory.mktemp("real") / "people"
    settings = PreprocessSettings.model_validate({"matte": "silhouette", "resolution": 64})
    preprocess(shared_data / "people", out, settings)
    return out


def test_real_people_are_told_apart_and_a_leak_is_not_let_through(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "identities"
    found = cluster(people, out, ClusterSettings())
    assert found.bcubed is not None and (found.bcubed.precision, found.bcubed.recall) == (1.0, 1.0)
    assert found.embedder == "sface" and found.k == 11 and len(found.set_aside) == 2  # two are seen from behind
    assert found.nearest_across is not None and found.nearest_across.distance > 1.15 * found.nearest_across.threshold

    # One person's frames under two identities, one of which was tested on and the other trained on.
    hand = ByHand(out, tmp_path / "overrides.jsonl")
    one = str(next(member.identity for member in read_members(out) if member.photo == "img_frame000100.jpg"))
    hand.split(one, ["img_frame000100.jpg", "img_frame000101.jpg"])
    moved = {"img_frame000100.jpg": "test", "img_frame000101.jpg": "test"}
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    write_members(earlier, [replace(member, identity=member.photo, split=moved.get(member.photo, "train"))
                            for member in read_members(out) if member.photo.startswith("img_")])
    settings = ClusterSettings(overrides=str(tmp_path / "overrides.jsonl"), previous=str(earlier))
    with pytest.raises(InputError, match=r"img_frame0001\d\d.jpg.*img_frame00010[01].jpg.*identities merge"):
        cluster(people, out, settings)
    cluster(people, out, settings.model_copy(update={"leak_distance": 0.0}))
    rows = Identities.open(out)
    splits = {member.photo: rows.row(member.person_id).split for member in read_members(out)}
    assert splits["img_frame000100.jpg"] == "test" and splits["img_frame000102.jpg"] == "train"
