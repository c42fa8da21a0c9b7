"""Where it goes wrong: the error of each body part, and the slices that each pair belongs to.

Part errors are mean absolute differences of colours, 0..1, on the pixels that the target's pose map gives to the part.
The face counts where the target shows it (a head from behind has none).

Slices tell pairs apart by what can be read from the data: `view` of the target (front, side, back), `clothes` (same or
other than in the source), and whether arms and legs are bare there: a lower arm or leg is bare when its colour is the
person's skin colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from components.core.faces.head import face_seen
from components.core.people.dataset import Person
from components.core.pictures.iuv import ARM_PARTS, HAND_PARTS, HEAD_PARTS
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.pairs import EvaluationPair, same_clothes
from components.evaluate.measuring.quality import Floats, Images

PARTS: dict[str, tuple[int, ...]] = {
    "face": HEAD_PARTS,
    "hands": HAND_PARTS,
    "upper_body": (1, 2, *ARM_PARTS),
    "lower_body": (5, 6, *range(7, 15)),
}
"""Body part -> DensePose parts."""
LEAST_PIXELS = 12
"""Fewest pixels of a part for an error: fewer are mostly its rim."""
_LIMBS = {"arms": (19, 20, 21, 22), "legs": (11, 12, 13, 14)}
_LEAST_TEXELS = 24
_SKIN = 18.0
"""Distance in the Lab colour plane (a, b) within which a colour is the person's skin: light moves L, hardly a and b."""


def part_errors(images: Images, truths: Images, poses: Images) -> Floats:
    """Error of each of PARTS, [B, 4], of pictures [B, S, S, 3] against their truths, the parts by the truths' pose
    maps [B, S, S, 3]; NaN where fewer than LEAST_PIXELS show it."""
    apart = np.abs(images.astype(np.float64) - truths).mean(axis=3) / 255
    errors = np.full((len(images), len(PARTS)), np.nan)
    for k, pose in enumerate(poses):
        for column, (name, numbers) in enumerate(PARTS.items()):
            shown = np.isin(pose[..., 0], numbers)
            if shown.sum() >= LEAST_PIXELS and (name != "face" or face_seen(pose)):
                errors[k, column] = apart[k][shown].mean()
    return errors


def slices(people: Album, pairs: Sequence[EvaluationPair]) -> list[dict[str, str]]:
    """Of each pair: view, clothes, arms, legs (see above)."""
    return [_slices(people[pair.source], people[pair.target]) for pair in pairs]


def _slices(source: Person, target: Person) -> dict[str, str]:
    same = source.id == target.id or same_clothes(source, target)
    return {"view": target.record.view, "clothes": "same" if same else "other",
            **{name: limb(target, parts) for name, parts in _LIMBS.items()}}


def limb(person: Person, parts: Sequence[int]) -> str:
    """Whether the texture map shows these parts "bare" or "covered"; "unseen" where it shows too little of them, or no
    skin to compare with."""
    skin, shown = _colours(person, HEAD_PARTS), _colours(person, parts)
    if len(skin) < _LEAST_TEXELS or len(shown) < _LEAST_TEXELS:
        return "unseen"
    # Hair and beard are on the head too: skin is the redder half of it.
    skin_colour = np.median(skin[skin[:, 1] >= np.median(skin[:, 1])], axis=0)
    apart = np.linalg.norm(shown[:, 1:] - skin_colour[1:], axis=1)
    return "bare" if float(np.median(apart)) < _SKIN else "covered"


def _colours(person: Person, parts: Sequence[int]) -> npt.NDArray[np.float32]:
    """Colours of the parts' seen texels in Lab [n, 3] (L 0..100)."""
    tiles = np.asarray(parts) - 1
    seen = person.texture[tiles][person.seen[tiles]].astype(np.float32) / 255
    if not len(seen):
        return np.zeros((0, 3), np.float32)
    return np.asarray(cv2.cvtColor(seen[None], cv2.COLOR_RGB2LAB)[0], np.float32)
