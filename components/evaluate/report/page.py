"""The report: one HTML file with everything inside, for a person to read."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from components.core.artifacts.evaluation import SOURCES
from components.core.artifacts.report import no_verdict
from components.core.pictures.images import Pixels
from components.evaluate.report import charts, sheet

TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """A picture as base64 of a WebP file, what it shows, and its size in pixels."""

    image: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Strip:
    """A row of pictures and the caption under them."""

    pictures: tuple[Picture, ...]
    caption: str


@dataclass(frozen=True)
class Legend:
    """How a metric is shown: its key in metrics.json, its name, what it means, digits, which way is better, and where
    an evaluation names the network that it stands on."""

    key: str
    name: str
    meaning: str
    digits: int
    better: str = ""
    network: tuple[str, str] | None = None

    @property
    def arrow(self) -> str:
        """Which way is better, as an arrow."""
        return {"lower": "↓", "higher": "↑"}.get(self.better, "")


_PERCEPTUAL, _FEATURES, _POSE = ("networks", "perceptual"), ("networks", "features"), ("networks", "pose")
_JUDGE, _FINDER = ("judge", "embedder"), ("networks", "finder")
METRICS = (
    Legend("perceptual", "Perceptual distance", "inside the person; 0 the same, 1 as far as two unrelated photos", 3,
           "lower", _PERCEPTUAL),
    Legend("over_warp", "… of the texture warp's", "as its multiple; 1 is no better than no network", 2,
           "lower", _PERCEPTUAL),
    Legend("ssim", "SSIM", "structural similarity inside the person", 3, "higher"),
    Legend("psnr", "PSNR", "inside the person, dB", 1, "higher"),
    Legend("l1", "Absolute difference", "inside the person, 0 to 1", 3, "lower"),
    Legend("matte_iou", "Matte overlap", "outline of the person, intersection over union", 3, "higher"),
    Legend("pose_fidelity", "Pose kept", "body parts where the pose map has them, as a share of real photos'", 3,
           "higher", _POSE),
    Legend("pose", "… by itself", "agreement of the body parts read from the picture with the pose map", 3, "higher",
           _POSE),
    Legend("face_similarity", "Face similarity", "cosine of the output's face and the true one in that pose", 3,
           "higher", _JUDGE),
    Legend("another_photo_similarity", "… of another photo", "the same for the person's other photos", 3,
           network=_JUDGE),
    Legend("stranger_similarity", "… of a stranger", "the same for everybody else", 3, network=_JUDGE),
    Legend("identity_recovered", "Identity recovered", "0 a stranger, 1 as similar as another photo of the person", 2,
           "higher", _JUDGE),
    Legend("face_found", "Faces found", "share of outputs in which a face is found where there should be one", 3,
           "higher", _FINDER),
    Legend("frechet", "Fréchet distance", "between all outputs and all real photos; grows when there are few", 4,
           "lower", _FEATURES),
    Legend("frechet_ratio", "Fréchet ratio", "to the distance of real photos from real photos, like with like; 1 at "
           "best", 2, "lower", _FEATURES),
    Legend("kernel", "Kernel distance", "KID; unbiased, 0 at best, can be below", 5, "lower", _FEATURES),
)
"""In the report and in `photoshoot compare`, in this order."""
METHODS = {"model": "Model", "texture_warp": "Texture warp", "copy_source": "Copy of the source"}
PARTS = {"face": "Face", "hands": "Hands", "upper_body": "Upper body", "lower_body": "Lower body"}
MEMORISATION = {
    "background_retrieval": "Does the photo's own background come back?",
    "counterfactual_swap": "Does a background come back with another person's texture?",
    "training_gap": "Is it better on people it was trained on?",
    "identity_capture": "Does it paint the faces of training people?",
    "neighbour_test": "Are outputs too close to training photos?",
}
_ROOMS = ("pose of", "texture of", "output", "layer beneath", "most alike background")
_NEIGHBOURS = ("source", "pose of", "output", "nearest in training")
PROOF = {"background_retrieval": _ROOMS, "counterfactual_swap": _ROOMS, "identity_capture": _NEIGHBOURS,
         "neighbour_test": _NEIGHBOURS}
"""What the pictures of a strip of each test are."""
CONTROLS = {
    "real_photos": ("Real photos", "held-out photos as they are must pass"),
    "copy_cat": ("Copy-cat", "returns the nearest training photo, must fail"),
    "baked_background": ("Baked-in background", "paints the training photo's room, must fail"),
}
LOSSES = {
    "l1": "Absolute difference", "perceptual": "Perceptual", "face": "Face", "matte": "Matte", "gan": "GAN, generator",
    "patch": "Patch, generator", "discriminator": "GAN, discriminator",
    "patch_discriminator": "Patch, discriminator", "r1": "R1 penalty",
}


def render(evaluation: Mapping[str, Any], rows: Mapping[str, Sequence[sheet.Row]], columns: Sequence[str], *,
           curves: Mapping[str, Any] | None = None, folder: Path | None = None) -> str:
    """The page for the content of a metrics.json.

    Args:
        evaluation: The content of metrics.json.
        rows: Rows of pictures named `sheet`, `best` and `worst`; what is not there is not shown.
        columns: What the pictures of a row are.
        curves: Content of the training's curves.json, if there is one.
        folder: Where the pictures lie that prove memorisation, by the paths in metrics.json.
    """
    return environment().get_template("template.html").render(
        e=evaluation, sources=SOURCES, columns=columns, verdict=no_verdict(), methods=METHODS, cards=cards(evaluation),
        pictures={name: strips(rows.get(name, []), columns) for name in ("sheet", "best", "worst")},
        groups=[(title, lead, metric_rows(found), found["baselines"])
                for title, lead, found in _groups(evaluation) if found["pairs"]],
        parts=_parts(evaluation), memorisation=_memorisation(evaluation, folder), controls=_controls(evaluation),
        curves=curve_charts({"": curves} if curves else {}),
        splits=_splits(evaluation), set_aside=evaluation["identities"]["scores"].get("set_aside") or [],
        scores=[(key, value) for key, value in flat(evaluation["identities"]["scores"])
                if isinstance(value, str | int | float)],
        thresholds=flat(evaluation.get("gate") or {}), settings=flat(evaluation["settings"]),
        training=flat(evaluation["model"]["settings"]),
    )


def environment(*folders: Path) -> Environment:
    """Templates of this folder and of `folders`, with the filter `number`."""
    loader = FileSystemLoader([*folders, TEMPLATES])
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    made.filters["number"] = number
    return made


def strips(rows: Sequence[sheet.Row], columns: Sequence[str]) -> list[Strip]:
    """Rows of the sheet, each picture by itself: a page breaks them into lines as its width allows."""
    return [Strip(tuple(encode(picture, f"{name} of {row.caption}")
                        for name, picture in zip(columns, row.pictures, strict=True)), row.caption) for row in rows]


def encode(picture: Pixels | Image.Image, alt: str) -> Picture:
    """A picture as WebP, no smaller than a cell of the sheet."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
    if max(image.size) < sheet.CELL:
        scale = sheet.CELL / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=88, method=4)
    return Picture(base64.b64encode(buffer.getvalue()).decode(), image.width, image.height, alt)


