"""Registration: gate, version, try-out, aliases. `components.register.register` is its public face."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.atomic import atomic_folder
from components.core.digest import file_digest
from components.core.errors import DataError, InputError
from components.core.images import Pixels, encode_png, write_png
from components.core.people import PeopleDataset
from components.core.recorder import Recorder
from components.core.settings import PreprocessSettings, RegisterSettings
from components.register.card import model_card
from components.register.gate import Verdict, gate
from components.register.probe import run_probe
from components.register.registry import CHALLENGER, CHAMPION, Registry

EVALUATION = "photoshoot.evaluation/1"
FORMAT = "photoshoot.version/1"
_SIGNS = {">=": "≥", "<=": "≤"}
# What components/evaluate/report.py puts around its verdict; the report is the contract between the two steps.
_VERDICT = ("<!-- verdict -->", "<!-- /verdict -->")


@dataclass(frozen=True)
class RegisterSummary:
    """The new version: its number, the aliases that point to it, and the gate's verdict line by line."""

    model_name: str
    model_version: str
    aliases: list[str]
    verdict: str
    passed: bool
    lines: list[dict[str, Any]]
    run_id: str
    report: str


def run(model: Path, evaluation: Path, people: Path, out: Path, settings: RegisterSettings, recorder: Recorder,
        tracking_uri: str | None) -> RegisterSummary:
    """See `components.register.register`."""
    generator, metrics, dataset = _open(Path(model), Path(evaluation), Path(people))
    verdict = gate(metrics, settings.gate)
    card = model_card(settings.model_name, metrics, verdict)
    registry = Registry(settings.model_name, tracking_uri)
    evidence = _evidence(metrics, evaluation, settings)
    # Registering the same model on the same evidence again is no news: the version that says so is found.
    version = registry.find(evidence | {"tried": "passed"})
    if version is None:
        version = registry.log(generator, _cut(dataset), getattr(recorder, "run_id", None))
    run_id = registry.run_of(version)
    registry.describe(version, card, _tags(verdict, run_id) | evidence)
    with registry.trying(version):
        tried = run_probe(f"models:/{settings.model_name}/{version}", registry.uri, _pictures(dataset, evaluation))
    aliases = _point(registry, version, verdict)
    summary = RegisterSummary(settings.model_name, version, aliases, verdict.summary, verdict.passed,
                              [asdict(line) for line in verdict.lines], run_id, str(Path(out) / "report.html"))
    _write(Path(out), summary, card, Path(evaluation), verdict, tried)
    for name in ("verdict.json", "model_card.md", "report.html"):
        registry.keep(run_id, Path(out) / name)
    recorder.metrics({"register/passed": float(verdict.passed)}
                     | {f"register/{line.name}": float(line.passed) for line in verdict.lines})
    return summary


def _open(model: Path, evaluation: Path, people: Path) -> tuple[Path, dict[str, Any], PeopleDataset]:
    generator, path = model / "generator.safetensors", evaluation / "metrics.json"
    if not generator.is_file():
        raise InputError("no generator here", path=generator, remedy="train one with `photoshoot train`")
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("no evaluation here", path=path, remedy="make one with `photoshoot evaluate`") from None
    except ValueError:
        raise DataError("torn metrics.json", path=path, remedy="evaluate again") from None
    if not isinstance(metrics, dict) or metrics.get("format") != EVALUATION:
        found = metrics.get("format") if isinstance(metrics, dict) else None
        raise DataError(f"format {found}, expected {EVALUATION}", path=path, remedy="evaluate again with this version")
    if file_digest(generator) != metrics["model"]["digest"]:
        raise InputError("this evaluation is of another model", path=path, remedy="evaluate this model")
    dataset = PeopleDataset.open(people)
    if dataset.digest != metrics["people"]["digest"]:
        raise InputError("this evaluation is of other people", path=path, remedy="give the people it was made with")
    return generator, metrics, dataset


