"""What the study measured, as rows of metrics with intervals over people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluate.measuring.intervals import Metric, Resampler, around, missing
from pipelines.experiments.real.measures.anew import told_apart
from pipelines.experiments.real.measuring import NUMBERS
from pipelines.experiments.real.pictures.poses import KINDS, Kind
from pipelines.experiments.real.pictures.rows import Painter, Row
from pipelines.experiments.real.study import Findings, Shot

Floats = npt.NDArray[np.float64]

DRAWS, SEED = 1000, 0
SHARES = ("found", "sface_same", "dlib_same", "both_same")
MEDIANS = ("sface", "dlib")
LOOKS = ("face", "figure")
GAINS = {"sface": 1, "dlib": -1, "head_psnr": 1, "perceptual": -1, "ssim": 1, "points": -1, "mouth": -1, "rim": -1}
"""Numbers in which the model is compared with plain warping, picture by picture, and which way is better."""


@dataclass(frozen=True)
class Line:
    """A row of the table for one kind of pose."""

    name: str
    pictures: int
    metrics: dict[str, Metric]


def lines(findings: Findings) -> dict[Kind, list[Line]]:
    """The table of each kind of pose: a line per row of the study that makes such pictures."""
    out: dict[Kind, list[Line]] = {}
    for kind in KINDS:
        made = [(row, [one for one in findings.shots if one.row == row.name and one.kind == kind])
                for row in findings.rows]
        found = [Line(row.name, len(shots), _metrics(shots)) for row, shots in made if shots]
        if found:
            out[kind] = found
    return out


def _metrics(shots: Sequence[Shot]) -> dict[str, Metric]:
    return summary([shot.person for shot in shots], {name: [shot.numbers[name] for shot in shots] for name in NUMBERS})


def summary(people: Sequence[str], numbers: dict[str, list[float]]) -> dict[str, Metric]:
    """Shares, medians and means by name."""
    resampler = Resampler(people, DRAWS, SEED)
    out: dict[str, Metric] = {}
    for name, values in numbers.items():
        array = np.asarray(values, np.float64)
        out[name] = (resampler.share(array) if name in SHARES else
                     median(array, resampler) if name in MEDIANS else resampler.mean(array))
    return out


def median(values: Floats, resampler: Resampler) -> Metric:
    """Median of the values that are not NaN, its interval from the resampler's draws."""
    valid = np.isfinite(values)
    if not valid.any():
        return missing("nothing to measure")
    weights, known = resampler.weights()[:, valid], values[valid]
    order = np.argsort(known)
    upto = np.cumsum(weights[:, order], axis=1)
    drawn = upto[:, -1] > 0
    at = (upto[drawn] >= upto[drawn, -1:] / 2).argmax(axis=1)
    return around(float(np.median(known)), known[order][at], int(valid.sum()), resampler.by)


def real_pairs(findings: Findings) -> list[Line]:
    """What the judges say of real photos: two of one person, two of two people."""
    out = []
    for name, same in (("two real photos of a person", True), ("real photos of two people", False)):
        pairs = [pair for pair in findings.pairs if pair.same == same]
        if pairs:
            numbers = {key: [pair.numbers[key] for pair in pairs] for key in pairs[0].numbers}
            out.append(Line(name, len(pairs), summary([pair.person for pair in pairs], numbers)))
    return out


def judged_anew(findings: Findings) -> list[Line]:
    """Per row of painted pictures: how well a judge trained anew tells them from the folder's real photos, brought to
    their size."""
    out = []
    for row in findings.rows:
        shots = [one for one in findings.shots if one.row == row.name and one.kind in ("others", "own")]
        if row.painter == "photo" or not shots:
            continue
        metrics = {}
        for look in LOOKS:
            real = [(person, looks[look]) for person, looks in findings.photo_looks[row.size] if look in looks]
            made = [(shot.person, shot.looks[look]) for shot in shots if look in shot.looks]
            metrics[look] = told_apart(_features(real), _features(made), [one for one, _ in real],
                                       [one for one, _ in made], draws=200)
        out.append(Line(row.name, len(shots), metrics))
    return out


def _features(rows: Iterable[tuple[str, list[float]]]) -> Floats:
    return np.asarray([features for _, features in rows], np.float64)


def against(findings: Findings, painter: Painter, other: Painter) -> dict[Kind, list[Line]]:
    """How much better a painter is than another of the same size and photos: paired, positive is better."""
    out: dict[Kind, list[Line]] = {}
    plain = {(one.row, one.key): one for one in findings.shots}
    for kind in KINDS:
        for row in findings.rows:
            theirs = Row(other, row.size, row.photos).name
            mine = [(one, plain[theirs, one.key]) for one in findings.shots
                    if one.row == row.name and one.kind == kind and (theirs, one.key) in plain]
            if row.painter != painter or not mine:
                continue
            resampler = Resampler([one.person for one, _ in mine], DRAWS, SEED)
            gains = {name: resampler.mean([way * (one.numbers[name] - other.numbers[name]) for one, other in mine])
                     for name, way in GAINS.items()}
            out.setdefault(kind, []).append(Line(row.name, len(mine), gains))
    return out
