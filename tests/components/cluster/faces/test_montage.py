import numpy as np

from components.cluster.faces.montage import MOST_FACES, Row, head_crop, montage


def test_every_face_is_drawn_in_its_row() -> None:
    def face(red: int, shape: tuple[int, int]) -> np.ndarray:
        return np.full((*shape, 3), (red, 0, 0), np.uint8)

    rows = [Row("person-0001", "train", 12, [(face(200, (40, 40)), "0.9")] * MOST_FACES),
            Row("person-0002", "test", 1, [(face(100, (30, 60)), "0.5")])]
    picture = montage(rows, "a note")
    def painted(red: int) -> np.ndarray:
        return (picture == (red, 0, 0)).all(axis=2)

    assert painted(200).sum() == MOST_FACES * 72 * 72
    assert painted(100).sum() == 72 * 36
    assert np.nonzero(painted(200))[0].max() < np.nonzero(painted(100))[0].min()
    assert montage(rows[:1]).shape[0] < picture.shape[0]


def test_head_crop_stays_inside() -> None:
    photo = np.arange(50 * 40 * 3, dtype=np.uint8).reshape(50, 40, 3)
    assert head_crop(photo, None) is photo
    assert head_crop(photo, (10, 10, 20, 20)).shape == (12, 12, 3)
    assert head_crop(photo, (0, 0, 20, 10)).shape == (17, 22, 3)
