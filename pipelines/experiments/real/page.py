"""What the study found: the table as Markdown, without a picture of anybody; the pictures as a page for the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core.atomic import atomic_path
from components.core.faces.sface import SAME_COSINE
from components.evaluate.measuring.intervals import Metric, side_of
from components.evaluate.report import page as report
from pipelines.experiments.real.measures.judges import DLIB_SAME
from pipelines.experiments.real.pictures.poses import EXACT, KINDS, Kind
from pipelines.experiments.real.study import Findings, Shot
from pipelines.experiments.real.table import Line, against, judged_anew, lines, real_pairs

PAGES = Path(__file__).parent

_Columns = Sequence[tuple[str, str, int]]
_FACES: _Columns = (("found", "face found", 2), ("sface_same", "SFace: same", 2), ("dlib_same", "dlib: same", 2),
                    ("both_same", "both", 2), ("sface", "SFace cosine, median", 2),
                    ("dlib", "dlib distance, median", 2))
_PLACES: _Columns = (("points", "face points", 3), ("mouth", "mouth corners", 3), ("chin", "chin", 3),
                     ("specks", "rims and specks", 4), ("rim", "light rim", 1), ("seconds", "seconds", 1))
_TRUTH: _Columns = (("head_psnr", "head PSNR, dB", 1), ("perceptual", "perceptual", 3), ("ssim", "SSIM", 3))
_ANEW: _Columns = (("face", "faces, AUC", 2), ("figure", "whole figures, AUC", 2))
_GAINS: _Columns = (("sface", "SFace cosine", 3), ("dlib", "dlib distance", 3), ("points", "face points", 3),
                    ("mouth", "mouth corners", 3), ("rim", "light rim", 2), ("head_psnr", "head PSNR, dB", 2),
                    ("perceptual", "perceptual", 3), ("ssim", "SSIM", 3))


@dataclass(frozen=True)
class Tables:
    """Everything the pages say, computed once."""

    rows: Mapping[Kind, list[Line]]
    pairs: list[Line]
    anew: list[Line]
    gains: Mapping[Kind, list[Line]]
    fitted: Mapping[Kind, list[Line]]
    """What personalising gains."""


def tables(findings: Findings) -> Tables:
    """The tables of what was measured."""
    return Tables(lines(findings), real_pairs(findings), judged_anew(findings), against(findings, "model", "warp"),
                  against(findings, "personalised", "model"))


def markdown(findings: Findings, found: Tables, command: str, hardware: str) -> str:
    """The figures as a page; it names nobody."""
    photos = sum(map(len, findings.people.values()))
    turned = ", ".join(f"{angle:.0f}" for _, angle in findings.poses)
    out = [
        "# A real person, recognisable?", "", f"**{result(found)}**", "",
        f"Written by `{command}` on {hardware}. {photos} photos of {len(findings.people)} people with a face, plain "
        f"photos: pose maps and mattes come from landmarks, on both sides. {len(findings.left_out)} more photos show "
        f"no face or nobody that can be used. The list of poses: heads turned by {turned} degrees. Values with 95 % "
        "intervals over people; no picture of anybody is shown here, they are in the command's `--out`.", "",
        "*Same*: share of pictures whose face is found (YuNet) and is the person's in the source photo, by SFace "
        f"(cosine above {SAME_COSINE}), by dlib (distance below {DLIB_SAME}), by both. *Face points*: distance of the "
        "468 points found in the picture from where the target's pose map puts them, as a share of the distance "
        "between the eyes. "
        "*Rims and specks*: share of the picture beyond 24 px (of 1024) of the person with a matte over .05. *Light "
        "rim*: how much lighter the outline's 6 px are than the person just inside, grey levels. *Seconds* of one "
        "processor. *Real photo*: the person's own photo in that very pose, at that size: what perfection would score.",
        "",
    ]
    for kind, rows in found.rows.items():
        out += [f"## {title(kind)}", "",
                *_table([*rows, *found.pairs] if kind == "others" else rows, _FACES), "", *_table(rows, _PLACES), ""]
        if kind in EXACT:
            out += ["Against the photo itself:", "", *_table(rows, _TRUTH), ""]
        if kind in found.gains:
            out += ["The model less plain warping of the same size, picture by picture, signs turned so that more is "
                    "better:", "", *_table(found.gains[kind], _GAINS), ""]
        if kind in found.fitted:
            out += ["The personalised model less the model as it is, likewise:", "",
                    *_table(found.fitted[kind], _GAINS), ""]
    return "\n".join([*out, "## A judge trained anew", "",
                      "To tell the outputs from the folder's real photos, brought to the outputs' size (faces cut out "
                      "at 150 px, figures over one background at 256 px), tested on people it has not seen: .5 cannot, "
                      "1 always can.", "",
                      *_table(found.anew, _ANEW), ""])


def result(found: Tables) -> str:
    """The answer in one sentence, about the poses of others."""
    rows = {line.name: line for line in found.rows.get("others", [])}
    models = [name for name in rows if name.startswith("model")]
    if not models:
        return "Nothing was painted by a model."
    best = max(models, key=lambda name: rows[name].metrics["both_same"].value or -1.0)
    gains = {line.name: line.metrics for line in found.gains.get("others", [])}
    side = side_of(gains[best]["sface"], 0.0) if best in gains else 0
    than = {1: "nearer to the person than", -1: "further from the person than", 0: "as near to the person as"}[side]
    metric = rows[best].metrics["both_same"]
    if metric.value is None:
        metric = rows[best].metrics["sface_same"]
    return (f"In {metric.shown(2)} of the pictures in other people's poses both face networks recognise the person "
            f"at best ({best}), which SFace finds {than} plain warping.")


def _table(rows: Sequence[Line], columns: _Columns) -> list[str]:
    kept = [one for one in columns if any(row.metrics.get(one[0], Metric(None)).value is not None for row in rows)]
    out = ["| | pictures | " + " | ".join(title for _, title, _ in kept) + " |", "|" + "---|" * (len(kept) + 2)]
    for row in rows:
        cells = [row.metrics.get(name, Metric(None)).shown(digits) for name, _, digits in kept]
        out.append(f"| {row.name} | {row.pictures} | " + " | ".join(cells) + " |")
    return out


def title(kind: Kind) -> str:
    """Of the table of a kind of pose."""
    return f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}"


def shares(rows: Sequence[Line]) -> list[tuple[str, ...]]:
    """The shares of a table, for a terminal."""
    return [(row.name, *("-" if (value := row.metrics[name].value) is None else f"{value:.2f}"
                         for name in ("found", "sface_same", "dlib_same", "both_same"))) for row in rows]


def plain(found: Tables) -> dict[str, Any]:
    """For --json."""
    def of(rows: Sequence[Line]) -> dict[str, Any]:
        return {row.name: {"pictures": row.pictures, **{name: one.to_json() for name, one in row.metrics.items()}}
                for row in rows}

    return {"rows": {kind: of(rows) for kind, rows in found.rows.items()}, "real": of(found.pairs),
            "anew": of(found.anew), "gains": {kind: of(rows) for kind, rows in found.gains.items()},
            "fitted": {kind: of(rows) for kind, rows in found.fitted.items()}}


def write_figures(text: str, path: Path) -> Path:
    """Write the page of figures; its path."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_pictures(findings: Findings, out: Path) -> Path:
    """Write ``out/real.html``, which shows the pictures in `out`, each beside its photo and target; its path."""
    people = []
    for person in findings.people:
        shots = [one for one in findings.shots if one.person == person]
        keys = list(dict.fromkeys(one.key for one in shots))
        people.append((person, [_shown(findings, [one for one in shots if one.key == key]) for key in keys]))
    html = report.environment(PAGES).get_template("real.html").render(
        people=people, left_out=findings.left_out, kinds=KINDS)
    path = out / "real.html"
    with atomic_path(path) as partial:
        partial.write_text(html, encoding="utf-8")
    return path


def _shown(findings: Findings, shots: Sequence[Shot]) -> dict[str, Any]:
    """One line of the page: source, target and every row's picture."""
    first = shots[0]
    return {"kind": first.kind, "source": findings.photos[first.source], "target": findings.photos[first.target],
            "names": (first.source, first.target),
            "pictures": [(one.row, one.picture, _said(one.numbers), one.numbers.get("both_same") == 0)
                         for one in shots]}


def _said(numbers: Mapping[str, float]) -> str:
    said = (("SFace", "sface", 2), ("dlib", "dlib", 2), ("points", "points", 3), ("mouth", "mouth", 3),
            ("specks", "specks", 4), ("rim", "rim", 1))
    values = [f"{title} {numbers[name]:.{digits}f}" for title, name, digits in said if np.isfinite(numbers[name])]
    return ", ".join(values) if numbers["found"] else "no face is found"
