"""How thick trunk and limbs are, from the person mask: its cross-sections against those of the posed body."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.body.template import BONE, JOINTS
from components.core.fitting.conventions import Conventions
from components.core.fitting.fitted import Floats
from components.core.fitting.posed import BoneMaps
from components.core.fitting.surface import posed_points, surface
from components.core.pictures.images import Pixels

_WORKING = 512
_STATIONS = np.linspace(0.2, 0.8, 7, dtype=np.float32)
_FARTHEST = 1.7
_ODD = 0.15
_TRUNK = {"pelvis": (0.86, 1.0), "spine": (1.0, 1.16)}
_LIMBS = ("upper_arm", "lower_arm", "upper_leg", "lower_leg")


def girths_in_mask(maps: BoneMaps, mask: Pixels, typical: Floats, rules: Conventions) -> Floats:
    """Girths [17] of all bones, both sides alike: `typical` where the mask does not tell."""
    posed = posed_points(maps.matrix, maps.offset)
    shrink = min(1.0, _WORKING / max(float(np.ptp(posed[:, 1])), 1.0))
    small = cv2.resize(mask, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) > 127
    girths = typical.copy()
    for names in (*((bone,) for bone in _TRUNK), *((f"{bone}_l", f"{bone}_r") for bone in _LIMBS)):
        tables = [_sections(name, maps, posed * shrink, small, shrink) for name in names]
        level = _level(np.concatenate(tables) / rules.loose, rules)
        for name in names:
            girths[BONE[name]] *= level
    return girths


def _level(table: Floats, rules: Conventions) -> float:
    """The girth over the typical one that a table [N, 2] of ratios speaks for: a robust mean that leans to 1.

    Where both sides of a section are known their mean counts, which does not mind a bone that lies off the middle;
    where one is, it counts with twice the deviation.
    """
    known = (~np.isnan(table)).sum(1)
    both, single = table[known == 2].mean(1), np.nansum(table[known == 1], 1)
    values = np.log(np.concatenate([both, single]))
    noise = np.concatenate([np.full(len(both), rules.noise), np.full(len(single), 2 * rules.noise)])
    level = 0.0
    for _ in range(5):
        weight = 0.25 / noise**2 / (1 + ((values - level) / _ODD) ** 2)
        level = float((weight * values).sum() / (weight.sum() + 1 / rules.spread**2))
    return float(np.exp(level))


def _sections(bone: str, maps: BoneMaps, posed: Floats, mask: NDArray[np.bool_], shrink: float) -> Floats:
    """The mask's extents over the body's to either side of a bone's stations: [stations, 2], nan where unknown."""
    table = np.full((len(_STATIONS), 2), np.nan, np.float32)
    start, end = (maps.place(bone, rest)[:2] * shrink for rest in _rest_axis(bone))
    length = float(np.linalg.norm(end - start))
    if length < 8:
        return table
    axis = (end - start) / length
    normal = np.array([-axis[1], axis[0]], np.float32)
    own = posed[surface().weights.argmax(1) == BONE[bone]][:, :2] - start
    along, out = own @ axis / length, own @ normal
    for row, station in enumerate(_STATIONS):
        near = np.abs(along - station) < 0.12
        if near.sum() < 4:
            continue
        for column, (way, extent) in enumerate(((normal, out[near].max()), (-normal, -out[near].min()))):
            if extent > 1:
                reach = _reach(mask, start + station * length * axis, way, _FARTHEST * extent)
                table[row, column] = reach / extent
    return table


def _rest_axis(bone: str) -> tuple[Floats, Floats]:
    if bone in _TRUNK:
        low, high = (np.array([0, y, -0.012], np.float32) for y in _TRUNK[bone])
        return low, high
    return JOINTS[BONE[bone]], JOINTS[BONE[bone] + 1]


def _reach(mask: NDArray[np.bool_], start: Floats, way: Floats, far: float) -> float:
    """How far along `way` the mask goes on; nan where that leaves the picture, begins outside or goes on past `far`."""
    steps = np.arange(0.0, far + 1, 0.5, dtype=np.float32)
    x, y = ((start[k] + steps * way[k]).astype(np.int32) for k in (0, 1))
    if x.min() < 0 or y.min() < 0 or x.max() >= mask.shape[1] or y.max() >= mask.shape[0]:
        return np.nan
    values = mask[y, x]
    if not values[0] or values.all():
        return np.nan
    return float(steps[int(np.argmin(values))])