def curve_charts(curves: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """A chart for each loss, with a line for each of the trainings by name."""
    names = list(dict.fromkeys(name for found in curves.values() for name in found["series"]))
    found = []
    for name in names:
        key = name.removeprefix("loss/")
        title = LOSSES.get(key, key.replace("_", " "))
        series = [charts.Series(run or title, one["steps"], one["series"].get(name, [None] * len(one["steps"])))
                  for run, one in curves.items()]
        found.append((title, charts.lines(title, series)))
    order = list(LOSSES.values())
    return sorted(found, key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))


def metric_rows(group: Mapping[str, Any]) -> list[tuple[Legend, dict[str, Mapping[str, Any]]]]:
    """Of each metric the group has: the value of every method that has one."""
    every = {"model": group["metrics"], **group["baselines"]}
    return [(legend, {name: found[legend.key] for name, found in every.items() if legend.key in found})
            for legend in METRICS if legend.key in group["metrics"]]


def cards(evaluation: Mapping[str, Any]) -> list[tuple[Legend, Mapping[str, Any]]]:
    """The four metrics to look at first."""
    by_key = {legend.key: legend for legend in METRICS}
    group = evaluation if evaluation["pairs"] else evaluation["reconstruction"]
    keys = ("identity_recovered", "perceptual", "ssim", "frechet_ratio", "psnr")
    return [(by_key[key], group["metrics"][key]) for key in keys if key in group["metrics"]][:4]


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as (dotted key, value)."""
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return found


def _groups(evaluation: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [
        ("In the target's clothes", f"all {evaluation['counts']['pairs']} pairs: face of one photo, pose and clothes "
         "of another of the same person, which is therefore the exact truth. The clothes' texture is the truth's own: "
         "what is said about clothes is how well they are painted, not how well they are carried over.",
         evaluation),
        ("Re-posed in own clothes", f"the {evaluation['repose']['pairs']} of these pairs whose photos show the same "
         "clothes: everything comes from the source photo.", evaluation["repose"]),
        ("Reconstruction", f"{evaluation['reconstruction']['pairs']} held-out people with a single photo, in their own "
         "pose: the easiest task, never mixed with the others.", evaluation["reconstruction"]),
    ]


def _parts(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """Error of each body part by method, with places for a dot plot."""
    found = evaluation.get("parts")
    if not found:
        return None
    rows = [(PARTS.get(name, name), methods) for name, methods in part_metrics(evaluation).items()]
    placed, ticks = charts.dots([metrics for _, metrics in rows])
    return {"rows": [(name, metrics, dots) for (name, metrics), dots in zip(rows, placed, strict=True)],
            "ticks": ticks, "methods": list(rows[0][1]) if rows else []}


def part_metrics(evaluation: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Body part -> method -> metric of its absolute difference."""
    every = {"model": evaluation.get("parts") or {},
             **{name: found.get("parts") or {} for name, found in evaluation["baselines"].items()}}
    return {part: {method: found[part]["l1"] for method, found in every.items() if part in found}
            for part in every["model"]}


