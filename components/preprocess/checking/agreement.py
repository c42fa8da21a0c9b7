"""Whether a pose map is its photo's: its charts run as a body's do, and its outline lies where the photo has one.

The charts need no picture. On a surface that is seen from outside, U and V of a part turn one way round and never the
other (`_TURNS`), however the person stands; in a mirrored map they turn the other way. Whether the map is this photo's
is told by its outline (`outline.py`), and whether the photo was mirrored by comparing with the mirrored outline.
"""

from __future__ import annotations

import cv2
import numpy as np

from components.core.errors import InputError
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HAND_PARTS, HEAD_PARTS, PARTS
from components.preprocess.checking.outline import agreement

_TURNS = np.asarray([0, -1, 1, -1, -1, -1, -1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, -1])
"""Sign of dU/dx dV/dy - dU/dy dV/dx (x to the right, y down) of each part where it is seen; [0] is the background."""
_MIDDLE = np.isin(np.arange(PARTS + 1), (1, 2, *HAND_PARTS, 5, 6, *HEAD_PARTS))
"""Parts whose charts turn alike on both sides: they tell a map that was mirrored with its labels exchanged, too."""
_FEWEST = 40
_SIDE = 160
"""The person's longer side, in pixels, where the charts are looked at; smaller people are at their own size."""
_CLEARLY = 0.5
"""By how much the mirrored outline must agree better: on a person who stands like a mirror image both agree alike."""
_BEYOND_DOUBT = 12.0
"""No map of a mirrored photo agrees as well, of 620 (the best by 11.3); half of the right ones do."""
_UPRIGHT = 4.0
"""No map that is turned by 180 degrees agrees as well (the best by 0.6); nine of ten right ones do."""
_ANOTHER = "make the pose map from this very photo; preprocess.check_maps=false keeps such photos"


def check_map(photo: Pixels, iuv: Pixels) -> None:
    """Raise `InputError` for a pose map [H, W, 3] that is not that of the person in a photo [H, W, 3].

    For one that is mirrored, upside down, or of a photo that was mirrored; and for that of another photo, or one that
    lies elsewhere in this one. Passes what shows too little to tell.
    """
    if turned_share(iuv) < 0:
        raise InputError("the pose map is mirrored: U and V run as on no body",
                         remedy="make it from this very photo; mirroring must exchange left and right parts and turn "
                                "U and V, too")
    labels = np.ascontiguousarray(iuv[..., 0])
    fit = agreement(photo, labels)
    if fit is None:
        return
    if fit > _BEYOND_DOUBT:
        return
    better = max(fit + _CLEARLY, 0)
    if _agrees(photo, labels[:, ::-1], better):
        raise InputError("the pose map fits the mirrored photo", remedy=_ANOTHER)
    if fit < _UPRIGHT and _agrees(photo, labels[::-1, ::-1], better):
        raise InputError("the pose map is upside down in this photo",
                         remedy="make it from the photo as EXIF turns it, or turn it by 180 degrees")
    if fit <= 0:
        raise InputError("the pose map is not this photo's: the photo has no such outline there", remedy=_ANOTHER)


def _agrees(photo: Pixels, labels: Pixels, least: float) -> bool:
    found = agreement(photo, np.ascontiguousarray(labels))
    return found is not None and found > least


def turned_share(iuv: Pixels) -> float:
    """Share of a pose map's [H, W, 3] pixels whose U and V turn as on a body, less the share that turn against it.

    By torso, head, hands and feet where they show, else by all parts; 0 where too little shows. On 20 real maps at
    least 0.92, on synthetic ones as noisy as a poor detector's 0.66; of their mirrors the same below 0.
    """
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(iuv[..., 0]))
    scale = min(1.0, _SIDE / max(width, height, 1))
    size = max(3, round(width * scale)), max(3, round(height * scale))
    if not width:
        return 0.0
    small = cv2.resize(np.ascontiguousarray(iuv[y : y + height, x : x + width]), size, interpolation=cv2.INTER_NEAREST)
    reach = 2 if max(size) >= 100 else 1
    padded = np.pad(small, ((reach, reach), (reach, reach), (0, 0))).astype(np.int32)
    labels = small[..., 0]

    def beside(down: int, right: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        return padded[reach + down :, reach + right :][: size[1], : size[0]]

    left, right, above, below = (beside(*step) for step in ((0, -reach), (0, reach), (-reach, 0), (reach, 0)))
    inside = (labels > 0) & np.all([one[..., 0] == labels for one in (left, right, above, below)], axis=0)
    across, down = (right - left)[..., 1:], (below - above)[..., 1:]
    turns = np.sign(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]) * _TURNS[labels]
    for where in (inside & _MIDDLE[labels], inside):
        if np.count_nonzero(where) >= _FEWEST:
            return float(turns[where].mean())
    return 0.0
