"""The ledger of promotions: append-only, kept in the registry, and the one truth about who is champion.

MLflow moves an alias unconditionally: of two people who promote at once, the last one wins and nobody is told. So the
alias is only a picture of this ledger, and the ledger decides. It is a registered model of its own, `<name>-ledger`,
with one version per entry: MLflow allots version numbers under a unique key, so every client sees the same entries in
the same order, and an entry is written whole (its tags with it) or not at all.

Each entry says after which entry it was written. It counts only if that is the last one that counts before it; else
somebody was faster, and the entry stays as the record of an attempt. What counts is a pure function of the entries
(`replay`), the same for everybody. Each entry also keeps the digest of the entry it follows, so that one changed
afterwards is found out.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from components.core.artifacts.files import Each, misfit
from components.core.documents import MOST_LINE, json_object
from components.core.errors import InputError
from components.core.record.registry import LEDGER_SUFFIX, Versions

FORMAT = "photoshoot.ledger/1"
_TAG = "photoshoot.entry"
_ABOUT = ("Who was made champion of {name}, when, why and on which evidence; a version for each promotion. "
          "`photoshoot history` reads it. It is no model; deleting or editing it loses the record.")
_TRIES = 5

Action = Literal["promote", "rollback"]
_ENTRY = {"action": str, "before?": str, "to": str, "who": str, "when": str, "why": str, "forced": bool,
          "digests": Each(str), "after?": int, "after_digest?": str, "key?": str}


@dataclass(frozen=True)
class Entry:
    """One promotion or rollback. `before` and `to` are version numbers, `when` is UTC in ISO 8601.

    `after` is the number of the entry that was the last one that counted, 0 for none, and `after_digest` its digest.
    """

    action: Action
    before: str | None
    to: str
    who: str
    when: str
    why: str
    forced: bool
    digests: dict[str, str]
    after: int = 0
    after_digest: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    number: int = 0

    def to_text(self) -> str:
        """The entry as it is stored; its number is MLflow's to give."""
        content = asdict(self)
        del content["number"]
        return json.dumps({"format": FORMAT, **content}, sort_keys=True)

    @staticmethod
    def from_text(number: int, text: str) -> Entry | None:
        """Read a stored entry; None for something that is none."""
        try:
            content = json_object(text, MOST_LINE)
            if content.pop("format") != FORMAT:
                return None
            return None if misfit(content, _ENTRY) else Entry(**content, number=number)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @property
    def digest(self) -> str:
        """sha256 of the stored text."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()


@dataclass(frozen=True)
class Journal:
    """What the ledger says. `counting` are the entries that made a champion, `late` those that came second."""

    counting: tuple[Entry, ...] = ()
    late: tuple[Entry, ...] = ()
    complaints: tuple[str, ...] = ()

    @property
    def head(self) -> Entry | None:
        """The last entry that counts."""
        return self.counting[-1] if self.counting else None

    @property
    def champion(self) -> str | None:
        """The champion by this ledger; None when it has no entries."""
        return self.head.to if self.head else None

    @property
    def previous(self) -> str | None:
        """Who was champion before the present one was promoted: rollbacks go back one promotion each."""
        line: list[str] = [self.counting[0].before] if self.counting and self.counting[0].before else []
        for entry in self.counting:
            if entry.action == "rollback":
                while line and line[-1] != entry.to:
                    line.pop()
            if not line or line[-1] != entry.to:
                line.append(entry.to)
        return line[-2] if len(line) > 1 else None


def replay(stored: Iterable[tuple[int, str | None]]) -> Journal:
    """Decide which entries count. `stored` are number and text of each, in order of number."""
    counting: list[Entry] = []
    late: list[Entry] = []
    complaints: list[str] = []
    missing: set[int] = set()
    expected = 1
    for number, text in stored:
        gap = range(expected, number)
        missing.update(gap)
        complaints += [f"entry {gone} was deleted" for gone in gap]
        expected = number + 1
        entry = Entry.from_text(number, text or "")
        if entry is None:
            complaints.append(f"entry {number} was not written by photoshoot, or is corrupted")
            missing.add(number)  # what followed it, followed it rightly
            continue
        last = counting[-1] if counting else None
        follows = last.number if last else 0
        if entry.after != follows and not (entry.after > follows and entry.after in missing):
            late.append(entry)
            continue
        if last and entry.after == last.number and entry.after_digest != last.digest:
            complaints.append(f"entry {last.number} was changed after it was written")
        counting.append(entry)
    return Journal(tuple(counting), tuple(late), tuple(complaints))


class Ledger(Versions):
    """The ledger of the registered model `name` on one MLflow server or database."""

    def __init__(self, name: str, tracking_uri: str | None = None) -> None:
        super().__init__(name, tracking_uri)
        self._ledger = name + LEDGER_SUFFIX

    def read(self) -> Journal:
        """All entries, and what they amount to."""
        return replay((int(found.version), found.tags.get(_TAG)) for found in self._search(self._ledger))

    def append(self, entry: Entry, seen: Journal) -> tuple[Entry, Journal]:
        """Write an entry that follows what was `seen`; returns it with its number, and the ledger as it is then.

        Whether it counts is for the caller to look up: somebody else may have been faster. Raises `MachineError`
        when MLflow refuses; whether the entry was written is then unknown, and the next reader finds out.
        """
        head = seen.head
        entry = replace(entry, after=head.number if head else 0, after_digest=head.digest if head else "")
        with self._asking():
            self._make()
            self._write(entry)
        journal = self.read()
        stored = next((found for found in (*journal.counting, *journal.late) if found.key == entry.key), entry)
        return stored, journal

    def _write(self, entry: Entry) -> None:
        from mlflow.exceptions import MlflowException

        text = entry.to_text()
        # MLflow wants to know where a version's files are, and believes only what it holds: an entry has those of the
        # version that it made champion.
        source = f"models:/{self.name}/{entry.to}"
        for attempt in range(_TRIES):
            try:
                self._client.create_model_version(
                    self._ledger, source, tags={_TAG: text}, description=sentence(entry), await_creation_for=0)
                return
            except MlflowException:
                # Under contention MLflow gives up on a number after three attempts. An entry that was written
                # although the answer was lost is there twice at most: the copy follows nothing and does not count.
                if self._follows_another(entry):
                    return
                if attempt + 1 == _TRIES:
                    raise

    def _follows_another(self, entry: Entry) -> bool:
        """Whether the entry would come too late by now, or is in the ledger already."""
        head = self.read().head
        return (head.number if head else 0) != entry.after

    def _make(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._ledger, description=_ABOUT.format(name=self.name))
        except MlflowException as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise


def sentence(entry: Entry) -> str:
    """The entry for a reader: who did what, and why."""
    came = f" in place of version {entry.before}" if entry.before else ""
    how = "promoted" if entry.action == "promote" else "went back to"
    force = " by force" if entry.forced else ""
    return f"{entry.when} {entry.who} {how} version {entry.to}{came}{force}: {entry.why}"


def facts(tags: Mapping[str, str]) -> dict[str, str]:
    """The digests among a version's tags: metrics, data, code and model, as the ledger keeps them."""
    return {key.removeprefix("digest."): value for key, value in tags.items() if key.startswith("digest.")}


def checked_reason(reason: str) -> str:
    """A reason as it may stand in the ledger: one line. Raises `InputError` for more than 1000 characters."""
    line = " ".join(reason.split())
    if len(line) > 1000:
        raise InputError("this reason has more than 1000 characters", remedy="shorten it")
    return line


def journal_json(journal: Journal) -> list[dict[str, Any]]:
    """All entries in order of number, each with whether it `counted`."""
    entries = [(entry, True) for entry in journal.counting] + [(entry, False) for entry in journal.late]
    return [{"number": entry.number, "action": entry.action, "from": entry.before, "to": entry.to, "who": entry.who,
             "when": entry.when, "why": entry.why, "forced": entry.forced, "counted": counted,
             "digests": entry.digests} for entry, counted in sorted(entries, key=lambda pair: pair[0].number)]
