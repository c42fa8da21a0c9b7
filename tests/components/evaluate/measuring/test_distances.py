import numpy as np
import pytest

from components.evaluate.measuring.distances import Space, ratio, real_halves, set_distances
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair

DIM, PEOPLE, PHOTOS = 6, 10, 5
SPACE = Space("six", DIM**0.5)


def reals(count: int = PEOPLE * PHOTOS) -> Reals:
    features = np.random.default_rng(0).normal(size=(count, DIM))
    return Reals(np.arange(count) + 100, [f"p{k // PHOTOS}" for k in range(count)], features, np.zeros((count, 2)),
                 np.ones(count, bool), np.ones(count), np.ones(count), np.zeros((count, 5)))


def pairs(count: int = PEOPLE * PHOTOS) -> list[EvaluationPair]:
    """Two sources for each target."""
    return [EvaluationPair(100 + PHOTOS * (j // PHOTOS) + (j + step) % PHOTOS, 100 + j, f"p{j // PHOTOS}", "transfer")
            for j in range(count) for step in (1, 2)]


def outputs(chosen: list[EvaluationPair], known: Reals, noise: float = 0.0, shift: float = 0.0) -> Measured:
    features = known.features[known.rows([pair.target for pair in chosen])]
    features = features + shift + noise * np.random.default_rng(1).normal(size=features.shape)
    nothing = np.zeros(len(chosen))
    return Measured({}, np.zeros((len(chosen), 4)), features, np.zeros((len(chosen), 2)),
                    np.zeros(len(chosen), bool), nothing)


def test_the_ratio_is_one_for_perfect_outputs_whatever_the_number_of_photos() -> None:
    for count in (20, 50):
        known, chosen = reals(count), pairs(count)
        assert ratio(chosen, outputs(chosen, known).features, known, 0).value == pytest.approx(1)


def test_the_ratio_grows_with_what_is_wrong() -> None:
    known, chosen = reals(), pairs()
    values = [ratio(chosen, outputs(chosen, known, shift=shift).features, known, 0).value for shift in (0, 0.3, 1, 3)]
    assert values == sorted(values) and values[-1] > 10
    # All outputs the same: a collapsed model is far off though each output is near the middle.
    collapsed = np.zeros((len(chosen), DIM))
    assert ratio(chosen, collapsed, known, 0).value > 2


def test_figures_come_with_intervals_around_them() -> None:
    known, chosen = reals(), pairs()
    found = set_distances(chosen, outputs(chosen, known, noise=0.5), known, SPACE, least=20, draws=100, seed=0)
    for name in ("frechet", "kernel", "frechet_ratio"):
        assert found[name].low <= found[name].value <= found[name].high
    assert found["frechet"].by == "identity"
    assert all(metric.features == "six" and metric.to_json()["features"] == "six" for metric in found.values())
    assert found == set_distances(chosen, outputs(chosen, known, noise=0.5), known, SPACE, least=20, draws=100, seed=0)


def test_too_few_images_give_a_reason_instead_of_a_number() -> None:
    known, chosen = reals(), pairs()
    few = set_distances(chosen, outputs(chosen, known), known, SPACE, least=51, draws=100, seed=0)
    assert all(metric.value is None and "min_images is 51" in metric.reason for metric in few.values())
    known, chosen = reals(DIM), pairs(DIM)
    few = set_distances(chosen, outputs(chosen, known), known, SPACE, least=2, draws=100, seed=0)
    assert few["frechet"].value is None and "covariance" in few["frechet"].reason
    assert few["kernel"].value is not None
    assert few["frechet_ratio"].value is None and "halve" in few["frechet_ratio"].reason
    assert all(metric.value is None for metric in real_halves(reals(10), SPACE, least=11, seed=0).values())


def test_two_halves_of_the_real_photos_differ_by_chance_only() -> None:
    halves = real_halves(reals(), SPACE, least=20, seed=0)
    assert halves["kernel_halves"].low < 0 < halves["kernel_halves"].high
    assert 0 < halves["frechet_halves"].value < 3
