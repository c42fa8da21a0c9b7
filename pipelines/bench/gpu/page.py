"""The rows as a page."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.bench.gpu.parts import PARTS, Part, Row

_FIGURES = {
    "batch": ("batch", ".0f"), "step_s": ("s a step", ".3g"), "s_per_1000_images": ("s per 1,000 images", ".3g"),
    "images_per_s": ("images/s", ".3g"), "of_gemm": ("of the bf16 peak", ".0%"), "memory_gb": ("GB", ".3g"),
    "waits": ("waits for the GPU", ".0f"),
}
_WORDS = {
    "losses": "losses apart", "gradients": "gradients apart", "images_per_s": "images/s",
    "pictures_per_s": "pictures/s", "ratio": "images delivered per image eaten", "grey_levels": "grey levels apart",
    "memory_gb": "GB", "detail_apart": "loss apart", "exit_code": "exit code", "said": "said", "batch": "batch",
    "state_there": "state arrived", "state_back": "state came back", "steps": "steps", "images": "images",
    "l1_first": "l1 at first", "l1_last": "l1 at last", "waiting": "share of the time waiting for data",
    "worst_loss": "farthest loss", "worst_gradient": "farthest gradient", "reason": "reason",
}  # fmt: skip


def page(rows: Sequence[Row], machine: str, sizes: str, sheet: bool, curve: bool) -> str:
    """The document."""
    parts = [part for part in PARTS if any(row["part"] == part.name for row in rows)]
    tiny = "" if sizes == "full" else "\nTiny sizes, to show that everything runs: these are no measurements.\n"
    text = f"""# What a GPU does with it

`make gpu` writes this page, in eight minutes, each part in a process of its own. Measured on: {machine}.
{tiny}
| part | came to | seconds | |
|---|---|---|---|
"""
    text += "".join(_ending(part, rows) for part in parts)
    for part in parts:
        text += f"\n## {part.title}\n\n"
        mine = [row for row in rows if row["part"] == part.name and "status" not in row]
        text += _speed(mine) if part.name == "speed" else _table(mine)
    if curve:
        text += "\n![The losses of the training](gpu-curve.svg)\n"
    if sheet:
        text += "\n![Source, pose, painted, truth at the end of the training](gpu-sheet.jpg)\n"
    return text


def _ending(part: Part, rows: Sequence[Row]) -> str:
    last = next(row for row in reversed(rows) if row["part"] == part.name)
    return f"| {part.title} | {last.get('status', 'broken off')} | {last.get('seconds', '')} " \
           f"| {_cell(last.get('reason', ''))} |\n"


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return "Nothing came of it.\n"
    text = "| | figures | holds |\n|---|---|---|\n"
    for row in rows:
        figures = ", ".join(f"{_WORDS[name]} {_value(value)}" for name, value in row.items() if name in _WORDS
                            and value is not None and not isinstance(value, dict))
        holds = {True: "yes", False: "**no**"}.get(row.get("holds"), "")  # type: ignore[arg-type]
        text += f"| {_cell(row.get('what', ''))} | {_cell(figures)}{_tolerance(row)} | {holds} |\n"
    return text


def _tolerance(row: Row) -> str:
    given = row.get("tolerance")
    if given is None:
        return ""
    return f" (at most {', '.join(map(_value, given.values())) if isinstance(given, dict) else _value(given)})"


def _speed(rows: Sequence[Row]) -> str:
    steps = [row for row in rows if row.get("what") in ("step", "yardstick")]
    peaks = next((row for row in rows if row.get("what") == "peaks"), None)
    text = ""
    if peaks:
        text = (f"Matrix products reach {peaks['gemm_tflops']:.3g} TFLOP/s in the format of training, 3 x 3 "
                f"convolutions forward and backward {peaks['conv_tflops']:.3g}.\n\n")
    filters = next((row for row in rows if row.get("what") == "filters" and "upsample_ms" in row), None)
    if filters:
        text += (f"Filters, forward and backward: doubling {filters['upsample_ms']:.3g} ms as a convolution, "
                 f"{filters['upsample_by_shifts_ms']:.3g} as sums of shifted pictures; halving "
                 f"{filters['downsample_ms']:.3g} ms.\n\n")
    text += "| px | | " + " | ".join(title for title, _ in _FIGURES.values()) + " |\n|---|---"
    text += "|---" * len(_FIGURES) + "|\n"
    for row in steps:
        figures = [format(row[name], how) if row.get(name) is not None else "" for name, (_, how) in _FIGURES.items()]
        failed = f": {_cell(row['reason'])}" if "reason" in row else ""
        text += f"| {row['side']} | {row['variant']}{failed} | {' | '.join(figures)} |\n"
    eager = {row["side"]: row for row in steps if row["variant"] == "eager" and "images_per_s" in row}
    text += "".join(f"\nAt {row['side']} px images pass {eager[row['side']]['images_per_s'] / row['images_per_s']:.2f} "
                    "times as fast as through the plain StyleGAN2 of equal channels.\n"
                    for row in steps if row["what"] == "yardstick" and "images_per_s" in row and row["side"] in eager)
    text += "".join(f"\nSkipped: {row['variant']} ({row['reason']}).\n" for row in rows if row.get("what") == "skipped")
    profiled = [row for row in steps if row.get("profile")]
    if profiled:
        kinds = list(dict.fromkeys(kind for row in profiled for kind in row["profile"]))
        text += "\nWhere an eager step's time goes, by kind of operation:\n\n| | "
        text += " | ".join(f"{row['side']} px" for row in profiled) + " |\n|---" + "|---" * len(profiled) + "|\n"
        text += "".join(f"| {kind} | " + " | ".join(f"{row['profile'].get(kind, 0):.0%}" for row in profiled) + " |\n"
                        for kind in kinds)
    waits = next((row["waits_at"] for row in reversed(profiled) if row.get("waits_at")), None)
    if waits:
        text += "\nLines at which the processor waits for the GPU in a step: "
        text += ", ".join(f"{line} ({count})" for line, count in waits.items()) + ".\n"
    return text


def curve(curves: dict[str, list[list[float]]], width: int = 640, height: int = 240) -> str:
    """Losses against steps as an SVG, each scaled to its own largest value."""
    colours = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22")
    most = max([point[0] for points in curves.values() for point in points], default=1)
    lines = []
    for number, (name, points) in enumerate(curves.items()):
        top = max(max(abs(value) for _, value in points), 1e-9)
        places = " ".join(f"{40 + (width - 180) * step / most:.1f},{height - 20 - (height - 40) * value / top:.1f}"
                          for step, value in points)
        colour = colours[number % len(colours)]
        lines.append(f'<polyline points="{places}" fill="none" stroke="{colour}"/><text x="{width - 130}" '
                     f'y="{24 + 16 * number}" fill="{colour}">{name.removeprefix("loss/")} (1 = {top:.3g})</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="#fff"/>{"".join(lines)}<text x="40" '
            f'y="{height - 4}">0</text><text x="{width - 160}" y="{height - 4}">step {most:.0f}</text></svg>\n')


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, ".3g") if isinstance(value, float) else str(value)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
