"""The pictures of an evaluation: the contact sheet, best and worst pairs, and the proof of memorisation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.core.artifacts.evaluation import MEMORISATION, SAMPLES, SHEET
from components.core.people.dataset import Person
from components.core.pictures.backdrop import backdrop
from components.core.pictures.images import Pixels, write_png
from components.evaluate import metrics
from components.evaluate.evaluated import EvaluatedModel
from components.evaluate.judge import Measurements
from components.evaluate.measuring.measure import batch_of
from components.evaluate.measuring.methods import TextureWarp, truth
from components.evaluate.measuring.pairs import EvaluationPair, batches, spread
from components.evaluate.measuring.quality import PLAIN, over
from components.evaluate.memorisation.probes import Finding
from components.evaluate.report import sheet

COLUMNS = ("source", "target pose", "output", "texture warp", "truth")
_EXTREMES = 4


def write_pictures(model: EvaluatedModel, measurements: Measurements, folder: Path) -> dict[str, list[sheet.Row]]:
    """Write the contact sheet and its rows one by one; return the rows for the report."""
    shown = _rows(model, _shown(measurements, model.settings.rows))
    sheet.write_samples(folder / SAMPLES, COLUMNS, shown)
    card = model.card()
    subtitle = (f"held-out people ({model.settings.split})  ·  generator {card['generator']}, "
                f"{card['resolution']} px{f', judged at {model.album.size} px' if model.album.is_larger else ''}  ·  "
                f"model {card['digest'][:12]}")
    picture = sheet.contact_sheet("Contact sheet", subtitle, COLUMNS, shown,
                                  "This split has no people:\nthere is nothing to show.")
    write_png(folder / SHEET, picture, compress_level=6)
    judged = measurements.transfer if measurements.transfer.pairs else measurements.groups["reconstruction"]
    order = metrics.ranked(judged)
    best = [judged.pairs[k] for k in order[:_EXTREMES]]
    worst = [judged.pairs[k] for k in order[::-1][: min(_EXTREMES, len(order) - len(best))]]
    return {"sheet": shown, "best": _rows(model, best), "worst": _rows(model, worst)}


def write_proof(model: EvaluatedModel, findings: dict[str, Finding], folder: Path) -> dict[str, list[dict[str, str]]]:
    """Write the worst pairs of each test of memorisation as strips; of each test [{"file", "caption"}]."""
    (folder / MEMORISATION).mkdir()
    written: dict[str, list[dict[str, str]]] = {}
    for name, finding in findings.items():
        written[name] = []
        for number, (pair, match) in enumerate(zip(finding.worst, finding.matches, strict=True), 1):
            file = f"{MEMORISATION}/{name}_{number}.png"
            pictures, caption = _proof(model, name, pair, match)
            write_png(folder / file, sheet.strip(pictures))
            written[name].append({"file": file, "caption": caption})
    return written


def _proof(model: EvaluatedModel, name: str, pair: EvaluationPair, match: int) -> tuple[list[Pixels], str]:
    ids, of_rooms = model.people.ids, name in ("background_retrieval", "counterfactual_swap")
    people = model.album.own if of_rooms else model.album
    rendered = model.method.render(people, [pair], PLAIN)
    if of_rooms:
        layer = rendered.layer if rendered.layer is not None else rendered.images
        pictures = [people[pair.target].photo, people[pair.source].photo, rendered.images[0], layer[0],
                    people[match].photo]
        return pictures, (f"pose of {ids[pair.target]}, texture of {ids[pair.source]}: the picture, the layer before "
                          f"the background came in, and {ids[match]}, whose background it resembles most")
    pictures = [people[pair.source].photo, people[pair.target].photo, rendered.images[0], people[match].photo]
    what = "whose face is nearest" if name == "identity_capture" else "the nearest training photo"
    return pictures, f"{ids[pair.source]} in the pose of {ids[pair.target]}: the output, and {ids[match]}, {what}"


def _shown(measurements: Measurements, most: int) -> list[EvaluationPair]:
    """The sheet's pairs: as many people as possible, everything from the source where the clothes are the same;
    with pairs of fewer than four people, half of the rows are reconstructions of others, if there are any."""
    plain = {(pair.source, pair.target): pair for pair in measurements.groups["repose"].pairs}
    alone = measurements.groups["reconstruction"].pairs
    few = len({pair.identity for pair in measurements.transfer.pairs}) < 4
    reserved = min(len(alone), max(most // 2, 1)) if few else 0
    posed = spread(measurements.transfer.pairs, max(most - reserved, 0))
    return ([plain.get((pair.source, pair.target), pair) for pair in posed]
            + (spread(alone, most - len(posed)) if few else []))


def _rows(model: EvaluatedModel, pairs: Sequence[EvaluationPair]) -> list[sheet.Row]:
    """A row of pictures for each pair: COLUMNS, over a studio backdrop where the background is ours to choose."""
    people, wall = model.album, backdrop(model.album.size)
    rows = []
    for batch in batches(pairs, batch_of(people)):
        rendered, warped, real = (render(people, batch, wall)
                                  for render in (model.method.render, TextureWarp().render, truth))
        for k, pair in enumerate(batch):
            pictures: list[Any] = [photo_shown(people[pair.source], wall), sheet.colour_pose(people[pair.target].iuv),
                                   rendered.images[k], warped.images[k], real.images[k]]
            rows.append(sheet.Row([np.asarray(one) for one in pictures], _caption(model, pair), _key(model, pair)))
    return rows


def photo_shown(person: Person, wall: Pixels) -> Pixels:
    """A source as it is looked at. Where the person's own colours were told from what is behind them, what lies beside
    them is those colours spread out, which shows nobody anything."""
    return over(person.photo, person.matte, wall) if person.record.matte_source == "landmarks" else person.photo


def _key(model: EvaluatedModel, pair: EvaluationPair) -> str:
    return f"{pair.kind}/{model.people.ids[pair.source]}/{model.people.ids[pair.target]}"


def _caption(model: EvaluatedModel, pair: EvaluationPair) -> str:
    source, target = model.people.ids[pair.source], model.people.ids[pair.target]
    return {"transfer": f"{pair.identity}: {source} in pose and clothes of {target}",
            "repose": f"{pair.identity}: {source} in pose of {target}, own clothes",
            "reconstruction": f"{pair.identity}: {source} in its own pose (reconstruction: one photo only)"}[pair.kind]
