"""Move the champion: promote a version, go back to the one before, and mend what a crash left.

The order of things: look (ledger, evidence), try the version in a fresh process, write the ledger, move the alias.
Up to the ledger entry nothing has happened; from it on the version is champion, and the alias follows: at once, or, if
this process dies between the two, with the next command that looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.version import EXAMPLE
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError
from components.core.pictures.images import Pixels
from components.core.record import custody
from components.core.record.ledger import RECORDED, Action, Entry, Journal, Record
from components.core.record.registry import CHAMPION, Version
from components.register.held import judged_anew
from components.register.ledger import Ledger, checked_reason, facts, sentence, utc_now, who
from components.register.registry import Registry, known_code
from components.register.try_out import try_version

TryOut = Callable[[str, str, Mapping[str, bytes]], Pixels]
COMPARED = "champion.compared"
"""Tag of a version: the champion that its gate compared it with, `NOBODY` where there was none."""
NOBODY = "none"
CANARY, CANARY_PERCENT, CANARY_WHY = "canary", "canary.percent", "canary.why"
"""Alias of the version that gets a share of the requests beside the champion, and its tags: how large a share, and who
asked for it, when and why. A serving that splits requests follows them; a canary is nobody's default."""
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


@dataclass(frozen=True)
class Canary:
    """Who gets how many per cent of the requests beside the champion; None and 0: nobody."""

    model_name: str
    version: str | None
    percent: int
    champion: str
    line: str
    notes: tuple[str, ...] = ()


def standing(registry: Registry) -> Standing:
    """Who is champion. Where the alias is what a promotion that was killed has left, it is set right; any other
    alias that the ledger does not know is left as it is, and said. Nobody is champion when the ledger's champion was
    deleted from the registry."""
    journal = Ledger(registry.name, registry.uri).read()
    alias = registry.aliased(CHAMPION)
    champion, wrong = journal.who_is(alias)
    notes = (*journal.complaints, *([wrong] if wrong else []))
    if not wrong or journal.head is None:
        return Standing(champion, journal, notes)
    if all(version.number != champion for version in registry.all()):
        note = f"version {champion}, the champion, was deleted: promote another, or roll back"
        return Standing(None, journal, (*journal.complaints, note))
    if alias not in (None, journal.head.before) or journal.cut:
        return Standing(champion, journal, notes)
    found = f"version {alias}" if alias else "nothing"
    journal = project(registry)
    note = (f"the alias {CHAMPION} pointed to {found}, the ledger says version {journal.champion}: the alias is right "
            "again")
    return Standing(journal.champion, journal, (*journal.complaints, note))