def _cut(dataset: PeopleDataset) -> dict[str, Any]:
    """How the version cuts people out: as its data set did, but small people too, for they are all a user may have."""
    settings = PreprocessSettings.model_validate(dataset.settings).model_dump(mode="json")
    return settings | {"min_person": 8, "min_coverage": 0.0}


def _pictures(dataset: PeopleDataset, evaluation: Path) -> dict[str, bytes]:
    """The columns of one pair: the evaluation's first, or the first person in their own pose."""
    lines = (evaluation / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0]) if lines else {"source": dataset.ids[0], "target": dataset.ids[0]}
    source, target = (dataset[dataset.index(first[end])] for end in ("source", "target"))
    return {"source_photo": encode_png(source.photo), "source_pose": encode_png(source.iuv),
            "source_matte": encode_png(source.matte), "target_pose": encode_png(target.iuv)}


def _point(registry: Registry, version: str, verdict: Verdict) -> list[str]:
    """Move the aliases; returns those that point to `version` now."""
    registry.point(CHALLENGER, version)
    champion = registry.aliased(CHAMPION)
    if verdict.passed and champion is None:
        registry.point(CHAMPION, version)
        champion = version
    return [CHALLENGER, CHAMPION] if champion == version else [CHALLENGER]


def _evidence(metrics: Mapping[str, Any], evaluation: Path, settings: RegisterSettings) -> dict[str, str]:
    """Digests of all that a version rests on: model, data, evaluation, thresholds."""
    return {
        "digest.model": metrics["model"]["digest"], "digest.people": metrics["people"]["digest"],
        "digest.identities": metrics["identities"]["digest"],
        "digest.evaluation": file_digest(evaluation / "metrics.json"),
        "digest.gate": hashlib.sha256(settings.gate.model_dump_json().encode()).hexdigest(),
    }


def _tags(verdict: Verdict, run_id: str) -> dict[str, str]:
    return {
        "verdict": "passed" if verdict.passed else "failed",
        **{f"gate.{line.name}": str(line) for line in verdict.lines}, "run_id": run_id,
    }


def _write(out: Path, summary: RegisterSummary, card: str, evaluation: Path, verdict: Verdict, tried: Pixels) -> None:
    report = (evaluation / "report.html").read_text(encoding="utf-8")
    with atomic_folder(out) as folder:
        content = {"format": FORMAT, **asdict(summary)}
        (folder / "verdict.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (folder / "model_card.md").write_text(card, encoding="utf-8")
        (folder / "report.html").write_text(with_verdict(report, summary, verdict), encoding="utf-8")
        write_png(folder / "try.png", tried)


def with_verdict(report: str, summary: RegisterSummary, verdict: Verdict) -> str:
    """The evaluation's report with the gate's verdict in its place; unchanged where it has no place for one."""
    start, end = (report.find(mark) for mark in _VERDICT)
    if start < 0 or end < start:
        return report
    rows = "".join(
        f"<tr><td>{html.escape(line.name)}</td><td>{'–' if line.value is None else f'{line.value:.4g}'}</td>"
        f"<td>{_SIGNS[line.comparison]} {line.bound:g}</td>"
        f'<td class="{"yes" if line.passed else "no"}">{"pass" if line.passed else "fail"}</td>'
        f'<td class="reason">{html.escape(line.reason)}</td></tr>' for line in verdict.lines)
    block = (f'<section class="verdict {"passed" if verdict.passed else "failed"}">'
             f"<strong>{'Passed' if verdict.passed else 'Did not pass'} the gate</strong>"
             f'<p class="soft">{html.escape(summary.model_name)} version {html.escape(summary.model_version)}: '
             f"{html.escape(verdict.summary)}. Aliases: {html.escape(', '.join(summary.aliases))}.</p>"
             f'<div class="table"><table><thead><tr><th>Requirement</th><th>Figure</th><th>Bound</th><th></th>'
             f"<th></th></tr></thead><tbody>{rows}</tbody></table></div></section>")
    return report[: start + len(_VERDICT[0])] + "\n" + block + "\n" + report[end:]
