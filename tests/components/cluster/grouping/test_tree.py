import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from components.cluster.grouping.assign import assign
from components.cluster.grouping.tree import FREE, Links, Rule, centres, distances_between, tree_of


def points(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)


@given(st.integers(1, 50), st.integers(1, 50))
def test_more_photos_may_be_further_apart_but_never_as_far_as_strangers(a: int, b: int) -> None:
    rule = Rule(near=0.4, far=0.6, share=0.5)
    limit = float(rule.limit(np.asarray(float(a)), np.asarray(float(b))))
    assert limit + 1e-9 >= 0.4 and limit < 0.6
    assert float(rule.limit(np.asarray(a + 1.0), np.asarray(float(b)))) > limit
    assert float(rule.limit(np.asarray(1.0), np.asarray(1.0))) == pytest.approx(0.4)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 20), st.integers(0, 1000))
def test_the_cut_is_scipys_where_size_does_not_matter(n: int, seed: int) -> None:
    distances = distances_between(points(n, seed), points(n, seed))
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0)
    limit = float(np.median(distances))
    ours = tree_of(distances).cut(Rule(near=limit, far=limit + 1, share=1.0))
    theirs = fcluster(linkage(squareform(distances, checks=False), "average"), limit, "distance")
    assert len(set(zip(ours.tolist(), theirs.tolist(), strict=True))) == len(set(ours.tolist())) == theirs.max()


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 16), st.integers(0, 1000))
def test_a_constraint_that_does_not_bind_changes_nothing(n: int, seed: int) -> None:
    own = points(n, seed)
    distances = distances_between(own, own)
    free = tree_of(distances)
    # The last merge joins two groups; a pair across it is forbidden: all merges before it stay.
    halves = free.cut_to(2)
    a, b = int(np.flatnonzero(halves == 0)[0]), int(np.flatnonzero(halves == 1)[0])
    bound = tree_of(distances, apart=[(a, b)])
    np.testing.assert_allclose(np.sort(bound.merges[:-1, 2]), free.merges[:-1, 2], rtol=1e-4)
    assert np.isinf(bound.merges[-1, 2])


@settings(deadline=None, max_examples=40)
@given(st.integers(6, 24), st.integers(0, 1000), st.sampled_from(["kmeans", "average", "hdbscan"]))
def test_what_was_decided_holds_whatever_the_distances(n: int, seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    atom = rng.integers(FREE, 4, n)
    atom[:4] = np.arange(4)
    links = Links(atom, [(0, 1), (2, 3)])
    found = assign(points(n, seed), method, None, Rule(1.5, 3.0), 0, links)  # type: ignore[arg-type]
    assert not links.broken_by(found.labels)
    assert (found.labels[links.pinned] >= 0).all()


def test_decisions_hold_in_cells_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.cluster.grouping import assign as module

    monkeypatch.setattr(module, "EXACT", 40)
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(30, 16))
    truth = np.repeat(np.arange(30), 8)
    own = (middles[truth] + 0.05 * rng.normal(size=(240, 16))).astype(np.float32)
    atom = np.full(240, FREE)
    atom[:4], atom[4:8] = 0, 1  # one person's photos, said to be two people
    atom[8], atom[16] = 2, 2  # two people, said to be one
    links = Links(atom, [(0, 1)])
    found = assign(own, "kmeans", None, Rule(1.0, 5.0), 0, links)
    assert not links.broken_by(found.labels)
    assert found.labels[8] == found.labels[16] and found.labels[0] != found.labels[4]


def test_centres_are_means() -> None:
    own, labels = points(9, 0), np.asarray([0, 1, 2] * 3)
    np.testing.assert_allclose(centres(own, labels)[1], own[1::3].mean(0), rtol=1e-5)
