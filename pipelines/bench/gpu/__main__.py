"""``python -m pipelines.bench.gpu``: see the package."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from components.core.errors import MachineError, PhotoshootError
from pipelines.bench.gpu.bare import OPTIONAL, REQUIRED, missing, stand_in_for_missing
from pipelines.bench.gpu.parts import PARTS, SHEET, TRAINING, Row
from pipelines.bench.gpu.runner import (
    CHILD,
    FAILED,
    LATE,
    PASSED,
    Order,
    be_child,
    chosen,
    run_apart,
    run_here,
    sizes_for,
)

_DOCUMENTS = Path("docs/benchmarks")
_PAGE, _JSON, _SHEET, _CURVE = "gpu.md", "gpu.json", "gpu-sheet.jpg", "gpu-curve.svg"
_PEOPLE = Path("build/gpu-people.tar")


def main(arguments: Sequence[str]) -> int:
    """Run the parts asked for; 0 where none failed."""
    if list(arguments[:1]) == [CHILD]:
        be_child(arguments[1])
        return 0
    asked = _parser().parse_args(arguments)
    try:
        _check()
        if asked.pack:
            return _pack(asked)
        return _run(asked)
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.bench.gpu", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*(part.name for part in PARTS), []], metavar="PART",
                        help=f"default: all, in this order: {', '.join(part.name for part in PARTS)}")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together (8)")
    parser.add_argument("--out", type=Path, help=f"folder of the page and what it shows (with a GPU: {_DOCUMENTS})")
    parser.add_argument("--people", type=Path, help=f"packed people to train on ({_PEOPLE}, where it is there)")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see that everything runs (as on a CPU)")
    parser.add_argument("--here", action="store_true", help="all parts in this process: no time box holds what hangs")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="render people into this file, for --people, and end")
    parser.add_argument("--people-count", type=int, default=36, help="people to pack (36)")
    parser.add_argument("--photos", type=int, default=5, help="photos of each (5)")
    return parser


def _check() -> None:
    """Raises `MachineError` naming all that is missing."""
    lacking = missing(REQUIRED)
    if lacking:
        raise MachineError(f"not installed: {', '.join(lacking)}",
                           remedy="pip install them; for a machine without network, `pip download` them elsewhere, "
                                  "carry the wheels, and `pip install --no-index --find-links FOLDER`")
    if missing(OPTIONAL):
        print(f"not installed: {', '.join(missing(OPTIONAL))}: parts that need them are skipped", file=sys.stderr)


def _pack(asked: argparse.Namespace) -> int:
    if missing(OPTIONAL):
        raise MachineError(f"not installed: {', '.join(missing(OPTIONAL))}", remedy="pack where they are")
    from pipelines.bench.gpu.people import pack

    size = pack(asked.pack, asked.people_count, asked.photos)
    print(f"{asked.pack}: {asked.people_count} people, {asked.photos} photos each, {size / 1024**2:.1f} MiB")
    return 0


def _run(asked: argparse.Namespace) -> int:
    import torch

    stand_in_for_missing()
    began, on_gpu = time.monotonic(), torch.cuda.is_available()
    device, sizes = "cuda" if on_gpu else "cpu", sizes_for(on_gpu, asked.tiny)
    if not on_gpu:
        print("no CUDA GPU here: parts run at tiny sizes on the CPU, to show that they work. Skipped: real sizes, "
              "bf16 and TF32 of a GPU, torch.compile and CUDA graphs, NCCL (gloo instead), the memory limit "
              "(simulated).", file=sys.stderr)
    out = asked.out or (_DOCUMENTS if on_gpu and sizes.name == "full" else None)
    with tempfile.TemporaryDirectory() as folder:
        people = _people(asked, Path(folder))
        order = Order("", "", device, sizes.name, folder, None if people is None else str(people), 0, [])
        parts = chosen(asked.parts)
        if asked.here:
            rows = run_here(parts, order, _print)
        else:
            rows = run_apart(parts, order, began + 60 * asked.minutes, _print)
        if out is not None:
            _write(rows, out, _machine(), sizes.name, Path(folder) / TRAINING)
    ended = {row["part"]: row["status"] for row in rows if "status" in row}
    print(f"{sum(status == PASSED for status in ended.values())} of {len(ended)} parts passed"
          + (f"; {out / _PAGE} is written" if out else ""), file=sys.stderr)
    return int(any(status in (FAILED, LATE) for status in ended.values()))


def _people(asked: argparse.Namespace, folder: Path) -> Path | None:
    file = asked.people or _PEOPLE
    if missing(["pyarrow"]) or (asked.people is None and not file.exists()):
        return None
    from pipelines.bench.gpu.people import unpack

    return unpack(file, folder / "packed")


def _machine() -> str:
    import torch

    from pipelines.bench.steps import machine

    if not torch.cuda.is_available():
        return f"{machine()}, no GPU"
    there = torch.cuda.get_device_properties(0)
    return (f"{torch.cuda.device_count()} x {there.name} ({there.total_memory / 1e9:.0f} GB), torch "
            f"{torch.__version__}, CUDA {torch.version.cuda}, {machine()}")


def _print(row: Row) -> None:
    print(json.dumps(row, default=str), flush=True)


def _write(rows: list[Row], out: Path, machine: str, sizes: str, training: Path) -> None:
    from components.core.artifacts.model import CURVES
    from components.core.atomic import atomic_path
    from pipelines.bench.gpu.page import curve, page

    sheet, curves = training / SHEET, training / CURVES
    texts = {_JSON: json.dumps({"machine": machine, "sizes": sizes, "rows": rows}, indent=1, default=str) + "\n",
             _PAGE: page(rows, machine, sizes, sheet.exists(), curves.exists())}
    if curves.exists():
        texts[_CURVE] = curve(json.loads(curves.read_text(encoding="utf-8")))
    for name, text in texts.items():
        with atomic_path(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    if sheet.exists():
        with atomic_path(out / _SHEET) as partial:
            shutil.copyfile(sheet, partial)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
