"""One photo to the people in it: crop, pose map, matte, texture map, encoded and ready to be written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from components.core.digest import file_digest
from components.core.errors import InputError
from components.core.estimation.estimate import Estimate, cut_out, estimate_people
from components.core.faces.head import face_chip, face_seen, head_box, view
from components.core.people.dataset import FACE, LARGE, TRUTH, MatteSource, PersonRecord, PoseSource
from components.core.people.person import PersonCrop, framing, person_from_photo
from components.core.people.truth import true_crop
from components.core.people.writer import EncodedPerson
from components.core.pictures.images import Pixels, Upright, decode_png, encode_png, read_upright
from components.core.pictures.iuv import IuvMap, Order, read_iuv
from components.core.pictures.matte import read_matte
from components.core.pictures.texture import to_picture
from components.core.settings import PreprocessSettings
from components.preprocess.checking.agreement import check_map
from components.preprocess.checking.quality import check_person, grey_of, perceptual_hash
from components.preprocess.checking.several import people_in
from components.preprocess.choice import chosen, others_of, person_ids
from components.preprocess.photos import Photo


@dataclass(frozen=True)
class Rejected:
    """A photo that was left out, with the reason and what to do about it."""

    photo: str
    reason: str


def people_of_photo(photo: Photo, settings: PreprocessSettings) -> list[EncodedPerson | Rejected]:
    """Do the whole work on one photo: a result for each person in it, at least one.

    Those whom its pose map shows, or who were found where it came without, as ``settings.person`` chooses.
    What is wrong with a photo or a person is returned, not raised; a full disk is raised.
    """
    try:
        read = read_upright(photo.path, settings.max_megapixels)
        pixels = read.pixels
        poses = _poses(photo, read, settings)
        digest = file_digest(photo.path)
        own = _own_matte(photo, read, settings)
    except InputError as error:
        return [_rejected(photo, error)]
    results: list[EncodedPerson | Rejected] = []
    for pose in poses:
        try:
            framing(pose.planes, settings)  # who is too small is that, whatever else is wrong
            if settings.check_maps and pose.source == "given":
                check_map(pixels, pose.planes)
            results.append(_encode(photo, digest, pixels, pose, _without_others(own, pose), len(poses), settings))
        except InputError as error:
            results.append(_rejected(photo, error, pose.id if len(poses) > 1 else None))
    if poses[0].not_taken:
        where = "its pose map" if poses[0].source == "given" else "the photo"
        results.append(_rejected(photo, InputError(
            f"{poses[0].not_taken} more in {where} left out: {settings.person} is taken",
            remedy="preprocess.person=all takes everybody")))
    return results


@dataclass(frozen=True)
class _Pose:
    """A person's pose map in a photo [H, W]."""

    id: str
    planes: Pixels
    order: Order
    digest: str
    """sha256 of the file that it came in; of nothing where it was made from the photo."""
    source: PoseSource
    others: NDArray[np.bool_] | None = None
    """[H, W]: where other people of the same pose map are; None where it shows nobody else."""
    not_taken: int = 0
    """People whom the photo shows, and who were not chosen."""
    estimate: Estimate | None = None
    """Where it comes from landmarks: what they found, in the photo's own size."""


def _poses(photo: Photo, upright: Upright, settings: PreprocessSettings) -> list[_Pose]:
    if photo.iuv.exists() and settings.pose_maps != "landmarks":
        return _shown(photo, read_iuv(photo.iuv, upright.size, upright.orientation), settings)
    if settings.pose_maps in ("auto", "landmarks"):
        return _estimated(photo, upright.pixels, settings)
    if photo.detected is None:
        missed = PurePosixPath(photo.name).with_suffix(".png")
        raise InputError("no pose map", path=photo.path,
                         remedy=f"add iuv/{missed}, or let preprocess.pose_maps=auto make it")
    if not photo.detected:
        score = settings.densepose.min_score
        raise InputError(f"DensePose found nobody with a score of at least {score:g}", path=photo.path,
                         remedy="remove the photo or lower preprocess.densepose.min_score")
    found = [decode_png(one.iuv) for one in photo.detected]
    return [_Pose(one.id, planes, "IUV", hashlib.sha256(one.iuv).hexdigest(), "densepose", others_of(planes, found))
            for one, planes in zip(photo.detected, found, strict=True)]


def _shown(photo: Photo, read: IuvMap, settings: PreprocessSettings) -> list[_Pose]:
    """The people to take of those whom a pose map shows."""
    people, digest = people_in(read.planes), file_digest(photo.iuv)
    if len(people) == 1:
        return [_Pose(photo.id, read.planes, read.order, digest, "given")]
    taken = [people[index] for index in chosen(people, settings.person)]
    return [_Pose(id, planes, read.order, digest, "given", others_of(planes, people), len(people) - len(taken))
            for id, planes in zip(person_ids(photo.id, photo.taken), taken, strict=False)]


