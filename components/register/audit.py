"""Everything that is registered against what the ledger says of it: entries, aliases, files, evidence, tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.core.errors import DataError
from components.core.record import custody
from components.core.record.ledger import RECORDED, REPAIR, Journal
from components.core.record.registry import CHALLENGER, CHAMPION, Version
from components.core.record.registry_file import is_unwritten
from components.register.held import judged_anew
from components.register.ledger import Ledger
from components.register.promotion import known
from components.register.registry import Registry

Kind = Literal["ledger", "alias", "file", "evidence", "tag"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as the ledger says."""

    kind: Kind
    version: str | None
    """The version it is about; None: it is about the ledger."""
    what: str
    remedy: str


@dataclass(frozen=True)
class Audit:
    """What an audit found. `notes` are no findings: versions of which too little is known."""

    model_name: str
    versions: int
    entries: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def audit(registry: Registry) -> Audit:
    """Hold everything that is registered against the ledger. Nothing is changed, and nothing that a version carries
    is run. Reads every version's files."""
    if is_unwritten(registry.uri):  # MLflow would make the database
        return Audit(registry.name, 0, 0, (), ())
    journal = Ledger(registry.name, registry.uri).read()
    versions, aliases = registry.all(), registry.aliases()
    findings = [*_ledger(journal), *_aliases(journal, versions, aliases)]
    notes = []
    for version in versions:
        findings += [*_files(registry, version, journal), *_evidence(registry, version, journal)]
        if journal.record(version.number) is None and RECORDED not in version.tags:
            notes.append(custody.unrecorded(registry.name, version.number, version.tags) if version.tags else
                         f"version {version.number} of {registry.name} was never finished: its registration was killed")
    entries = len(journal.counting) + len(journal.late) + len(journal.records)
    return Audit(registry.name, len(versions), entries, tuple(findings), tuple(notes))


def _ledger(journal: Journal) -> Iterator[Finding]:
    for complaint in journal.complaints:
        yield Finding("ledger", None, complaint, "restore the database from a backup; who did this, MLflow cannot say")


def _aliases(journal: Journal, versions: list[Version], aliases: dict[str, str]) -> Iterator[Finding]:
    alias = aliases.get(CHAMPION)
    champion, wrong = journal.who_is(alias)
    if wrong:
        yield Finding("alias", alias, wrong.partition(": ")[0], REPAIR)
    if champion is not None and all(version.number != champion for version in versions):
        yield Finding("alias", champion, f"version {champion}, the champion, was deleted",
                      "`photoshoot promote` another, or `photoshoot rollback`")
    tried = {version.number for version in versions if version.tags.get("tried") == "passed"}
    latest = next((record.version for record in reversed(journal.records)
                   if record.action == "register" and record.version in tried), None)
    pointed = aliases.get(CHALLENGER)
    if latest is not None and pointed != latest:
        where = f"version {pointed}" if pointed else "nothing"
        yield Finding("alias", pointed, f"the alias {CHALLENGER} points to {where}, the last version registered is "
                      f"{latest}", "set it in MLflow, or register the model again")


def _files(registry: Registry, version: Version, journal: Journal) -> Iterator[Finding]:
    record = journal.record(version.number)
    try:
        with registry.folder(version) as folder:
            changed = custody.changes(folder, record, version.tags)
            if record is None and version.tags and not known(folder):
                changed = (*changed, custody.Change(custody.CODE, "is not the code of any photoshoot"))
    except DataError as error:
        yield Finding("file", version.number, error.problem, error.remedy or "")
        return
    for change in changed:
        yield Finding("file", version.number, str(change),
                      f"put it back, or `photoshoot promote {version.number}` with {custody.ACCEPT}")


def _evidence(registry: Registry, version: Version, journal: Journal) -> Iterator[Finding]:
    again = "register the model again with `photoshoot register`"
    record = journal.registration(version.number)
    if record is None:
        if RECORDED in version.tags:
            yield Finding("ledger", version.number,
                          f"entry {version.tags[RECORDED]}, the record of its registration, is gone", again)
        return
    try:
        judged_anew(registry, version, journal)
    except DataError as error:
        yield Finding("evidence", version.number, error.problem, again)
    said = {"verdict": record.outcome, **{f"digest.{key}": value for key, value in record.digests.items()}}
    for tag, value in said.items():
        # A registration that was killed has not set its tags yet.
        if tag in version.tags and version.tags[tag] != value:
            yield Finding("tag", version.number, f"tag {tag} says {version.tags[tag]}, the ledger says {value}",
                          "set it back in MLflow; promotion goes by the evaluation")
