"""Registration: gate, version, try-out, aliases. `components.register.register` is its public face."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.artifacts.comparison import COMPARISON, write_comparison
from components.core.artifacts.evaluation import METRICS, REPORT
from components.core.artifacts.loss_weights import FILE, read_weights
from components.core.artifacts.model import GENERATOR
from components.core.artifacts.report import with_verdict
from components.core.artifacts.start import STARTER, Start, read_start
from components.core.artifacts.version import MODEL_CARD, TRY, VERDICT, write_verdict
from components.core.atomic import atomic_folder
from components.core.errors import DataError, InputError
from components.core.judging.gate import Outcome
from components.core.pictures.images import Pixels, write_png
from components.core.record.custody import ARTIFACTS, digests_of
from components.core.record.ledger import RECORDED, Record
from components.core.record.recorder import Recorder
from components.core.record.registry import CHALLENGER
from components.core.settings import RegisterSettings
from components.register import evidence as rests_on
from components.register.card import model_card
from components.register.evidence import VersionEvidence
from components.register.gate import Verdict, verdict
from components.register.held import keep
from components.register.ledger import Ledger, facts, utc_now, who
from components.register.promotion import COMPARED, NOBODY, Overtaken, Standing, promote, standing
from components.register.registry import Registry
from components.register.try_out import try_version


@dataclass(frozen=True)
class RegisterSummary:
    """The new version: its number, the aliases that point to it, the gate's verdict line by line, and who is
    champion now (None: nobody). `outcome` is "passed", "failed" or "not judged", `verdict` says so in a sentence."""

    model_name: str
    model_version: str
    aliases: list[str]
    outcome: Outcome
    verdict: str
    passed: bool
    lines: list[dict[str, Any]]
    run_id: str
    report: str
    champion: str | None


def run(evidence: VersionEvidence, out: Path, settings: RegisterSettings, recorder: Recorder,
        tracking_uri: str | None) -> RegisterSummary:
    """See `components.register.register`."""
    registry = Registry(settings.model_name, tracking_uri)
    now = standing(registry)
    found = verdict(evidence.metrics, evidence.comparison, _rival(registry, now, evidence), settings)
    start = read_start(evidence.generator.parent)
    card = model_card(settings.model_name, evidence.metrics, found, start and _start(registry, start, evidence))
    version, run_id = _version(registry, evidence, settings, recorder, now)
    recorded = _record(registry, version, run_id, evidence, settings, found, now)
    tags = (_code(registry, version) | recorded | _tags(found, run_id, now) | evidence.digests(settings)
            | study_tags(evidence.generator.parent) | ({"start": start.digest} if start else {}))
    registry.describe(version, card, tags, stale="gate.")
    with registry.trying(version):
        tried = try_version(f"models:/{settings.model_name}/{version}", registry.uri, evidence.example())
    registry.point(CHALLENGER, version)
    if found.passed:
        _promote(registry, version, now, evidence, settings)
    aliases = sorted(alias for alias, number in registry.aliases().items() if number == version)
    summary = RegisterSummary(settings.model_name, version, aliases, found.outcome, found.summary, found.passed,
                              [asdict(line) for line in found.lines], run_id, str(out / REPORT),
                              standing(registry).champion)
    _write(out, summary, card, evidence, tried)
    for name in (VERDICT, MODEL_CARD, REPORT, *([COMPARISON] if evidence.comparison else [])):
        registry.keep(run_id, out / name)
    recorder.metrics({"register/passed": float(found.passed)}
                     | {f"register/{line.name}": float(line.passed) for line in found.lines})
    return summary


def _version(registry: Registry, evidence: VersionEvidence, settings: RegisterSettings, recorder: Recorder,
             now: Standing) -> tuple[str, str]:
    """The version's number and run. Registering the same model on the same evidence again is no news: the version
    that says so is found, whatever champion it meets now; and the one that a killed registration left."""
    version = registry.known(evidence.files(), evidence.digests(settings) | {"tried": "passed"}, now.journal)
    if version is None:
        version = registry.log(evidence.files(), getattr(recorder, "run_id", None))
    return version, registry.get(version).run_id


def _record(registry: Registry, version: str, run_id: str, evidence: VersionEvidence, settings: RegisterSettings,
            found: Verdict, now: Standing) -> dict[str, str]:
    """Tell the ledger what the version consists of and what it rests on, unless it says so already; the version's tag.

    Raises `DataError` where the artifact store does not give back the model that it was given.
    """
    with registry.folder(registry.get(version)) as folder:
        files = digests_of(folder)
    digest = evidence.metrics["model"]["digest"]
    if files.get(f"{ARTIFACTS}/{GENERATOR}") != digest:
        raise DataError(f"the artifact store gives another {GENERATOR} than it was given for version {version}",
                        path=registry.uri, remedy="check the store; no alias has moved")
    kept = keep(registry, run_id, evidence.evaluation / METRICS, evidence.comparison, settings)
    record = Record("register", version, who(), utc_now(), found.summary, files, kept,
                    facts(evidence.digests(settings) | rests_on.code()), found.outcome, now.champion,
                    _rival(registry, now, evidence))
    before = now.journal.registration(version)
    if before is None or _said(before) != _said(record):
        before = Ledger(registry.name, registry.uri).record(record)
    return {RECORDED: str(before.number)}


def _code(registry: Registry, version: str) -> dict[str, str]:
    """By which code a version was made: what it says, or that of today."""
    code = rests_on.code()
    return {key: registry.get(version).tags.get(key, value) for key, value in code.items()}


def _said(record: Record) -> tuple[Any, ...]:
    return (record.files, record.evidence, record.outcome, record.compared, record.rival)


def _rival(registry: Registry, now: Standing, evidence: VersionEvidence) -> str | None:
    """The champion that the model must stand against; None without one, or when it is this very model."""
    if now.champion is None:
        return None
    same = registry.get(now.champion).tags.get("digest.model") == evidence.metrics["model"]["digest"]
    return None if same else now.champion


def _promote(registry: Registry, version: str, now: Standing, evidence: VersionEvidence,
             settings: RegisterSettings) -> None:
    """Make a version that passed champion, where the settings say so. It has just been tried."""
    wanted = {"never": False, "first": now.champion is None,
              "passed": now.champion is None or _rival(registry, now, evidence) is not None}
    if not wanted[settings.auto_promote]:
        return
    # Somebody made another version champion meanwhile, with which this one was not compared: it stays the challenger.
    with suppress(Overtaken, InputError):
        promote(registry, version, try_out=None)


def _tags(found: Verdict, run_id: str, now: Standing) -> dict[str, str]:
    return {
        "verdict": found.outcome, "verdict.summary": found.summary,
        COMPARED: now.champion or NOBODY, **{f"gate.{line.name}": str(line) for line in found.lines}, "run_id": run_id,
    }


def study_tags(model: Path) -> dict[str, str]:
    """Which study and trial the model's loss weights come from; nothing for weights that were set by hand."""
    if not (model / FILE).is_file():
        return {}
    found = read_weights(model)
    return {"study": found.study, "study.trial": str(found.trial)}


def _start(registry: Registry, start: Start, evidence: VersionEvidence) -> str:
    """What a model started from, for its card."""
    same = [one.number for one in registry.all() if one.tags.get("digest.model") == start.digest]
    ships = evidence.metrics["model"]["settings"].get("from") == STARTER
    whose = ("the starter model that ships" if ships else f"version {same[0]}" if same
             else "a model that is not in this registry")
    unknown = "" if start.known else "; it does not say which photos it was trained on"
    return f"{whose}, `{start.digest}`{unknown}"


def _write(out: Path, summary: RegisterSummary, card: str, evidence: VersionEvidence, tried: Pixels) -> None:
    report = (evidence.evaluation / REPORT).read_text(encoding="utf-8")
    with atomic_folder(out) as folder:
        write_verdict(folder, asdict(summary))
        (folder / MODEL_CARD).write_text(card, encoding="utf-8")
        (folder / REPORT).write_text(with_verdict(report, asdict(summary)), encoding="utf-8")
        if evidence.comparison is not None:
            write_comparison(folder, evidence.comparison)
        write_png(folder / TRY, tried)
