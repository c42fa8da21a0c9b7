"""Many poses at a glance: grey figures with their names in one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from components.core.pictures.images import Pixels
from components.core.poses.drawing import mannequin
from components.core.poses.physique import Physique
from components.core.poses.pose import Pose

_PAPER, _INK = (246, 246, 246), (40, 40, 40)
_CAPTION = 20


def pose_sheet(poses: Sequence[Pose], body: Physique, side: int = 200, columns: int = 8) -> Pixels:
    """uint8 RGB: a figure of `side` pixels for each of `poses`, in rows, its name below."""
    columns = max(1, min(columns, len(poses)))
    rows = -(-len(poses) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + _CAPTION)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, pose in enumerate(poses):
        x, y = number % columns * side, number // columns * (side + _CAPTION)
        sheet.paste(Image.fromarray(mannequin(pose, body, side)), (x, y))
        draw.text((x + side / 2, y + side + _CAPTION / 2), pose.name, fill=_INK, anchor="mm", font_size=11)
    return np.asarray(sheet, np.uint8)
