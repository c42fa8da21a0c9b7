"""Where a head or a torso is in a picture, by its pose map, and how two pictures of one are laid over each other.

Places are complex numbers in units of half a side, 0 in the middle, real to the right, imaginary down. Pose maps are
uint8 [B, 3, S, S] as (I, U, V), background 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.networks.layers import constant, dilated
from components.core.pictures.iuv import ARM_PARTS, HAND_PARTS, HEAD_PARTS

_TORSO = (1, 2)
_LEGS = (((7, 9), 9, ()), ((8, 10), 10, ()), ((11, 13), 13, (6,)), ((12, 14), 14, (5,)))
"""Thighs and lower legs: back and front chart, the one on which U runs the other way, and the foot that goes along."""
_THIGHS_AND_BELOW = tuple(part for charts, _, _ in _LEGS for part in charts)
_FINE_ENOUGH = 256  # Side at which what stands off from the legs is counted.
_ABOUT_LEGS = 24  # Shares of a side: how far from the legs that is looked for.
_STANDING_OFF = 0.08, 0.18
"""Share of the legs' pixels from which clothes beyond them begin to be wide, and from which they are."""
_NEAR = 8  # Shares of a side: as far around itself a leg carries its clothes along.
_TORSO_EVERYWHERE = 1e-3  # ... and how much of that the torso does everywhere.
_ARMS = (*HAND_PARTS, *ARM_PARTS)
_U, _V = 1, 2
_LEAST_PIXELS = 12
_LARGEST_SCALE = 2.5
_TURNED = 0.05  # Mean place around the head, 1 being its back, beyond which it is turned.
_EDGE = 0.3  # Belief in a photo where it shows body and the target none, or the other way: outlines never fit exactly.
_RIM = 32  # Shares of a side: as far a person's outline may reach beyond their pose map.
_CHART_REACH = 0.5  # Difference in U or V at which two places of a part have nothing to do with each other.


@dataclass(frozen=True)
class Frame:
    """Where a body part is."""

    centre: Tensor
    """complex [B]."""
    axis: Tensor
    """complex [B]: direction and size."""
    found: Tensor
    """bool [B]."""


def torso_frame(poses: Tensor) -> Frame:
    """The middle of the torso's charts and their length, neck to crotch."""
    fit = _fit(poses, _TORSO, _U)
    return Frame(fit.middle - fit.slope * fit.mean, fit.slope, fit.found)


def limbwise(source: Tensor, target: Tensor, side: int, torso: Tensor | None = None) -> Tensor:
    """Where each pixel of a picture in the pose map `target` comes from in one in `source`, complex [B, side, side].

    Torso, thighs and lower legs each carry what is on them and beside it, where two meet both do in between: a skirt or
    wide trousers go along with the legs. As the torso alone where a leg is not seen in both. `torso` is where that
    alone has each pixel from, where it is known already.
    """
    if torso is None:
        torso = carried(torso_frame(source), torso_frame(target), side)[1]
    weights = _nearness(shows(target, (*_TORSO, *HEAD_PARTS, *_ARMS))) + _TORSO_EVERYWHERE
    total = torso * weights
    for charts, turned, more in _LEGS:
        there, here = (_leg_frame(poses, charts, turned) for poses in (source, target))
        weight = _nearness(shows(target, (*charts, *more))) * (there.found & here.found)[:, None, None]
        total, weights = total + carried(there, here, side)[1] * weight, weights + weight
    return total / weights


def _leg_frame(poses: Tensor, charts: tuple[int, int], turned: int) -> Frame:
    """The middle of a piece of a leg and its length."""
    down = torch.where(poses[:, :1] == turned, 255 - poses[:, 1:2], poses[:, 1:2])
    fit = _fit(torch.cat((poses[:, :1], down, poses[:, 2:]), 1), charts, _U)
    return Frame(fit.middle - fit.slope * fit.mean, fit.slope, fit.found)


