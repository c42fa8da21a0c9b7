"""Errors that a person can act on: what is wrong, with which file, and what to do about it.

Everything that is the user's or the machine's doing (bad input, a full disk, a port in use) is raised as a
`PhotoshootError`; the command line prints it as one line and exits with its code. Anything else is a bug of ours
and keeps its stack trace.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.masking import masked

_LONGEST = 1600
"""Characters of a message."""


class PhotoshootError(Exception):
    """A failure with a cause and a remedy. `path` names the file or address at fault, `remedy` says what to do. What is
    secret in any of them is masked."""

    exit_code = 1

    def __init__(self, problem: str, *, path: str | Path | None = None, remedy: str | None = None) -> None:
        self.problem = masked(problem)
        self.path = None if path is None else masked(str(path))
        self.remedy = None if remedy is None else masked(remedy)
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        what_to_do = f" -- {self.remedy}" if self.remedy else ""
        return one_line(f"{where}{self.problem}{what_to_do}")

    def to_json(self) -> str:
        """Serialise for another process (a step reports to the pipeline that started it)."""
        return json.dumps(
            {"kind": type(self).__name__, "problem": self.problem, "path": self.path, "remedy": self.remedy}
        )

    @staticmethod
    def from_json(text: str) -> PhotoshootError:
        """The error that `to_json` wrote, as an instance of the class it was raised as."""
        data = json.loads(text)
        kinds = {kind.__name__: kind for kind in (PhotoshootError, InputError, SettingsError, MachineError, DataError)}
        kind = kinds.get(data["kind"], PhotoshootError)
        return kind(data["problem"], path=data["path"], remedy=data["remedy"])


class InputError(PhotoshootError):
    """What the user brought cannot be used: a missing folder, a broken file, too few people."""

    exit_code = 2


class SettingsError(PhotoshootError):
    """A setting that does not exist or has a value out of range."""

    exit_code = 2


class MachineError(PhotoshootError):
    """The machine refused: disk full, read-only folder, port in use, service unreachable."""

    exit_code = 3


class DataError(PhotoshootError):
    """An artifact that does not keep its contract: wrong format version, torn file, digest mismatch."""

    exit_code = 4


def one_line(text: str) -> str:
    """`text` for a terminal and a log: without what would break the line, hide or turn characters, and not endless."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST // 2]} ... {plain[-_LONGEST // 2:]}"


_MACHINE_REMEDIES = {
    errno.ENOSPC: ("no space left on the disk", "free some space or choose another folder"),
    errno.EDQUOT: ("disk quota exceeded", "free some space or choose another folder"),
    errno.EROFS: ("the disk is read-only", "choose a folder that can be written"),
    errno.EACCES: ("permission denied", "choose a folder that you may write, or change its permissions"),
    errno.EPERM: ("operation not permitted", "choose a folder that you may write, or change its permissions"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "choose another folder"),
    errno.EADDRINUSE: ("the port is in use", "choose another with --port"),
}


@contextmanager
def machine_errors(path: str | Path | None = None) -> Iterator[None]:
    """Turn an OSError that the user can mend (disk full, read-only, port in use) into a `MachineError`.

    `path` is named when the OSError itself carries no file name.
    """
    try:
        yield
    except OSError as error:
        known = _MACHINE_REMEDIES.get(error.errno or 0)
        if known is None:
            raise
        problem, remedy = known
        raise MachineError(problem, path=error.filename or path, remedy=remedy) from error
