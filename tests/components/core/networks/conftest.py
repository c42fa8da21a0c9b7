"""A person of coloured rectangles, for the networks' tests: head, torso and legs with charts that run as real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from components.core.networks.generator.warp import Source, SourceView

Figure = Callable[..., Tensor]


def _box(pose: Tensor, part: int, x0: float, x1: float, y0: float, y1: float) -> None:
    side = pose.shape[-1]
    left, right, top, bottom = (round(side * edge) for edge in (x0, x1, y0, y1))
    height, width = bottom - top, right - left
    down = torch.linspace(0, 255, height)[:, None].expand(height, width).round().to(torch.uint8)
    across = torch.linspace(0, 255, width)[None].expand(height, width).round().to(torch.uint8)
    pose[0, top:bottom, left:right] = part
    if part in (23, 24):  # U to the image's right, V upward
        pose[1, top:bottom, left:right], pose[2, top:bottom, left:right] = across, 255 - down
    else:  # U downward, V toward the person's right, which is the image's left
        pose[1, top:bottom, left:right], pose[2, top:bottom, left:right] = down, 255 - across


@pytest.fixture
def figure() -> Figure:
    """figure(side, shift=(x, y), head=share of the height) -> pose map uint8 [1, 3, side, side]."""

    def make(side: int = 64, shift: tuple[float, float] = (0.0, 0.0), head: float = 0.2) -> Tensor:
        pose = torch.zeros(3, side, side, dtype=torch.uint8)
        x, y = shift
        _box(pose, 23, 0.5 - head / 2 + x, 0.5 + x, 0.1 + y, 0.1 + head + y)
        _box(pose, 24, 0.5 + x, 0.5 + head / 2 + x, 0.1 + y, 0.1 + head + y)
        _box(pose, 2, 0.35 + x, 0.65 + x, 0.35 + y, 0.65 + y)
        _box(pose, 9, 0.36 + x, 0.5 + x, 0.65 + y, 0.85 + y)
        _box(pose, 10, 0.5 + x, 0.64 + x, 0.65 + y, 0.85 + y)
        return pose[None]

    return make


@pytest.fixture
def source(figure: Figure) -> Callable[..., Source]:
    """source(batch, side, texel) -> a source with random colours and everything seen."""

    def make(batch: int = 2, side: int = 64, texel: int = 8) -> Source:
        torch.manual_seed(0)
        poses = figure(side).repeat(batch, 1, 1, 1)
        mattes = (poses[:, :1] > 0).float()
        photo = SourceView(torch.rand(batch, 3, side, side) * 2 - 1, mattes, poses)
        return Source(torch.rand(batch, 24, 3, texel, texel) * 2 - 1, torch.ones(batch, 24, 1, texel, texel), photo,
                      photo)

    return make