def _nearness(mask: Tensor) -> Tensor:
    """How near a mask [B, 1, S, S] is to each pixel: [B, S, S], 1 deep inside, 0 far off."""
    side = mask.shape[-1]
    near = F.interpolate(mask, (_NEAR * 2,) * 2, mode="area")
    near = F.avg_pool2d(near, 3, 1, 1, count_include_pad=False)
    return F.interpolate(near, (side, side), mode="bilinear", align_corners=False)[:, 0].square()


def head_frame(poses: Tensor) -> Frame:
    """The middle of what is seen of the head, up along its charts, as long as a square of that area is wide.

    Both were chosen by how well hair moved by them covers hair: seen areas and their middles change less with a
    head's turning than the middle and the length of its charts, which are fitted to places that lie unevenly.
    """
    fit = _fit(poses, HEAD_PARTS, _V)
    size = torch.sqrt(fit.pixels) * (2 / poses.shape[-1])
    return Frame(fit.middle, fit.slope / fit.slope.abs().clamp(min=1e-6) * size, fit.found)


def turned_apart(one: Tensor, other: Tensor) -> Tensor:
    """Are the heads of two batches of pose maps plainly turned to different sides? bool [B]."""
    turns = [_head_turn(poses) for poses in (one, other)]
    return (turns[0] * turns[1] < 0) & (torch.minimum(turns[0].abs(), turns[1].abs()) > _TURNED)


