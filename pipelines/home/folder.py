"""The one folder that holds everything a person's runs leave on this machine (``--home``, default ./.photoshoot)."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import InputError, MachineError, machine_errors
from components.core.record import step
from pipelines.home import moved as moved_home

_ALIVE, _STEPS_LOCK = ".alive", ".steps-lock"
_TRIES, _WAIT_S = 600, 0.1
_NO_ADDRESS = re.compile(r"\?|%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Home:
    """Where things lie under the home folder."""

    root: Path

    @staticmethod
    def at(path: Path, *, repair: bool = False) -> Home:
        """Open or create a home folder; one that was moved since it was last opened is put right first.

        `repair` looks for paths to where it was even where its record says that it was not moved.
        Raises `MachineError` when it cannot be written.
        """
        root = Home.place(path)
        with machine_errors(root):
            try:
                (root / "runs").mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise InputError("is a file, not a folder", path=root, remedy="choose another --home") from None
            trial = root / ".trial"  # one for all: who is killed here leaves it to the next
            trial.write_text("")
            trial.unlink(missing_ok=True)
        repaired = moved_home.settle(root, again=repair)
        if repaired:
            moved_home.tell(repaired, root)
        return Home(root)

    @staticmethod
    def place(path: Path) -> Path:
        """Where a home folder lies, whichever links lead there. Raises `InputError` for a link that leads nowhere
        and for names that no database can have."""
        try:
            path = path.expanduser()
        except RuntimeError as error:  # ~somebody
            raise InputError(f"no such folder: {error}", path=path, remedy="choose another --home") from None
        with machine_errors(path):
            leads_nowhere = path.is_symlink() and not path.exists()
        if leads_nowhere:
            raise InputError(f"a link to {path.readlink()}, which is not there", path=path,
                             remedy="make sure its disk is mounted, fix the link, or choose another --home")
        place = Path(os.path.realpath(path))
        if _NO_ADDRESS.search(str(place)):
            raise InputError("MLflow misreads a question mark, or % with two digits, in a path",
                             path=place, remedy="rename the folder, or choose another --home")
        return place

    @staticmethod
    def found(path: Path, *, repair: bool = False) -> Home:
        """Open a home folder to look into. Raises `InputError` when it is not there: a misspelt name makes no folder.

        With an MLflow server in the environment it may be new, for then it holds nothing that is looked for.
        """
        root = Home.place(path)
        with machine_errors(root):
            there = (root / "runs").is_dir()
        if not there and not os.environ.get("MLFLOW_TRACKING_URI"):
            raise InputError("no home folder here", path=root,
                             remedy="`photoshoot run` makes one; --home or PHOTOSHOOT_HOME names another")
        return Home.at(path, repair=repair)

    @staticmethod
    def if_there(path: Path) -> Home:
        """Open a home folder, or know where it would be: nothing is made where there is none. Raises as `at` does."""
        root = Home.place(path)
        with machine_errors(root):
            there = (root / "runs").is_dir()
        return Home.at(path) if there else Home(root)

    @property
    def tracking_uri(self) -> str:
        """MLflow's store: what the environment says, else a SQLite file here."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / moved_home.DATABASE}"

    @property
    def keeps_records(self) -> bool:
        """Whether that is the file here."""
        return moved_home.keeps_records(self.root)

    @property
    def studies_url(self) -> str:
        """Database of the studies: what the environment says, else a SQLite file here."""
        return os.environ.get(step.STUDIES) or f"sqlite:///{self.root / 'studies.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """Artifacts of MLflow runs."""
        return self.root / "mlflow-artifacts"

    @property
    def pipeline_root(self) -> Path:
        """What the steps wrote."""
        return self.root / "artifacts"

    @property
    def cache(self) -> Path:
        """Which step's work can be reused."""
        return self.root / "cache"

    @property
    def cached_as(self) -> str:
        """How the cache calls this home, so that its keys stay the same wherever it lies."""
        known = moved_home.read(self.root)
        return known.cached_as if known else moved_home.HERE

    @property
    def state(self) -> Path:
        """Checkpoints of training that is under way."""
        return self.root / "state"

    def new_run(self) -> Path:
        """A new folder for one pipeline run; names sort by time."""
        folder = self.root / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        with machine_errors(folder):
            folder.mkdir(parents=True)
        return folder

    @contextmanager
    def alive(self, folder: Path) -> Iterator[None]:
        """Hold a run's folder while its command lives: the kernel lets go whatever ends it, SIGKILL included."""
        with machine_errors(folder), open(folder / _ALIVE, "a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_alive(self, run_id: str) -> bool | None:
        """Whether the command of a run of this home still lives; None for runs that are not of this home."""
        try:
            with open(self.root / "runs" / run_id / _ALIVE, encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except (FileNotFoundError, NotADirectoryError):
            return False if (self.root / "runs" / run_id).is_dir() else None

    def last_sign(self, run_id: str) -> float | None:
        """When a run of this home last wrote an event (seconds since the epoch); None where there is no such file."""
        try:
            return (self.root / "runs" / run_id / "events.jsonl").stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def steps_alive(self) -> Iterator[None]:
        """Hold the home's steps for as long as the process that runs them lives; waits for those of a killed run, which
        end by themselves within seconds."""
        with machine_errors(self.root), open(self.root / _STEPS_LOCK, "a+", encoding="utf-8") as file:
            for _ in range(_TRIES):
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_WAIT_S)
            else:
                raise MachineError("steps of a run that was killed are still under way here", path=self.root,
                                   remedy="end their processes, then run the same command again")
            yield

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home for one pipeline run; a second one is told at once instead of sharing half-made state. Steps
        that a killed run left are waited for."""
        with machine_errors(self.root), open(self.root / moved_home.RUN_LOCK, "a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MachineError("another run is using this folder", path=self.root,
                                   remedy="wait for it, or use another --home") from None
            with self.steps_alive():
                pass
            yield
