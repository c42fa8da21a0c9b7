"""What an experiment found, as a page of docs/ and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from components.core.atomic import atomic_path
from components.core.networks.generator.reposer import Reposer
from components.core.settings import TrainSettings
from components.evaluate.measuring.methods import Method, ModelMethod, truth
from components.evaluate.measuring.pairs import spread
from components.evaluate.measuring.quality import PLAIN
from components.evaluate.report.sheet import Row as SheetRow
from components.evaluate.report.sheet import colour_pose, contact_sheet
from pipelines.experiments.identity.study import BASELINES, LEVELS, Findings, Row, Study

PICTURE = "identity.webp"
_MOST_BYTES, _ROWS = 300_000, 6
_COLUMNS = (
    ("identity_recovered", "identity recovered", 2), ("head_psnr", "head PSNR, dB", 1),
    ("head_box_psnr", "head box PSNR, dB", 1), ("unseen_l1", "unseen texels L1", 3),
    ("off_body_l1", "off-body L1", 3), ("sharpness", "head sharpness / real", 2),
    ("perceptual", "perceptual", 3), ("ssim", "SSIM", 3),
)  # fmt: skip
_AGAINST = (("head_gain", "head PSNR, dB more", 2), ("head_box_gain", "head box PSNR, dB more", 2),
            ("unseen_ratio", "unseen texels, L1 times", 2), ("off_body_ratio", "off-body, L1 times", 2))
_BASELINES = dict(zip((one.name for one in BASELINES), (
    "the mirrored-head warp (other unseen texels are the mean of the seen ones)",
    "the texture warp (every unseen texel from its mirror image or the nearest seen ones)"), strict=True))
_KINDS = {
    "transfer": "Transfer: the face of one photo in the clothes and pose of another photo of the same person, which is "
                "the ground truth",
    "repose": "Re-posing: everything from one photo, in the pose of another that shows the same clothes",
}


def write(findings: Findings, study: Study, out: Path) -> Path:
    """Write ``out/identity.md`` and its picture; the page's path."""
    with atomic_path(out / PICTURE) as partial:
        _compressed(_sheet(findings, study)).save(partial, "WEBP", quality=70, method=6)
    page = out / "identity.md"
    with atomic_path(page) as partial:
        partial.write_text(markdown(findings), encoding="utf-8")
    return page


def markdown(findings: Findings) -> str:
    """The page."""
    train = findings.settings.train
    lines = [
        "# Does the face survive?", "", _result(findings), "",
        f"Written by `photoshoot experiment identity --preset {findings.settings.preset}{_only(findings)}`; metrics "
        "with 95 % intervals from resampled identities.", "",
        f"{findings.people} photos of synthetic people, {findings.held_out} of them held out. "
        f"{' and '.join(f'`{name}`' for name in findings.models)}: {train.steps} steps of {train.batch} pairs, width "
        f"{train.width}{_beginning(train)}. Faces are judged "
        f"by `{findings.judge}`, which was in no loss. *Identity recovered*: 0 is a stranger's face, 1 as similar as "
        "another photo of the same person. *Unseen texels*: pixels of the body whose texel the source does not show, "
        "nor one near it. *Off-body*: the person beyond the pose map: hair, skirts. *Head*: pixels of the "
        "head's charts; *head box*: their bounding box over plain grey, hair included. *Sharpness*: mean "
        "absolute Laplacian inside the head.", "",
    ]
    for kind, rows in findings.rows.items():
        lines += [f"## {_KINDS[kind]} ({findings.counts[kind]} pairs)", "", *_table(rows, _COLUMNS), ""]
        for name, what in _BASELINES.items():
            lines += [f"Against {what}, pair by pair:", "", *_table(rows, _against(name)), ""]
    lines += ["## Time to quality", "", *_times(findings), ""]
    if findings.sources:
        lines += [f"## Several photos of the person ({findings.sources_pairs} pairs)", "",
                  "Texture maps merged by visibility, the photo with the best view of the head beside them. The "
                  "second table compares with the mirrored-head warp of one photo.", "",
                  *_table(findings.sources, _COLUMNS), "", *_table(findings.sources, _against(BASELINES[0].name)), ""]
    shown = ", ".join(("source", "pose", "mirrored-head warp", *findings.models, "truth"))
    lines += ["## Pictures", "", f"![{shown.capitalize()}]({PICTURE})", ""]
    return "\n".join(lines)


def _result(findings: Findings) -> str:
    """The answer in one sentence, about re-posing with the clothes of the target photo."""
    rows = {row.name: row.metrics for row in findings.rows["transfer"]}
    said = [f"{rows[name]['identity_recovered'].shown(2)} with `{name}`"
            for name in sorted(findings.models, reverse=True) if name in rows]
    return f"**Identity recovered, where 0 is a stranger and 1 another photo of the person: {', '.join(said)}.**"


def _only(findings: Findings) -> str:
    return f" --generator {next(iter(findings.models))}" if len(findings.models) == 1 else ""


def _beginning(train: TrainSettings) -> str:
    return "" if train.gan_start >= 1 else f", a GAN from {train.gan_start:.0%} of them on"


def _against(baseline: str) -> list[tuple[str, str, int]]:
    return [(f"{baseline}/{name}", title, digits) for name, title, digits in _AGAINST]


def _table(rows: Sequence[Row], columns: Sequence[tuple[str, str, int]]) -> list[str]:
    head = ["", *(title for _, title, _ in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row.name.replace("_", " "), *(row.metrics[name].shown(digits) for name, _, digits in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _times(findings: Findings) -> list[str]:
    plain = findings.warp_distance
    lines = [f"Seconds of training until the perceptual distance on fixed held-out pairs falls to a multiple of "
             f"the mirrored-head warp's ({plain:.3f}).", "",
             "| | " + " | ".join(f"{level:g} x" for level in LEVELS) + " | at the end | seconds in all |",
             "|" + "---|" * (len(LEVELS) + 3)]
    for generator, curve in findings.curves.items():
        reached = [curve.seconds_to(level * plain) for level in LEVELS]
        last = f"{curve.points[-1][2]:.3f}" if curve.points else "–"
        cells = [generator, *("not reached" if one is None else f"{one:.0f}" for one in reached), last,
                 f"{curve.seconds:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _sheet(findings: Findings, study: Study) -> Image.Image:
    pairs = spread(study.pairs["transfer"], _ROWS)
    methods: list[Method] = [BASELINES[0], *(ModelMethod(Reposer.load(path)) for path in findings.models.values())]
    outputs = [method.render(study.album, pairs, PLAIN).images for method in methods]
    real = truth(study.album, pairs, PLAIN).images
    rows = [SheetRow([study.album[pair.source].photo, colour_pose(study.album[pair.target].iuv),
                      *(output[k] for output in outputs), real[k]], f"{pair.identity}: held out, never trained on")
            for k, pair in enumerate(pairs)]
    columns = ("source", "target pose", "mirrored-head warp", *findings.models, "truth")
    return Image.fromarray(contact_sheet("Identity", "face and hands of the source, clothes of the target", columns,
                                         rows))


def _compressed(sheet: Image.Image) -> Image.Image:
    """Small enough for a repository: WebP of about 0.15 bytes a pixel."""
    most = _MOST_BYTES / 0.15
    scale = min(1.0, (most / (sheet.width * sheet.height)) ** 0.5)
    return sheet.resize((round(sheet.width * scale), round(sheet.height * scale)), Image.Resampling.LANCZOS)
