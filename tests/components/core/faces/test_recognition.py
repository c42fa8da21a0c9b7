from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from components.core.errors import SettingsError
from components.core.faces.recognition import MIN_HEAD, FaceEmbedder, align, face_chip, load_embedder

DrawHead = Callable[..., np.ndarray]


def planes(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def picture(side: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture: sampling it half a pixel off does not hide behind noise, nor is it all one colour."""
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    fine = nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    return (fine[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


class Mean(nn.Module):
    """Mean colours of a 4 x 4 grid, as an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.gain * nn.functional.adaptive_avg_pool2d(faces, 4).flatten(1)


def embedder() -> FaceEmbedder:
    return FaceEmbedder("mean", Mean(), size=32, dim=48, same_person_distance=0.5, sharp_head=64)


@pytest.mark.parametrize(("side", "height", "size"), [(96, 30.0, 64), (300, 200.0, 24)])
def test_align_agrees_with_the_numpy_chip(draw_head: DrawHead, side: int, height: float, size: int) -> None:
    iuv, photo = draw_head(side, height, 25.0, (side / 2, side / 2)), picture(side)
    faces, valid = align(planes(photo).float(), planes(iuv), size)
    chip = face_chip(photo, iuv, size)
    assert valid.tolist() == [True] and chip is not None
    assert np.abs(faces[0].permute(1, 2, 0).numpy() - chip).max() < 4


def test_align_follows_turn_and_scale(draw_head: DrawHead) -> None:
    """A photo turned by a quarter with its map gives the same face."""
    iuv, photo = draw_head(128, 60.0, 0.0, (64.0, 64.0)), picture(128)
    upright, _ = align(planes(photo).float(), planes(iuv), 48)
    turned, _ = align(planes(np.rot90(photo).copy()).float(), planes(np.rot90(iuv).copy()), 48, min_head=8)
    assert (upright - turned).abs().max() < 3


def test_faces_that_are_not_seen_are_zero_and_not_valid(draw_head: DrawHead) -> None:
    maps = planes(draw_head(), draw_head(yaw=180), draw_head(height=MIN_HEAD - 2), np.zeros((128, 128, 3), np.uint8))
    faces, valid = align(torch.ones(4, 3, 128, 128), maps, 32)
    assert valid.tolist() == [True, False, False, False]
    assert faces[0].min() > 0.999 and not faces[1:].any()


def test_gradient_reaches_the_face_and_only_the_face(draw_head: DrawHead) -> None:
    images = torch.rand(2, 3, 128, 128, requires_grad=True)
    maps = planes(draw_head(height=40.0), draw_head(height=40.0, yaw=180))
    vectors, valid = embedder().embed(images, maps)
    (vectors[:, 0] * torch.tensor([1.0, 1.0])).sum().backward()
    assert valid.tolist() == [True, False]
    assert images.grad is not None and not images.grad[1].any()
    reached = images.grad[0].abs().sum(0)
    assert reached[33:53, 54:74].count_nonzero() > 50  # around the middle of the head at (64, 42.7)
    assert not reached[90:].any()


def test_embeddings_have_length_one_and_do_not_mix_in_the_batch(draw_head: DrawHead) -> None:
    maps = planes(draw_head(), draw_head(yaw=180), draw_head(yaw=30), draw_head(256, 200.0)[::2, ::2].copy())
    images = torch.rand(4, 3, 128, 128) * 2 - 1
    together, valid = embedder().embed(images, maps)
    assert valid.tolist() == [True, False, True, True]
    assert torch.allclose(together.norm(dim=1), valid.float(), atol=1e-5)
    for index in range(4):
        alone, _ = embedder().embed(images[index : index + 1], maps[index : index + 1])
        assert torch.allclose(alone[0], together[index], atol=1e-5)


def test_same_person_distance_shrinks_with_blur() -> None:
    one = embedder()
    assert one.same_person_at(64) == one.same_person_at(500) == 0.5
    assert one.same_person_at(32) == pytest.approx(0.45)
    assert one.same_person_at(16) == pytest.approx(0.40)


@pytest.mark.parametrize("name", ["builtin", "builtin-judge"])
def test_own_networks_load_frozen(name: str) -> None:
    loaded = load_embedder(name)
    assert loaded.name == name and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    vectors = loaded(torch.rand(2, 3, loaded.size, loaded.size) * 2 - 1)
    assert vectors.shape == (2, loaded.dim)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)
    assert 0.2 < loaded.same_person_distance < 1.2


def test_an_unknown_embedder_is_named() -> None:
    with pytest.raises(SettingsError, match=r"facenet.*builtin"):
        load_embedder("facenet")
