"""Somebody in front of the camera, looked at once: cut out of their photos, their body, and what is seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.core.errors import PhotoshootError
from components.core.fitting.fitted import Fitted
from components.core.landmarks.found import Landmarks
from components.core.people.person import PersonCrop
from components.core.pictures.images import Pixels, Upright, read_photo, read_upright
from components.core.pictures.matte import read_matte
from components.core.settings import PreprocessSettings
from components.core.shooting.plain import person_of
from components.core.shooting.subjects import Subject, cut_out, naming

if TYPE_CHECKING:
    from components.core.poses.physique import Physique
    from components.core.poses.pose import Pose

Body = tuple[Landmarks, Fitted]
"""Landmarks of a photo, and the body fitted to them."""

_LOWER_LEGS, _UPPER_LEGS, _BACK, _FRONT = (11, 12, 13, 14), (7, 8, 9, 10), (1,), (2,)
_SEEN = 0.25
"""Share of the texels of a part from which it counts as seen: of a leg seen from the front it is about a half."""
_SIDE = 30.0
"""Degrees by which a head is turned in a photo that shows the side of the face."""
_AWAY = {"back", "over-the-shoulder"}


@dataclass(frozen=True)
class Looked:
    """One photo of the person."""

    crop: PersonCrop
    body: Body | None
    """Landmarks and the body fitted to them; None where the pose map was brought."""
    notes: tuple[str, ...] = ()
    """What is to be said about how the person is seen."""


def look(subject: Subject, settings: PreprocessSettings) -> Looked:
    """Cut the person of a photo out, and fit the body where no pose map was brought. Raises as `cut_out`."""
    if subject.iuv is not None:
        return Looked(cut_out(subject, settings), None)
    return look_into(read_upright(subject.photo, settings.max_megapixels), subject, settings)


def look_into(photo: Upright, subject: Subject, settings: PreprocessSettings) -> Looked:
    """`look` at a plain photo that was read already."""
    from components.core.estimation.estimate import best_estimate

    matte = (None if subject.matte is None else
             read_matte(subject.matte, photo.size, settings.max_megapixels, photo.orientation))
    with naming(subject.photo):
        found = best_estimate(photo.pixels, settings.min_confidence)
        return Looked(person_of(found, photo.pixels, settings, matte), _fitted(found.landmarks), found.confidence.notes)


def bodies(subjects: Sequence[Subject], looked: Sequence[Looked], settings: PreprocessSettings) -> list[Body]:
    """The fitted bodies of the photos; of those with a pose map as well, where landmarks are found in them."""
    out = []
    for subject, one in zip(subjects, looked, strict=True):
        body = one.body or _measured(read_photo(subject.photo, settings.max_megapixels), settings)
        if body is not None:
            out.append(body)
    return out


def _measured(photo: Pixels, settings: PreprocessSettings) -> Body | None:
    from components.core.estimation.estimate import best_estimate

    try:
        return _fitted(best_estimate(photo, settings.min_confidence).landmarks)
    except PhotoshootError:  # nobody is found, or the networks are not here: the pose map is enough to paint
        return None


def _fitted(landmarks: Landmarks) -> Body:
    from components.core.fitting.fit import fit

    return landmarks, fit(landmarks, (landmarks.mask.shape[0], landmarks.mask.shape[1]))


@dataclass(frozen=True)
class Shown:
    """What is seen of a person in all photos together."""

    framings: tuple[str, ...]
    """Framings of poses for which enough of the body is seen."""
    back: bool
    side: bool
    face: bool
    """Whether a photo shows the eyes and the mouth, as far as landmarks tell."""

    def fits(self, pose: Pose) -> bool:
        """Is of the person seen what the pose shows?"""
        tags = set(pose.tags)
        return pose.framing in self.framings and (self.back or not tags & _AWAY) and (
            self.side or self.back or "profile" not in tags)

    def notes(self) -> list[str]:
        """What poses are left out for, in words."""
        out = []
        if "knees" not in self.framings:
            out.append("the legs are not in the photos: portraits and half-length poses only; "
                       "a photo from head to toe would help")
        elif "full" not in self.framings:
            out.append("the lower legs are not in the photos: no full-figure poses; "
                       "a photo from head to toe would help")
        if not self.back:
            out.append("the back is not in the photos: no poses from behind"
                       + ("" if self.side else " or in profile; a photo from the side would help"))
        return out


def shown(crops: Sequence[PersonCrop], found: Sequence[Body]) -> Shown:
    """What photos of a person show."""
    seen = np.maximum.reduce([crop.seen.reshape(24, -1).mean(1) for crop in crops])

    def there(parts: Sequence[int]) -> bool:
        return bool(max(seen[part - 1] for part in parts) >= _SEEN)

    framings = ["portrait"]
    if there(_FRONT) or there(_BACK):
        framings.append("half")
        if there(_UPPER_LEGS):
            framings.append("knees")
            if there(_LOWER_LEGS):
                framings.append("full")
    faces = [landmarks for landmarks, _ in found if landmarks.face is not None and _inside(landmarks)]
    return Shown(tuple(framings), there(_BACK), any(_turned(one) for one in faces), bool(faces) or not found)


def _inside(landmarks: Landmarks) -> bool:
    """Are eyes and mouth within the photo's frame?"""
    points = landmarks.body[:11, :2]
    return bool((points > 0).all() and (points < np.array(landmarks.mask.shape[::-1])).all())


def _turned(landmarks: Landmarks) -> bool:
    from components.core.fitting.head_pose import head_pose

    if landmarks.face is None:
        return False
    ahead = head_pose(landmarks).rotation[:, 2]
    return bool(abs(np.rad2deg(np.arctan2(ahead[0], ahead[2]))) >= _SIDE)


def own_physique(found: Sequence[Body]) -> Physique:
    """The person's own body; the template's where no photo tells."""
    from components.core.poses.physique import physique

    return physique(found)
