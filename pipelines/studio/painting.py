"""What the painter does for visitors: look at photos, tell what is missing, paint. One thread calls all of it."""

from __future__ import annotations

import io
import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from components.core.errors import InputError, PhotoshootError
from components.core.faces.sface import SAME_COSINE
from components.core.pictures.images import Pixels, read_photo, read_upright
from components.core.pictures.iuv import resize_iuv
from components.core.poses.library import library, named
from components.core.settings import PreprocessSettings
from components.core.shooting.shots import supported_size
from components.core.shooting.sitting import Looked, look, look_into
from components.core.shooting.subjects import Subject
from components.core.shooting.wardrobe import wardrobe
from components.evaluate.report.sheet import over_photo
from components.shoot.delivery import SHEET, Picture, encode_generated, write_sheet
from components.shoot.session import STUDIO, TRANSPARENT, Model, Person, Session, Wishes, in_order
from components.shoot.targets import Asked
from pipelines.studio.limits import Wish
from pipelines.studio.metrics import Metrics
from pipelines.studio.visitors import (
    DONE,
    FAILED,
    GOOD,
    LOOKING,
    PAINTING,
    REFUSED,
    STOPPED,
    WAITING,
    Photo,
    Result,
    Shoot,
    Visitor,
    Visitors,
)  # fmt: skip

if TYPE_CHECKING:
    from components.core.poses.pose import Pose

_KEPT_SIDE = 1280
"""So large a person is kept in memory: a picture of 1024 px can show no more of the photo (`supported_size`)."""
_OPTION = re.compile(r" \(--[a-z-]+\)")
"""How errors name options of the command line, which the page has none of."""
_SHOWN_SIDE, _SMALL_SIDE = 720, 640
_K = TypeVar("_K")
_V = TypeVar("_V")
_PEOPLE, _PHOTOS = 3, 12
"""Kept in memory; whoever comes back after others is looked at again."""


