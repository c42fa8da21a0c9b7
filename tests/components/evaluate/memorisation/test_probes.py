import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.settings import EvaluateSettings
from components.evaluate.measuring.intervals import Resampler
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.memorisation import backgrounds
from components.evaluate.memorisation.backgrounds import GRID, Views
from components.evaluate.memorisation.neighbours import copying, identity_capture, neighbour_test
from components.evaluate.memorisation.probes import Probes, Seen, retrieval, training_gap

SETTINGS = EvaluateSettings.model_validate({"bootstrap": 100})
COUNT, PROBED = 140, 30


def rooms(count: int, seed: int = 0) -> Views:
    """Smooth random backgrounds, each with a person-shaped hole of its own."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(20, 235, (count, 4, 4, 3))
    colours = coarse.repeat(GRID // 4, axis=1).repeat(GRID // 4, axis=2).astype(np.float32)
    clear = np.ones((count, GRID, GRID), bool)
    for mask, left in zip(clear, random.integers(8, 14, count), strict=True):
        mask[6:, left : left + 10] = False
    return Views(colours * clear[..., None], clear)


def probed(known: Views, count: int = PROBED, distractors: int = 99) -> Probes:
    own = [EvaluationPair(k, k, f"p{k // 3}", "reconstruction") for k in range(count)]
    swapped = [EvaluationPair((k + 3) % count, k, f"p{k // 3}", "repose") for k in range(count)]
    alike = backgrounds.apart(known.take(range(count)), known)
    owners = [f"p{k // 3}" for k in range(len(known))]
    return Probes(own, swapped, list(range(len(known))), owners, known, alike, distractors, 0)


def painted(known: Views, which: list[int], strength: float, noise: float = 0.0) -> Views:
    """Grey outside the targets' silhouettes, with a share of the backgrounds `which` in it."""
    clear = known.clear[:PROBED]
    mixed = 128 + strength * (known.colours[which] - 128)
    mixed = mixed + noise * np.random.default_rng(1).normal(size=mixed.shape)
    return Views((mixed * clear[..., None]).astype(np.float32), clear)


def test_a_grey_surrounding_remembers_nothing() -> None:
    known = rooms(COUNT)
    grey = painted(known, list(range(PROBED)), 0)
    found = retrieval(Seen(probed(known).own, grey, grey), probed(known), SETTINGS)
    assert found.metric.value == pytest.approx(0, abs=1e-9) and found.metric.n == PROBED


@settings(max_examples=10, deadline=None)
@given(st.floats(0.08, 1.0), st.integers(0, 50))
def test_a_faint_memory_counts_as_much_as_a_strong_one(strength: float, seed: int) -> None:
    known = rooms(COUNT, seed)
    probing = probed(known)
    own = painted(known, list(range(PROBED)), strength)
    assert retrieval(Seen(probing.own, own, own), probing, SETTINGS).metric.value == pytest.approx(1)


def test_a_memory_under_the_matte_is_found_in_the_layer() -> None:
    known = rooms(COUNT)
    probing = probed(known)
    grey, own = painted(known, list(range(PROBED)), 0), painted(known, list(range(PROBED)), 0.5)
    found = retrieval(Seen(probing.own, grey, own), probing, SETTINGS)
    assert found.metric.value == pytest.approx(1) and found.details["picture"].value == pytest.approx(0, abs=1e-9)
    assert all(pair.target == match for pair, match in zip(found.worst, found.matches, strict=True))


def test_somebody_elses_background_is_no_memory_and_what_all_share_counts_nothing() -> None:
    known = rooms(COUNT)
    probing = probed(known)
    others = painted(known, list(range(PROBED, 2 * PROBED)), 1.0)
    assert retrieval(Seen(probing.own, others, others), probing, SETTINGS).metric.value < 0
    same = Views(np.broadcast_to(known.colours[5], (PROBED, GRID, GRID, 3)).copy(), np.ones((PROBED, GRID, GRID), bool))
    assert retrieval(Seen(probing.own, same, same), probing, SETTINGS).metric.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("end", ["target", "source"])
def test_a_swap_gives_away_whose_background_comes_back(end: str) -> None:
    known = rooms(COUNT)
    probing = probed(known)
    back = painted(known, [getattr(pair, end) for pair in probing.swapped], 0.4, noise=10)
    assert retrieval(Seen(probing.swapped, back, back), probing, SETTINGS).metric.value > 0.9


def test_repetitions_of_a_background_are_no_distractors() -> None:
    known = rooms(COUNT)
    twice = Views(*(np.concatenate([part, part[:PROBED]]) for part in (known.colours, known.clear)))
    probing = probed(twice)
    own = painted(twice, list(range(PROBED)), 1.0)
    assert retrieval(Seen(probing.own, own, own), probing, SETTINGS).metric.value == pytest.approx(1)


