"""Several people in one pose map, told apart: each place on a body is seen once, so what is there twice is two bodies.

An official DensePose map of a photo shows everybody in it. Its pieces (regions of one part without a jump in U or V)
are joined along their borders where the body has such a joint, the longest border first, and never two that show the
same place on a body. What hangs together with no head and no torso is an island and goes to whoever is nearest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS, PARTS, person_box

Whom = Literal["largest", "all", "centre"]
Mask = NDArray[np.bool_]

_TORSO_PARTS = (1, 2)
_ALL_PARTS = tuple(range(1, PARTS + 1))
_SIDE = 160
"""The longer side at which a map is looked at to see whether it shows more than one person."""
_CELLS = 8
"""A part's chart has 8 x 8 cells; a body shows each of them in one place."""
_SPREAD, _LEAST_SPREAD = 3.0, 4.0
"""A cell is there twice when the variance of its pixels' places is over 3 times their number and over 4 squared."""
_TWICE = 0.12
"""Share of pixels in cells that are there twice, from which a map is looked at for more than one person; that of the
head's and torso's pixels, from which somebody still is two."""
_PIECE = 0.002
"""Least share of all that is body for a piece; the rest are specks."""
_SAME = 0.25
"""Two pieces of a part show the same place where so much of the smaller's chart cells are the other's, too."""
_CRUMB = 0.15
"""Less than this share of a piece that is broken off beside it is no other person's."""
_HEAD_ALONE = 0.8
_LEAST_PERSON = 0.04
"""Least share of the largest person's pixels for another person; less is an island."""
_JUMP, _JUMPS = 40.0, 6.0
_NEAR = 0.35
"""Head and torso no farther apart than this share of the longer side may be one person's."""


def _joints() -> Mask:
    """[25, 25]: which parts adjoin on a body."""
    sides = (((1, 2), (15, 17), (19, 21), (4,)), ((1, 2), (16, 18), (20, 22), (3,)),
             ((1, 2), (8, 10), (12, 14), (5,)), ((1, 2), (7, 9), (11, 13), (6,)), ((1, 2), (23, 24)))
    found = np.zeros((PARTS + 1, PARTS + 1), np.bool_)
    for chain in sides:
        for near, far in itertools.pairwise(chain):
            found[np.ix_(near, far)] = True
        for group in chain:
            found[np.ix_(group, group)] = True
    for a, b in ((9, 10), (7, 8)):
        found[a, b] = True
    return np.asarray(found | found.T)


_JOINTS = _joints()


def people_in(iuv: Pixels) -> list[Pixels]:
    """The pose maps [H, W, 3] of the people in one [H, W, 3], whoever covers most first; itself where it is one.

    Raises `InputError` where it shows more than one, and where one ends and the other begins cannot be told.
    """
    box = person_box(iuv)
    if box is None or not _seems_several(iuv, box):
        return [iuv]
    x0, y0, x1, y1 = box
    inside = np.ascontiguousarray(iuv[y0:y1, x0:x1])
    owners = _owners(inside)
    found = []
    for owner in range(1, int(owners.max()) + 1):
        mine = np.zeros_like(iuv)
        mine[y0:y1, x0:x1][owners == owner] = inside[owners == owner]
        found.append(mine)
    found.sort(key=lambda one: -int(np.count_nonzero(one[..., 0])))
    if any(_is_still_several(_small(one, person_box(one) or box)) for one in found):
        raise InputError("the pose map shows people who overlap, and where one ends cannot be told",
                         remedy="make a pose map of one person, or remove the photo")
    return found


