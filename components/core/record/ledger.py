"""What the ledger of a registered model says: which versions were registered with which files and evidence, and who
was made champion. Append-only, kept in the registry, and the one truth about both. Reading only;
`components.register.ledger` writes.

MLflow moves an alias unconditionally: of two people who promote at once, the last one wins and nobody is told. So the
alias is only a picture of this ledger, and the ledger decides. It is a registered model of its own, `<name>-ledger`,
with one version per entry: MLflow allots version numbers under a unique key, so every client sees the same entries in
the same order, and an entry is written whole (its tags with it) or not at all.

There are two kinds of entries. A promotion (`Entry`) says after which promotion it was written. It counts only if that
is the last one that counts before it; else somebody was faster, and the entry stays as the record of an attempt. What
counts is a pure function of the entries (`replay`), the same for everybody. A `Record` says of what files a version
consists and what its gate was held against; records do not compete. Both keep the digest of an entry before them, so
that one changed afterwards is found out.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from components.core.artifacts.files import Each, misfit
from components.core.documents import MOST_LINE, Unreadable, json_object

FORMAT, RECORD_FORMAT = "photoshoot.ledger/1", "photoshoot.record/1"
TAG = "photoshoot.entry"
"""Tag of the ledger's versions: the entry's text."""
MARK = "photoshoot.ledger"
"""Tag of the model itself: number and digest of the ledger's last entry, so that it is missed when it is gone."""
RECORDED = "photoshoot.record"
"""Tag of a version: the number of its record in the ledger."""
SUFFIX = "-ledger"
"""The ledger of model ``name`` is kept under ``name-ledger``, which is no model."""
REPAIR = "`photoshoot promote --repair` puts it back"
_MOST_LOST = 20

Action = Literal["promote", "rollback"]


@dataclass(frozen=True)
class _Stored:
    """What entries of the ledger have in common: a text that says which kind they are, and their place."""

    KIND: ClassVar[str]
    SHAPE: ClassVar[dict[str, Any]]
    number: int = field(default=0, kw_only=True)

    def to_text(self) -> str:
        """It as it is stored; its number is MLflow's to give."""
        content = asdict(self)
        del content["number"]
        return json.dumps({"format": self.KIND, **content}, sort_keys=True)

    @classmethod
    def from_text(cls, number: int, text: str) -> Self | None:
        """Read what was stored; None for something that is none of this kind."""
        try:
            content = json_object(text, MOST_LINE)
            if content.pop("format", None) != cls.KIND or misfit(content, cls.SHAPE):
                return None
            return cls(**content, number=number)
        except (Unreadable, TypeError):  # the second for a field that is none of ours
            return None

    @property
    def digest(self) -> str:
        """sha256 of the stored text."""
        return _digest(self.to_text())


@dataclass(frozen=True)
class Entry(_Stored):
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

    KIND: ClassVar[str] = FORMAT
    SHAPE: ClassVar[dict[str, Any]] = {
        "action": str, "before?": str, "to": str, "who": str, "when": str, "why": str, "forced": bool,
        "digests": Each(str), "after?": int, "after_digest?": str, "key?": str}


@dataclass(frozen=True)
class Record(_Stored):
    """What a version is: written when it is registered, and anew when somebody accepts that its files have changed.

    `seen` is the number of the ledger's last entry when it was written, 0 for none, `seen_digest` that entry's digest.
    """

    action: Literal["register", "accept"]
    version: str
    who: str
    when: str
    why: str
    files: dict[str, str]
    """Path in the version's folder -> sha256 of the file."""
    evidence: dict[str, str] = field(default_factory=dict)
    """Path among the artifacts of the version's run -> sha256: the evaluation's metrics, the comparison, the settings
    of the gate."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of model, people, identities, evaluation and code."""
    outcome: str = ""
    """What the gate said."""
    compared: str | None = None
    """Who was champion then."""
    rival: str | None = None
    """The champion that the gate held it against: none where there was none, or where that was this very model."""
    seen: int = 0
    seen_digest: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    KIND: ClassVar[str] = RECORD_FORMAT
    SHAPE: ClassVar[dict[str, Any]] = {
        "action": str, "version": str, "who": str, "when": str, "why": str, "files": Each(str),
        "evidence?": Each(str), "digests?": Each(str), "outcome?": str, "compared?": str, "rival?": str,
        "seen?": int, "seen_digest?": str, "key?": str}