class Painter:
    """All that takes seconds. `steps` of a shoot are its pictures: between two of them others may be served."""

    def __init__(self, visitors: Visitors, metrics: Metrics, own_poses: Path) -> None:
        self._visitors, self._metrics, self._own_poses = visitors, metrics, own_poses
        self._looked: OrderedDict[tuple[str, str], Looked] = OrderedDict()
        self._people: OrderedDict[tuple[str, ...], Person] = OrderedDict()

    def look_at(self, visitor: Visitor, photo: Photo, model: Model) -> None:
        """Look at a photo that came: who is found, or why it cannot be used."""
        photo.state = LOOKING
        try:
            if photo.kind == "background":
                self._show(visitor, photo, read_photo(photo.path, model.settings.max_megapixels), None)
            else:
                upright = read_upright(photo.path, model.settings.max_megapixels)
                looked = _reduced(look_into(upright, Subject(photo.path), model.settings))
                self._keep(photo, model.settings, looked)
                photo.notes = looked.notes
                self._show(visitor, photo, upright.pixels, looked)
            photo.state = GOOD
        except PhotoshootError as error:
            photo.state, photo.problem, photo.remedy = REFUSED, error.problem, error.remedy or ""
            photo.path.unlink(missing_ok=True)
        except FileNotFoundError:  # the visitor left
            photo.state = REFUSED
        except Exception:
            photo.state, photo.problem, photo.remedy = REFUSED, "a defect in photoshoot", "bring another photo"
            photo.path.unlink(missing_ok=True)
            raise
        finally:
            self._metrics.photos.labels(photo.state).inc()

    def survey(self, visitor: Visitor, model: Model) -> None:
        """Find out what the person's photos show together, and what is missing."""
        there = list(visitor.photos)
        photos = _good(visitor.of("person"))
        if not photos:
            visitor.notes, visitor.supported, visitor.surveyed = (), 0, True
            return
        person = self._person(visitor, photos, model)
        notes = [*person.shown.notes(), *person.likeness(fetch=True)[1]]
        if not person.shown.face:
            notes.insert(0, "no photo shows the whole face; bring one that does")
        with self._visitors.lock:
            visitor.notes, visitor.supported = tuple(notes), supported_size(person.crops, model.reposer.resolution)
            visitor.surveyed = there == list(visitor.photos)

    def steps(self, visitor: Visitor, shoot: Shoot, model: Model) -> Iterator[None]:
        """Paint a shoot, a picture a step."""
        painted: list[Picture] = []
        try:
            with self._visitors.lock:
                shoot.state, shoot.version = STOPPED if shoot.state == STOPPED else PAINTING, model.version
            session, names = self._session(visitor, shoot, model)
            shoot.size, shoot.total = session.size, session.count
            yield
            for attempt in session.attempts():
                shoot.tried += 1
                self._metrics.pictures.labels("no" if attempt.reason else "yes").inc()
                if attempt.reason is None:
                    painted.append(attempt.picture)
                    self._hand_over(visitor, shoot, attempt.picture, names[attempt.picture.source])
                yield
            shoot.notes = [note for note in session.notes if note not in visitor.notes]
            if len(painted) > 1:
                self._lay_out(shoot, in_order(painted))
            self._end(shoot, DONE)
        except PhotoshootError as error:
            shoot.problem, shoot.remedy = error.problem, _OPTION.sub("", error.remedy or "")
            self._end(shoot, FAILED)
        except FileNotFoundError:  # a photo was removed meanwhile
            shoot.problem, shoot.remedy = "a photo was removed", "click again"
            self._end(shoot, FAILED)
        except GeneratorExit:
            self._end(shoot, STOPPED)
        except Exception:
            shoot.problem, shoot.remedy = "a defect in photoshoot", "try another photo"
            self._end(shoot, FAILED)
            raise

    def purge(self) -> None:
        """Let go of what visitors left behind in memory."""
        photos = {photo for visitor in self._visitors.everybody() for photo in list(visitor.photos)}
        for key in [key for key in self._looked if key[0] not in photos]:
            del self._looked[key]
        for names in [names for names in self._people if not set(names[1:]) <= photos]:
            del self._people[names]

    def _session(self, visitor: Visitor, shoot: Shoot, model: Model) -> tuple[Session, list[str]]:
        photos = _good(visitor.of("person"))
        if not photos:
            raise InputError("no photo of the person", remedy="bring at least one")
        wish: Wish = shoot.wish
        dressed: list[Looked] | None = None
        if wish.clothes == "photos":
            dressed = [self._look(photo, model) for photo in _good(visitor.of("clothes"))]
        session = Session(model, self._person(visitor, photos, model), self._wishes(visitor, shoot), dressed)
        return session, [photo.id for photo in photos]

    def _wishes(self, visitor: Visitor, shoot: Shoot) -> Wishes:
        wish: Wish = shoot.wish
        known = library(self._own_poses)
        poses: Sequence[str | Pose] = [named(name, known) for name in wish.poses]
        asked = Asked(poses, [wish.tag] if wish.tag else [], None if poses else wish.count, shoot.number,
                      self._own_poses)
        background = STUDIO
        if wish.background == "transparent":
            background = TRANSPARENT
        elif wish.background == "picture" and (brought := _good(visitor.of("background"))):
            background = str(brought[0].path)
        return Wishes(asked, background, wardrobe=wardrobe() if wish.clothes == "random" else (), size=wish.size)

    def _person(self, visitor: Visitor, photos: Sequence[Photo], model: Model) -> Person:
        key = (model.settings.model_dump_json(), *(photo.id for photo in photos))
        if key not in self._people:
            looked = [self._look(photo, model) for photo in photos]
            self._people[key] = Person([Subject(photo.path) for photo in photos], model.settings, looked,
                                       [photo.name for photo in photos])
        return _kept(self._people, key, _PEOPLE)

    def _look(self, photo: Photo, model: Model) -> Looked:
        key = photo.id, model.settings.model_dump_json()
        if key not in self._looked:
            self._keep(photo, model.settings, _reduced(look(Subject(photo.path), model.settings)))
        return _kept(self._looked, key, _PHOTOS)

    def _keep(self, photo: Photo, settings: PreprocessSettings, looked: Looked) -> None:
        key = photo.id, settings.model_dump_json()
        self._looked[key] = looked
        _kept(self._looked, key, _PHOTOS)

    def _show(self, visitor: Visitor, photo: Photo, pixels: Pixels, looked: Looked | None) -> None:
        """Write what the page shows of a photo."""
        scale = min(1.0, _SHOWN_SIDE / max(pixels.shape[:2]))
        size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX if scale < 0.5 else
                                                          Image.Resampling.LANCZOS))
        over = small if looked is None else over_photo(small, _map_on(looked, pixels, (size[1], size[0])))
        files = [(photo.plain, webp(small)), (photo.shown, webp(over))]
        with self._visitors.lock:
            if visitor.gone or photo.id not in visitor.photos:
                return
            for path, content in files:
                path.write_bytes(content)

    def _hand_over(self, visitor: Visitor, shoot: Shoot, picture: Picture, source: str) -> None:
        content = encode_generated(picture.pixels(), shoot.version)
        small = Image.fromarray(picture.pixels())
        small.thumbnail((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.LANCZOS)
        glance = webp(np.asarray(small))
        title = library(self._own_poses)[picture.name].title
        with self._visitors.lock:
            if visitor.gone or shoot.state == STOPPED:
                return
            shoot.folder.mkdir(mode=0o700, exist_ok=True)
            alike = picture.likeness is not None and picture.likeness >= SAME_COSINE
            result = Result(f"{shoot.id}.{len(shoot.results)}", picture.name, title, picture.likeness, alike, source,
                            shoot.folder / f"{picture.name}.png", len(content), picture.matte is not None)
            result.path.write_bytes(content)
            result.small.write_bytes(glance)
            shoot.results.append(result)
        if len(shoot.results) == 1:
            self._metrics.first.observe(time.monotonic() - shoot.asked_at)
        if picture.likeness is not None:
            self._metrics.likeness.observe(picture.likeness)

    def _lay_out(self, shoot: Shoot, pictures: Sequence[Picture]) -> None:
        with self._visitors.lock:
            if shoot.folder.is_dir():
                write_sheet(shoot.folder / SHEET, pictures, shoot.version)
                shoot.sheet = True

    def _end(self, shoot: Shoot, state: str) -> None:
        with self._visitors.lock:
            if shoot.state != STOPPED:
                shoot.state = state
        self._metrics.shoots.labels(shoot.state).inc()
        if shoot.state == DONE:
            self._metrics.seconds.observe(time.monotonic() - shoot.asked_at)


def waiting_photo(visitor: Visitor) -> Photo | None:
    """The first that was not looked at yet."""
    return next((photo for photo in list(visitor.photos.values()) if photo.state == WAITING), None)


def _good(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo.state == GOOD]


def _reduced(looked: Looked) -> Looked:
    return replace(looked, crop=looked.crop.reduced(_KEPT_SIDE))


def _map_on(looked: Looked, pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The pose map [h, w, 3] of a whole photo in the size (h, w) it is shown in."""
    x0, y0, x1, y1 = looked.crop.box
    height, width = size
    across, down = width / pixels.shape[1], height / pixels.shape[0]
    left, top = round(x0 * across), round(y0 * down)
    wide, tall = max(1, round((x1 - x0) * across)), max(1, round((y1 - y0) * down))
    crop = resize_iuv(looked.crop.native_iuv, (tall, wide))
    whole = np.zeros((height, width, 3), np.uint8)
    inside = crop[max(0, -top) : height - top, max(0, -left) : width - left]
    row, column = max(0, top), max(0, left)
    whole[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return whole


def webp(pixels: Pixels) -> bytes:
    """uint8 [H, W, 3 or 4] as the content of a file for the page."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="WEBP", quality=86, method=2)
    return file.getvalue()


def _kept(kept: OrderedDict[_K, _V], key: _K, most: int) -> _V:
    """The one of `key`, which becomes the newest; the oldest go."""
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
    return kept[key]