def _small(iuv: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    x0, y0, x1, y1 = box
    scale = min(1.0, _SIDE / max(x1 - x0, y1 - y0))
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    return np.asarray(cv2.resize(iuv[y0:y1, x0:x1], size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _seems_several(iuv: Pixels, box: tuple[int, int, int, int]) -> bool:
    """Whether a look at the whole says more than one: places of a body seen twice, or two with head and torso."""
    small = _small(iuv, box)
    return _share_twice(small, _ALL_PARTS) > _TWICE or _heads(small[..., 0])[1] > 1


def _is_still_several(small: Pixels) -> bool:
    """Whether what was told apart as one person shows places twice, has two heads, or is somebody's head alone."""
    labels = small[..., 0]
    heads, body = np.count_nonzero(np.isin(labels, HEAD_PARTS)), np.count_nonzero(labels)
    return bool(_share_twice(small) > _TWICE or _heads(labels)[1] > 1 or heads > _HEAD_ALONE * body)


def _heads(labels: Pixels) -> tuple[NDArray[np.int32], int]:
    """Regions of the head's parts [h, w] and how many heads they are: large, and apart by more than half a head."""
    head = np.isin(labels, HEAD_PARTS).astype(np.uint8)
    *_, around, across = cv2.boundingRect(head)
    if not head.any():
        return np.zeros(labels.shape, np.int32), 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(head, connectivity=8)
    largest = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
    size = max(int(largest[cv2.CC_STAT_WIDTH]), int(largest[cv2.CC_STAT_HEIGHT]))
    if max(around, across) <= 1.5 * size:
        return head.astype(np.int32), 1
    reach = 2 * (size // 4) + 1
    _, joined = cv2.connectedComponents(cv2.dilate(head, np.ones((reach, reach), np.uint8)))
    regions = np.where(head > 0, joined, 0).astype(np.int32)
    areas = np.bincount(regions[head > 0], minlength=2)
    return regions, int(np.count_nonzero(areas > _CRUMB * areas.max()))


def _share_twice(iuv: Pixels, parts: tuple[int, ...] = (*HEAD_PARTS, *_TORSO_PARTS)) -> float:
    """Share of the pixels of some parts of a small map that lie in chart cells which are there twice."""
    labels = iuv[..., 0]
    ys, xs = np.nonzero(np.isin(labels, parts))
    if not len(ys):
        return 0.0
    part, u, v = iuv[ys, xs].T.astype(np.intp)
    cells = (part * _CELLS + u * _CELLS // 256) * _CELLS + v * _CELLS // 256
    many = (PARTS + 1) * _CELLS**2
    count = np.maximum(np.bincount(cells, minlength=many), 1)
    variance = np.zeros(many)
    for place in (xs, ys):
        mean = np.bincount(cells, place, many) / count
        variance += np.bincount(cells, place.astype(np.float64) ** 2, many) / count - mean**2
    twice = (variance > _SPREAD * count) & (variance > _LEAST_SPREAD**2)
    return float(twice[cells].mean())


@dataclass
class _Piece:
    """A region of one part in which U and V run on."""

    number: int
    part: int
    area: int
    cells: frozenset[int]
    box: tuple[int, int, int, int]
    """(x0, y0, x1, y1), ends excluded."""

    def repeats(self, other: _Piece) -> bool:
        """Whether two pieces of a part show the same place twice; a crumb broken off the other does not."""
        small, large = sorted((self, other), key=lambda piece: piece.area)
        if small is large or len(small.cells & large.cells) <= _SAME * min(len(small.cells), len(large.cells)):
            return False
        apart = max(max(small.box[i], large.box[i]) - min(small.box[i + 2], large.box[i + 2]) for i in (0, 1))
        return small.area > _CRUMB * large.area or apart > np.sqrt(small.area)


@dataclass
class _Body:
    """Pieces that were joined."""

    pieces: list[_Piece]
    conflicts: set[int] = field(default_factory=set)
    """Numbers of pieces that show what one of these shows."""

    @property
    def area(self) -> int:
        return sum(piece.area for piece in self.pieces)

    def has(self, parts: Iterable[int]) -> bool:
        """Whether these parts are a twentieth of it or more."""
        return sum(piece.area for piece in self.pieces if piece.part in parts) > 0.05 * self.area

    def clashes(self, other: _Body) -> bool:
        """Whether the two show the same place on a body, or a head each."""
        return any(piece.number in self.conflicts for piece in other.pieces)

    def take(self, other: _Body) -> None:
        self.pieces += other.pieces
        self.conflicts |= other.conflicts


def _owners(iuv: Pixels) -> NDArray[np.int32]:
    """Whose each pixel of a map [h, w, 3] is, [h, w]: 1, 2, ...; 0 where nobody's."""
    labels = iuv[..., 0]
    regions, pieces = _pieces(iuv)
    bodies = _joined(regions, pieces, _heads(labels)[0])
    people, islands = _people_and_islands(bodies, regions)
    owner = np.zeros(int(regions.max()) + 1, np.int32)
    for number, body in enumerate(people, start=1):
        owner[[piece.number for piece in body.pieces]] = number
    for island in islands:
        mask = _mask(regions, island)
        free = [i for i, body in enumerate(people) if not body.clashes(island)] or list(range(len(people)))
        gaps = [_gap(np.isin(owner[regions], i + 1), mask) for i in free]
        owner[[piece.number for piece in island.pieces]] = free[int(np.argmin(gaps))] + 1
    return _with_specks(owner[regions], labels > 0)


def _pieces(iuv: Pixels) -> tuple[NDArray[np.int32], list[_Piece]]:
    """Regions [h, w] numbered from 1, 0 for background and specks; and what they are."""
    labels = iuv[..., 0]
    regions = np.zeros(labels.shape, np.int32)
    least = max(8.0, _PIECE * np.count_nonzero(labels))
    pieces: list[_Piece] = []
    for part in np.unique(labels[labels > 0]).tolist():
        mask = labels == part
        count, found, stats, _ = cv2.connectedComponentsWithStats((mask & ~_jumps(iuv, mask)).astype(np.uint8),
                                                                 connectivity=4)
        for i in range(1, count):
            area = int(stats[i, cv2.CC_STAT_AREA])
            if area < least:
                continue
            here = found == i
            number = len(pieces) + 1
            regions[here] = number
            u, v = iuv[here][:, 1:].astype(np.intp).T
            cells, times = np.unique((u // 16) * 16 + v // 16, return_counts=True)
            often = cells[times >= max(1.0, 0.1 * float(np.median(times)))]
            x, y, width, height = stats[i, :4].tolist()
            pieces.append(_Piece(number, part, area, frozenset(often.tolist()), (x, y, x + width, y + height)))
    return regions, pieces


def _jumps(iuv: Pixels, mask: Mask) -> Mask:
    """Pixels of a part from which U or V jumps to the next one of the part, to the right or down."""
    chart = iuv[..., 1:].astype(np.int16)
    jumps = np.zeros(mask.shape, np.bool_)
    for axis in (0, 1):
        step = np.abs(np.diff(chart, axis=axis)).max(axis=2)
        both = mask[1:] & mask[:-1] if axis == 0 else mask[:, 1:] & mask[:, :-1]
        if not both.any():
            continue
        far = both & (step > max(_JUMP, _JUMPS * float(np.median(step[both]))))
        if axis == 0:
            jumps[:-1] |= far
        else:
            jumps[:, :-1] |= far
    return jumps


def _joined(regions: NDArray[np.int32], pieces: Sequence[_Piece], heads: NDArray[np.int32]) -> list[_Body]:
    """Pieces joined along borders that a body has, the longest first, but never two that clash."""
    bodies = {piece.number: _Body([piece]) for piece in pieces}
    of_head = {piece.number: int(np.bincount(heads[regions == piece.number]).argmax())
               for piece in pieces if piece.part in HEAD_PARTS}
    for one in pieces:
        for other in pieces:
            head, other_head = (of_head.get(piece.number, 0) for piece in (one, other))
            if (head and other_head and head != other_head) or (one.part == other.part and one.repeats(other)):
                bodies[one.number].conflicts.add(other.number)
    part = np.zeros(int(regions.max()) + 1, np.intp)
    area = np.ones(int(regions.max()) + 1)
    for piece in pieces:
        part[piece.number], area[piece.number] = piece.part, piece.area
    pairs, lengths = _borders(regions)
    fits = _JOINTS[part[pairs[:, 0]], part[pairs[:, 1]]]
    pairs, lengths = pairs[fits], lengths[fits] / np.sqrt(area[pairs[fits]].min(axis=1))
    for i in np.argsort(-lengths, kind="stable"):
        first, second = (bodies[int(number)] for number in pairs[i])
        if first is second or first.clashes(second):
            continue
        first.take(second)
        for piece in second.pieces:
            bodies[piece.number] = first
    return list({id(body): body for body in bodies.values()}.values())


def _borders(regions: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Pairs [n, 2] of regions that touch, lower number first, and how long their border is.

    Up to two pixels between them count as touching: a jump takes one.
    """
    found = []
    for gap in (1, 2):
        for first, second in ((regions[gap:], regions[:-gap]), (regions[:, gap:], regions[:, :-gap])):
            touch = (first != second) & (first > 0) & (second > 0)
            found.append(np.stack([np.minimum(first, second)[touch], np.maximum(first, second)[touch]], axis=1))
    pairs, counts = np.unique(np.concatenate(found), axis=0, return_counts=True)
    return pairs.reshape(-1, 2), counts.astype(np.float64)


def _people_and_islands(bodies: list[_Body], regions: NDArray[np.int32]) -> tuple[list[_Body], list[_Body]]:
    """Who is a person of their own, the largest first, and what is only a part of one."""
    bodies = sorted(bodies, key=lambda body: -body.area)
    people: list[_Body] = []
    islands: list[_Body] = []
    for body in bodies:
        core = body.has(HEAD_PARTS) or body.has(_TORSO_PARTS)
        if people and (not core or body.area < _LEAST_PERSON * people[0].area):
            islands.append(body)
            continue
        mask = _mask(regions, body)
        near = [one for one in people if not one.clashes(body) and _is_near(_mask(regions, one), mask)]
        if near:
            near[0].take(body)
        else:
            people.append(body)
    return people, islands


def _mask(regions: NDArray[np.int32], body: _Body) -> Mask:
    return np.asarray(np.isin(regions, [piece.number for piece in body.pieces]))


def _is_near(mask: Mask, other: Mask) -> bool:
    *_, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return _gap(mask, other) < _NEAR * max(width, height)


def _gap(mask: Mask, other: Mask) -> float:
    """Least distance between two regions in pixels."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    return float(away[other].min()) if other.any() else 0.0


def _with_specks(owners: NDArray[np.int32], body: Mask) -> NDArray[np.int32]:
    """Pixels of the body that nobody owns go to the nearest owner."""
    missing = body & (owners == 0)
    if not missing.any() or not owners.any():
        return owners
    _, nearest = cv2.distanceTransformWithLabels((owners == 0).astype(np.uint8), cv2.DIST_L2, 5,
                                                 labelType=cv2.DIST_LABEL_PIXEL)
    known = np.zeros(int(nearest.max()) + 1, np.int32)
    known[nearest[owners > 0]] = owners[owners > 0]
    return np.where(missing, known[nearest], owners)
