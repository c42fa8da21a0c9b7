"""How alike faces are, however the head is held."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from networks import needs_weights

from components.core.faces.sface import SAME_COSINE
from components.core.pictures.images import read_photo
from components.core.stores.published import GROUPS
from components.shoot.likeness import Likeness


def test_a_tilted_head_is_as_alike_as_an_upright_one(shared_data: Path) -> None:
    needs_weights(*GROUPS["landmarks"], "sface")
    photo = read_photo(shared_data / "people_plain" / "plain_07.jpg", 80)
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 3), 35, 1.0)
    tilted = np.asarray(cv2.warpAffine(photo, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    measure = Likeness([photo])
    alike = measure.of(tilted)
    assert alike is not None and alike > 0.8
    measure._levels = False
    unlevelled = measure.of(tilted)
    assert unlevelled is None or unlevelled < alike - 0.2
    assert alike > SAME_COSINE
