"""The people of a folder of plain photos: pose maps and mattes estimated, photos of one person grouped, faces found."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.cluster.grouping.assign import SET_ASIDE, assign
from components.cluster.grouping.tree import Rule
from components.core.atomic import atomic_path
from components.core.digest import code_digest, file_digest
from components.core.errors import InputError
from components.core.faces.levelling import found_points
from components.core.faces.recognition import load_embedder
from components.core.people.person import PersonCrop, person_from_photo
from components.core.pictures.folder import PhotoFile, list_photos
from components.core.pictures.images import Pixels, read_photo
from components.core.pictures.labels import labels_of
from components.core.progress import track
from components.core.settings import PreprocessSettings
from pipelines.experiments.real.measures.judges import Face, Judges
from pipelines.experiments.real.measures.points import eye_distance, turn, wanted_points

_ROOMS = ("core/estimation", "core/fitting", "core/landmarks", "core/matting", "core/body", "core/data",
          "core/pictures")
_LARGEST = 2048
"""Longer side in pixels to which larger photos are brought first: no picture made of them is larger."""


@dataclass(frozen=True)
class Portrayed:
    """Somebody in a photo [H, W, 3]."""

    name: str
    """The photo's, relative to the folder."""
    digest: str
    photo: Pixels
    """Along the outline without the colours of what was behind them."""
    iuv: Pixels
    seen_iuv: Pixels
    """The pose map without what the photo does not show: what its colours are taken by."""
    matte: Pixels
    face: Face
    mesh: npt.NDArray[np.float64]
    """[468, 3] the face's points, in pixels of the photo."""

    def cut(self, settings: PreprocessSettings, size: int, texel: int, *, source: bool = False) -> PersonCrop:
        """The square crop at `size` with a texture of `texel`, as a target or as a `source` of colours."""
        wanted = settings.model_copy(update={"resolution": size, "texel": texel})
        return person_from_photo(self.photo, self.seen_iuv if source else self.iuv, wanted, self.matte)

    @property
    def turn(self) -> float:
        """How far the head is turned to the side, radians."""
        return turn(self.mesh)

    @cached_property
    def wanted(self) -> npt.NDArray[np.float64]:
        """[468, 2] where the pose map puts the face's points, in pixels of the photo; NaN where it does not show."""
        return wanted_points(self.iuv)

    @property
    def eyes(self) -> float:
        """Distance between the eyes in pixels of the photo."""
        return eye_distance(self.mesh)


@dataclass(frozen=True)
class Subject:
    """A person and their photos, the one with the largest face first."""

    name: str
    photos: list[Portrayed]


@dataclass(frozen=True)
class Gathered:
    """Who can be photographed, and which photos were left out and why."""

    subjects: list[Subject]
    left_out: dict[str, str]

    @property
    def photos(self) -> list[Portrayed]:
        """Everybody's."""
        return [photo for subject in self.subjects for photo in subject.photos]


def gather(folder: Path, settings: PreprocessSettings, judges: Judges, work: Path) -> Gathered:
    """Look at every photo of a folder; what is found of each is kept in `work` and used again.

    labels.csv or sub-folders say who is who; without them the faces do, as the clustering step groups them. Photos
    without a person or a face are left out. Raises `InputError` for a folder without photos or with fewer than two
    people, and what the networks raise where they are not to be had.
    """
    files = list_photos(folder)
    found: list[Portrayed] = []
    left_out: dict[str, str] = {}
    for file in track(files.photos, label="people and faces"):
        try:
            found.append(_portrayed(file, settings, judges, work))
        except InputError as error:
            left_out[file.name] = error.problem
    said = labels_of(files)
    owners = {one.name: said.get(one.name, Path(one.name).stem) for one in found} if said else _by_face(found)
    by_person: dict[str, list[Portrayed]] = defaultdict(list)
    for one in found:
        by_person[owners[one.name]].append(one)
    if len(by_person) < 2:
        raise InputError(f"{len(by_person)} people with a face in these photos, poses come from others", path=folder,
                         remedy="bring photos of at least two people")
    return Gathered([Subject(name, sorted(photos, key=lambda one: (-one.eyes, one.name)))
                     for name, photos in sorted(by_person.items())], left_out)


def _portrayed(file: PhotoFile, settings: PreprocessSettings, judges: Judges, work: Path) -> Portrayed:
    """One photo looked at. Raises `InputError` where it shows nobody, or no face."""
    from components.core.estimation.estimate import best_estimate, cut_out
    from components.core.landmarks import search

    digest = file_digest(file.path)
    kept = work / f"{digest[:16]}-{code_digest(*_ROOMS)[:8]}.npz"
    planes = _read(kept)
    if planes is None:
        photo = search.reduced(read_photo(file.path, settings.max_megapixels), _LARGEST)
        estimate = best_estimate(photo, settings.min_confidence)
        own = cut_out(photo, estimate)
        planes = {"photo": own.foreground, "iuv": estimate.iuv, "seen_iuv": estimate.seen_iuv,
                  "matte": own.alpha}
        with atomic_path(kept) as partial, open(partial, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **planes)
    photo, iuv = planes["photo"], planes["iuv"]
    face = judges.face(photo, iuv)
    mesh = None if face is None else found_points(photo, face.found)
    if face is None or mesh is None:
        raise InputError("no face is found", path=file.path, remedy="bring a photo that shows it")
    return Portrayed(file.name, digest, photo, iuv, planes["seen_iuv"], planes["matte"], face, mesh)


def _read(path: Path) -> dict[str, Pixels] | None:
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in ("photo", "iuv", "seen_iuv", "matte")}
    except (OSError, ValueError, KeyError):
        return None


def _by_face(found: list[Portrayed]) -> dict[str, str]:
    """Photo -> person, grouped by SFace with the clustering step's own rule; who is like nobody is a person, too."""
    if not found:
        return {}
    network = load_embedder("sface")
    near = network.same_person_distance
    rule = Rule(near, max(network.strangers.mean, near), network.strangers.share)
    labels = assign(np.stack([one.face.sface for one in found]), "average", None, rule, 0,
                    keys=[one.digest for one in found]).labels
    first: dict[int, str] = {}
    owners = {}
    for one, label in sorted(zip(found, labels.tolist(), strict=True), key=lambda each: each[0].name):
        own = Path(one.name).stem
        owners[one.name] = own if label == SET_ASIDE else first.setdefault(label, own)
    return owners


