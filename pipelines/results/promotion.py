"""The verbs `promote` and `rollback`, and what the registry and its ledger hold: `versions`, `history`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from components.core.errors import InputError
from components.core.record import answering
from components.core.record.registry import Version
from components.register import ledger, promotion
from components.register.audit import Audit, audit
from components.register.promotion import Canary, Move
from components.register.registry import Registry
from pipelines.home.folder import Home


@dataclass(frozen=True)
class VersionRow:
    """A registered version. `compared` is the champion that its gate compared it with, "-" for none."""

    version: str
    aliases: list[str]
    verdict: str
    compared: str
    run: str
    created: str


@dataclass(frozen=True)
class Repaired:
    """Who is champion (None: nobody), and what was done to the alias."""

    model_name: str
    champion: str | None
    line: str


@dataclass(frozen=True)
class VersionList:
    """All versions, newest first, and what was found odd or set right on the way."""

    versions: list[VersionRow]
    notes: list[str]


@dataclass(frozen=True)
class History:
    """The ledger, oldest entry first, who is champion by it, and what is odd about it."""

    champion: str | None
    entries: list[dict[str, Any]]
    notes: list[str]


def promote_version(home: Home, model_name: str, version: str, *, force: bool, reason: str) -> Move:
    """Make a version champion; see `components.register.promotion.promote`."""
    return promotion.promote(_registry(home, model_name), version, force=force, reason=reason)


def start_canary(home: Home, model_name: str, version: str, percent: int, *, force: bool, reason: str) -> Canary:
    """Give a version a share of the requests, or end that; see `components.register.promotion.canary`."""
    return promotion.canary(_registry(home, model_name), version, percent, force=force, reason=reason)


def roll_back(home: Home, model_name: str, *, reason: str) -> Move:
    """Make the previous champion champion again; see `components.register.promotion.rollback`."""
    return promotion.rollback(_registry(home, model_name), reason=reason)


def repair_alias(home: Home, model_name: str) -> Repaired:
    """Point the alias to the ledger's champion; see `components.register.promotion.repair`."""
    return Repaired(model_name, *promotion.repair(_registry(home, model_name)))


def accept_changed(home: Home, model_name: str, version: str, reason: str) -> str:
    """Take a version's changed files; see `components.register.promotion.accept_changed`."""
    return promotion.accept_changed(_registry(home, model_name), version, reason)


def audited(home: Home, model_name: str) -> Audit:
    """All that is registered against the ledger; see `components.register.audit.audit`. Raises `InputError` when the
    model does not exist."""
    registry = _registry(home, model_name)
    _known(registry)
    return audit(registry)


def list_versions(home: Home, model_name: str) -> VersionList:
    """All versions of a model. Raises `InputError` when the model does not exist."""
    registry = _registry(home, model_name)
    found = _known(registry)
    now = promotion.standing(registry)
    aliases: dict[str, list[str]] = {}
    for alias, number in registry.aliases().items():
        aliases.setdefault(number, []).append(alias)
    rows = [VersionRow(version.number, sorted(aliases.get(version.number, [])), version.tags.get("verdict", "-"),
                       _compared(version.tags), version.run_id or "-",
                       time.strftime("%Y-%m-%d %H:%M", time.localtime(version.created / 1000)))
            for version in reversed(found)]
    return VersionList(rows, list(now.notes))


def history(home: Home, model_name: str) -> History:
    """The ledger of a model; empty when nothing was ever promoted. Raises `InputError` when the model does not
    exist."""
    registry = _registry(home, model_name)
    _known(registry)
    now = promotion.standing(registry)
    return History(now.champion, ledger.journal_json(now.journal), list(now.notes))


def _registry(home: Home, model_name: str) -> Registry:
    answering.check(home.tracking_uri)
    return Registry(model_name, home.tracking_uri)


def _known(registry: Registry) -> list[Version]:
    """All versions of a model that exists."""
    found = registry.all()
    if not found:
        raise InputError(f"no registered model {registry.name}", path=registry.uri,
                         remedy="`photoshoot run` registers one; until then `photoshoot shoot` uses the starter model")
    return found


def _compared(tags: dict[str, str]) -> str:
    compared = tags.get(promotion.COMPARED, promotion.NOBODY)
    return "-" if compared == promotion.NOBODY else compared
