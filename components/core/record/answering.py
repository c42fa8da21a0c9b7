"""Is there a server at an address, and is it MLflow? Asked once and within seconds, before anything else is: MLflow's
own client tries for minutes, and takes whatever is JSON for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components.core.documents import MOST_LINE, json_object
from components.core.errors import MachineError
from components.core.masking import masked, shown

ANSWER_S = 5.0
"""Seconds in which a server must begin to answer; it must have answered in twice as many."""
_UP = "is it up, is the port-forward running, is MLFLOW_TRACKING_URI right?"
_EXPERIMENT = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
_LONGEST = 1 << 16


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a server, and what to do."""

    problem: str
    remedy: str


def check(uri: str) -> None:
    """Raise `MachineError` where `uri` is an HTTP address at which no MLflow server answers. Other addresses pass."""
    wrong = what_is_wrong(uri)
    if wrong:
        raise MachineError(wrong.problem, path=shown(uri), remedy=wrong.remedy)


def what_is_wrong(uri: str) -> Wrong | None:
    """What is wrong with the MLflow server at `uri`; None where nothing is, or where it is no HTTP address.

    It is MLflow if ``/health`` says so, or, where a proxy does not pass that on, if it knows of experiments.
    """
    if not uri.startswith(("http://", "https://")):
        return None
    health = _asked(uri, "/health")
    if isinstance(health, Wrong):
        return health
    status, body, _ = health
    if status == 200 and body.strip() == b"OK":
        return None
    answer = _asked(uri, _EXPERIMENT)
    if isinstance(answer, Wrong):
        return answer
    api_status, body, _ = answer
    if api_status in (401, 403):
        return Wrong(f"MLflow refused: it answers {api_status}", "MLFLOW_TRACKING_USERNAME and "
                     "MLFLOW_TRACKING_PASSWORD say who you are; the server's --allowed-hosts must name this address")
    if _speaks_mlflow(body):
        return None
    said = f"/health answers {status}" if status != 200 else "it answers, but not as MLflow does"
    return Wrong(f"no MLflow server is there: {said}", "is MLFLOW_TRACKING_URI the address of an MLflow server?")


def _speaks_mlflow(body: bytes) -> bool:
    """Whether this is MLflow's answer to the question for an experiment."""
    try:
        content = json_object(body, MOST_LINE)
    except ValueError:
        return False
    found = content.get("experiment")
    return (isinstance(found, dict) and "experiment_id" in found) or (
        content.get("error_code") == "RESOURCE_DOES_NOT_EXIST")


def _asked(uri: str, path: str) -> tuple[int, bytes, str] | Wrong:
    """Status, beginning of the content and host of an answer. A server that drips it byte by byte is given up on."""
    done: list[Any] = []

    def ask() -> None:
        try:
            done.append(_ask(uri, path))
        except Exception as error:  # whatever it is, the server did not answer
            done.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * ANSWER_S)
    if not done:
        return Wrong(f"MLflow does not answer within {2 * ANSWER_S:.0f} s", _UP)
    if isinstance(done[0], Exception):
        return Wrong(f"MLflow does not answer: {_why(done[0])}", _UP)
    status, body, host = done[0]
    if host and host != urlsplit(uri).hostname:
        return Wrong(f"it sends us to another host, {host}",
                     "make MLFLOW_TRACKING_URI that server's address, if it is to be trusted")
    return status, body, host


def _ask(uri: str, path: str) -> tuple[int, bytes, str]:
    """Ask as whoever MLflow's own client would be."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    ask: Callable[..., Any] = http_request
    answer = ask(credentials, path, "GET", max_retries=0, timeout=ANSWER_S, raise_on_status=False, stream=True)
    with answer:
        body = answer.raw.read(_LONGEST, decode_content=True)
        return int(answer.status_code), bytes(body), urlsplit(str(answer.url)).hostname or ""


def _why(error: Exception) -> str:
    """The end of an exception's words, where the cause is: those before it repeat the address."""
    words = masked(str(error)).strip().replace("\n", " ")
    for cause in ("Connection refused", "timed out", "Name or service not known", "CERTIFICATE_VERIFY_FAILED",
                  "Remote end closed connection", "Connection reset", "BadStatusLine", "Connection aborted"):
        if cause in words:
            return cause
    return words[-120:]
