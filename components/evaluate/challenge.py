"""The new model against the champion: both evaluated on the very same pairs, and compared pair by pair.

The pairs are those of the new model's evaluation (its pairs.jsonl); the champion comes from the registry and is
evaluated on them today, with today's networks. Metrics measured on other data or by other networks are never compared.

A champion that was trained on somebody it is evaluated on would be flattered. Its version keeps digests of the photos
it was trained on; people with such a photo are left out, and when too few remain the comparison is refused. That
finds the same photo file, not another photo of the same person.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.core.artifacts.comparison import write_champion_pairs, write_comparison
from components.core.artifacts.evaluation import METRICS, read_metrics, read_pairs
from components.core.artifacts.files import read_lines, write_lines
from components.core.artifacts.model import GENERATOR, generator_of
from components.core.artifacts.version import trained_on
from components.core.atomic import atomic_folder, atomic_path
from components.core.digest import code_digest, file_digest
from components.core.errors import DataError, InputError, PhotoshootError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.record.recorder import NoRecord, Recorder
from components.core.record.registry import Version, Versions
from components.core.settings import EvaluateSettings, RegisterSettings
from components.evaluate.measuring.album import album_for
from components.evaluate.measuring.identity import similarities
from components.evaluate.measuring.intervals import Resampler, plain
from components.evaluate.measuring.measure import Instruments, measure, measure_reals
from components.evaluate.measuring.methods import ModelMethod
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.parts import PARTS
from components.evaluate.measuring.quality import Floats

GAINS = {"perceptual": -1, "ssim": 1, "psnr": 1, "l1": -1, "matte_iou": 1, "pose": 1, "face_similarity": 1}
"""Metric of a pair -> 1 where more is better, -1 where less is."""
_SLICED = "perceptual"
_UNSEEN = "unseen"

Line = dict[str, Any]


@dataclass(frozen=True)
class ChallengeSummary:
    """What came of it. `status` is "compared", "none" (no champion), "same" (the champion is this very model) or
    "refused" (with the `reason`); `gains` are those of the compared metrics, above 0 where the new model is better."""

    status: str
    champion: str | None
    reason: str
    pairs: int
    gains: dict[str, dict[str, Any]] = field(default_factory=dict)
    reused: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class _Challenger:
    """The new model's evaluation: `metrics` of the whole and `lines` of its pairs."""

    people: PeopleDataset
    identities: Identities
    metrics: dict[str, Any]
    lines: list[Line]
    digest: str

    @staticmethod
    def open(model: Path, people: Path, identities: Path, evaluation: Path) -> _Challenger:
        path, metrics = evaluation / METRICS, read_metrics(evaluation, whole=True)
        lines = read_pairs(evaluation)
        try:
            of = [metrics[part]["digest"] for part in ("model", "people", "identities")]
        except (KeyError, TypeError):
            raise DataError("damaged evaluation", path=path, remedy="evaluate again") from None
        dataset, owners = PeopleDataset.open(people), Identities.open(identities)
        weights = generator_of(model)
        for name, was, now in zip(("model", "people", "identities"), of,
                                    (file_digest(weights), dataset.digest, owners.digest), strict=True):
            if was != now:
                raise InputError(f"this evaluation is of another {name}", path=path,
                                 remedy=f"give the {name} it was made with")
        return _Challenger(dataset, owners, metrics, [line for line in lines if line["kind"] == "transfer"],
                           file_digest(path))

    @property
    def settings(self) -> EvaluateSettings:
        """How the new model was judged, and so how the champion is."""
        return EvaluateSettings.model_validate(self.metrics["settings"])

    def without(self, people: set[str]) -> list[Line]:
        """The lines of everybody but these identities."""
        return [line for line in self.lines if line["identity"] not in people]


