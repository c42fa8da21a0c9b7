"""One photo to one person: crop, pose map, matte, texture map, encoded and ready to be written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from components.core.crop import cut
from components.core.digest import file_digest
from components.core.errors import InputError
from components.core.head import face_chip, face_seen, head_box, view
from components.core.images import encode_png, read_photo
from components.core.iuv import Order, crop_iuv, read_iuv
from components.core.matte import read_matte
from components.core.people import FACE, PersonRecord
from components.core.people_writer import EncodedPerson
from components.core.person import PersonCrop, person_from_photo
from components.core.settings import PreprocessSettings
from components.core.texture import to_picture
from components.preprocess.photos import Photo


@dataclass(frozen=True)
class Rejected:
    """A photo that was left out, with the reason and what to do about it."""

    photo: str
    reason: str


def encode_person(photo: Photo, settings: PreprocessSettings) -> EncodedPerson | Rejected:
    """Do the whole work on one photo. What is wrong with it is returned, not raised; a full disk is raised."""
    try:
        return _encode(photo, settings)
    except InputError as error:
        where = f"{error.path}: " if error.path and error.path != str(photo.path) else ""
        return Rejected(photo.path.name, f"{where}{error.problem}" + (f" -- {error.remedy}" if error.remedy else ""))


def _encode(photo: Photo, settings: PreprocessSettings) -> EncodedPerson:
    if not photo.iuv.exists():
        raise InputError("no pose map", path=photo.path, remedy=f"add iuv/{photo.iuv.name}")
    pixels = read_photo(photo.path, settings.max_megapixels)
    size = pixels.shape[0], pixels.shape[1]
    read = read_iuv(photo.iuv, size)
    own = None
    if photo.matte is not None and settings.matte == "auto":
        own = read_matte(photo.matte, size, settings.max_megapixels)
    person = person_from_photo(pixels, read.planes, settings, own)
    members = {"photo": encode_png(person.photo), "iuv": encode_png(person.iuv), "matte": encode_png(person.matte),
               "texture": encode_png(to_picture(person.texture)),
               "seen": encode_png(to_picture(np.where(person.seen, np.uint8(255), np.uint8(0))))}
    face = face_chip(cut(pixels, person.box), crop_iuv(read.planes, person.box))
    if face is not None:
        members[FACE] = encode_png(face)
    return EncodedPerson(_record(photo, person, read.order, settings), members)


def _record(photo: Photo, person: PersonCrop, order: Order, settings: PreprocessSettings) -> PersonRecord:
    digests = [file_digest(path) for path in (photo.path, photo.iuv, photo.matte) if path]
    return PersonRecord(
        id=photo.id, photo=photo.path.name, photo_digest=digests[0],
        inputs_digest=hashlib.sha256("".join(digests).encode()).hexdigest(), shard=0, offset=0, length=0,
        box=person.box, scale=settings.resolution / (person.box[2] - person.box[0]), coverage=float(person.seen.mean()),
        head_box=head_box(person.iuv), face_seen=face_seen(person.iuv), view=view(person.iuv), channel_order=order,
        label=photo.label)
