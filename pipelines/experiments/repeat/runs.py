"""Does the pipeline end the same everywhere? One command on fresh homes: other people, other kinds of machine.

Every seed is run as the machine is, the first one on the other kinds of machine too. Each run is a process of its own
with its own home, environment and log; one that is finished is not run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.core import progress
from components.core.atomic import atomic_path
from components.core.digest import code_digest, json_digest
from components.core.errors import InputError, MachineError, PhotoshootError, machine_errors
from components.core.settings import Settings
from pipelines.experiments.repeat.outcome import JOB_FILE, Outcome, read_outcome, share_done, take
from pipelines.experiments.repeat.processors import MACHINES, PLAIN, Machine, seen_with, share
from pipelines.home.folder import Home
from pipelines.processes import stop, terminable

SEED = "synthesize.seed"
_POLL_S, _LOOK_EVERY_S = 0.2, 2.0
_GRACE_S = 20.0
"""A run that is ended ends its own processes first, then its MLflow runs."""
_CODE = ("core", "synthesize", "preprocess", "cluster", "train", "evaluate", "register")
# A child has its own home and MLflow database, whatever this process was told.
_NOT_INHERITED = ("PHOTOSHOOT_", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_PARENT_RUN_ID", "MLFLOW_EXPERIMENT_ID")


@dataclass(frozen=True, eq=False)
class Job:
    """One run: people by a seed on a kind of machine, in a folder (home, log, outcome) of its own."""

    seed: int
    machine: Machine
    folder: Path
    settings: Settings
    arguments: tuple[str, ...]
    """Of `photoshoot`, but for the home."""

    @property
    def name(self) -> str:
        """As it is called on the screen, and its folder."""
        return self.folder.name

    @property
    def home(self) -> Home:
        """Its home folder, which may not be there yet."""
        return Home((self.folder / "home").absolute())

    @property
    def log(self) -> Path:
        """What the run says on its way."""
        return self.folder / "log.txt"

    def command(self) -> list[str]:
        """The process that does it."""
        return [sys.executable, "-m", "pipelines.cli.follower", str(os.getpid()), *self.arguments,
                "--home", str(self.home.root)]


Command = Callable[[Job], Sequence[str]]


def plan(seeds: Sequence[int], machines: Sequence[str], settings: Settings, options: Sequence[str], work: Path
         ) -> list[Job]:
    """The runs: every seed on the plain machine if it is among `machines` (keys of `MACHINES`), the first seed on each
    of the others. `options` are those of `photoshoot run` that `settings` come from.

    Raises `InputError` for no seeds, or a kind of machine that is not known.
    """
    unknown = [name for name in machines if name not in MACHINES]
    if unknown or not machines or not seeds:
        raise InputError(f"unknown kind of machine {unknown[0]}" if unknown else "nothing to run",
                         remedy=f"--machines takes any of {', '.join(MACHINES)}, --seeds such as 0-4 or 1,5")
    asked = [(seed, PLAIN) for seed in dict.fromkeys(seeds) if PLAIN in machines]
    asked += [(seeds[0], name) for name in dict.fromkeys(machines) if name != PLAIN]
    return [Job(seed, MACHINES[name], work / (f"seed-{seed}" if name == PLAIN else f"seed-{seed}-{name}"),
                settings.with_changes([f"{SEED}={seed}"]), ("run", *options, "--set", f"{SEED}={seed}"))
            for seed, name in asked]


def run(jobs: Sequence[Job], work: Path, parallel: int = 1, command: Command = Job.command) -> list[Outcome]:
    """Do the jobs, `parallel` at once, and return what came of each, in order. The same again goes on where it was.

    Raises `InputError` for a folder with a run of other settings, `MachineError` when another one is at work there,
    `PhotoshootError` when a run ended without a result; the others are done first.
    """
    with machine_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    with Home(work.absolute()).lock(), terminable():
        for job in jobs:
            _check(job)
        failed = _Runner(jobs, parallel, command).run()
    if failed:
        first, why = next(iter(failed.items()))
        names = ", ".join(job.name for job in failed)
        raise PhotoshootError(f"{len(failed)} of {len(jobs)} runs have no result: {names} ({why})", path=first.log,
                              remedy="the same command tries them again, and only them")
    found = [read_outcome(job.folder) for job in jobs]
    return [outcome for outcome in found if outcome is not None]


def _check(job: Job) -> None:
    path = job.folder / JOB_FILE
    if not path.is_file():
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    if known["settings"] != json_digest(job.settings.to_tree()):
        raise InputError("this folder has a run with other settings", path=job.folder,
                         remedy="choose another --work, or remove this folder")
    done = read_outcome(job.folder)
    if done and done.code != code_digest(*_CODE):
        _say(f"{job.name}: finished, with other code than now; without {job.folder} it is run again")


class _Runner:
    """Runs that wait, runs that are under way, and those that ended without a result, with the reason."""

    def __init__(self, jobs: Sequence[Job], parallel: int, command: Command) -> None:
        self._jobs, self._parallel, self._command = jobs, parallel, command
        self._waiting = deque(job for job in jobs if read_outcome(job.folder) is None)
        self._running: dict[Job, subprocess.Popen[bytes]] = {}
        self._failed: dict[Job, str] = {}

    def run(self) -> dict[Job, str]:
        """Until none is left; however this is left, no child lives on."""
        shown, looked = self._percent(), 0.0
        try:
            with progress.task(f"{len(self._jobs)} runs, %", 100, done=shown) as bar:
                while self._waiting or self._running:
                    while self._waiting and len(self._running) < self._parallel:
                        job = self._waiting.popleft()
                        self._running[job] = self._start(job)
                    time.sleep(_POLL_S)
                    for job in [job for job, child in self._running.items() if child.poll() is not None]:
                        self._end(job, self._running.pop(job).returncode)
                    if time.monotonic() - looked > _LOOK_EVERY_S:
                        looked, now = time.monotonic(), self._percent()
                        if now > shown:
                            bar.advance(now - shown, ", ".join(job.name for job in self._running))
                            shown = now
        finally:
            _end_all(list(self._running.values()))
        return self._failed

    def _start(self, job: Job) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        variables = share(job.machine, self._parallel, inherited)
        environment = inherited | variables
        again = job.home.root.exists()
        with machine_errors(job.folder):
            job.home.root.mkdir(parents=True, exist_ok=True)
        _wait_for(job.home)
        with atomic_path(job.folder / JOB_FILE) as partial:
            partial.write_text(json.dumps({
                "seed": job.seed, "machine": job.machine.name, "arguments": job.arguments, "variables": variables,
                "settings": json_digest(job.settings.to_tree()), "code": code_digest(*_CODE),
                "seen": seen_with(environment),
            }, indent=1), encoding="utf-8")
        _say(f"{job.name}: {'goes on' if again else 'begins'}, log in {job.log}")
        with open(job.log, "ab") as log:
            return subprocess.Popen(list(self._command(job)), stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    def _end(self, job: Job, code: int) -> None:
        try:
            if code:
                raise PhotoshootError(_last_words(job.log) or f"exit code {code}")
            outcome = take(job.folder)
        except PhotoshootError as error:
            self._failed[job] = str(error)
            _say(f"{job.name}: no result: {error}")
            return
        champion = ", champion" if outcome.champion else ""
        _say(f"{job.name}: {outcome.verdict}{champion}, {outcome.seconds / 60:.1f} min")

    def _percent(self) -> int:
        ended = len(self._jobs) - len(self._waiting) - len(self._running)
        under_way = sum(share_done(job.home) for job in self._running)
        return int(100 * (ended + under_way) / len(self._jobs))


def _end_all(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    until = time.monotonic() + _GRACE_S
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(until - time.monotonic(), 0))
        stop(child)


def _wait_for(home: Home, seconds: float = 60.0) -> None:
    """Until the run of a command that was killed has ended too."""
    until = time.monotonic() + seconds
    while True:
        try:
            with home.lock():
                return
        except MachineError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _last_words(log: Path) -> str:
    """The error that a run ended with, as it said it; nothing where it did not."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.removeprefix("error:").strip() for line in reversed(lines) if line.startswith("error:")), "")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
