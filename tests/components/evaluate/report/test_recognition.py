import numpy as np
import pytest

from components.evaluate.measuring.intervals import Resampler
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.report.recognition import recognise

PEOPLE, PHOTOS = 4, 3


def _world():
    """Four people of three photos each, every person's faces around one direction of their own."""
    random = np.random.default_rng(0)
    faces = np.repeat(np.eye(PEOPLE, 8), PHOTOS, axis=0) + 0.05 * random.normal(size=(PEOPLE * PHOTOS, 8))
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    names = [f"p{k // PHOTOS}" for k in range(len(faces))]
    fields = {field: None for field in Reals.__dataclass_fields__}
    reals = Reals(**{**fields, "indices": np.arange(len(faces)), "identities": names, "features": faces,
                     "faces": faces, "face_valid": np.ones(len(faces), bool)})
    pairs = [EvaluationPair(k, (k // PHOTOS) * PHOTOS + (k + 1) % PHOTOS, names[k], "transfer")
             for k in range(len(faces))]
    return reals, pairs


def _measured(faces, valid=None) -> Measured:
    fields = {field: None for field in Measured.__dataclass_fields__}
    return Measured(**{**fields, "faces": np.asarray(faces, float),
                       "face_valid": np.ones(len(faces), bool) if valid is None else valid})


def _asked(faces, valid=None):
    reals, pairs = _world()
    resampler = Resampler([pair.identity for pair in pairs], 100, 0)
    return recognise(pairs, _measured(faces, valid), reals, resampler)


def test_the_right_face_is_recognised() -> None:
    reals, pairs = _world()
    found = _asked(reals.faces[[pair.target for pair in pairs]])
    assert found.recognised.value == 1 and found.chance == pytest.approx(1 / PEOPLE)
    matrix = np.asarray(found.matrix)
    assert (matrix.argmax(axis=1) == np.arange(PEOPLE)).all() and matrix.diagonal().min() > 0.9


def test_somebody_elses_face_is_not_and_the_matrix_shows_whose_it_is() -> None:
    found = _asked(np.repeat(np.roll(np.eye(PEOPLE, 8), -1, axis=0), PHOTOS, axis=0))
    assert found.recognised.value == 0
    assert (np.asarray(found.matrix).argmax(axis=1) == np.roll(np.arange(PEOPLE), -1)).all()


def test_copying_the_source_photo_is_no_help() -> None:
    """An output that is like the source photo only, and like nobody otherwise, is not recognised by it."""
    reals, pairs = _world()
    odd = np.zeros((len(pairs), 8))
    odd[:, 7] = 1
    reals.faces[[pair.source for pair in pairs[:1]]] = odd[0]
    resampler = Resampler([pair.identity for pair in pairs[:1]], 100, 0)
    found = recognise(pairs[:1], _measured(odd[:1]), reals, resampler)
    assert found.matrix[0][0] < 0.5


def test_outputs_without_a_face_are_left_out() -> None:
    reals, pairs = _world()
    valid = np.arange(len(pairs)) % 2 == 0
    found = _asked(reals.faces[[pair.target for pair in pairs]], valid)
    assert found.recognised.n == valid.sum()
    nobody = _asked(reals.faces, np.zeros(len(pairs), bool))
    assert nobody.recognised.value is None and nobody.recognised.reason and nobody.chance is None


def test_no_pairs_are_no_figure() -> None:
    reals, _ = _world()
    found = recognise([], _measured(np.zeros((0, 8))), reals, Resampler([], 100, 0))
    assert found.names == [] and found.recognised.value is None
