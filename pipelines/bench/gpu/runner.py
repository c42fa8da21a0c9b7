"""Parts one after the other: each in a process of its own with a time box, or all in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.bench.gpu.bare import missing, stand_in_for_missing
from pipelines.bench.gpu.parts import FULL, PARTS, TINY, TRAINING, Bench, Part, Row, Sizes
from pipelines.processes import stop

CHILD = "--child"
PASSED, FAILED, SKIPPED, LATE = "passed", "failed", "skipped", "out of time"
_LEAST_S = 8.0
"""With less left, a part is not begun."""
Emit = Callable[[Row], None]


@dataclass(frozen=True)
class Order:
    """What a child is told: JSON on its standard input, when its turn has come."""

    part: str
    work: str
    device: str
    sizes: str
    folder: str
    people: str | None
    seconds: float
    known: list[Row]

    def bench(self) -> Bench:
        """The part's surroundings. Its time begins now."""
        sizes = next(one for one in (FULL, TINY) if one.name == self.sizes)
        people = Path(self.people) if self.people else None
        return Bench(self.device, sizes, Path(self.folder), people, time.monotonic() + self.seconds,
                     self.known)


def rows_of(part: Part, bench: Bench) -> Iterator[Row]:
    """A part's rows as they come, then how it ended; nothing that it raises gets out but an interruption."""
    began, failed = time.monotonic(), ""
    try:
        for row in part.rows(bench):
            if row.get("holds") is False:
                failed = failed or str(row.get("reason") or row.get("what"))
            yield {"part": part.name, **row}
    except Exception as error:
        traceback.print_exc()
        failed = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    yield _ended(part, FAILED if failed else PASSED, time.monotonic() - began, failed)


def _ended(part: Part, status: str, seconds: float, reason: str = "") -> Row:
    return {"part": part.name, "status": status, "seconds": round(seconds, 2), **({"reason": reason} if reason else {})}


def run_here(parts: Sequence[Part], order: Order, emit: Emit) -> list[Row]:
    """All parts in this process: no time box holds what hangs."""
    stand_in_for_missing()
    rows: list[Row] = []
    for part in parts:
        for row in _skipped(part) or rows_of(part, _order(order, part, part.seconds, rows).bench()):
            rows.append(row)
            emit(row)
    return rows


def run_apart(parts: Sequence[Part], order: Order, ends: float, emit: Emit) -> list[Row]:
    """Each part in a process of its own until `ends` on the monotonic clock; the next one waits in readiness, its
    imports done."""
    rows: list[Row] = []
    due = [part for part in parts if not _skipped(part)]
    ready = _started(due[0], order) if due else None
    for part in parts:
        came = _skipped(part)
        if not came:
            child, later = ready, due[due.index(part) + 1 :]
            ready = _started(later[0], order) if later else None
            assert child is not None
            came = _followed(part, child, _order(order, part, _box(part, later, ends), rows), emit)
        else:
            for row in came:
                emit(row)
        rows += came
    return rows


def _skipped(part: Part) -> list[Row]:
    lacking = missing(part.needs)
    return [_ended(part, SKIPPED, 0, f"{' and '.join(lacking)} not installed")] if lacking else []


def _box(part: Part, later: Sequence[Part], ends: float) -> float:
    """Seconds for a part: its own, no more than are left; for the training all that nobody needs after it."""
    left = ends - time.monotonic()
    return left - sum(one.seconds for one in later) if part.name == TRAINING else min(part.seconds, left)


def _order(order: Order, part: Part, seconds: float, rows: list[Row]) -> Order:
    return Order(part.name, part.work, order.device, order.sizes, order.folder, order.people, seconds, list(rows))


def _started(part: Part, order: Order) -> subprocess.Popen[bytes]:
    with (Path(order.folder) / f"{part.name}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "pipelines.bench.gpu", CHILD, part.work], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=log, start_new_session=True)


def _followed(part: Part, child: subprocess.Popen[bytes], order: Order, emit: Emit) -> list[Row]:
    """Give a child its order and pass its rows on until it ends or its time box does."""
    rows: list[Row] = []
    began = time.monotonic()
    try:
        if order.seconds < _LEAST_S:
            rows.append(_ended(part, SKIPPED, 0, "no time left"))
            emit(rows[-1])
            return rows
        assert child.stdin is not None and child.stdout is not None
        with suppress(BrokenPipeError):  # it did not get as far as to listen; its log says why
            child.stdin.write((json.dumps(asdict(order)) + "\n").encode())
            child.stdin.close()
        for line in _lines(child, began + order.seconds):
            rows.append(json.loads(line))
            emit(rows[-1])
        if not rows or "status" not in rows[-1]:
            spent = time.monotonic() - began
            late = spent >= order.seconds
            reason = f"stopped after {order.seconds:.0f} s" if late else _last_words(order, part, child)
            rows.append(_ended(part, LATE if late else FAILED, spent, reason))
            emit(rows[-1])
        return rows
    finally:
        stop(child, grace=1.0)


def _lines(child: subprocess.Popen[bytes], until: float) -> Iterator[str]:
    """Whole lines of a child's output as they come, until it ends or time is up."""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    held = b""
    while True:
        over = child.poll() is not None
        held += child.stdout.read() or b""
        *whole, held = held.split(b"\n")
        yield from (line.decode() for line in whole if line.startswith(b"{"))
        if over or time.monotonic() > until:
            return
        time.sleep(0.05)


def _last_words(order: Order, part: Part, child: subprocess.Popen[bytes]) -> str:
    log = (Path(order.folder) / f"{part.name}.log").read_text(encoding="utf-8", errors="replace")
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    return f"ended with code {child.wait()}: {last[:300]}"


def be_child(work: str) -> None:
    """Import what `work` needs, wait for the order, and print a JSON line per row."""
    from importlib import import_module

    stand_in_for_missing()
    import_module(work.partition(":")[0])
    line = sys.stdin.readline()
    if not line:
        return  # not needed after all
    order = Order(**json.loads(line))
    part = Part(order.part, "", order.seconds, order.work)
    with _own_output() as emit:
        for row in rows_of(part, order.bench()):
            emit(row)


@contextmanager
def _own_output() -> Iterator[Emit]:
    """Rows go where standard output went; what else is printed, by libraries and processes below, goes to the log."""
    mine = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(row: Row) -> None:
        mine.write(json.dumps(row, default=str) + "\n")
        mine.flush()

    with mine:
        yield emit


def chosen(names: Sequence[str]) -> list[Part]:
    """The parts of these names, in order of importance; all without names."""
    return [part for part in PARTS if not names or part.name in names]


def sizes_for(on_gpu: bool, tiny: bool) -> Sizes:
    """Full sizes take a GPU."""
    return FULL if on_gpu and not tiny else TINY
