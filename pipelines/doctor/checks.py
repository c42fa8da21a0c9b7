"""Run checks at once, each with a time limit; none of them can end the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.core.errors import PhotoshootError
from pipelines.doctor.finding import Finding, line, problem


@dataclass(frozen=True)
class Check:
    """`look()` tells about `what`; `what` is the name where it tells nothing in time."""

    what: str
    look: Callable[[], Sequence[Finding]]
    how_to_mend: str = "`photoshoot doctor` again; if it stays, look at the log of that service"
    patience: float = 0.0
    """Seconds that this one is given at least."""


@dataclass
class _Answer:
    findings: list[Finding] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


def run_checks(checks: Sequence[Check], patience: float) -> list[Finding]:
    """Findings of all checks in their order. Raises nothing; a check without an answer after `patience` (seconds, or
    its own if that is longer) is a problem. Its thread is left: a connection that hangs cannot be ended from outside.
    """
    answers = [_Answer() for _ in checks]
    for check, answer in zip(checks, answers, strict=True):
        threading.Thread(target=_run, args=(check, answer), name=f"doctor: {check.what}", daemon=True).start()
    started = time.monotonic()
    found: list[Finding] = []
    for check, answer in zip(checks, answers, strict=True):
        limit = max(patience, check.patience)
        if answer.done.wait(max(0.0, started + limit - time.monotonic())):
            found += answer.findings
        else:
            found.append(problem(check.what, f"no answer within {limit:g} s", "an answer", check.how_to_mend))
    return found


def _run(check: Check, answer: _Answer) -> None:
    try:
        answer.findings += check.look()
    except PhotoshootError as error:
        answer.findings.append(of_error(check.what, error, check.how_to_mend))
    except Exception as error:  # whatever a library raises where something is broken: that is what is looked for
        answer.findings.append(problem(check.what, f"{type(error).__name__}: {error}", "an answer", check.how_to_mend))
    finally:
        answer.done.set()


def of_error(what: str, error: PhotoshootError, how_to_mend: str = "", wanted: str = "") -> Finding:
    """One of our errors as a problem."""
    where = f"{error.path}: " if error.path else ""
    return problem(what, f"{where}{error.problem}", wanted, line(error.remedy or how_to_mend))


def status_of(error: Any) -> int:
    """The HTTP status that an API client's exception carries, or 0."""
    return int(getattr(error, "status", 0) or 0)
