import numpy as np
import pytest

from components.evaluate.measuring.identity import identity_metrics, separation, similarities
from components.evaluate.measuring.intervals import Resampler
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair

PHOTOS = 3


def embeddings(people: int, spread: float = 0.3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 1, 32))
    faces = (centres + spread * random.normal(size=(people, PHOTOS, 32))).reshape(-1, 32)
    return faces / np.linalg.norm(faces, axis=1, keepdims=True)


def reals(faces: np.ndarray, valid: np.ndarray | None = None) -> Reals:
    count = len(faces)
    return Reals(np.arange(count), [f"p{k // PHOTOS}" for k in range(count)], np.zeros((count, 2)), faces,
                 np.ones(count, bool) if valid is None else valid, np.ones(count), np.ones(count),
                 np.zeros((count, 5)))


def measured(faces: np.ndarray, valid: np.ndarray | None = None) -> Measured:
    count = len(faces)
    nothing = np.zeros(count)
    return Measured({}, np.zeros((count, 4)), np.zeros((count, 2)), faces,
                    np.ones(count, bool) if valid is None else valid, nothing)


def pairs(people: int) -> list[EvaluationPair]:
    return [EvaluationPair(PHOTOS * p + i, PHOTOS * p + j, f"p{p}", "transfer")
            for p in range(people) for i in range(PHOTOS) for j in range(PHOTOS) if i != j]


def metrics(chosen: list[EvaluationPair], output: np.ndarray, known: Reals, valid: np.ndarray | None = None):
    found = similarities(chosen, measured(output, valid), known)
    return identity_metrics(found, Resampler([pair.identity for pair in chosen], 200, 0))


def test_identity_recovered_is_one_for_another_photo_of_the_person_and_nothing_for_a_stranger() -> None:
    faces, chosen = embeddings(8), pairs(8)
    known = reals(faces)
    another = metrics(chosen, faces[[pair.source for pair in chosen]], known)
    strangers = metrics(chosen, faces[[(pair.target + 4 * PHOTOS) % len(faces) for pair in chosen]], known)
    exact = metrics(chosen, faces[[pair.target for pair in chosen]], known)
    assert another["identity_recovered"].value == pytest.approx(1, abs=1e-9)
    assert strangers["identity_recovered"].value == pytest.approx(0, abs=0.2)
    assert exact["face_similarity"].value == pytest.approx(1)
    assert exact["identity_recovered"].value > 1
    low, high = strangers["identity_recovered"].low, strangers["identity_recovered"].high
    assert low <= strangers["identity_recovered"].value <= high < 1


def test_a_face_that_is_not_seen_is_left_out_on_any_side() -> None:
    faces, chosen = embeddings(6), pairs(6)
    hidden = np.ones(len(faces), bool)
    hidden[0] = False  # source or target of four of p0's six pairs
    painted = np.ones(len(chosen), bool)
    painted[-1] = False
    output = faces[[pair.target for pair in chosen]]
    whole = metrics(chosen, output, reals(faces))["face_similarity"]
    fewer = metrics(chosen, output, reals(faces, hidden), painted)["face_similarity"]
    assert (whole.n, fewer.n) == (len(chosen), len(chosen) - 5)


def test_without_a_second_person_there_is_no_share_but_a_similarity() -> None:
    faces, chosen = embeddings(1), pairs(1)
    found = metrics(chosen, faces[[pair.target for pair in chosen]], reals(faces))
    assert found["face_similarity"].value == pytest.approx(1)
    assert found["identity_recovered"].value is None and "second person" in found["identity_recovered"].reason
    assert found["stranger_similarity"].value is None


def test_a_judge_who_cannot_tell_people_apart_gives_no_share() -> None:
    random = np.random.default_rng(0)
    faces = 10 + 0.1 * random.normal(size=(18, 32))
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    found = metrics(pairs(6), faces[[pair.target for pair in pairs(6)]], reals(faces))
    assert found["identity_recovered"].value is None and "cannot tell" in found["identity_recovered"].reason
    assert separation(reals(faces)).value == pytest.approx(0.5, abs=0.2)


def test_no_faces_no_figures() -> None:
    faces, chosen = embeddings(6), pairs(6)
    output = faces[: len(chosen)] if len(faces) >= len(chosen) else np.tile(faces, (2, 1))[: len(chosen)]
    found = metrics(chosen, output, reals(faces, np.zeros(len(faces), bool)))
    assert all(metric.value is None and metric.reason for metric in found.values())
    assert similarities([], measured(np.zeros((0, 32))), reals(faces)).output.shape == (0,)


def test_separation_is_the_chance_of_a_right_order() -> None:
    assert separation(reals(embeddings(8, spread=0.05))).value == 1
    faces = embeddings(5, spread=1.5, seed=3)
    names = np.arange(len(faces)) // PHOTOS
    cosines = faces @ faces.T
    genuine = [cosines[a, b] for a in range(15) for b in range(a) if names[a] == names[b]]
    impostor = [cosines[a, b] for a in range(15) for b in range(a) if names[a] != names[b]]
    assert separation(reals(faces)).value == pytest.approx(np.mean([g > i for g in genuine for i in impostor]))
