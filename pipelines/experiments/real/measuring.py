"""One picture measured: the face, its points, rims and specks, and against the person's own photo if there is one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from components.core.errors import SettingsError
from components.core.faces.levelling import found_points
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.people.person import PersonCrop
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS
from components.core.settings import PreprocessSettings
from components.evaluate.measuring.quality import PLAIN, over, psnr, ssim, to_torch
from pipelines.experiments.real.measures.anew import FACE, FIGURE, Looks
from pipelines.experiments.real.measures.judges import Face, Judges, likeness
from pipelines.experiments.real.measures.points import point_error
from pipelines.experiments.real.measures.rims import light_rim, person_in, specks
from pipelines.experiments.real.pictures.people import Portrayed
from pipelines.experiments.real.pictures.poses import EXACT, Task
from pipelines.experiments.real.pictures.rows import Made

NUMBERS = ("found", "sface", "dlib", "sface_same", "dlib_same", "both_same", "points", "mouth", "chin", "specks", "rim",
           "head_psnr", "perceptual", "ssim", "seconds")
_MOST_LOOKED_AT = 512
"""Side in pixels at which larger pictures are brought to the perceptual network and SSIM."""
_TEXEL = 32

Numbers = dict[str, float]
Seen = Mapping[str, list[float]]


class Instruments:
    """Everything that measures. Raises what the networks raise where they are not to be had."""

    def __init__(self, judges: Judges, perceptual: str = "builtin") -> None:
        self.judges, self.looks = judges, Looks()
        try:
            self.perceptual = PerceptualDistance(perceptual).eval()
        except SettingsError:
            raise SettingsError(f"unknown perceptual network {perceptual}",
                                remedy="choose builtin, vgg16 or vgg19") from None

    def measure(self, task: Task, made: Made, settings: PreprocessSettings) -> tuple[Numbers, Seen]:
        """Numbers by the names of `NUMBERS` (NaN: not to be had), and what the judge of photos sees of the picture."""
        size = len(made.image)
        target = task.target.cut(settings, size, _TEXEL)
        numbers: Numbers = dict.fromkeys(NUMBERS, float("nan"))
        numbers["seconds"] = made.seconds
        face = self.judges.face(made.image, target.iuv)
        numbers |= _likeness(face, task.sources[0].face) | self._points(face, made.image, task, target)
        exact = task.kind in EXACT
        person = target.matte > 127 if exact else person_in(made.matte, target.iuv)
        numbers |= {"specks": specks(made.matte, person), "rim": light_rim(made.image, made.matte, PLAIN)}
        if exact:
            numbers |= self._against(target, made)
        looks = {"figure": self.looks(made.image, FIGURE, made.matte)}
        if face is not None:
            looks["face"] = self.looks(face.chip, FACE)
        return numbers, looks

    def _points(self, face: Face | None, picture: Pixels, task: Task, target: PersonCrop) -> Numbers:
        found = None if face is None else found_points(picture, face.found)
        if found is None:
            return {}
        x0, y0, x1, _ = target.box
        scale = len(picture) / (x1 - x0)
        error = point_error(found, (task.target.wanted - [x0, y0]) * scale, task.target.eyes * scale)
        return {} if error is None else {"points": error.all, "mouth": error.mouth, "chin": error.chin}

    @torch.no_grad()
    def _against(self, target: PersonCrop, made: Made) -> Numbers:
        truth, mattes = over(target.photo, target.matte)[None], target.matte[None]
        head = np.isin(target.iuv[..., 0], HEAD_PARTS).astype(np.uint8)[None] * 255
        numbers = {"head_psnr": float(psnr(made.image[None], truth, head)[0])}
        step = max(1, len(made.image) // _MOST_LOOKED_AT)
        image, truth, mattes = (_smaller(array, step) for array in (made.image[None], truth, mattes))
        mask = torch.from_numpy(mattes[:, None].astype(np.float32) / 255)
        numbers["perceptual"] = float(self.perceptual(to_torch(image), to_torch(truth), mask)[0])
        return numbers | {"ssim": float(ssim(image, truth, mattes)[0])}

    def looks_of_photo(self, photo: Portrayed, settings: PreprocessSettings, size: int) -> Seen:
        """What the judge sees of a photo that was brought to `size`: a photo as it is would be told by its resolution.

        Without the face where it is not found at that size.
        """
        crop = photo.cut(settings, size, _TEXEL)
        picture = over(crop.photo, crop.matte)
        face = self.judges.face(picture, crop.iuv)
        looks = {"figure": self.looks(picture, FIGURE, crop.matte)}
        return looks if face is None else looks | {"face": self.looks(face.chip, FACE)}


def _likeness(face: Face | None, real: Face) -> Numbers:
    if face is None:
        return {"found": 0.0, "sface_same": 0.0, "dlib_same": 0.0 if len(real.dlib) else float("nan"),
                "both_same": 0.0 if len(real.dlib) else float("nan")}
    both = likeness(face, real)
    return {"found": 1.0, "sface": both.sface, "dlib": both.dlib, **both.same}


def _smaller(array: Pixels, step: int) -> Pixels:
    """[1, S, S, ...] -> means of step x step pixels."""
    side = array.shape[1] // step
    cells = array[:, : side * step, : side * step].reshape(1, side, step, side, step, *array.shape[3:])
    return np.asarray(np.rint(cells.mean((2, 4), dtype=np.float64)), np.uint8)
