"""A texture map for people and other programs to look at, in the atlas's layout or SMPL's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.core.pictures.images import Pixels
from components.core.pictures.smpl import read_lookup, smpl_chart
from components.core.pictures.texture import MIRRORED, PAINTED, SEEN, Mask, complete, sample, to_picture


def texture_picture(texture: Pixels, seen: Mask, *, fill: bool = False, lookup: Path | None = None,
                    size: int = 512) -> tuple[Pixels, dict[str, float]]:
    """Texture [24, N, N, 3] as RGBA [6N, 4N, 4], or [size, size, 4] in SMPL's layout with a `lookup` file.

    With `fill` what was not seen is completed. Opacity tells evidence from paint: 255 seen in the photo, 128 mirrored,
    64 painted, 0 nothing there. Also returns the shares of the 24 tiles' texels that are seen, mirrored and painted.
    Raises `InputError` for a broken lookup.
    """
    origin = np.where(seen, np.uint8(SEEN), np.uint8(0))
    if fill:
        texture, origin = complete(texture, seen)
    shares = {name: float((origin == kind).mean()) for name, kind in
              (("seen", SEEN), ("mirrored", MIRRORED), ("painted", PAINTED))}
    if lookup is None:
        return np.dstack([to_picture(texture), to_picture(origin)]), shares
    chart = smpl_chart(read_lookup(lookup), size)
    colours, valid = sample(texture, chart, origin > 0)
    # Of the texels that a pixel is mixed from, the least trustworthy one's word counts.
    least = np.full(chart.shape[:2], 255, np.uint8)
    for kind in (MIRRORED, PAINTED):
        _, touched = sample(texture, chart, origin == kind)
        least[touched] = kind
    return np.dstack([colours, np.where(valid, least, np.uint8(0))]), shares
