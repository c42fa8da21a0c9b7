"""How fast people are rendered, beside the floor that writing their files costs anyway."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np

from components.core.body.template import template
from components.core.settings import SynthesizeSettings
from components.synthesize.folder import encode_photo, photos_of


def bench(people: int = 6, height: int = 256) -> dict[str, float]:
    """Render `people` x 6 photos on one core, in memory.

    Seconds are processor seconds, so that other programs hardly matter.

    `images_per_s`: rendering and encoding; `floor_images_per_s`: JPEG and PNG encoding alone, same run;
    `times_floor`: how many times as long the whole takes as the encoding alone.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        template()  # once per process, not per photo
        settings = SynthesizeSettings.model_validate({"people": people, "photos_per_person": 6, "height": height})
        rendering, encoding = [], []
        for index in range(people):
            start = time.process_time()
            photos = [photo for _, _, photo in photos_of(settings, index)]
            rendering.append((time.process_time() - start) / len(photos))
            for photo in photos:
                start = time.process_time()
                encode_photo(photo)
                encoding.append(time.process_time() - start)
    finally:
        cv2.setNumThreads(threads)
    whole, floor = float(np.median(rendering) + np.median(encoding)), float(np.median(encoding))
    return {"images_per_s": 1 / whole, "floor_images_per_s": 1 / floor, "times_floor": whole / floor}


if __name__ == "__main__":
    print(json.dumps({name: round(value, 2) for name, value in bench().items()}))
