"""The record (MLflow) and the studies (Optuna): reachable, of the right version, and can they be written?

Writing is tried with things that can be taken away without a trace: a registered model of a name of its own, an empty
study, a file in the artifact store.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import MachineError, PhotoshootError
from components.core.masking import shown
from components.core.record.answering import what_is_wrong
from components.core.record.registry import Versions
from components.core.record.step import STUDIES
from components.core.record.tracking import TRACKING_URI, client
from pipelines.doctor.checks import of_error
from pipelines.doctor.clock import clock
from pipelines.doctor.finding import Finding, ok, problem

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TRIAL = "photoshoot-doctor"
_MLFLOW, _STUDIES, _ARTIFACTS = "MLflow", "studies", "MLflow's artifacts"
_CHAMPION, _LEDGER = "champion", "ledger"
_ANSWER_S = 5
_DESTINATION = "can the server's account write to its --artifacts-destination?"
_WRITABLE = "a store that can be read and written"


def mlflow_store(uri: str, experiment: str) -> list[Finding]:
    """Whether `experiment` can be recorded and versions registered at `uri` (sqlite, HTTP or another database)."""
    path = sqlite_file(uri)
    if path is not None and not path.exists():
        return [ok(_MLFLOW, f"{path}: the first run makes it", _WRITABLE)]
    from mlflow.exceptions import MlflowException

    found: list[Finding] = []
    if uri.startswith("http"):
        answered, found = _health(uri)
        if not answered:
            return found
    try:
        mlflow = client(uri)
        known = mlflow.get_experiment_by_name(experiment)
        _register_and_forget(mlflow)
        if known is not None:
            mlflow.set_experiment_tag(known.experiment_id, TRIAL, "written and deleted")
            with suppress(MlflowException):  # servers before MLflow 3.3 cannot take it away
                mlflow.delete_experiment_tag(known.experiment_id, TRIAL)
    except PhotoshootError as error:
        return [*found, of_error(_MLFLOW, error)]
    except Exception as error:  # MlflowException, SQLAlchemy's, requests': all say what is wrong
        return [*found, _refused(_MLFLOW, uri, error)]
    runs = f"experiment {experiment} is there" if known else f"experiment {experiment} will be made"
    return [*found, ok(_MLFLOW, f"{shown(uri)} reads and writes; {runs}", _WRITABLE),
            *_artifacts(uri, known.artifact_location if known else "")]


def _health(uri: str) -> tuple[bool, list[Finding]]:
    """Whether an MLflow server is there at all, within seconds (MLflow's client asks for minutes), and its clock."""
    wrong = what_is_wrong(uri)
    if wrong:
        return False, [problem(_MLFLOW, f"{shown(uri)}: {wrong.problem}", "an MLflow server", wrong.remedy)]
    try:
        return True, clock(_MLFLOW, _ask(uri, "/health", "GET").headers)
    except Exception:  # it has just answered; what it does not say now, the next look finds
        return True, []


def _register_and_forget(mlflow: MlflowClient) -> None:
    name = f"{TRIAL}-{secrets.token_hex(4)}"
    mlflow.create_registered_model(name, description="Written and deleted by `photoshoot doctor`.")
    kept = mlflow.get_registered_model(name)
    mlflow.delete_registered_model(name)
    if kept.name != name:
        raise MachineError("it does not give back what it was given", remedy=f"is {TRACKING_URI} an MLflow server?")


def _artifacts(uri: str, location: str) -> list[Finding]:
    """Whether the server takes artifacts, where it does so itself; else the steps write to `location` on their own."""
    if not uri.startswith("http"):
        return []
    if location and not location.startswith("mlflow-artifacts"):
        return [ok(_ARTIFACTS, f"steps write to {location} themselves")]
    path, wanted = f"/api/2.0/mlflow-artifacts/artifacts/{TRIAL}-{secrets.token_hex(4)}", "a store that can be written"
    try:
        status = _ask(uri, path, "PUT", data=b"trial").status_code
    except Exception as error:
        return [problem(_ARTIFACTS, f"the server cannot keep a file: {error}", wanted, _DESTINATION)]
    if status != 200:
        return [problem(_ARTIFACTS, f"the server cannot keep a file: it answers {status}", wanted, _DESTINATION)]
    with suppress(Exception):  # a server may refuse to delete; five bytes stay
        _ask(uri, path, "DELETE")
    return [ok(_ARTIFACTS, "the server keeps files")]


def _ask(uri: str, path: str, method: str, **more: Any) -> Any:
    """An answer of the server, as whoever MLflow's own client would be, but once and within seconds."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    ask: Callable[..., Any] = http_request
    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    return ask(credentials, path, method, max_retries=0, timeout=_ANSWER_S, raise_on_status=False, **more)


def champion(uri: str, model_name: str) -> list[Finding]:
    """Whether the alias that is served is what the ledger says. Nothing where there is no registry to ask."""
    path = sqlite_file(uri)
    if (path is not None and not path.exists()) or what_is_wrong(uri):
        return []
    try:
        versions = Versions(model_name, uri)
        found, journal = versions.champion(), versions.journal()
    except PhotoshootError:
        return []  # "MLflow" says so
    wanted = "as the ledger says"
    odd = [problem(_CHAMPION, note.partition(": `")[0], wanted, "photoshoot promote --repair")
           for note in versions.notes]
    odd += [problem(_LEDGER, complaint, "as it was written", "photoshoot audit") for complaint in journal.complaints]
    if odd or found is None:
        return odd
    return [ok(_CHAMPION, f"version {found.number} of {model_name}", wanted)]


def studies(url: str, enabled: bool) -> list[Finding]:
    """Whether studies can be kept at `url` (as SQLAlchemy writes it); only asked where they will be."""
    if not enabled and not os.environ.get(STUDIES):
        return [ok(_STUDIES, "not needed (tune.enabled is false)")]
    path = sqlite_file(url)
    if path is not None and not path.exists():
        return [ok(_STUDIES, f"{path}: the first study makes it", _WRITABLE)]
    import optuna

    from components.tune.study import storage

    try:
        database = storage(url)
    except PhotoshootError as error:
        return [of_error(_STUDIES, error, wanted=_WRITABLE)]
    name = f"{TRIAL}-{secrets.token_hex(4)}"
    try:
        optuna.create_study(study_name=name, storage=database)
        optuna.delete_study(study_name=name, storage=database)
    except Exception as error:
        return [_refused(_STUDIES, url, error)]
    finally:
        database.engine.dispose()
    return [ok(_STUDIES, f"{shown(url)} reads and writes", _WRITABLE)]


def _refused(what: str, uri: str, error: Exception) -> Finding:
    text = str(error).strip().partition("\n")[0]
    mend = f"check {TRACKING_URI if what == _MLFLOW else STUDIES} and what its account may do"
    if any(word in text for word in ("401", "UNAUTHENTICATED", "not authenticated")):
        mend = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say who you are"
    elif "mlflow db upgrade" in str(error):
        mend = f"keep a copy of the database, then: mlflow db upgrade {shown(uri)}"
    elif "locked" in text:
        mend = "another program holds the file: end it"
    elif "readonly" in text or "read-only" in text:
        mend = "make the file and its folder writable"
    return problem(what, f"{shown(uri)}: {text or type(error).__name__}", _WRITABLE, mend)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite address."""
    return Path(url.partition(":///")[2]) if url.startswith("sqlite:///") else None


