"""The models that pictures are taken with: the one of the page, which is kept loaded and may follow the champion, and
those that visitors choose in its stead."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import InputError, PhotoshootError
from components.core.record.registry import CHAMPION, Version, Versions
from components.core.record.registry_file import is_unwritten
from pipelines.home.folder import Home
from pipelines.pictures.shooting import STARTER, Chosen, chosen_model

if TYPE_CHECKING:
    from components.shoot.session import Model

_log = logging.getLogger(__name__)
_KEPT = 2
"""Models of visitors' choice that stay loaded."""
_LISTED = 30


@dataclass(frozen=True)
class Asked:
    """Which model the page is to use, as the command line has it."""

    home: Home
    model_name: str = "photoshoot"
    version: str | None = None
    """A number, an alias, ``starter``, or None: the usual one."""
    path: Path | None = None
    """A model file or folder instead of a registered version."""

    @property
    def follows(self) -> bool:
        """Whether a new champion is taken over."""
        return self.path is None and self.version in (None, CHAMPION)


@dataclass(frozen=True)
class Choice:
    """A line of the version picker."""

    value: str
    """Empty: the page's own model, whatever that is by then."""
    label: str


class Models:
    """Loaded models. `load` and `refresh` are called by one thread, `get` by another, the rest by any."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.own: Model | None = None
        self.problem = ""
        """Why there is no model, or no newer one."""
        self.note = ""
        self._own_key = ""
        self._listed: list[Version] = []
        self._chosen: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether pictures can be taken."""
        return self.own is not None

    def refresh(self) -> bool:
        """Load the page's model, or the one that took its place; whether there is a new one.

        While the registry is away the old one stays; before there is any, one that was not asked for by name is
        replaced by the starter model.
        """
        try:
            key = self._key()
            if self.own is not None and key == self._own_key:
                self.problem = ""
                return False
            with self._files(self.asked.version) as found:
                self._take(found, key, found.note or "")
        except PhotoshootError as error:
            if error.problem != self.problem:  # once, not every minute
                _log.warning("the model cannot be brought up to date: %s", error)
            self.problem = error.problem
            if self.own is not None or self.asked.version is not None or self.asked.path is not None:
                return False
            with self._files(STARTER) as found:
                self._take(found, STARTER, f"the registry cannot be asked ({error.problem}): the starter model is used")
        return True

    def _take(self, found: Chosen, key: str, note: str) -> None:
        from components.shoot.session import Model

        self.own = Model.load(found.generator, found.made_by, found.preprocess)
        self._own_key, self.note, self.problem = key, note, ""
        _log.info("pictures are taken by %s", found.made_by)

    def _key(self) -> str:
        """What tells whether the page's model is another one by now."""
        asked = self.asked
        if asked.path is not None or asked.version == STARTER:
            return str(asked.path or STARTER)
        versions = self._versions()
        if asked.version is None:
            usual, _ = versions.usual()
            return STARTER if usual is None else usual.number
        return versions.get(asked.version).number

    @contextmanager
    def _files(self, version: str | None) -> Iterator[Chosen]:
        if self.asked.path is not None and version != STARTER:
            yield _of_file(self.asked.path)
            return
        with chosen_model(self.asked.home, self.asked.model_name, version) as found:
            yield found

    def _versions(self) -> Versions:
        return Versions(self.asked.model_name, self.asked.home.tracking_uri)

    def look_up(self) -> None:
        """Ask the registry which versions there are, for the picker. What it said last stays while it is away."""
        if self.asked.path is not None or is_unwritten(self.asked.home.tracking_uri):
            return
        try:
            self._listed = self._versions().all()[::-1][:_LISTED]
        except PhotoshootError as error:
            _log.warning("the versions cannot be listed: %s", error)

    def choices(self) -> list[Choice]:
        """What a visitor may choose."""
        own, key = self.own, self._own_key
        if own is None:
            return []
        champion = " (champion)" if self.asked.version == CHAMPION or (
            self.asked.follows and key != STARTER and not self.note) else ""
        versions = [Choice(one.number, f"version {one.number}, {one.tags.get('verdict', 'not judged')}")
                    for one in self._listed if one.number != key]
        starter = [] if key == STARTER else [Choice(STARTER, "the starter model")]
        return [Choice("", own.version + champion), *versions, *starter]

    def get(self, choice: str) -> Model:
        """The model of a choice; what was loaded last stays loaded.

        Raises `InputError` for what is no choice, `PhotoshootError` for one that cannot be read.
        """
        from components.shoot.session import Model

        own = self.own
        if own is None:
            raise InputError(self.problem or "the model is being loaded", remedy="wait a moment and try again")
        if not choice:
            return own
        if choice not in {one.value for one in self.choices()}:
            raise InputError(f"there is no version {choice} any more", remedy="choose another")
        with self._lock:
            if choice not in self._chosen:
                with self._files(choice) as found:
                    self._chosen[choice] = Model.load(found.generator, found.made_by, found.preprocess)
                if len(self._chosen) > _KEPT:
                    self._chosen.popitem(last=False)
            self._chosen.move_to_end(choice)
            return self._chosen[choice]


def _of_file(path: Path) -> Chosen:
    """A model that `train` wrote, or a registered version's folder, which says how people are cut out."""
    from components.core.artifacts.version import PREPROCESS
    from components.core.settings import PreprocessSettings

    beside = (path if path.is_dir() else path.parent) / PREPROCESS
    cut = (PreprocessSettings.model_validate_json(beside.read_text(encoding="utf-8")) if beside.is_file()
           else PreprocessSettings())
    return Chosen(path, cut, f"the model {path.name}", None)