def repair(registry: Registry) -> tuple[str | None, str]:
    """Point the alias to the ledger's champion, or take it away where the ledger knows of none; who is champion then,
    and what was done.

    Raises `InputError` where the ledger is not whole: then it cannot say who is champion.
    """
    now = standing(registry)
    if now.journal.cut:
        raise InputError(f"the ledger of {registry.name} is not whole: {now.journal.lost[-1]}", path=registry.uri,
                         remedy='`photoshoot promote VERSION --force --reason "why"` says anew who is champion')
    alias = registry.aliased(CHAMPION)
    champion, wrong = now.journal.who_is(alias)
    if not wrong:
        return champion, now.notes[-1] if now.notes else f"the alias {CHAMPION} is right already"
    if champion is None:
        registry.unpoint(CHAMPION)
        return None, f"the alias {CHAMPION} pointed to version {alias}, which nobody promoted: it is taken away"
    if now.champion is None:
        raise InputError(now.notes[-1], path=registry.uri, remedy="`photoshoot rollback`, or `photoshoot promote`")
    project(registry)
    return champion, (f"the alias {CHAMPION} pointed to {f'version {alias}' if alias else 'nothing'}: it points to "
                      f"version {champion} again, as the ledger says")


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

    It must have passed its gate, in comparison with the present champion, by the evaluation that was kept with it;
    `force` does without, and then needs a `reason`, which the ledger keeps. Its files must be those that were
    registered, also with `force`. `try_out` paints the version's example in a fresh process before anything moves;
    None where that has just been done.

    Raises `InputError` for no such version, a gate that was not passed, or force without a reason; `DataError` when
    the version's files were changed (`accept_changed` takes them as they are) or it does not work; `Overtaken` when
    another promotion came first.
    """
    reason = checked_reason(reason)
    if force and not reason:
        raise InputError("a forced promotion needs a reason", remedy='add --reason "why": the ledger keeps it')
    now, found = standing(registry), registry.get(version)
    if now.champion == found.number:
        line = f"version {found.number} is champion already"
        return Move(registry.name, found.number, found.number, None, line, now.notes)
    objection = objection_to(registry, found, now)
    if objection and not force:
        raise InputError(f"version {found.number} {objection[0]}", path=registry.uri,
                         remedy=f'{objection[1]}, or add --force --reason "why"')
    why = reason or "passed the gate"
    return _move(registry, "promote", found, now, why=why, forced=bool(objection), try_out=try_out)


def rollback(registry: Registry, *, reason: str = "", try_out: TryOut | None = try_version) -> Move:
    """Make the previous champion champion again, by the ledger; again and again goes back further.

    Raises `InputError` when there is no previous one, `DataError` when its files were changed or it no longer works,
    `Overtaken` when another promotion came first.
    """
    reason = checked_reason(reason)
    now = standing(registry)
    previous = now.journal.previous
    if previous is None:
        raise InputError(f"{registry.name} has no previous champion", path=registry.uri,
                         remedy="`photoshoot history` shows the promotions, `photoshoot promote` makes one")
    return _move(registry, "rollback", registry.get(previous), now, why=reason or "rollback", forced=False,
                 try_out=try_out)


def objection_to(registry: Registry, version: Version, now: Standing) -> tuple[str, str] | None:
    """What speaks against promoting a version over the present champion, and what would help; None if nothing.

    First what its tags say, then what its evaluation says: who may write the one may not be able to write the other.
    """
    said = version.tags.get("verdict")
    if said == "not judged":
        return (f"may not be promoted: it was {version.tags.get('verdict.summary', said)}",
                "`photoshoot run` with more people or photos can judge it")
    if said != "passed":
        summary = version.tags.get("verdict.summary", "has no passed gate")
        return f"may not be promoted: its gate {summary}", "`photoshoot versions` shows which did pass"
    record = now.journal.registration(version.number)
    if record is None:
        why = ("the ledger's record of it is gone" if RECORDED in version.tags else
               "it is not recorded: it was registered before the ledger kept a version's evidence")
        return f"may not be promoted: {why}", "register the model again with `photoshoot register`"
    try:
        found = judged_anew(registry, version, now.journal)
    except DataError as error:
        return f"may not be promoted: {error.problem}", "register the model again with `photoshoot register`"
    if not found.passed or record.outcome != "passed":
        summary = found.summary if not found.passed else record.why
        return (f"may not be promoted: its tag says passed, its evaluation says {summary}",
                "`photoshoot versions` shows which did pass")
    if (record.compared or NOBODY) not in ((now.champion or NOBODY), version.number):
        whom = f"version {record.compared}" if record.compared else "no champion"
        present = f"version {now.champion} is champion now" if now.champion else "there is no champion now"
        return f"was compared with {whom}, but {present}", "the same `photoshoot run` again compares it"
    return None


def checked(registry: Registry, version: Version, journal: Journal) -> str:
    """That all that MLflow keeps with a version, its code too, is as it was registered; what is to be said of one
    without a record, whose code must be that of a photoshoot there was.

    Raises `DataError`, which names the files, for anything else.
    """
    record = journal.record(version.number)
    with registry.folder(version) as folder:
        changed = custody.changes(folder, record, version.tags)
        if record is None and not known(folder):
            changed = (*changed, custody.Change(custody.CODE, "is not the code of any photoshoot"))
    custody.refuse(registry.name, version.number, changed, registry.uri)
    return "" if record else custody.unrecorded(registry.name, version.number, version.tags)


def known(folder: Path) -> bool:
    """Whether the code in a version's folder is that of a photoshoot there was."""
    code = folder / custody.CODE
    return code.is_file() and file_digest(code) in known_code()


