"""``make docs``: the README's pictures, made by the pipeline itself.

``docs/pipeline.svg`` is drawn from the table of steps, ``docs/contact_sheet.jpg`` is what the default
run's evaluation shows (synthetic people; photos of real people are never shipped).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.presets import preset
from pipelines.steps import STEPS

DOCS = Path(__file__).resolve().parents[2] / "docs"
CAPTIONS = {
    "synthesize": ("or your photos", "and pose maps"),
    "preprocess": ("crop, pose map,", "matte, texture map"),
    "cluster": ("identities,", "split, pairs"),
    "tune": ("optional: a study", "of loss weights"),
    "train": ("ANet + PNet", "+ GNet"),
    "evaluate": ("quality, identity,", "memorisation"),
    "challenge": ("the champion,", "on the same pairs"),
    "register": ("gate, version,", "alias"),
}
_WIDTH, _HEIGHT, _GAP, _TOP = 126, 76, 26, 12


def pipeline_svg(order: Sequence[str]) -> str:
    """The steps as boxes in the order of the pipeline, readable on light and on dark pages."""
    width = len(order) * (_WIDTH + _GAP) - _GAP + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT + 2 * _TOP}" '
        f'font-family="system-ui, sans-serif" text-anchor="middle" role="img" aria-label="The pipeline">'
    ]
    for index, step in enumerate(order):
        x = 2 + index * (_WIDTH + _GAP)
        parts.append(f'<rect x="{x}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" rx="10" fill="#2f6f8f"/>')
        middle = x + _WIDTH // 2
        parts.append(f'<text x="{middle}" y="{_TOP + 26}" font-size="16" font-weight="600" fill="#fff">{step}</text>')
        for line, caption in enumerate(CAPTIONS[step]):
            y = _TOP + 47 + 15 * line
            parts.append(f'<text x="{middle}" y="{y}" font-size="12" fill="#e3eef3">{html.escape(caption)}</text>')
        if index:
            y = _TOP + _HEIGHT // 2
            parts.append(f'<path d="M{x - _GAP + 4} {y}h{_GAP - 12}" stroke="#8aa" stroke-width="2.5"/>')
            parts.append(f'<path d="M{x - 3} {y}l-8 -5v10z" fill="#8aa"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Run the default pipeline in .photoshoot and write both pictures to docs/."""
    from PIL import Image

    from pipelines.home.folder import Home
    from pipelines.local.run import run_pipeline

    with atomic_path(DOCS / "pipeline.svg") as partial:
        partial.write_text(pipeline_svg(STEPS), encoding="utf-8")
    result = run_pipeline(preset("demo"), None, Home.at(Path(".photoshoot")))
    with atomic_path(DOCS / "contact_sheet.jpg") as partial:
        Image.open(result.contact_sheet).convert("RGB").save(partial, quality=85, optimize=True)


if __name__ == "__main__":
    main()
