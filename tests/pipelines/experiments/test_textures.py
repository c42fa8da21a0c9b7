"""Textures of two photos of one person, by brought and by made maps."""

import numpy as np
import pytest

from pipelines.experiments.textures import by_person, markdown, pairs, unwrapped


def photo(shift: int = 0, light: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Stripes that stick to the body, and the map that says so, moved by `shift` pixels."""
    iuv = np.zeros((160, 200, 3), np.uint8)
    steps = np.linspace(0, 255, 100).astype(np.uint8)
    for part, top in ((2, 70), (24, 10)):
        iuv[top:top + 50, 40 + shift:140 + shift] = part
        iuv[top:top + 50, 40 + shift:140 + shift, 1] = steps
        iuv[top:top + 50, 40 + shift:140 + shift, 2] = np.linspace(0, 255, 50).astype(np.uint8)[:, None]
    picture = np.where(iuv[..., :1] > 0, 60 + 60 * np.sin(iuv[..., 1:2] / 12.0) * np.ones(3), 0)
    return np.clip(picture * light, 0, 255).astype(np.uint8), iuv


def moved(iuv: np.ndarray) -> np.ndarray:
    """Charts that lie a few texels further along."""
    out = iuv.copy()
    out[..., 1] = np.where(iuv[..., 0] > 0, np.clip(iuv[..., 1].astype(int) + 25, 0, 255), 0)
    return out


def test_the_better_map_makes_textures_agree_and_light_does_not_count() -> None:
    one, first = photo()
    other, second = photo(30, 1.5)
    found = list(pairs([unwrapped("a", "anna", one, first, first), unwrapped("b", "anna", other, second, moved(second)),
                        unwrapped("c", "ben", one, first, first)]))
    assert [pair.photos for pair in found] == [("a", "b")]
    assert found[0].head_brought < 4 and found[0].body_brought < 4
    assert found[0].head_made > 10 and found[0].body_made > 10
    middle = by_person(found)
    assert middle["head_people"] == middle["body_people"] == 1
    assert middle["body_made"] == pytest.approx(found[0].body_made)
    assert "| anna | a, b |" in "\n".join(markdown(found))


def test_what_two_photos_do_not_share_has_no_figure() -> None:
    one, first = photo()
    nothing = np.zeros_like(first)
    (pair,) = pairs([unwrapped("a", "anna", one, first, nothing), unwrapped("b", "anna", one, first, nothing)])
    assert pair.head_brought == 0 and np.isnan(pair.head_made)
    assert by_person([pair]) == {"head_people": 0, "body_people": 0}
    assert markdown([]) == []
