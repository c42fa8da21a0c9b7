"""Visitors, what they brought and what they got. Nobody is told of what is another's: everything is reached through its
visitor, who is known by an unguessable cookie alone."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from components.core.errors import InputError, MachineError
from pipelines.studio.limits import Limits

Kind = Literal["person", "clothes", "background"]
WAITING, LOOKING, GOOD, REFUSED = "waiting", "looking", "good", "refused"
PAINTING, DONE, FAILED, STOPPED = "painting", "done", "failed", "stopped"


def new_id() -> str:
    """A name that nobody guesses: 128 bits."""
    return secrets.token_urlsafe(16)


@dataclass
class Photo:
    """A photo that a visitor brought."""

    id: str
    name: str
    """What the visitor calls the file; it is shown to them alone."""
    kind: Kind
    path: Path
    bytes: int
    state: str = WAITING
    problem: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> Path:
        """The photo under its pose map, to look at."""
        return self.path.with_name(f"{self.id}.webp")

    @property
    def plain(self) -> Path:
        """The photo alone, to look at."""
        return self.path.with_name(f"{self.id}-plain.webp")


@dataclass(frozen=True)
class Result:
    """A picture that was handed over."""

    id: str
    name: str
    title: str
    likeness: float | None
    alike: bool
    """Whether that is above what SFace's authors publish for the same person."""
    source: str
    """The photo that gives face and hair."""
    path: Path
    bytes: int
    transparent: bool

    @property
    def small(self) -> Path:
        """The picture for the page."""
        return self.path.with_suffix(".webp")


@dataclass
class Shoot:
    """A click of the button."""

    id: str
    number: int
    """Of the visitor's shoots; other numbers give other poses."""
    wish: Any
    folder: Path
    total: int
    state: str = WAITING
    results: list[Result] = field(default_factory=list)
    tried: int = 0
    """Pictures that were painted, those that were not handed over among them."""
    size: int = 0
    version: str = ""
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    remedy: str = ""
    asked_at: float = field(default_factory=time.monotonic)
    sheet: bool = False

    @property
    def under_way(self) -> bool:
        """Whether more is to come."""
        return self.state in (WAITING, PAINTING)