def accept_changed(registry: Registry, version: str, reason: str) -> str:
    """Take a version's files as they are now: the ledger keeps their digests and why. What was accepted, in words;
    nothing where they are as they were registered.

    Raises `InputError` for no such version or no reason.
    """
    reason = checked_reason(reason)
    if not reason:
        raise InputError("to accept changed files needs a reason", remedy='--accept-changed "why": the ledger keeps it')
    found, ledger = registry.get(version), Ledger(registry.name, registry.uri)
    record = ledger.read().record(found.number)
    with registry.folder(found) as folder:
        changed = custody.changes(folder, record, found.tags)
        files = custody.digests_of(folder)
    if record is not None and not changed:
        return ""
    ledger.record(Record("accept", found.number, who(), utc_now(), reason, files))
    what = ", ".join(map(str, changed)) or "it was not recorded"
    return f"accepted version {found.number} as it is ({what}): {reason}"


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
    note = checked(registry, version, now.journal)
    if try_out is not None:
        try_out(f"models:/{registry.name}/{version.number}", registry.uri, example(registry, version))
    entry = Entry(action, now.champion, version.number, who(), utc_now(), why, forced, facts(version.tags))
    stored, journal = Ledger(registry.name, registry.uri).append(entry, now.journal)
    if all(found.key != stored.key for found in journal.counting):
        first = next((found for found in journal.counting if found.after == stored.after), None)
        raise Overtaken(f"another promotion came first ({sentence(first)})" if first else
                        "the ledger did not take the entry", path=registry.uri,
                        remedy="look at it with `photoshoot history`; promote again if you still want to")
    project(registry)
    ended = _end_canary(registry)
    given_up = [f"version {ended} is no canary any more: it was one beside another champion"
                ] if ended not in (None, version.number) else []
    return Move(registry.name, version.number, now.champion, stored.number, sentence(stored),
                (*now.notes, *([note] if note else []), *given_up))


def canary(registry: Registry, version: str, percent: int, *, reason: str = "", force: bool = False,
           try_out: TryOut | None = try_version) -> Canary:
    """Ask for a share of the requests, 1 to 99 per cent, for a version beside the champion; 0 ends that.

    What a promotion asks of a version is asked of a canary, `force` and `reason` included; whatever moves the champion
    ends it. The share is kept before the alias moves, so nobody sees the one without the other.

    Raises as `promote` does; and `InputError` where there is no champion, the version is the champion, or it is no
    canary that could end.
    """
    reason = checked_reason(reason)
    if force and not reason:
        raise InputError("a forced canary needs a reason", remedy='add --reason "why": the version keeps it')
    if not 0 <= percent < 100:
        raise InputError(f"{percent} % is no share beside a champion", remedy="give 1 to 99, or 0 to end it; "
                         "`photoshoot promote` without --canary gives it everything")
    now, found = standing(registry), registry.get(version)
    if now.champion is None:
        raise InputError(f"{registry.name} has no champion that a canary could stand beside", path=registry.uri,
                         remedy=f"photoshoot promote {found.number}")
    if now.champion == found.number:
        raise InputError(f"version {found.number} is champion: it has all requests", path=registry.uri,
                         remedy="`photoshoot versions` shows which others there are")
    before = registry.aliased(CANARY)
    if not percent:
        if before != found.number:
            raise InputError(f"version {found.number} is no canary", path=registry.uri,
                             remedy="`photoshoot versions` shows which one is")
        _end_canary(registry)
        line = f"version {found.number} is no canary any more: version {now.champion} has all requests"
        return Canary(registry.name, None, 0, now.champion, line, now.notes)
    objection = objection_to(registry, found, now)
    if objection and not force:
        raise InputError(f"version {found.number} {objection[0]}", path=registry.uri,
                         remedy=f'{objection[1]}, or add --force --reason "why"')
    note = checked(registry, found, now.journal)
    if try_out is not None and before != found.number:
        try_out(f"models:/{registry.name}/{found.number}", registry.uri, example(registry, found))
    if before not in (None, found.number):
        _end_canary(registry)
    registry.tag(found.number, {CANARY_PERCENT: str(percent), CANARY_WHY: " ".join(
        (who(), utc_now(), f"forced: {reason}" if objection else reason or "passed the gate"))})
    registry.point(CANARY, found.number)
    line = f"version {found.number} is asked to get {percent} % of the requests, version {now.champion} the rest"
    return Canary(registry.name, found.number, percent, now.champion, line, (*now.notes, *([note] if note else [])))


def _end_canary(registry: Registry) -> str | None:
    """Take the alias away; whose it was."""
    before = registry.aliased(CANARY)
    if before is not None:
        registry.unpoint(CANARY)
        registry.tag(before, {CANARY_PERCENT: "0"})
    return before
