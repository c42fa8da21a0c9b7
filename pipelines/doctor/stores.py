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
from urllib.parse import urlsplit

from components.core.errors import PhotoshootError
from components.core.record.step import STUDIES
from components.core.record.tracking import TRACKING_URI, client
from pipelines.doctor.checks import of_error
from pipelines.doctor.clock import clock
from pipelines.doctor.finding import Finding, ok, problem

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TRIAL = "photoshoot-doctor"
_MLFLOW, _STUDIES, _ARTIFACTS = "MLflow", "studies", "MLflow's artifacts"
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
    """Whether the server is there at all, within seconds (MLflow's own client asks for minutes), and its clock."""
    try:
        answer = _ask(uri, "/health", "GET")
    except Exception as error:
        return False, [problem(_MLFLOW, f"{shown(uri)} does not answer: {error}", "an MLflow server",
                               f"is it up, is the port-forward running, is {TRACKING_URI} right?")]
    if answer.status_code != 200:
        mend = ("its --allowed-hosts does not name this address" if answer.status_code == 403
                else f"is {TRACKING_URI} the address of an MLflow server?")
        return False, [problem(_MLFLOW, f"{shown(uri)}/health answers {answer.status_code}", "200", mend)]
    return True, clock(_MLFLOW, answer.headers)


def _register_and_forget(mlflow: MlflowClient) -> None:
    name = f"{TRIAL}-{secrets.token_hex(4)}"
    mlflow.create_registered_model(name, description="Written and deleted by `photoshoot doctor`.")
    mlflow.delete_registered_model(name)


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


def shown(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else url