def challenge(model: Path, people: Path, identities: Path, evaluation: Path, out: Path, settings: RegisterSettings,
              recorder: Recorder | None = None, *, tracking_uri: str | None = None,
              state: Path | None = None) -> ChallengeSummary:
    """Compare the model folder `model` with the champion of `settings.model_name` on the pairs of its `evaluation`.

    Writes `comparison.json` and `champion_pairs.jsonl` into `out`. The champion's lines are kept in
    `state`, if given, and not measured twice. `tracking_uri` is the registry's (default: ``MLFLOW_TRACKING_URI``).
    Raises `InputError` for missing folders or an evaluation of something else, `MachineError` when the registry cannot
    be reached. A champion that cannot be compared with is no error: the comparison says so, and the gate decides.
    """
    started = time.monotonic()
    challenger = _Challenger.open(Path(model), Path(people), Path(identities), Path(evaluation))
    versions = Versions(settings.model_name, tracking_uri)
    champion = versions.champion()
    content, lines, reused = _compare(challenger, versions, champion, settings, state)
    header = {
        "model_name": settings.model_name, "model": challenger.metrics["model"]["digest"],
        "evaluation": challenger.digest,
        "champion": champion and {"version": champion.number, "digest": champion.tags.get("digest.model", "")},
    }
    with atomic_folder(out) as folder:
        write_comparison(folder, {**header, **content})
        write_champion_pairs(folder, lines)
    gains = {name: metric["gain"] for name, metric in content.get("metrics", {}).items()}
    (recorder or NoRecord()).metrics({f"challenge/gain/{name}": gain["value"] for name, gain in gains.items()
                                      if gain["value"] is not None} | {"challenge/pairs": float(content["pairs"])})
    return ChallengeSummary(content["status"], champion.number if champion else None, content["reason"],
                            content["pairs"], gains, reused, round(time.monotonic() - started, 1))


def _compare(challenger: _Challenger, versions: Versions, champion: Version | None, settings: RegisterSettings,
             state: Path | None) -> tuple[dict[str, Any], list[Line], bool]:
    """What comparison.json says, the champion's lines, and whether they were measured before."""
    if champion is None:
        return _nothing("none", "there is no champion yet"), [], False
    if champion.tags.get("digest.model") == challenger.metrics["model"]["digest"]:
        return _nothing("same", f"the champion, version {champion.number}, is this very model"), [], False
    try:
        with versions.files(champion) as folder:
            seen = _seen(trained_on(folder), challenger)
            shared = challenger.without(seen)
            left_out = {"identities": len(seen), "pairs": len(challenger.lines) - len(shared)}
            if len(shared) < settings.champion.min_pairs:
                why = (f", {left_out['pairs']} more show {len(seen)} people whom the champion was trained on"
                       if seen else "")
                raise DataError(f"only {len(shared)} pairs to compare on{why}")
            lines, reused = _champion_lines(folder / GENERATOR, challenger, shared, state)
    except PhotoshootError as error:
        return _nothing("refused", f"version {champion.number} cannot be compared with: {error.problem}"), [], False
    content = {"status": "compared", "reason": "", "pairs": len(shared),
               "identities": len({line["identity"] for line in shared}), "left_out": left_out,
               **compare_lines(shared, lines, challenger.settings)}
    return content, lines, reused


def _nothing(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason, "pairs": 0}


def _seen(trained: set[str], challenger: _Challenger) -> set[str]:
    """Held-out identities with a photo that the champion was trained on."""
    digests = challenger.people.column("photo_digest")
    members = challenger.identities.members(challenger.people, challenger.settings.split)
    return {name for name, group in members.items() if any(digests[int(index)] in trained for index in group)}


def _champion_lines(generator: Path, challenger: _Challenger, shared: Sequence[Line],
                    state: Path | None) -> tuple[list[Line], bool]:
    """The champion's line for each of the lines `shared`; measured once for one champion, evaluation and code."""
    key = json.dumps([file_digest(generator), challenger.digest, code_digest("core", "evaluate"),
                      [[line["source"], line["target"]] for line in shared]])
    kept = state and state / "comparisons" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.jsonl"
    if kept and kept.is_file():
        return read_lines(kept), True
    lines = _measure(Reposer.load(generator), challenger, shared)
    if kept:
        with atomic_path(kept) as partial:
            write_lines(partial, lines)
    return lines, False


