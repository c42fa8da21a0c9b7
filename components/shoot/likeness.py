"""How alike the face of a new picture is to the person's own photos: SFace's cosine, the faces found by YuNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.core.errors import PhotoshootError
from components.core.faces.levelling import can_level, levelled
from components.core.faces.sface import SAME_COSINE, SFace
from components.core.faces.yunet import faces_in
from components.core.pictures.images import Pixels
from components.core.stores.known_weights import KNOWN, found

_NETWORKS = "yunet", "sface"


class Likeness:
    """The person's own face, from photos uint8 RGB [H, W, 3] cut to them.

    Raises what `known_weights` raises where the networks are not to be had.
    """

    def __init__(self, photos: Sequence[Pixels]) -> None:
        self._network, self._levels = SFace(), can_level()
        self._photos = [self._vector(photo) for photo in photos]
        self._own = [vector for vector in self._photos if vector is not None]

    @property
    def known(self) -> bool:
        """Whether a face is found in any of the photos."""
        return bool(self._own)

    def of(self, picture: Pixels) -> float | None:
        """The largest cosine, -1..1, of the picture's largest face with those of the photos; None without a face."""
        vector = self._vector(picture)
        return None if vector is None or not self._own else float(max(vector @ own for own in self._own))

    def strangers(self) -> list[int]:
        """Photos whose face is unlike that of the first photo with one: indices into what was given."""
        return [number for number, vector in enumerate(self._photos)
                if vector is not None and float(vector @ self._own[0]) < SAME_COSINE]

    def _vector(self, photo: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
        faces = faces_in(photo, turned=False)
        if not faces:
            return None
        face = levelled(photo, faces[0]) if self._levels else faces[0]
        vector = self._network.vector(face.chip(photo))
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def likeness_to(photos: Sequence[Pixels], *, fetch: bool) -> tuple[Likeness | None, str | None]:
    """The measure, or why there is none. Without `fetch` networks that are not on this machine are not asked for."""
    try:
        if not fetch and not all(found(KNOWN[name]) for name in _NETWORKS):
            return None, "how alike the faces are is not measured: `photoshoot weights fetch faces` brings the networks"
        measure = Likeness(photos)
    except PhotoshootError as error:
        return None, f"how alike the faces are is not measured: {error.problem}"
    if not measure.known:
        return None, "how alike the faces are is not measured: no face is found in the photos"
    return measure, None