@dataclass(frozen=True)
class Journal:
    """What the ledger says. `counting` are the promotions that made a champion, `late` those that came second."""

    counting: tuple[Entry, ...] = ()
    late: tuple[Entry, ...] = ()
    complaints: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    lost: tuple[str, ...] = ()
    """Those complaints that only the mark on the model tells of: what is written next must not wipe them out."""
    cut: bool = False
    """Whether its end is not what was written, so that it cannot say who is champion."""

    @property
    def head(self) -> Entry | None:
        """The last promotion that counts."""
        return self.counting[-1] if self.counting else None

    @property
    def champion(self) -> str | None:
        """The champion by this ledger; None when it has no promotions."""
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

    @property
    def last(self) -> Entry | Record | None:
        """The entry of the highest number, whatever it is."""
        entries: list[Entry | Record] = [*self.counting, *self.late, *self.records]
        return max(entries, key=lambda entry: entry.number, default=None)

    def record(self, version: str) -> Record | None:
        """The latest record of a version: what its files must be. None: it was registered before there were records."""
        return next((found for found in reversed(self.records) if found.version == version), None)

    def registration(self, version: str) -> Record | None:
        """The latest record of its registration: what its gate was held against."""
        return next((found for found in reversed(self.records)
                     if found.version == version and found.action == "register"), None)

    def who_is(self, alias: str | None) -> tuple[str | None, str]:
        """Who is champion, where MLflow's alias points to version `alias` (None: nowhere), and, where the two
        disagree, what is wrong.

        An alias from before there was a ledger holds as long as nobody was promoted since.
        """
        if self.champion is not None:
            if alias == self.champion:
                return alias, ""
            points = f"points to version {alias}" if alias else "points to nothing"
            return self.champion, f"the alias champion {points}, the ledger says version {self.champion}: {REPAIR}"
        if alias is None or self.record(alias) is None:
            return alias, ""
        return None, (f"the alias champion points to version {alias}, the ledger knows of no promotion: {REPAIR}, "
                      f"`photoshoot promote {alias}` makes it champion")


def replay(stored: Iterable[tuple[int, str | None]]) -> Journal:
    """Decide which entries count. `stored` are number and text of each, in order of number."""
    counting: list[Entry] = []
    late: list[Entry] = []
    records: list[Record] = []
    complaints: list[str] = []
    missing: set[int] = set()
    digests: dict[int, str] = {}
    expected = 1
    for number, text in stored:
        gap = range(expected, number)
        missing.update(gap)
        complaints += [f"entry {gone} was deleted" for gone in gap]
        expected = number + 1
        digests[number] = _digest(text or "")
        if record := Record.from_text(number, text or ""):
            records.append(record)
            if digests.get(record.seen, record.seen_digest) != record.seen_digest:
                complaints.append(f"entry {record.seen} was changed after it was written")
            continue
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
    return Journal(tuple(counting), tuple(late), tuple(dict.fromkeys(complaints)), tuple(records))


def mark_of(entry: Entry | Record, lost: Sequence[str] = ()) -> str:
    """The text of the tag `MARK` after this entry was written; `lost` is what earlier marks had missed."""
    return json.dumps({"number": entry.number, "digest": entry.digest, "lost": list(lost)[-_MOST_LOST:]})


def against_mark(journal: Journal, mark: str | None) -> Journal:
    """The journal with what is wrong with its end by the mark that its writers left on the model: entries that are
    gone, or the last one changed; and what earlier writers found so."""
    try:
        content = json_object(mark or "{}", MOST_LINE)
        number, digest = int(content.get("number", 0)), str(content.get("digest", ""))
        lost = tuple(str(words) for words in content.get("lost", ()))
    except (ValueError, AttributeError, TypeError):
        number, digest, lost = 0, "", (f"the model's tag {MARK} was changed",)
    stored: list[Entry | Record] = [*journal.counting, *journal.late, *journal.records]
    entries = {entry.number: entry for entry in stored}
    last, cut = max(entries, default=0), ""
    if number > last:
        cut = f"entry {number} was deleted" if number == last + 1 else f"entries {last + 1} to {number} were deleted"
    elif number in entries and entries[number].digest != digest:
        cut = f"entry {number} was changed after it was written"
    lost = (*lost, cut) if cut else lost
    return replace(journal, complaints=tuple(dict.fromkeys((*journal.complaints, *lost))), lost=lost, cut=bool(cut))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
