"""How thick trunk and limbs are, from the person mask: its cross-sections against those of the posed body.

Along a chain of bones (an arm, a leg, the trunk) the logarithm of the thickness and a shift to the side are smooth
functions of the place; both sides of the body are equally thick. Typical people are the prior, sections of the mask
the evidence, and what is far from the rest (a skirt, an arm at the hip) counts little.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.body.template import BONE, JOINTS
from components.core.fitting.conventions import Conventions
from components.core.fitting.fitted import Floats
from components.core.fitting.posed import BoneMaps
from components.core.fitting.surface import posed_points, surface
from components.core.pictures.images import Pixels

_WORKING = 400
_FARTHEST = 1.7
_STEP = 0.5
_ROUNDS = 4


@dataclass(frozen=True)
class Chain:
    """Bones in a row: `bones` by name, `knots` [K + 1, 3] between them at rest, `stations` along them."""

    bones: tuple[str, ...]
    knots: Floats
    stations: Floats
    """[S] places along the chain, 0 at the first knot, 1 at the second and so on."""
    vertices: NDArray[np.intp]
    share: Floats
    """[N] how much each vertex follows the chain's bones."""
    place: Floats
    """[N] where along the chain each vertex lies."""
    off: Floats
    """[N, 3] from the chain's axis to the vertex, at rest."""


_TRUNK = np.array([[0, y, -0.01] for y in (0.80, 1.00, 1.20, 1.40)], np.float32)


@lru_cache(maxsize=1)
def chains() -> tuple[tuple[Chain, ...], ...]:
    """Trunk; left and right arm; left and right leg."""
    def limb(first: str, side: str) -> Chain:
        start = BONE[f"upper_{first}_{side}"]
        return _chain((f"upper_{first}_{side}", f"lower_{first}_{side}"), JOINTS[start : start + 3])

    trunk = _chain(("pelvis", "spine", "chest"), _TRUNK)
    return (trunk,), (limb("arm", "l"), limb("arm", "r")), (limb("leg", "l"), limb("leg", "r"))


def _chain(bones: tuple[str, ...], knots: Floats) -> Chain:
    figure = surface()
    share = figure.weights[:, [BONE[bone] for bone in bones]].sum(1)
    vertices = np.nonzero(share > 0.02)[0]
    points = figure.points[vertices]
    stations = np.linspace(0, len(knots) - 1, 4 * (len(knots) - 1) + 1, dtype=np.float32)[1:-1]
    place = np.zeros(len(points), np.float32)
    for number, (start, end) in enumerate(pairwise(knots)):
        axis = end - start
        along = (points - start) @ axis / (axis @ axis)
        place += np.clip(along, -0.2 if number == 0 else 0, 1.2 if number == len(knots) - 2 else 1)
    return Chain(bones, knots, stations, vertices, share[vertices], place, points - _axis(knots, place))


def _axis(knots: Floats, place: Floats) -> Floats:
    """[N, 3] points of the chain's axis."""
    number = np.clip(np.floor(place).astype(int), 0, len(knots) - 2)
    share = (place - number)[:, None]
    return np.asarray(knots[number] * (1 - share) + knots[number + 1] * share, np.float32)