def _memorisation(evaluation: Mapping[str, Any], folder: Path | None) -> list[dict[str, Any]]:
    """The tests, each with its pictures."""
    tests = evaluation.get("memorisation") or {}
    return [{"name": name, "title": MEMORISATION.get(name, name.replace("_", " ")), "details": {}, **test,
             "heads": PROOF.get(name, ()),
             "shown": [_proof(folder, picture, PROOF[name]) for picture in test.get("pictures", [])]
             if folder and name in PROOF else []}
            for name, test in tests.items()]


def _proof(folder: Path, picture: Mapping[str, str], heads: Sequence[str]) -> Strip:
    with Image.open(folder / picture["file"]) as strip:
        cells = sheet.cells(strip, len(heads))
    caption = picture["caption"]
    return Strip(tuple(encode(cell, f"{head}; {caption}") for head, cell in zip(heads, cells, strict=True)), caption)


def _splits(evaluation: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Split, its people, their photos; nothing for identities that somebody made by hand."""
    scores = evaluation["identities"]["scores"]
    people, photos = (scores.get(f"{what}_per_split") or {} for what in ("identities", "photos"))
    return [(split, count, photos.get(split, 0)) for split, count in people.items()]


def _controls(evaluation: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(*CONTROLS.get(name, (name.replace("_", " "), "")), found)
            for name, found in (evaluation.get("controls") or {}).items()]
