"""The one thread that looks and paints: shoots in the order of the clicks, photos that came in between two pictures."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from components.core.errors import PhotoshootError
from pipelines.studio.models import Models
from pipelines.studio.visitors import FAILED, STOPPED, Shoot, Visitor, Visitors

if TYPE_CHECKING:
    from pipelines.studio.painting import Painter

_log = logging.getLogger(__name__)
_TIDY_S = 30.0
"""How often silent visitors are forgotten."""
_ASK_SOON_S = 5.0
"""How often for a model where there is none yet."""

Work = tuple[Visitor, Shoot]


class Worker:
    """Runs the painter. `start` comes back at once: networks and model are loaded in the thread."""

    def __init__(self, visitors: Visitors, models: Models, painter: Callable[[], Painter]) -> None:
        self._visitors, self._models, self._make_painter = visitors, models, painter
        self._something = threading.Condition(visitors.lock)
        self._queue: deque[Work] = deque()
        self._now: Work | None = None
        self._to_look: deque[Visitor] = deque()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=run, name=name, daemon=True)
                         for name, run in (("studio-painter", self._run), ("studio-registry", self._ask))]

    def start(self) -> None:
        """Start loading and painting."""
        self._threads[0].start()

    def stop(self) -> None:
        """End after the picture that is being painted."""
        self._ending.set()
        with self._something:
            self._something.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(20)

    def look(self, visitor: Visitor) -> None:
        """A visitor's photos have changed."""
        with self._something:
            if visitor not in self._to_look:
                self._to_look.append(visitor)
            self._something.notify_all()

    def paint(self, visitor: Visitor, shoot: Shoot) -> None:
        """A visitor has clicked."""
        with self._something:
            self._queue.append((visitor, shoot))
            self._something.notify_all()

    def ahead(self, shoot: Shoot) -> int:
        """How many shoots are painted before this one starts."""
        with self._something:
            before = 0 if self._now is None or self._now[1] is shoot else 1
            for _, other in self._queue:
                if other is shoot:
                    return before
                before += other.under_way
            return 0

    def length(self) -> int:
        """Shoots that wait or are being painted."""
        with self._something:
            now = [] if self._now is None else [self._now]
            return sum(shoot.under_way for _, shoot in [*now, *self._queue])

    def _run(self) -> None:
        try:
            self._models.refresh()  # imports torch
        except Exception:
            _log.exception("the model cannot be loaded")
        self._threads[1].start()
        painter = self._make_painter()
        with contextlib.suppress(PhotoshootError):  # said of the first photo that comes
            _bring_networks()
        steps: Iterator[None] | None = None
        while not self._ending.is_set():
            visitor = self._next_to_look()
            if visitor is not None and self._models.own is not None:
                self._look(painter, visitor)
            elif steps is not None:
                steps = self._step(steps)
            elif self._take():
                steps = self._begun(painter)
            else:
                self._tidy(painter)

    def _next_to_look(self) -> Visitor | None:
        with self._something:
            while self._to_look and self._models.own is not None:
                visitor = self._to_look.popleft()
                if not visitor.gone:
                    return visitor
        return None

    def _look(self, painter: Painter, visitor: Visitor) -> None:
        """One photo, or what all of them show; more later."""
        from pipelines.studio.painting import waiting_photo

        model, photo = self._models.own, waiting_photo(visitor)
        assert model is not None
        try:
            if photo is not None:
                visitor.surveyed = False
                painter.look_at(visitor, photo, model)
            else:
                painter.survey(visitor, model)
        except PhotoshootError as error:
            visitor.notes, visitor.surveyed = (error.problem,), True
        except FileNotFoundError:  # a photo was removed meanwhile
            visitor.surveyed = False
        except Exception:
            visitor.surveyed = True
            _log.exception("a defect while looking at a photo")
        if waiting_photo(visitor) or not visitor.surveyed:
            self.look(visitor)

    def _take(self) -> bool:
        """Take the next shoot off the queue."""
        with self._something:
            self._now = None
            while self._queue:
                visitor, shoot = self._queue.popleft()
                if not visitor.gone and shoot.under_way:
                    self._now = visitor, shoot
                    return True
            return False

    def _begun(self, painter: Painter) -> Iterator[None] | None:
        assert self._now is not None
        visitor, shoot = self._now
        try:
            return painter.steps(visitor, shoot, self._models.get(shoot.wish.version))
        except PhotoshootError as error:
            shoot.state, shoot.problem, shoot.remedy = FAILED, error.problem, error.remedy or ""
        self._now = None
        return None

    def _step(self, steps: Iterator[None]) -> Iterator[None] | None:
        """The next picture; None after the last."""
        assert self._now is not None
        visitor, shoot = self._now
        try:
            if visitor.gone or shoot.state == STOPPED:
                steps.close()  # type: ignore[attr-defined]
            else:
                next(steps)
                return steps
        except StopIteration:
            pass
        except Exception:
            _log.exception("a defect while painting")
        with self._something:
            self._now = None
        return None

    def _tidy(self, painter: Painter) -> None:
        painter.purge()
        self._visitors.forget_silent()
        with self._something:
            waiting = bool(self._queue) or (bool(self._to_look) and self._models.own is not None)
            if not waiting and not self._ending.is_set():
                self._something.wait(_TIDY_S if self._models.own is not None else 1.0)

    def _ask(self) -> None:
        """Ask the registry from time to time, so that painting never waits for it."""
        try:
            self._models.look_up()
            while not self._ending.wait(self._visitors.limits.ask_s if self._models.ready else _ASK_SOON_S):
                if self._models.asked.follows or self._models.own is None:
                    self._models.refresh()
                self._models.look_up()
        except Exception:
            _log.exception("a defect while asking the registry")


def _bring_networks() -> None:
    from components.core.estimation.estimate import prepare

    prepare()


