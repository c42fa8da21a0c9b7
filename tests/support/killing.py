"""Commands that are killed at random moments and called again: same result, and nothing left that was not there."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.context
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

_PRELOADED = ["torch", "mlflow.pyfunc", "optuna", "sqlalchemy", "pyarrow.parquet", "cv2", "scipy.optimize", "pandas",
              "pipelines.cli.commands.steps", "pipelines.cli.commands.promotion", "pipelines.cli.commands.pictures",
              "pipelines.cli.commands.pipeline", "pipelines.cli.commands.tuning", "components.train",
              "components.preprocess", "components.shoot", "components.evaluate", "components.register"]
_LIMIT_S = 280.0
_IDS = (
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}"), "RUN"), (re.compile(r"-\d{4}(-\d{2}){5}-\d{6}"), "-TIME"),
    (re.compile(r"\bm?-?[0-9a-f]{32,64}\b"), "ID"), (re.compile(r"[+%]timestamp[+%]\d+[+%][0-9a-f-]{36}"), "TIME"),
)
_DATABASE = re.compile(r"\.db(-journal|-wal|-shm)?$")
_HISTORY = re.compile(
    r"home/(runs/RUN/(settings\.yaml|log\.txt|events\.jsonl|job\.json|\.alive)$|mlflow-artifacts/ID/)")
"""What a run that was killed leaves on purpose: its record, as any run that fails."""
_LAST = "home/runs/RUN/outputs.json"
_RAN = re.compile(r"home/(runs/RUN|artifacts/photoshoot-training-TIME/(challenge|register))/")
"""What a run adds that finds everything done by one that was killed after its last step."""


@dataclass(frozen=True)
class Command:
    """A command in a folder of its own: what lies there before, its arguments, and what came of it."""

    name: str
    prepare: Callable[[Path], None]
    arguments: Callable[[Path], list[str]]
    result: Callable[[Path], Any]
    environment: Callable[[Path], dict[str, str]] = field(default=lambda folder: {})


@dataclass(frozen=True)
class Untouched:
    """How a command went that nobody killed."""

    seconds: float
    result: Any
    files: Counter[str]


def untouched(command: Command, folder: Path) -> Untouched:
    """Run it in a new folder, to its end."""
    _server()
    _prepared(command, folder)
    began = time.monotonic()
    _end_well(command, folder)
    return Untouched(time.monotonic() - began, command.result(folder), _files(folder))


def survives(command: Command, folder: Path, whole: Untouched, share: float) -> bool:
    """Kill it in a new folder after a share of the time that it takes, run it again, and compare; False where it was
    over before."""
    _prepared(command, folder)
    ended_before = _files(folder)[_LAST]
    child = _started(command, folder)
    child.join(share * whole.seconds)
    was_killed = child.exitcode is None
    child.kill()
    child.join()
    history = [_HISTORY, *([_RAN] if _files(folder)[_LAST] > ended_before else [])]
    _end_well(command, folder)
    where = f"{command.name}, killed at {share:.3f} of {whole.seconds:.1f} s"
    assert command.result(folder) == whole.result, where
    found = _files(folder)
    more = {name: count for name, count in (found - whole.files).items() if not any(one.match(name) for one in history)}
    assert not more and not whole.files - found, f"{where}: more {more}, less {dict(whole.files - found)}"
    shutil.rmtree(folder)
    return was_killed


def shares(count: int, draw: random.Random) -> list[float]:
    """Random moments, each in its part of the time, so that no part is left out."""
    return [(number + draw.random()) / count for number in range(count)]


def digests(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of each file."""
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def last_line(folder: Path) -> dict[str, Any]:
    """What the last command in the folder said with --json."""
    return dict(json.loads((folder / ".said").read_text().splitlines()[-1]))


def _prepared(command: Command, folder: Path) -> None:
    folder.mkdir(parents=True)
    command.prepare(folder)


def _end_well(command: Command, folder: Path) -> None:
    child = _started(command, folder)
    child.join(_LIMIT_S)
    if child.exitcode is None:
        child.kill()
    assert child.exitcode == 0, f"{command.name}: {(folder / '.errors').read_text()[-3000:]}"


def _started(command: Command, folder: Path) -> BaseProcess:
    """In a process that is forked from one that has imported everything."""
    arguments = (command.arguments(folder), str(folder), command.environment(folder))
    child = _server().Process(target=_command, args=arguments)
    child.start()
    return child


@cache
def _server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    paths = os.pathsep.join(path for path in sys.path if path)
    with mock.patch.dict(os.environ, {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}):  # to import what is tested here
        first = context.Process(target=int)  # returns when all is imported: no command is to be timed with that
        first.start()
        first.join()
    return context


def _command(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    os.environ.update(environment, PYTHONPATH=os.pathsep.join(path for path in sys.path if path), OMP_NUM_THREADS="1")
    os.chdir(folder)
    for descriptor, name in ((1, ".said"), (2, ".errors")):
        file = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, descriptor)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["photoshoot", *arguments]
    from pipelines.cli.app import main

    main()


def _files(folder: Path) -> Counter[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return Counter(_named(name) for name in names if not _DATABASE.search(name))


def _named(name: str) -> str:
    for pattern, instead in _IDS:
        name = pattern.sub(instead, name)
    return name
