"""The ledger of promotions and registrations, written; `components.core.record.ledger` says what it is."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from components.core.errors import InputError
from components.core.masking import masked
from components.core.record.ledger import MARK, SUFFIX, TAG, Entry, Journal, Record, against_mark, mark_of, replay
from components.core.record.registry import Versions, is_absent

__all__ = ["Entry", "Journal", "Ledger", "Record", "checked_reason", "facts", "journal_json", "replay", "sentence",
           "utc_now", "who"]

_ABOUT = ("What versions of {name} consist of, and who was made champion, when, why and on which evidence; a version "
          "for each entry. `photoshoot history` reads it. It is no model; deleting or editing it loses the record.")
_TRIES = 5

Written = TypeVar("Written", Entry, Record)


class Ledger(Versions):
    """The ledger of the registered model `name` on one MLflow server or database."""

    def __init__(self, name: str, tracking_uri: str | None = None) -> None:
        super().__init__(name, tracking_uri)
        self._ledger = name + SUFFIX

    def read(self) -> Journal:
        """All entries, what they amount to, and what is wrong with them."""
        mark = self._mark()  # before the entries, which are written first
        journal = replay((int(found.version), found.tags.get(TAG)) for found in self._search(self._ledger))
        return against_mark(journal, mark)

    def append(self, entry: Entry, seen: Journal) -> tuple[Entry, Journal]:
        """Write an entry that follows what was `seen`; returns it with its number, and the ledger as it is then.

        Whether it counts is for the caller to look up: somebody else may have been faster. Raises `MachineError`
        when MLflow refuses; whether the entry was written is then unknown, and the next reader finds out.
        """
        head = seen.head
        entry = replace(entry, after=head.number if head else 0, after_digest=head.digest if head else "")
        lost = self.read().lost
        self._make()
        self._write(entry, lambda: self._follows_another(entry))
        journal = self.read()
        stored = next((found for found in (*journal.counting, *journal.late) if found.key == entry.key), entry)
        return self._marked(stored, lost), journal

    def record(self, record: Record) -> Record:
        """Write what a version consists of; returns the record with its number. Raises as `append` does."""
        before = self.read()
        last = before.last
        record = replace(record, seen=last.number if last else 0, seen_digest=last.digest if last else "")
        self._make()
        self._write(record, lambda: any(found.key == record.key for found in self.read().records))
        stored = next((found for found in self.read().records if found.key == record.key), record)
        return self._marked(stored, before.lost)

    def _write(self, entry: Entry | Record, is_settled: Callable[[], bool]) -> None:
        """Write an entry, unless `is_settled` says that it is there already or comes too late."""
        from mlflow.exceptions import MlflowException

        text, version = entry.to_text(), entry.to if isinstance(entry, Entry) else entry.version
        # MLflow wants to know where a version's files are, and believes only what it holds: an entry has those of the
        # version that it is about.
        source = f"models:/{self.name}/{version}"
        for attempt in range(_TRIES):
            with self._asking():
                try:
                    self._client.create_model_version(
                        self._ledger, source, tags={TAG: text}, description=sentence(entry), await_creation_for=0)
                    return
                except MlflowException:
                    # Under contention MLflow gives up on a number after three attempts. An entry that was written
                    # although the answer was lost is there twice at most: the copy follows nothing and does not count.
                    if is_settled():
                        return
                    if attempt + 1 == _TRIES:
                        raise

    def _marked(self, entry: Written, lost: Sequence[str]) -> Written:
        """Leave a mark of the newest entry on the model, by which it is missed when it is gone."""
        from mlflow.exceptions import MlflowException

        if entry.number:
            with suppress(MlflowException):  # two at once, on PostgreSQL: the next entry leaves the next mark
                self._client.set_registered_model_tag(self.name, MARK, mark_of(entry, lost))
        return entry

    def _mark(self) -> str | None:
        with self._asking():
            try:
                mark = self._client.get_registered_model(self.name).tags.get(MARK)
                return None if mark is None else str(mark)
            except Exception as error:
                if is_absent(error):
                    return None
                raise

    def _follows_another(self, entry: Entry) -> bool:
        """Whether the entry would come too late by now, or is in the ledger already."""
        head = self.read().head
        return (head.number if head else 0) != entry.after

    def _make(self) -> None:
        from mlflow.exceptions import MlflowException

        with self._asking():
            try:
                self._client.create_registered_model(self._ledger, description=_ABOUT.format(name=self.name))
            except MlflowException as error:
                if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                    raise


def sentence(entry: Entry | Record) -> str:
    """The entry for a reader: who did what, and why."""
    if isinstance(entry, Record):
        how = "registered" if entry.action == "register" else "accepted changed files of"
        return f"{entry.when} {entry.who} {how} version {entry.version}: {entry.why}"
    came = f" in place of version {entry.before}" if entry.before else ""
    how = "promoted" if entry.action == "promote" else "went back to"
    force = " by force" if entry.forced else ""
    return f"{entry.when} {entry.who} {how} version {entry.to}{came}{force}: {entry.why}"


def who() -> str:
    """Who is acting: MLflow's user name if there is one, else the user and the machine."""
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if name:
        return name
    user = str(os.getuid()) if sys.platform != "win32" else "somebody"
    with suppress(KeyError, OSError):  # a container's user often has no name
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


def utc_now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def facts(tags: Mapping[str, str]) -> dict[str, str]:
    """The digests among a version's tags: metrics, data, code and model, as the ledger keeps them."""
    return {key.removeprefix("digest."): value for key, value in tags.items() if key.startswith("digest.")}


def checked_reason(reason: str) -> str:
    """A reason as it may stand in the ledger: one line. Raises `InputError` for more than 1000 characters."""
    line = masked(" ".join(reason.split()))
    if len(line) > 1000:
        raise InputError("this reason has more than 1000 characters", remedy="shorten it")
    return line


def journal_json(journal: Journal) -> list[dict[str, Any]]:
    """Promotions, rollbacks and accepted changes in order of number, each with whether it `counted`."""
    entries = [(entry.number, {"number": entry.number, "action": entry.action, "from": entry.before, "to": entry.to,
                               "who": entry.who, "when": entry.when, "why": entry.why, "forced": entry.forced,
                               "counted": entry in journal.counting, "digests": entry.digests})
               for entry in (*journal.counting, *journal.late)]
    entries += [(found.number, {"number": found.number, "action": "accept", "from": None, "to": found.version,
                                "who": found.who, "when": found.when, "why": found.why, "forced": True,
                                "counted": True, "digests": found.digests})
                for found in journal.records if found.action == "accept"]
    return [content for _, content in sorted(entries, key=lambda pair: pair[0])]
