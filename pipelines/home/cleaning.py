"""The verb `clean`: what a home holds that nothing needs any more, and freeing it.

A registered version needs its own files, which MLflow keeps, and here the outputs of the run that made it; a study the
people and identities of the run that searched. What else the steps left can be made again by the same command. Entries
of the cache go before what they refer to, so that nothing refers to what is gone, wherever cleaning is interrupted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.model import read_card
from components.core.errors import MachineError, machine_errors
from components.core.record import tracking
from components.core.record.tracking_errors import tracking_errors
from pipelines.home import leftovers
from pipelines.home import moved as moved_home
from pipelines.home.folder import Home

STUDY_TAG = "photoshoot.study"
_PARENT_TAG = "mlflow.parentRunId"
_PAGE = 200
_DIGITS = 16
"""Of a training's digest, in the name of the folder of its checkpoints."""


@dataclass(frozen=True)
class Freed:
    """One kind of what can be freed: what it is, how many, how many bytes, and where."""

    what: str
    count: int
    bytes: int
    paths: tuple[Path, ...]


def needless(home: Home) -> list[Freed]:
    """What nothing needs; nothing is changed. Raises `MachineError` where the registry or the studies cannot be read:
    then it cannot be told what they need."""
    with machine_errors(home.root), tracking_errors(home.tracking_uri):
        needed = _needed(home)
        entries = [entry for entry, output in leftovers.cached(home).items() if output.parts[:2] not in needed]
        steps = [step for step in _steps(home) if (step.parent.name, step.name) not in needed]
        kinds = (
            ("entries of the cache", entries), ("outputs of steps that no version or study needs", steps),
            ("checkpoints of trainings that are done", list(_checkpoints(home))),
            ("copies that are made again when they are needed", list(_copies(home))),
        )
        return [Freed(what, len(paths), sum(map(_size, paths)), tuple(paths)) for what, paths in kinds if paths]


def clean(home: Home, told: Callable[[Freed], None] = lambda freed: None) -> list[Freed]:
    """Free all of `needless`, and what killed processes left; what was freed.

    Interrupted, it goes on when called again. Raises `MachineError` while a run is under way in the home, and as
    `needless` does.
    """
    with home.lock():
        found = needless(home)
        with machine_errors(home.root):
            for freed in found:
                for path in freed.paths:
                    _remove(path)
                told(freed)
            leftovers.sweep(home)
            for run in home.pipeline_root.glob("*"):
                if run.is_dir() and not any(run.iterdir()):
                    run.rmdir()
    return found


def _needed(home: Home) -> set[tuple[str, ...]]:
    """(run of the pipeline, step) of the outputs of runs with a version or a study."""
    finished = leftovers.finished(home)
    return {output.parts[:2] for run in _runs_with_results(home) for output in finished.get(run, {}).values()}


def _runs_with_results(home: Home) -> set[str]:
    """Names of the pipeline runs that a registered version or a study came of."""
    mlflow = tracking.client(home.tracking_uri)
    above: set[str] = set()
    token = None
    while token is None or token:
        page = mlflow.search_model_versions(max_results=_PAGE, page_token=token)
        above |= {run.data.tags.get(_PARENT_TAG, run.info.run_id)
                  for version in page if version.run_id for run in (mlflow.get_run(version.run_id),)}
        token = page.token or ""
    names = {mlflow.get_run(run).data.tags.get(moved_home.RUN_TAG, "") for run in above}
    experiments = [found.experiment_id for found in mlflow.search_experiments()]
    studies = _studies(home)
    searched = mlflow.search_runs(experiments, f"tags.`{STUDY_TAG}` != ''") if studies else []
    names |= {run.data.tags.get(moved_home.RUN_TAG, "") for run in searched if run.data.tags[STUDY_TAG] in studies}
    return names - {""}


def _studies(home: Home) -> set[str]:
    """Names of the studies; of a database that is not there, none."""
    url = home.studies_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return set()
    try:
        import optuna

        return set(optuna.get_all_study_names(url))
    except ImportError:
        raise MachineError("optuna, which knows what the studies need, is not installed", path=home.root,
                           remedy="pip install 'photoshoot[tune]'") from None
    except Exception as error:  # SQLAlchemy's and the drivers' errors have no common base
        raise MachineError(f"the studies cannot be read ({type(error).__name__})", path=home.root,
                           remedy="check PHOTOSHOOT_STUDIES, or the file studies.db") from None


def _steps(home: Home) -> Iterator[Path]:
    for run in sorted(home.pipeline_root.glob("*")):
        yield from (step for step in sorted(run.iterdir()) if step.is_dir()) if run.is_dir() else ()


def _checkpoints(home: Home) -> Iterator[Path]:
    """Checkpoints of trainings whose model is whole: they are there to go on with."""
    done = {str(card["digest"])[:_DIGITS] for step in _steps(home) for model in step.iterdir()
            if model.is_dir() and (card := read_card(model)) and "digest" in card}
    if home.state.is_dir():
        yield from (path for path in sorted(home.state.iterdir()) if path.name in done)


def _copies(home: Home) -> Iterator[Path]:
    """What was measured of real photos, photos from a bucket, records of runs made elsewhere, pages of `compare`."""
    for folder in (home.state / "reference", home.state / "comparisons", home.state / "photos", home.root / "fetched",
                   home.root / "compared"):
        if folder.is_dir():
            yield from sorted(folder.iterdir())


def _size(path: Path) -> int:
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(Path(place, name).lstat().st_size for place, _, names in os.walk(path) for name in names)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
