"""The model card: what a version is, what it was measured to do, and what it must not be used for, in Markdown.

The sections are those of Mitchell et al. 2019 (Model Cards for Model Reporting), as far as they apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.core.artifacts.evaluation import SOURCES, judged_at
from components.core.artifacts.files import METRIC, misfit
from components.core.judging.gate import Outcome
from components.register.gate import Verdict

_ROWS = (("perceptual", "Perceptual distance, lower is better"),
         ("over_warp", "… as a multiple of the texture warp's, lower is better"), ("ssim", "SSIM inside the person"),
         ("matte_iou", "Matte overlap"), ("pose_fidelity", "Pose kept, as a share of real photos'"),
         ("psnr", "PSNR inside the person, dB"),
         ("face_similarity", "Face similarity (cosine)"), ("face_found", "Faces found"),
         ("identity_recovered", "Identity recovered, 1 = another photo of the person"),
         ("frechet", "Fréchet distance"), ("frechet_ratio", "Fréchet ratio, 1 at best"), ("kernel", "Kernel distance"))
_MARKS: dict[Outcome, str] = {"passed": "pass", "failed": "fail", "not judged": "not judged"}
_LOADING = """\
```python
import mlflow, pandas as pd

model = mlflow.pyfunc.load_model("models:/{name}@champion")  # or models:/{name}/VERSION
read = lambda path: open(path, "rb").read()
row = {{"source_photo": read("me.jpg"), "target_pose": read("dancer.jpg")}}
png = model.predict(pd.DataFrame([row]), params={{"size": 1024}})["image"][0]
```

