"""Studies of loss weights as their database has them: the list, a study's best weights, the dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.core.errors import MachineError
from components.core.record.step import STUDIES
from components.core.settings import Settings, TuneSettings
from pipelines.display import errors
from pipelines.home.folder import Home
from pipelines.processes import ended_with_us

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


@dataclass(frozen=True)
class StudyRow:
    """One study. `score` is None until a trial has finished."""

    study: str
    trials: dict[str, int]
    score: float | None
    winner: str
    weights: dict[str, float]
    pairs: int | None
    """Validation pairs behind each score."""
    device_seconds: float


def list_studies(home: Home) -> list[StudyRow]:
    """All studies of a home folder (or of the database that the environment names), newest last."""
    import optuna

    return [_row(database, name) for database in [_database(home)] for name in optuna.get_all_study_names(database)]


def with_weights_of(settings: Settings, home: Home, study: str) -> Settings:
    """The settings with the best weights of a study. Raises `InputError` for a study that does not exist."""
    from components.tune import study as studies

    best = studies.best(studies.load(study, _database(home)), settings.tune.keep_face)
    return settings.with_changes([f"train.weights.{name}={best.params[name]!r}" for name in studies.SEARCHED])


def dashboard(home: Home, host: str, port: int) -> None:
    """Serve optuna-dashboard on the studies until interrupted. Raises `MachineError` where it is not installed."""
    database = _database(home)
    address = f"http://{host}:{port}"
    try:
        import optuna_dashboard  # noqa: F401
    except ImportError:
        raise MachineError("optuna-dashboard is not installed",
                           remedy="pip install 'photoshoot[tune]', or `photoshoot studies`") from None
    errors.print(f"studies at {address}  (Ctrl-C ends it)")
    # By the environment, not as an argument, which everybody on this machine can read: it may have a password.
    code = ("import os, sys; from optuna_dashboard import run_server; "
            f"run_server(os.environ['{STUDIES}'], host=sys.argv[1], port=int(sys.argv[2]))")
    server = subprocess.Popen([sys.executable, "-c", code, host, str(port)], start_new_session=True,
                              env=os.environ | {STUDIES: str(database.url)})
    with ended_with_us(server):
        server.wait()


def _database(home: Home) -> RDBStorage:
    from components.tune import study as studies

    return studies.storage(home.studies_url)


def _row(database: RDBStorage, name: str) -> StudyRow:
    from components.tune import study as studies
    from components.tune.trials import score_of, table

    study = studies.load(name, database)
    rows = table(study)
    states = [row.state for row in rows]
    best = studies.best(study, TuneSettings().keep_face) if studies.finished(study) else None
    winner = "" if best is None else best.user_attrs.get(studies.NAME) or f"trial {best.user_attrs[studies.SLOT]:03d}"
    return StudyRow(
        study=name, trials={state: states.count(state) for state in dict.fromkeys(states)},
        score=None if best is None else score_of(best), winner=winner,
        weights={} if best is None else {key: float(best.params[key]) for key in studies.SEARCHED},
        pairs=study.user_attrs.get("pairs"), device_seconds=round(studies.spent(study), 1),
    )