def carried(source: Frame, target: Frame, side: int, mirror: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Where each pixel of the target comes from: (its distance from the target's centre in units of the target's axis,
    its place in the source), [B, side, side].

    A similarity that scales by 0.4 to 2.5; where `mirror`, bool [B, side, side], is set, from the other side of the
    source's axis. Meaningless where a frame was not found.
    """
    found = source.found & target.found
    ones = torch.ones_like(source.axis)
    axis, own = torch.where(found, target.axis, ones), torch.where(found, source.axis, ones)
    size = (own / axis).abs()
    own = own * (size.clamp(1 / _LARGEST_SCALE, _LARGEST_SCALE) / size)
    offset = (_places(side, axis.device) - target.centre[:, None, None]) / axis[:, None, None]
    across = offset if mirror is None else torch.where(mirror, offset.conj(), offset)
    return offset.abs(), source.centre[:, None, None] + own[:, None, None] * across


def agreement(moved: Tensor, poses: Tensor, no_arms: Tensor | None = None, times: float = 1) -> Tensor:
    """How far a photo's pose map, moved, says the same as another at each pixel: [B, 3, S, S] -> [B, 1, S, S] in 0..1.

    1 off the body in both or at the same place of the same part, falling to 0 at half a chart apart, 0 for
    different parts, in between where only one has a body. Times `no_arms` (default: `without_arms`).
    In a picture that is `times` as large as the one that was decided on, as many times less apart is what counts: what
    lies double there would be seen.
    """
    no_arms = without_arms(moved, poses) if no_arms is None else no_arms
    moved, poses = moved.float(), poses.float()
    one, other = moved[:, :1], poses[:, :1]
    apart = (moved[:, 1:] - poses[:, 1:]).abs().amax(1, keepdim=True) / 255
    same = (one == other) * (1 - apart * (times / _CHART_REACH)).clamp(min=0)
    return torch.where((one > 0) ^ (other > 0), _EDGE, same) * no_arms


def without_arms(moved: Tensor, poses: Tensor) -> Tensor:
    """0 where only one of two pose maps has an arm, which moves by itself, and around such an arm of the first, whose
    outline reaches beyond its pose map; else 1: float32 [B, 1, S, S]."""
    moved_arms, arms = (shows(pose, _ARMS) for pose in (moved, poses))
    reach = max(moved.shape[-1] // _RIM, 1)
    beside = (poses[:, :1] == 0) * dilated(moved_arms, reach) * (1 - dilated(arms, reach))
    return (beside + (moved[:, :1] == 0) * arms == 0).float()


def without_strays(moved: Tensor, poses: Tensor) -> Tensor:
    """0 where the first of two pose maps has a body, or its outline, farther beside the second's than outlines may be
    off, as a leg that stands elsewhere; else 1: float32 [B, 1, S, S]."""
    reach = max(moved.shape[-1] // _RIM, 1)
    far = 1 - dilated((poses[:, :1] > 0).float(), reach)
    return 1 - dilated((moved[:, :1] > 0) * far, reach) * far


def wide_legs(poses: Tensor, mattes: Tensor) -> Tensor:
    """Whether clothes stand off from the legs, as skirts and wide trousers do: [B, 1, 1, 1] in 0..1.

    By a photo's pose map [B, 3, S, S] and matte [B, 1, S, S]: how much of the person is beyond the map about thighs and
    lower legs. Of 20 photos, three of wide trousers have 0.19 to 0.36 of the legs' pixels there, others 0.01 to 0.07.
    """
    every = max(poses.shape[-1] // _FINE_ENOUGH, 1)
    poses, mattes = poses[..., ::every, ::every], mattes[..., ::every, ::every]
    legs = shows(poses, _THIGHS_AND_BELOW)
    beyond = mattes * dilated(legs, poses.shape[-1] // _ABOUT_LEGS) * (poses[:, :1] == 0)
    share = beyond.sum((1, 2, 3)) / legs.sum((1, 2, 3)).clamp(min=1)
    least, most = _STANDING_OFF
    return ((share - least) / (most - least)).clamp(0, 1)[:, None, None, None]


def shows(poses: Tensor, parts: Sequence[int]) -> Tensor:
    """Where pose maps [B, 3, S, S] show one of `parts`: float32 [B, 1, S, S], 0 or 1."""
    wanted = constant(tuple(parts), poses.device)[:, None, None]
    return (poses[:, :1] == wanted).any(1, keepdim=True).float()


class _Fit(NamedTuple):
    """Least squares of place = middle + (chart coordinate - 0.5 - mean) * slope over some pixels; [B] each."""

    middle: Tensor
    """complex."""
    mean: Tensor
    slope: Tensor
    """complex."""
    pixels: Tensor
    """How many."""
    found: Tensor
    """bool."""


def _fit(poses: Tensor, parts: tuple[int, ...], axis: int) -> _Fit:
    """Fit the pixels of `parts`.

    `axis` 1 is U (down the torso), 2 is V (up the head); both run the same way in the charts they are used for.
    """
    mask = shows(poses, parts)[:, 0]
    chart, places = poses[:, axis].float() / 255 - 0.5, _places(poses.shape[-1], poses.device)
    count = mask.sum((1, 2))
    share = mask / count.clamp(min=1)[:, None, None]
    mean, middle = (share * chart).sum((1, 2)), (share * places).sum((1, 2))
    apart = share * (chart - mean[:, None, None])
    variance = (apart * (chart - mean[:, None, None])).sum((1, 2))
    slope = (apart * places).sum((1, 2)) / variance.clamp(min=1e-4)
    found = (count >= _LEAST_PIXELS) & (variance > 1e-3) & (slope.abs() > 0.04)
    return _Fit(middle, mean, slope, count, found)


def _head_turn(poses: Tensor) -> Tensor:
    """Which half of a head is shown, -1 (its right) to 1 (its left): the mean place around it [B]; 0 without a head."""
    right, left = (shows(poses, (half,))[:, 0] for half in HEAD_PARTS)
    around = poses[:, _U].float() / 255
    return (right * (around - 1) + left * around).sum((1, 2)) / (right + left).sum((1, 2)).clamp(min=1)


def _places(side: int, device: torch.device) -> Tensor:
    """The pixels' middles, complex [side, side]."""
    places = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * (2 / side) - 1
    return torch.complex(places.expand(side, side), places[:, None].expand(side, side))