Or `photoshoot shoot --photo me.jpg --pose dancer.jpg --out new`. The pose is a photo of anybody in it, or a pose map
(DensePose's I, U, V). `source_pose`, the photo's own pose map, `source_matte` and `background` may be given too, and
further photos of the person as lists: `more_photos`, `more_poses`. Only this package is needed; without a
`source_pose` it fetches the landmark networks once (`photoshoot weights`)."""


def model_card(name: str, evaluation: Mapping[str, Any], verdict: Verdict, start: str | None = None) -> str:
    """The card of a version of the registered model `name`, from the content of its metrics.json; `start` says from
    which model's weights it was trained on."""
    model, counts, judge = evaluation["model"], evaluation["counts"], evaluation["judge"]
    parts = _parts(evaluation)
    lines = [
        f"# {name}", "",
        "Takes a photo of a person and paints that person in another pose, over a background that is given.", "",
        f"**Gate:** {verdict.summary}.", "",
        *_table(("Requirement", "Value", "Bound", ""),
                [(line.name, "none" if line.value is None else f"{line.value:.4g}", f"{line.comparison} {line.bound:g}",
                  _MARKS[line.outcome] + ("" if line.judged else f": {line.reason}"))
                 for line in verdict.lines]),
        "## Intended use", "",
        "New pictures of a person who agreed to them, from a photo of theirs: other poses, other backgrounds, other "
        "clothes. Not for pictures of people who did not agree, nor to show what somebody did or wore, nor to identify "
        "anybody: it paints, it does not know.", "",
        "## How to load it", "", _LOADING.format(name=name), "",
        "## Measured", "",
        f"On {counts['identities']} people of the {evaluation['settings']['split']} split, none of them trained on: "
        f"{counts['pairs']} ordered pairs, the face of one photo in pose and clothes of another. Intervals are 95 %, "
        f"by bootstrap. Faces are judged by `{judge['embedder']}`"
        + (", which was also in the loss." if judge["judge_in_loss"] else ", which was not in the loss."), "",
        *_table(("Metric", "This model", "Texture warp", "n"), _metrics(evaluation)),
        *(["Absolute difference by body part, 0 to 1:", "",
           *_table(("Part", "This model", "Texture warp", "n"), parts)] if parts else []),
        *[f"- {note}" for note in evaluation["notes"]], *([""] if evaluation["notes"] else []),
        "## Memorisation", "", *_memorisation(evaluation, verdict),
        "## Controls", "",
        "Cheats and honest photos went through the same measurement and the same gate:", "",
        *_table(("Control", "Expected", "Verdict", "Failed at"),
                [(found_name.replace("_", " "), str(found["expected"]), found["verdict"],
                  ", ".join(found["failed_lines"]) or "-")
                 for found_name, found in (evaluation.get("controls") or {}).items()]),
        "## Data", "", *_data(evaluation),
        "## What it is", "",
        f"- Generator `{model['generator']}`, {model['resolution']} px, texture tiles of {model['texel']}; "
        f"{model['bytes'] / 1e6:.1f} MB",
        f"- Trained for {model['settings']['steps']} steps of {model['settings']['batch']}; face loss: "
        f"{judge['face_loss'] or 'none'}",
        f"- Started from {start or 'random weights'}", "",
        "## Limits", "", *_limits(evaluation), "",
        "## Evidence", "",
        f"- Model `{model['digest']}`", f"- People `{evaluation['people']['digest']}`",
        f"- Identities `{evaluation['identities']['digest']}`", "",
    ]
    return "\n".join(lines)


def _metrics(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    metrics, warp = evaluation["metrics"], evaluation["baselines"]["texture_warp"]
    return [(label, _metric(metrics[key]), _metric(warp[key]) if key in warp else "", str(metrics[key].get("n", "")))
            for key, label in _ROWS if key in metrics]


def _parts(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    warp = evaluation["baselines"]["texture_warp"].get("parts") or {}
    return [(part.replace("_", " "), _metric(found["l1"]), _metric(warp[part]["l1"]) if part in warp else "",
             str(found["l1"].get("n", "")))
            for part, found in (evaluation.get("parts") or {}).items()]


def _memorisation(evaluation: Mapping[str, Any], verdict: Verdict) -> list[str]:
    """The tests' metrics, held against the bounds of the gate that decided, not of the one that judged the controls."""
    lines = {line.name: line for line in verdict.lines}
    rows = []
    for name, test in (evaluation.get("memorisation") or {}).items():
        line = lines.get(name)
        bound, passed = ("", "") if line is None else (f"{line.comparison} {line.bound:g}", _MARKS[line.outcome])
        rows.append((name.replace("_", " "), _metric(test), bound, passed, str(test.get("meaning", ""))))
    return _table(("Test", "Value", "Bound", "", "What it asks"), rows)


def _data(evaluation: Mapping[str, Any]) -> list[str]:
    people, scores = evaluation["people"], evaluation["identities"]["scores"]
    made_of = "synthetic people, who do not exist" if people["origin"] == "synthetic" else "photos of people"
    lines = [f"- {people['accepted']} crops of {made_of}; {len(people['rejected'])} photos left out"]
    lines += [f"  - {what} from {', '.join(f'{SOURCES.get(name, name)} ({count})' for name, count in found.items())}"
              for what, found in (("pose maps", people.get("pose_maps")), ("mattes", people.get("mattes"))) if found]
    reasons: dict[str, int] = {}
    for row in people["rejected"]:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    lines += [f"  - {count} x {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:5]]
    if scores.get("set_aside"):
        lines.append(f"- {len(scores['set_aside'])} crops set aside: their identity could not be determined")
    splits, photos = scores.get("identities_per_split"), scores.get("photos_per_split")
    if isinstance(splits, Mapping) and isinstance(photos, Mapping):
        lines += [f"- {split}: {count} people, {photos.get(split, 0)} photos" for split, count in splits.items()]
    return [*lines, "- Nobody is in two splits: identities are split, not photos.", ""]


def _limits(evaluation: Mapping[str, Any]) -> Sequence[str]:
    model, people = evaluation["model"], evaluation["people"]
    larger = ("what it decides there is applied to the photo's own pixels in pictures of other sizes"
              if model["settings"].get("generator") == "warp" else "pictures of other sizes are enlarged")
    limits = ["- What the photo does not show is made up: hands, hair, the back of clothes are guesses.",
              f"- It works on crops of {model['resolution']} px; {larger}. The metrics above hold at "
              f"{judged_at(evaluation)} px only."]
    if model["trained_on"] == "synthetic":
        limits.append("- Trained on synthetic people: it was not measured on photos of real people and is likely "
                      "to do worse there.")
    if people["origin"] != model["trained_on"]:
        limits.append("- Trained and measured on people of different origin.")
    limits.append("- People who are rare among the training photos (by age, skin tone, clothes, aids such as "
                  "wheelchairs) are likely to be painted worse; nothing was measured by such groups.")
    return limits


def _metric(metric: Any) -> str:
    if misfit(metric, METRIC) or metric["value"] is None:
        return f"none: {metric.get('reason', 'not said') if isinstance(metric, Mapping) else 'not said'}"
    if metric.get("low") is None or metric.get("high") is None:
        return f"{metric['value']:.4g}"
    return f"{metric['value']:.4g} ({metric['low']:.4g} to {metric['high']:.4g})"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A Markdown table; a sentence where there is nothing to put in it."""
    if not rows:
        return ["Not measured.", ""]
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in cells] + [""]
