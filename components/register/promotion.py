"""Move the champion: promote a version, go back to the one before, and mend what a crash left.

The order of things: look (ledger, evidence), try the version in a fresh process, write the ledger, move the alias.
Up to the ledger entry nothing has happened; from it on the version is champion, and the alias follows: at once, or, if
this process dies between the two, with the next command that looks.
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from components.core.artifacts.version import EXAMPLE
from components.core.errors import DataError, InputError, MachineError
from components.core.pictures.images import Pixels
from components.core.record.registry import CHAMPION, Version
from components.register.ledger import Action, Entry, Journal, Ledger, checked_reason, facts, sentence
from components.register.registry import Registry
from components.register.try_out import try_version

TryOut = Callable[[str, str, Mapping[str, bytes]], Pixels]
COMPARED = "champion.compared"
"""Tag of a version: the champion that its gate compared it with, `NOBODY` where there was none."""
NOBODY = "none"
_ROUNDS = 10


class Overtaken(MachineError):
    """Another promotion came first."""


@dataclass(frozen=True)
class Standing:
    """Who is champion: by the ledger if it has entries, else by the alias. `notes` is what was mended or is odd."""

    champion: str | None
    journal: Journal
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Move:
    """What a promotion or rollback did. `entry` is its line in the ledger; None when there was nothing to do."""

    model_name: str
    champion: str
    before: str | None
    entry: int | None
    line: str
    notes: tuple[str, ...] = ()


def standing(registry: Registry) -> Standing:
    """Who is champion; an alias that does not show what the ledger says is set right. Nobody is, when the ledger's
    champion was deleted from the registry."""
    journal = Ledger(registry.name, registry.uri).read()
    alias = registry.aliased(CHAMPION)
    if journal.champion is None:
        return Standing(alias, journal, journal.complaints)
    if journal.champion == alias:
        return Standing(alias, journal, journal.complaints)
    if all(version.number != journal.champion for version in registry.all()):
        note = f"version {journal.champion}, the champion, was deleted: promote another, or roll back"
        return Standing(None, journal, (*journal.complaints, note))
    found = f"version {alias}" if alias else "nothing"
    journal = project(registry)
    note = (f"the alias {CHAMPION} pointed to {found}, the ledger says version {journal.champion}: the alias is right "
            "again")
    return Standing(journal.champion, journal, (*journal.complaints, note))


def project(registry: Registry) -> Journal:
    """Point the alias to the ledger's champion; returns the ledger.

    Whoever sets the alias looks again afterwards: so of several who do this at once, the last to set it has seen the
    newest entry, and the alias ends up right.
    """
    ledger = Ledger(registry.name, registry.uri)
    journal = ledger.read()
    for _ in range(_ROUNDS):
        champion = journal.champion
        if champion is None:
            return journal
        registry.point(CHAMPION, champion)
        journal = ledger.read()
        if journal.champion == champion and registry.aliased(CHAMPION) == champion:
            return journal
    raise MachineError(f"somebody else keeps moving the alias {CHAMPION} of {registry.name}",
                       path=registry.uri, remedy="`photoshoot versions` sets it right once they are done")


def promote(registry: Registry, version: str, *, reason: str = "", force: bool = False,
            try_out: TryOut | None = try_version) -> Move:
    """Make a version (number or alias) champion.

    It must have passed its gate, in comparison with the present champion; `force` does without, and then needs a
    `reason`, which the ledger keeps. `try_out` paints the version's example in a fresh process before anything moves;
    None where that has just been done.

    Raises `InputError` for no such version, a gate that was not passed, or force without a reason; `DataError` when
    the version does not work; `Overtaken` when another promotion came first.
    """
    reason = checked_reason(reason)
    if force and not reason:
        raise InputError("a forced promotion needs a reason", remedy='add --reason "why": the ledger keeps it')
    now, found = standing(registry), registry.get(version)
    if now.champion == found.number:
        line = f"version {found.number} is champion already"
        return Move(registry.name, found.number, found.number, None, line, now.notes)
    objection = objection_to(found, now.champion)
    if objection and not force:
        raise InputError(f"version {found.number} {objection[0]}", path=registry.uri,
                         remedy=f'{objection[1]}, or add --force --reason "why"')
    why = reason or "passed the gate"
    return _move(registry, "promote", found, now, why=why, forced=bool(objection), try_out=try_out)


def rollback(registry: Registry, *, reason: str = "", try_out: TryOut | None = try_version) -> Move:
    """Make the previous champion champion again, by the ledger; again and again goes back further.

    Raises `InputError` when there is no previous one, `DataError` when it no longer works, `Overtaken` when another
    promotion came first.
    """
    reason = checked_reason(reason)
    now = standing(registry)
    previous = now.journal.previous
    if previous is None:
        raise InputError(f"{registry.name} has no previous champion", path=registry.uri,
                         remedy="`photoshoot history` shows the promotions, `photoshoot promote` makes one")
    return _move(registry, "rollback", registry.get(previous), now, why=reason or "rollback", forced=False,
                 try_out=try_out)


def objection_to(version: Version, champion: str | None) -> tuple[str, str] | None:
    """What speaks against promoting a version over the present champion, and what would help; None if nothing."""
    verdict = version.tags.get("verdict")
    if verdict == "not judged":
        return (f"may not be promoted: it was {version.tags.get('verdict.summary', verdict)}",
                "`photoshoot run` with more people or photos can judge it")
    if verdict != "passed":
        said = version.tags.get("verdict.summary", "has no passed gate")
        return f"may not be promoted: its gate {said}", "`photoshoot versions` shows which did pass"
    compared = version.tags.get(COMPARED, NOBODY)
    if compared not in ((champion or NOBODY), version.number):
        whom = "no champion" if compared == NOBODY else f"version {compared}"
        now = f"version {champion} is champion now" if champion else "there is no champion now"
        return (f"was compared with {whom}, but {now}", "the same `photoshoot run` again compares it")
    return None


def example(registry: Registry, version: Version) -> dict[str, bytes]:
    """The pictures that a version is tried on, kept with it; column -> file content. Raises `DataError` for none."""
    with registry.files(version) as folder:
        pictures = {path.stem: path.read_bytes() for path in sorted((folder / EXAMPLE).glob("*.png"))}
    if not pictures:
        raise DataError(f"version {version.number} of {registry.name} has no example to try it on",
                        path=registry.uri, remedy="register the model again with `photoshoot run`")
    return pictures


def _move(registry: Registry, action: Action, version: Version, now: Standing, *, why: str, forced: bool,
          try_out: TryOut | None) -> Move:
    if try_out is not None:
        try_out(f"models:/{registry.name}/{version.number}", registry.uri, example(registry, version))
    entry = Entry(action, now.champion, version.number, who(), datetime.now(UTC).isoformat(timespec="milliseconds"),
                  why, forced, facts(version.tags))
    stored, journal = Ledger(registry.name, registry.uri).append(entry, now.journal)
    if all(found.key != stored.key for found in journal.counting):
        first = next((found for found in journal.counting if found.after == stored.after), None)
        raise Overtaken(f"another promotion came first ({sentence(first)})" if first else
                        "the ledger did not take the entry", path=registry.uri,
                        remedy="look at it with `photoshoot history`; promote again if you still want to")
    project(registry)
    return Move(registry.name, version.number, now.champion, stored.number, sentence(stored), now.notes)


def who() -> str:
    """Who is acting: MLflow's user name if there is one, else the user and the machine."""
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if name:
        return name
    user = str(os.getuid()) if sys.platform != "win32" else "somebody"
    with suppress(KeyError, OSError):  # a container's user often has no name
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"
