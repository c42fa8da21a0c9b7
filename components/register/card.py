"""The model card: what a version is, what it was measured to do, and what it must not be used for, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.register.gate import Verdict

_ROWS = (("perceptual", "Perceptual distance, lower is better"), ("ssim", "SSIM inside the person"),
         ("matte_iou", "Matte overlap"), ("psnr", "PSNR inside the person, dB"),
         ("face_similarity", "Face similarity (cosine)"),
         ("identity_recovered", "Identity recovered, 1 = another photo of the person"),
         ("frechet", "Fréchet distance"), ("frechet_ratio", "Fréchet ratio, 1 at best"), ("kernel", "Kernel distance"))


def model_card(name: str, evaluation: Mapping[str, Any], verdict: Verdict) -> str:
    """The card of a version of the registered model `name`, from the content of its metrics.json."""
    model, people, counts = evaluation["model"], evaluation["people"], evaluation["counts"]
    made_of = "synthetic people, who do not exist" if model["trained_on"] == "synthetic" else "photos of people"
    lines = [
        f"# {name}", "",
        "Takes a photo of a person with its DensePose map and paints that person in another pose over a background "
        "that is given.", "",
        f"**Gate:** {verdict.summary}.", "",
        *_table(("Requirement", "Figure", "Bound", ""),
                [(line.name, "none" if line.value is None else f"{line.value:.4g}", f"{line.comparison} {line.bound:g}",
                  "pass" if line.passed else f"fail: {line.reason}" if line.value is None else "fail")
                 for line in verdict.lines]),
        "## Measured", "",
        f"On {counts['identities']} people of the {evaluation['settings']['split']} split, none of them trained on: "
        f"{counts['pairs']} ordered pairs, the face of one photo in pose and clothes of another. Intervals are 95 %.",
        "",
        *_table(("Figure", "This model", "Plain texture warp", "n"), _figures(evaluation)),
        *[f"- {note}" for note in evaluation["notes"]], *([""] if evaluation["notes"] else []),
        "## What it is", "",
        f"- Generator `{model['generator']}`, {model['resolution']} px, texture tiles of {model['texel']}; "
        f"{model['bytes'] / 1e6:.1f} MB",
        f"- Trained on {made_of}, for {model['settings']['steps']} steps of {model['settings']['batch']}",
        f"- Faces judged by `{evaluation['judge']['embedder']}`; face loss: "
        f"{evaluation['judge']['face_loss'] or 'none'}", "",
        "## Use", "",
        "For pictures of people who agreed to them. What the photo did not show, it paints: hands, hair, the back of "
        "clothes are guesses. It does not know who a person is and proves nothing about what they did or wore.", "",
        "## Evidence", "",
        f"- Model `{model['digest']}`",
        f"- People `{people['digest']}`: {people['accepted']} accepted, {len(people['rejected'])} left out",
        f"- Identities `{evaluation['identities']['digest']}`", "",
    ]
    return "\n".join(lines)


def _figures(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    warp = evaluation["baselines"]["texture_warp"]
    return [(label, _figure(evaluation["metrics"][key]), _figure(warp[key]), str(evaluation["metrics"][key]["n"]))
            for key, label in _ROWS]


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return f"none: {figure['reason']}"
    if figure["low"] is None:
        return f"{figure['value']:.4g}"
    return f"{figure['value']:.4g} ({figure['low']:.4g} to {figure['high']:.4g})"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in cells] + [""]