@dataclass
class Visitor:
    """Somebody with a cookie."""

    id: str
    folder: Path
    photos: dict[str, Photo] = field(default_factory=dict)
    shoots: dict[str, Shoot] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What is missing in the photos of the person."""
    supported: int = 0
    """Side of pictures that the photos support; 0: not looked at yet."""
    surveyed: bool = True
    clicks: int = 0
    heard: float = field(default_factory=time.monotonic)
    gone: bool = False

    def of(self, kind: Kind) -> list[Photo]:
        """Photos of a kind, in the order they came."""
        return [photo for photo in self.photos.values() if photo.kind == kind]

    @property
    def bytes(self) -> int:
        """What is kept of theirs."""
        results = sum(result.bytes for shoot in self.shoots.values() for result in shoot.results)
        return results + sum(photo.bytes for photo in self.photos.values())


_T = TypeVar("_T")


class Visitors:
    """All of them. `lock` is held for whatever reads or changes more than one field."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self.limits, self.lock = root, limits, threading.RLock()
        self._all: dict[str, Visitor] = {}

    def __len__(self) -> int:
        return len(self._all)

    def everybody(self) -> list[Visitor]:
        """A list of its own."""
        with self.lock:
            return list(self._all.values())

    def known(self, cookie: str) -> Visitor | None:
        """Whose cookie it is. That they were heard of is kept."""
        with self.lock:
            found = self._all.get(cookie)
            if found is not None:
                found.heard = time.monotonic()
            return found

    def new(self) -> Visitor:
        """Let somebody in. Raises `MachineError` where there are as many as there may be, all with photos."""
        with self.lock:
            if len(self._all) >= self.limits.visitors:
                empty = [one for one in self._all.values() if not one.photos and not one.shoots]
                if not empty:
                    raise MachineError(f"{len(self._all)} visitors are here already", remedy="come back later")
                self.forget(min(empty, key=lambda one: one.heard))
            cookie = secrets.token_urlsafe(32)
            visitor = self._all[cookie] = Visitor(cookie, self.root / new_id())
            return visitor

    def forget(self, visitor: Visitor) -> None:
        """Remove somebody and everything of theirs."""
        with self.lock:
            visitor.gone = True
            self._all.pop(visitor.id, None)
            for shoot in visitor.shoots.values():
                _stop(shoot)
            shutil.rmtree(visitor.folder, ignore_errors=True)

    def forget_silent(self) -> int:
        """Forget those who were not heard of for an hour; how many."""
        now = time.monotonic()
        silent = [one for one in self.everybody() if now - one.heard > self.limits.idle_s]
        for visitor in silent:
            self.forget(visitor)
        return len(silent)

    def room_for(self, size: int) -> None:
        """Raises `MachineError` where so many bytes more are too many."""
        with self.lock:
            if sum(visitor.bytes for visitor in self._all.values()) + size > self.limits.stored_bytes:
                raise MachineError("the studio has no room for more photos", remedy="come back later")

    def new_photo(self, visitor: Visitor, kind: Kind, name: str) -> Photo:
        """A photo that is about to come. Raises `InputError` where there are as many as there may be."""
        with self.lock:
            if kind == "background":
                for other in visitor.of(kind):
                    self.remove_photo(visitor, other.id)
            elif len(visitor.of(kind)) >= self.limits.photos:
                raise InputError(f"{self.limits.photos} photos are here already", remedy="remove one first")
            visitor.folder.mkdir(mode=0o700, exist_ok=True)
            name = "".join(letter for letter in name if letter.isprintable())[:100] or "photo"
            photo_id = new_id()
            return Photo(photo_id, name, kind, visitor.folder / photo_id, 0)

    def remove_photo(self, visitor: Visitor, photo_id: str) -> bool:
        """Remove a photo and what was made to look at it; whether there was one."""
        with self.lock:
            photo = visitor.photos.pop(photo_id, None)
            if photo is None:
                return False
            for path in (photo.path, photo.shown, photo.plain):
                path.unlink(missing_ok=True)
            visitor.surveyed = False
            return True

    def new_shoot(self, visitor: Visitor, wish: Any, total: int) -> Shoot:
        """A shoot that waits; the oldest is removed where there are as many as are kept. Raises `InputError` while
        another of the visitor's is under way."""
        with self.lock:
            if any(shoot.under_way for shoot in visitor.shoots.values()):
                raise InputError("your pictures are being painted", remedy="wait for them, or stop them first")
            while len(visitor.shoots) >= self.limits.shoots:
                self.remove_shoot(visitor, next(iter(visitor.shoots)))
            shoot_id = new_id()
            shoot = Shoot(shoot_id, visitor.clicks, wish, visitor.folder / shoot_id, total)
            visitor.clicks += 1
            visitor.shoots[shoot_id] = shoot
            return shoot

    def remove_shoot(self, visitor: Visitor, shoot_id: str) -> bool:
        """Remove a shoot's pictures, and end it where it is under way; whether there was one."""
        with self.lock:
            shoot = visitor.shoots.pop(shoot_id, None)
            if shoot is None:
                return False
            _stop(shoot)
            shutil.rmtree(shoot.folder, ignore_errors=True)
            return True

    def stop(self, visitor: Visitor, shoot_id: str) -> bool:
        """End a shoot; its pictures stay. Whether there was one."""
        with self.lock:
            shoot = visitor.shoots.get(shoot_id)
            if shoot is not None:
                _stop(shoot)
            return shoot is not None



def _stop(shoot: Shoot) -> None:
    if shoot.under_way:
        shoot.state = STOPPED
