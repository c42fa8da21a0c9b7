import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.cluster.grouping import assign as module
from components.cluster.grouping.assign import SET_ASIDE, Clusters, assign, silhouette
from components.cluster.grouping.tree import Rule
from components.cluster.score import bcubed
from components.core.errors import SettingsError

METHODS = ("kmeans", "average", "hdbscan")
RULE = Rule(near=0.6, far=1.4)


def people(sizes: list[int], *, spread: float = 0.15, dim: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors round one random direction per person, in mixed order: distances about 1.4 * spread and 1.4."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = rng.normal(size=(len(sizes), dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    points = centres[truth] + rng.normal(size=(len(truth), dim)) * spread / np.sqrt(dim)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), truth


def agreement(clusters: Clusters, truth: np.ndarray) -> tuple[float | None, float | None]:
    kept = clusters.labels != SET_ASIDE
    found = bcubed(clusters.labels[kept].tolist(), truth[kept].tolist())
    return found.precision, found.recall


@pytest.mark.parametrize("method", ["kmeans", "average"])
@pytest.mark.parametrize("sizes", [[4] * 12, [1] * 10 + [5, 3], [1] * 6, [40, 1, 1, 2], [7]])
def test_people_are_found_whatever_number_of_photos_they_have(method: module.Method, sizes: list[int]) -> None:
    points, truth = people(sizes)
    clusters = assign(points, method, None, RULE, 0)
    assert clusters.k == len(sizes)
    assert agreement(clusters, truth) == (1.0, 1.0)
    assert clusters.silhouette > 0.4
    assert clusters.labels[0] == 0 and (np.diff(np.unique(clusters.labels, return_index=True)[1]) > 0).all()


def test_hdbscan_sets_lone_photos_aside_and_merges_nobody() -> None:
    points, truth = people([5, 4, 3, 1, 1, 1])
    clusters = assign(points, "hdbscan", None, RULE, 0)
    lone = np.isin(truth, (3, 4, 5))
    assert (clusters.labels[lone] == SET_ASIDE).all() and (clusters.confidence[lone] == 0).all()
    assert agreement(clusters, truth)[0] == 1.0
    assert (clusters.labels[~lone] != SET_ASIDE).all()


@given(st.integers(1, 14), st.sampled_from(["kmeans", "average"]))
def test_a_given_number_is_kept(k: int, method: module.Method) -> None:
    points, _ = people([3, 1, 4, 1, 5])
    clusters = assign(points, method, k, RULE, 0)
    assert clusters.k == k == len(np.unique(clusters.labels))


def test_a_given_number_is_kept_where_photos_are_identical() -> None:
    points = np.repeat(people([1, 1])[0], 3, axis=0)
    assert assign(points, "average", 4, RULE, 0).k == 4


def test_numbers_that_cannot_be() -> None:
    points, _ = people([2, 2])
    with pytest.raises(SettingsError, match="only 4 photos"):
        assign(points, "kmeans", 5, RULE, 0)
    with pytest.raises(SettingsError, match="hdbscan"):
        assign(points, "hdbscan", 2, RULE, 0)


@pytest.mark.parametrize("method", METHODS)
def test_same_input_same_groups_and_one_photo_is_enough(method: module.Method) -> None:
    points, _ = people([3, 2, 1, 4], spread=0.5)
    first, second = (assign(points, method, None, RULE, 7) for _ in range(2))
    assert (first.labels == second.labels).all() and (first.confidence == second.confidence).all()
    assert assign(points[:1], method, None, RULE, 0).labels.tolist() == [0]


def test_confidence_tells_the_doubtful_photo() -> None:
    points, truth = people([6, 6])
    between = points[truth == 0][0] * 0.55 + points[truth == 1][0] * 0.45
    points = np.concatenate([points, (between / np.linalg.norm(between))[None]]).astype(np.float32)
    confidence = assign(points, "kmeans", 2, RULE, 0).confidence
    assert confidence[-1] < 0.3 < 0.7 < confidence[:-1].min()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_silhouette_is_scikit_learns_except_for_lone_photos(seed: int, k: int) -> None:
    from sklearn.metrics import silhouette_samples

    rng = np.random.default_rng(seed)
    points = rng.normal(size=(20, 5)).astype(np.float32)
    labels = np.concatenate([np.arange(k), rng.integers(0, k, 20 - k)])
    ours, theirs = silhouette(points, labels, 0.5), silhouette_samples(points, labels)
    several = np.bincount(labels)[labels] > 1
    np.testing.assert_allclose(ours[several], theirs[several], atol=1e-4)


def test_a_lone_photo_counts_against_when_somebody_is_near() -> None:
    points = np.asarray([[0, 0], [0.1, 0], [0.3, 0], [5, 0]], np.float32)
    scores = silhouette(points, np.asarray([0, 0, 1, 2]), 0.5)
    assert scores[2] == pytest.approx((0.25 - 0.5) / 0.5, abs=1e-5)
    assert scores[3] == pytest.approx((4.7 - 0.5) / 4.7, abs=1e-5)


@pytest.mark.parametrize("method", ["kmeans", "average"])
def test_large_sets_are_grouped_in_blocks(method: module.Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT", 60)
    points, truth = people([6] * 50 + [1] * 30)
    clusters = assign(points, method, None, RULE, 0)
    precision, recall = agreement(clusters, truth)
    assert precision == 1.0 and recall is not None and recall > 0.98