def _measure(champion: Reposer, challenger: _Challenger, shared: Sequence[Line]) -> list[Line]:
    people = challenger.people
    if (people.resolution, people.texel) != (champion.resolution, champion.texel):
        raise DataError(f"it is for {champion.resolution} px and texture tiles of {champion.texel}, these people have "
                        f"{people.resolution} px and {people.texel}")
    album = album_for(people, challenger.identities, challenger.settings)
    instruments = Instruments(challenger.settings, people.origin)
    pairs = [EvaluationPair(people.index(line["source"]), people.index(line["target"]), line["identity"], "transfer")
             for line in shared]
    measured = measure(album, pairs, ModelMethod(champion), instruments, "the champion")
    members = challenger.identities.members(people, challenger.settings.split)
    shown = {pair.identity for pair in pairs}
    reals = measure_reals(album, {name: group for name, group in members.items() if name in shown}, instruments)
    values = {name: measured[name] for name in GAINS if name != "face_similarity"}
    values["face_similarity"] = similarities(pairs, measured, reals).output
    return [{**{key: line[key] for key in ("kind", "identity", "source", "target")},
             **{name: plain(value[k]) for name, value in values.items()},
             "parts": {name: plain(measured.parts[k, column]) for column, name in enumerate(PARTS)}}
            for k, line in enumerate(shared)]


def compare_lines(challenger: Sequence[Line], champion: Sequence[Line], settings: EvaluateSettings) -> dict[str, Any]:
    """Paired metrics of two models' lines about the same pairs: `metrics`, `parts` and `slices`, each
    {champion, challenger, gain} by name, the gain with its interval by whole identities.

    Raises `DataError` when the lines are not about the same pairs.
    """
    pairs = [[(line["source"], line["target"]) for line in lines] for lines in (challenger, champion)]
    if pairs[0] != pairs[1]:
        raise DataError("the two models were not evaluated on the same pairs")

    def paired(new: Floats, old: Floats, sign: int, rows: Sequence[int] | None = None) -> dict[str, Any]:
        chosen = np.arange(len(new)) if rows is None else np.asarray(rows, np.intp)
        both = np.isfinite(new[chosen]) & np.isfinite(old[chosen])
        chosen = chosen[both]
        names = [str(challenger[int(k)]["identity"]) for k in chosen]
        resampler = Resampler(names, settings.bootstrap, settings.seed)
        nobody = "no pair has this metric for both models"
        return {who: resampler.mean(values[chosen], nobody=nobody).to_json()
                for who, values in (("champion", old), ("challenger", new), ("gain", sign * (new - old)))}

    metrics = {name: paired(_column(challenger, name), _column(champion, name), sign) for name, sign in GAINS.items()}
    parts = {name: paired(_column(challenger, name, "parts"), _column(champion, name, "parts"), -1)
             for name in _names(challenger, "parts")}
    new, old = _column(challenger, _SLICED), _column(champion, _SLICED)
    slices = {f"{kind}.{value}": paired(new, old, GAINS[_SLICED], rows)
              for (kind, value), rows in _slices(challenger).items()}
    return {"metrics": metrics, "parts": parts, "slices": slices}


def _column(lines: Sequence[Line], name: str, under: str | None = None) -> Floats:
    values = [(line.get(under) or {} if under else line).get(name) for line in lines]
    return np.asarray([np.nan if value is None else value for value in values], np.float64)


def _names(lines: Sequence[Line], under: str) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in (line.get(under) or {})))


def _slices(lines: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[int]]:
    """(kind, value) -> rows of its lines, sorted by name."""
    rows: dict[tuple[str, str], list[int]] = {}
    for k, line in enumerate(lines):
        for kind, value in (line.get("slices") or {}).items():
            if value != _UNSEEN:
                rows.setdefault((kind, str(value)), []).append(k)
    return dict(sorted(rows.items()))