def rest_in_mask(maps: BoneMaps, mask: Pixels, scale: float, rules: Conventions) -> Floats:
    """The resting surface [V, 3] with the thickness that the mask tells of."""
    figure = surface()
    posed = posed_points(figure.points, maps.matrix, maps.offset)
    shrink = min(1.0, _WORKING / max(min(float(np.ptp(posed[:, 1])), mask.shape[0]), 1.0))
    small = cv2.resize(mask, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else mask
    inside = small > rules.threshold
    rest = figure.points.copy()
    for pair in chains():
        seen = [_sections(chain, maps, posed * shrink, inside, shrink, rules.margin * scale * shrink) for chain in pair]
        thick, shifts = _solved([table for table, _ in seen], rules)
        for chain, (_, normals), shift in zip(pair, seen, shifts, strict=True):
            grow = np.exp(np.interp(chain.place, chain.stations, thick)) - 1
            side = np.stack([np.interp(chain.place, chain.stations, shift * normals[:, k]) for k in range(3)], 1)
            rest[chain.vertices] += chain.share[:, None] * (grow[:, None] * chain.off + side)
    return rest


def _sections(chain: Chain, maps: BoneMaps, posed: Floats, mask: NDArray[np.bool_], shrink: float, margin: float
              ) -> tuple[Floats, Floats]:
    """Logarithms of the mask's extents over the body's to either side of the stations [S, 2], nan where unknown; and
    [S, 3] the step at rest that moves the body sideways by its half width in the picture."""
    table = np.full((len(chain.stations), 2), np.nan, np.float32)
    steps = np.zeros((len(chain.stations), 3), np.float32)
    number = np.minimum(chain.stations.astype(int), len(chain.knots) - 2)
    own = posed[chain.vertices][:, :2]
    main = chain.share > 0.5
    for bone in range(len(chain.knots) - 1):
        name = chain.bones[bone]
        start, end = (maps.place(name, knot)[:2] * shrink for knot in chain.knots[bone : bone + 2])
        length = float(np.linalg.norm(end - start))
        mine = np.nonzero(number == bone)[0]
        if length < 6:
            continue
        normal = np.array([start[1] - end[1], end[0] - start[0]], np.float32) / length
        out = (own - start) @ normal
        inverse = np.linalg.pinv(maps.matrix[BONE[name]])
        for row in mine:
            near = main & (np.abs(chain.place - chain.stations[row]) < 0.14)
            if near.sum() < 4:
                continue
            centre = start + (chain.stations[row] - bone) * (end - start)
            extents = float(out[near].max()), -float(out[near].min())
            steps[row] = inverse @ (np.array([*normal, 0]) * sum(extents) / 2 / shrink)
            for column, (way, extent) in enumerate(zip((normal, -normal), extents, strict=True)):
                if extent > 1:
                    reach = _reach(mask, centre, way, _FARTHEST * extent + margin) - margin
                    table[row, column] = np.log(max(reach, 0.1) / extent)
    return table, steps


def _reach(mask: NDArray[np.bool_], start: Floats, way: Floats, far: float) -> float:
    """How far along `way` the mask goes on; nan where that leaves the picture, begins outside or goes on past `far`."""
    steps = np.arange(0.0, far + 1, _STEP, dtype=np.float32)
    x, y = (start[0] + steps * way[0]).astype(np.int32), (start[1] + steps * way[1]).astype(np.int32)
    ends = x[[0, -1]], y[[0, -1]]
    if min(ends[0]) < 0 or min(ends[1]) < 0 or max(ends[0]) >= mask.shape[1] or max(ends[1]) >= mask.shape[0]:
        return float("nan")
    values = mask[y, x]
    if not values[0] or values.all():
        return float("nan")
    return float(steps[int(np.argmin(values))])


def _solved(tables: list[Floats], rules: Conventions) -> tuple[Floats, list[Floats]]:
    """Logarithm of the thickness [S], shared, and each chain's shift [S] in half widths, positive along the normal.

    Reweighted least squares: a section says thickness + shift on one side and thickness - shift on the other.
    """
    stations = len(tables[0])
    size = stations * (1 + len(tables))
    rows, values = [], []
    for number, table in enumerate(tables):
        for station, column in np.argwhere(~np.isnan(table)):
            row = np.zeros(size)
            row[station] = 1
            row[stations * (number + 1) + station] = 1 if column == 0 else -1
            rows.append(row)
            values.append(table[station, column])
    prior = _prior(stations, len(tables), rules)
    normal = prior.T @ prior
    solution = np.zeros(size)
    if rows:
        evidence, value = np.stack(rows), np.array(values)
        for _ in range(_ROUNDS):
            left = (evidence @ solution - value) / rules.odd
            weight = 1 / rules.noise**2 / (1 + left * left) ** 2
            weighed = weight[:, None] * evidence
            solution = np.linalg.solve(normal + evidence.T @ weighed, weighed.T @ value)
    found: list[Floats] = list(solution.reshape(-1, stations))
    return found[0], found[1:]


def _prior(stations: int, chains: int, rules: Conventions) -> Floats:
    """Rows that hold thickness and shifts near 0 and near their neighbours."""
    near = np.eye(stations)
    apart = np.diff(near, axis=0)
    blocks = [np.concatenate([near / spread, apart / (0.6 * spread)])
              for spread in (rules.spread, *[rules.sideways] * chains)]
    out = np.zeros((sum(len(block) for block in blocks), stations * len(blocks)))
    for number, block in enumerate(blocks):
        out[number * len(block) : (number + 1) * len(block), number * stations : (number + 1) * stations] = block
    return out