def _estimated(photo: Photo, pixels: Pixels, settings: PreprocessSettings) -> list[_Pose]:
    """The people to take of those whom the landmark networks find."""
    found = estimate_people(pixels)
    maps = [one.iuv for one in found]
    taken = chosen(maps, settings.person)
    if not taken:
        raise InputError("nobody is found in it", path=photo.path,
                         remedy="remove the photo, or bring a pose map of it")
    return [_Pose(id, maps[index], "IUV", "", "landmarks", others_of(maps[index], maps), len(found) - len(taken),
                  found[index])
            for id, index in zip(person_ids(photo.id, photo.taken), taken, strict=False)]


def _own_matte(photo: Photo, upright: Upright, settings: PreprocessSettings) -> Pixels | None:
    if photo.matte is None or settings.matte == "silhouette":
        return None
    return read_matte(photo.matte, upright.size, settings.max_megapixels, upright.orientation)


def _without_others(matte: Pixels | None, pose: _Pose) -> Pixels | None:
    """The user's matte of everybody, less the bodies of the others."""
    return matte if matte is None or pose.others is None else np.where(pose.others, np.uint8(0), matte)


def _encode(photo: Photo, digest: str, pixels: Pixels, pose: _Pose, matte: Pixels | None, people: int,
            settings: PreprocessSettings) -> EncodedPerson:
    made_by: MatteSource = "silhouette" if settings.matte == "silhouette" else "grabcut"
    if matte is not None:
        made_by = "given"
    foreground = None
    if pose.estimate is not None:
        if doubt := pose.estimate.doubt(settings.min_confidence):
            raise InputError(doubt, path=photo.path, remedy="bring another photo, or a pose map of this one")
        if matte is None and settings.matte == "auto":
            own = cut_out(pixels, pose.estimate, pose.others)
            matte, foreground, made_by = own.alpha, own.foreground, "landmarks"
    person = person_from_photo(pixels, pose.planes, settings, matte, foreground)
    grey = grey_of(person.native_photo)
    check_person(grey, person.native_iuv, settings)
    members = {"photo": encode_png(person.photo), "iuv": encode_png(person.iuv), "matte": encode_png(person.matte),
               "texture": encode_png(to_picture(person.texture)),
               "seen": encode_png(to_picture(np.where(person.seen, np.uint8(255), np.uint8(0))))}
    face = face_chip(person.native_photo, person.native_iuv)
    if face is not None:
        members[FACE] = encode_png(face)
    if photo.truth is not None:
        members[TRUTH] = encode_png(true_crop(photo.truth, pixels, person.box, settings))
    if settings.large:
        members |= _large(person.reduced(settings.large))
    looks = perceptual_hash(grey) if settings.repeats >= 0 else None
    return EncodedPerson(_record(photo, digest, pose, person, looks, people, made_by, settings), members)


def _large(person: PersonCrop) -> dict[str, bytes]:
    """The members of its larger crop."""
    planes = dict(zip(LARGE, (person.colours, person.native_iuv, person.native_matte), strict=True))
    return {kind: encode_png(plane) for kind, plane in planes.items() if plane is not None}


def _record(photo: Photo, digest: str, pose: _Pose, person: PersonCrop, looks: str | None,
            people: int, matte: MatteSource, settings: PreprocessSettings) -> PersonRecord:
    digests = [digest, pose.digest, *(file_digest(path) for path in (photo.matte, photo.truth) if path)]
    return PersonRecord(
        id=pose.id, photo=photo.name, photo_digest=digest,
        inputs_digest=hashlib.sha256("".join(digests).encode()).hexdigest(), shard=0, offset=0, length=0,
        box=person.box, scale=settings.resolution / (person.box[2] - person.box[0]), coverage=float(person.seen.mean()),
        head_box=head_box(person.iuv), face_seen=face_seen(person.iuv), view=view(person.iuv),
        channel_order=pose.order, label=photo.label if people == 1 else None, perceptual_hash=looks,
        pose_source=pose.source, matte_source=matte,
        confidence=None if pose.estimate is None else pose.estimate.confidence.score,
        notes=None if pose.estimate is None else "; ".join(pose.estimate.confidence.notes) or None)


def _rejected(photo: Photo, error: InputError, person: str | None = None) -> Rejected:
    where = f"{person}: " if person else ""
    if error.path and error.path != str(photo.path):
        where += f"{error.path}: "
    return Rejected(photo.name, f"{where}{error.problem}" + (f" -- {error.remedy}" if error.remedy else ""))
