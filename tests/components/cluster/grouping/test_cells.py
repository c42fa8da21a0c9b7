import numpy as np
import pytest

from components.cluster.grouping import cells
from components.cluster.grouping.assign import assign
from components.cluster.grouping.tree import Rule
from components.cluster.score import bcubed


def test_twenty_thousand_photos() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 10, 4000)
    truth = rng.permutation(np.repeat(np.arange(4000), sizes))
    middles = rng.normal(size=(4000, 32)).astype(np.float32)
    points = middles[truth] + rng.normal(size=(len(truth), 32)).astype(np.float32) * 0.25
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = assign(points, "kmeans", None, Rule(0.6, 1.4), 0)
    score = bcubed(found.labels.tolist(), truth.tolist())
    assert score.precision is not None and score.recall is not None
    assert score.precision > 0.995 and score.recall > 0.98
    assert found.silhouette > 0.3 and (found.confidence >= 0).all() and (found.confidence <= 1).all()


def test_the_nearest_target_is_found_in_cells_as_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(400, 8)).astype(np.float32)
    points = (targets[rng.integers(0, 400, 900)] + 0.1 * rng.normal(size=(900, 8))).astype(np.float32)
    exact, distances = cells.nearest_target(points, targets)
    assert (np.linalg.norm(points - targets[exact], axis=1) == pytest.approx(distances, abs=1e-3))
    monkeypatch.setattr(cells, "_ALL_PAIRS", 1)
    found, _ = cells.nearest_target(points, targets)
    assert (found == exact).mean() > 0.97