def test_with_few_backgrounds_the_given_one_is_the_measure() -> None:
    known = rooms(PROBED)
    probing = probed(known)
    for strength, expected in ((0.0, 0.0), (0.9, 1.0)):
        own = painted(known, list(range(PROBED)), strength)
        found = retrieval(Seen(probing.own, own, own), probing, SETTINGS)
        assert found.metric.value == expected and set(found.details) == {"against_the_given"}
    few = Seen(probing.own[:7], own.take(range(7)), own.take(range(7)))
    assert retrieval(few, probing, SETTINGS).metric.value is None


def people(errors: np.ndarray) -> tuple[Resampler, np.ndarray]:
    return Resampler([f"p{k // 4}" for k in range(len(errors))], 100, 0), errors


def test_the_training_gap_is_a_share_of_the_error() -> None:
    held = np.full(40, 0.08)
    assert training_gap(people(held), people(held)).metric.value == pytest.approx(0)
    assert training_gap(people(held), people(held / 2)).metric.value == pytest.approx(0.5, abs=0.02)
    assert training_gap(people(held), people(0 * held)).metric.value > 0.95
    assert training_gap(people(0 * held), people(0 * held)).metric.value == pytest.approx(0)
    assert training_gap(people(held), people(np.full(8, np.nan))).metric.value is None


def reals(features: np.ndarray, faces: np.ndarray, first: int = 0, prefix: str = "p") -> Reals:
    count = len(features)
    return Reals(np.arange(count) + first, [f"{prefix}{k // 4}" for k in range(count)], features, faces,
                 np.ones(count, bool), np.ones(count), np.ones(count), np.zeros((count, 5)))


def outputs(features: np.ndarray, faces: np.ndarray) -> Measured:
    nothing = np.zeros(len(features))
    return Measured({}, np.zeros((len(features), 4)), features, faces, np.ones(len(features), bool),
                    nothing)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_copies_of_training_photos_lie_too_near_and_fresh_ones_do_not() -> None:
    random = np.random.default_rng(0)
    training, held = random.normal(size=(120, 5)), random.normal(size=(60, 5))
    known, trained = reals(held, held, 1000), reals(training, training, prefix="t")
    pairs = [EvaluationPair(1000 + (k + 1) % 60, 1000 + k, f"p{k // 4}", "transfer") for k in range(60)]
    fresh = neighbour_test(pairs, outputs(random.normal(size=(60, 5)), held), known, trained, SETTINGS)
    copied = neighbour_test(pairs, outputs(training[:60] + 0.01, held), known, trained, SETTINGS)
    assert abs(fresh.metric.value) < 2.5 and fresh.metric.low <= fresh.metric.value <= fresh.metric.high
    assert copied.metric.value < -4 and copied.matches[0] in range(120)
    assert neighbour_test(pairs[:5], outputs(held[:5], held[:5]), known, trained, SETTINGS).metric.value is None


def test_the_statistic_is_mann_whitneys() -> None:
    from scipy.stats import mannwhitneyu

    random = np.random.default_rng(3)
    ours, theirs, one = random.normal(size=40), random.normal(0.3, size=50), np.zeros(50, int)
    statistic = mannwhitneyu(ours, theirs).statistic
    expected = (statistic - 1000) / np.sqrt(40 * 50 * 91 / 12)
    assert copying(ours, theirs, one[:40], one) == pytest.approx(expected)


def test_a_training_persons_face_is_caught_and_the_judges_own_errors_are_not_counted() -> None:
    random = np.random.default_rng(0)
    centres, trained = unit(random.normal(size=(10, 16))), unit(random.normal(size=(30, 16)))
    faces = unit(np.repeat(centres, 4, axis=0) + 0.1 * random.normal(size=(40, 16)))
    known, training = reals(faces, faces, 1000), reals(trained, trained, prefix="t")
    pairs = [EvaluationPair(1000 + 4 * (k // 4) + (k + 1) % 4, 1000 + k, f"p{k // 4}", "transfer") for k in range(40)]
    honest = identity_capture(pairs, outputs(faces, faces), known, training, SETTINGS)
    stolen = identity_capture(pairs, outputs(faces, unit(trained[:1].repeat(40, axis=0))), known, training, SETTINGS)
    assert honest.metric.value == 0 and stolen.metric.value == pytest.approx(1)
    assert set(stolen.matches) == {0}
    assert identity_capture([], outputs(faces[:0], faces[:0]), known, training, SETTINGS).metric.value is None
