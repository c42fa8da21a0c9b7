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

from components.evaluate import sheet
from components.evaluate.quality import Images

FILE = "report.html"
VERDICT = ("<!-- verdict -->", "<!-- /verdict -->")
"""Between these two lies the report's verdict; registration puts the gate's there."""


@dataclass(frozen=True)
class Strip:
    """A row of pictures as one image, base64 of a WebP file, and its caption."""

    image: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class Metric:
    """How a figure is shown: its key in metrics.json, its name, what it means, digits, and which way is better."""

    key: str
    name: str
    meaning: str
    digits: int
    better: str = ""


METRICS = (
    Metric("perceptual", "Perceptual distance", "inside the person; 0 the same, 1 as far as two unrelated photos", 3,
           "lower"),
    Metric("over_warp", "… of plain warp's", "as a multiple of plain warp's; 1 is no better than no network", 2,
           "lower"),
    Metric("ssim", "SSIM", "structural similarity inside the person", 3, "higher"),
    Metric("psnr", "PSNR", "inside the person, dB", 1, "higher"),
    Metric("l1", "Absolute difference", "inside the person, 0 to 1", 3, "lower"),
    Metric("matte_iou", "Matte overlap", "outline of the person, intersection over union", 3, "higher"),
    Metric("face_similarity", "Face similarity", "cosine of the output's face and the true one in that pose", 3,
           "higher"),
    Metric("another_photo_similarity", "… of another photo", "the same for the person's other photos", 3),
    Metric("stranger_similarity", "… of a stranger", "the same for everybody else", 3),
    Metric("identity_recovered", "Identity recovered", "0 a stranger, 1 as like as another photo of the person", 2,
           "higher"),
    Metric("frechet", "Fréchet distance", "between all outputs and all real photos; grows when there are few", 4,
           "lower"),
    Metric("frechet_ratio", "Fréchet ratio", "to the distance of real photos from real photos, like with like; 1 at "
           "best", 2, "lower"),
    Metric("kernel", "Kernel distance", "KID; unbiased, 0 at best, can be below", 5, "lower"),
)
PAINTERS = {"model": "Model", "texture_warp": "Plain warp", "copy_source": "Copy of the source"}


def strips(rows: Sequence[sheet.Row]) -> list[Strip]:
    """Rows of pictures as WebP strips."""
    return [_strip(sheet.strip(row.pictures), row.caption) for row in rows]


def render(evaluation: Mapping[str, Any], pictures: Mapping[str, Sequence[Strip]], columns: Sequence[str]) -> str:
    """The page for the content of a metrics.json and the strips of `sheet`, `best` and `worst`."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["figure"] = number
    template = environment.get_template("template.html")
    groups = [
        ("In the target's clothes", f"all {evaluation['counts']['pairs']} pairs: face of one photo, pose and clothes "
         "of another of the same person, which is therefore the exact truth. The clothes' texture is the truth's own: "
         "what is said about clothes is how well they are painted, not how well they are carried over.",
         evaluation),
        ("Re-posed in own clothes", f"the {evaluation['repose']['pairs']} of these pairs whose photos show the same "
         "clothes: everything comes from the source photo.", evaluation["repose"]),
        ("Reconstruction", f"{evaluation['reconstruction']['pairs']} held-out people with a single photo, in their own "
         "pose: the easiest question, never mixed with the others.", evaluation["reconstruction"]),
    ]
    return template.render(
        e=evaluation, pictures=pictures, columns=columns, verdict=VERDICT, painters=PAINTERS, cards=cards(evaluation),
        groups=[(title, lead, rows(found), found["baselines"]) for title, lead, found in groups if found["pairs"]],
        settings=flat(evaluation["settings"]), training=flat(evaluation["model"]["settings"]),
    )


def rows(group: Mapping[str, Any]) -> list[tuple[Metric, dict[str, Mapping[str, Any]]]]:
    """Of each metric the group has: the figure of every painter that has one."""
    every = {"model": group["metrics"], **group["baselines"]}
    return [(metric, {name: found[metric.key] for name, found in every.items() if metric.key in found})
            for metric in METRICS if metric.key in group["metrics"]]


def cards(evaluation: Mapping[str, Any]) -> list[tuple[Metric, Mapping[str, Any]]]:
    """The four figures to look at first."""
    by_key = {metric.key: metric for metric in METRICS}
    group = evaluation if evaluation["pairs"] else evaluation["reconstruction"]
    keys = ("identity_recovered", "perceptual", "ssim", "frechet_ratio", "psnr")
    return [(by_key[key], group["metrics"][key]) for key in keys if key in group["metrics"]][:4]


def number(value: float | None, digits: int) -> str:
    """A figure with a true minus sign; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as (dotted key, value)."""
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return found


def _strip(image: Images, caption: str) -> Strip:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="WEBP", quality=88, method=4)
    return Strip(base64.b64encode(buffer.getvalue()).decode(), image.shape[1], image.shape[0], caption)
