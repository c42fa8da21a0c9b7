"""Vertex AI's REST API for pipeline jobs (v1): create, get, list, cancel.

As documented at cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs. A job's id is ours,
so that a request whose answer was lost can be made again: there are never two of a run.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from google.auth import default as default_credentials
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from components.core.errors import InputError, MachineError
from pipelines.kubeflow.server import LostConnection

ENDPOINT = "PHOTOSHOOT_VERTEX_ENDPOINT"
"""Environment variable: another address than https://REGION-aiplatform.googleapis.com, such as that of Private Service
Connect. Over http:// (an emulator) no credentials are sent."""
LABEL = "photoshoot-preset"
"""Label of our jobs, by which they are told from others."""
_JOB = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<region>[a-z0-9-]+)/pipelineJobs/(?P<id>[a-z][-a-z0-9]*)")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+\d+")
_JOB_ID = "pipelineJobId"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMES_S = (10.0, 60.0)
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_PASSING = {408, 429, 500, 502, 503, 504}
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}


@dataclass(frozen=True)
class Place:
    """A project and a region."""

    project: str
    region: str

    @property
    def parent(self) -> str:
        """As the API names it."""
        return f"projects/{self.project}/locations/{self.region}"

    def page(self, job: str) -> str:
        """Address of a run's page in Google's console."""
        return (f"https://console.cloud.google.com/vertex-ai/locations/{self.region}/pipelines/runs/"
                f"{job.rpartition('/')[2]}?project={self.project}")


def is_job(name: str) -> bool:
    """Whether a run's name is that of a pipeline job, ``projects/P/locations/R/pipelineJobs/ID``."""
    return _JOB.fullmatch(name) is not None


def place_of(job: str) -> Place:
    """The project and region in a job's name."""
    found = _JOB.fullmatch(job)
    if not found:
        raise InputError(f"{job} is no pipeline job", remedy="projects/PROJECT/locations/REGION/pipelineJobs/ID")
    return Place(found["project"], found["region"])


def place(project: str | None, region: str | None) -> Place:
    """Project and region as given. Raises `InputError` where there is none."""
    if not project:
        raise InputError("no project given for Vertex AI",
                         remedy="--project, GOOGLE_CLOUD_PROJECT, or vertex: {project: ...} in the profile")
    if not region or not _REGION.fullmatch(region):
        raise InputError(f"{region} is no region" if region else "no region given for Vertex AI",
                         remedy="--region us-central1, GOOGLE_CLOUD_REGION, or vertex: {region: ...} in the profile")
    return Place(project, region)


class Vertex:
    """A connection. `patience` (seconds): how long a service that does not answer is asked again."""

    def __init__(
        self, where: Place, *, patience: float = 60.0, note: Callable[[str], None] = lambda text: None
    ) -> None:
        self.where = where
        self.host = (os.environ.get(ENDPOINT) or f"https://{where.region}-aiplatform.googleapis.com").rstrip("/")
        self.patience = patience
        self._note = note
        self._session: Any = AuthorizedSession(_credentials(self.host))  # type: ignore[no-untyped-call]

    def create(self, job_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a job under an id of ours; returns it as the service has it."""
        name = f"{self.where.parent}/pipelineJobs/{job_id}"
        answer = self._ask("POST", f"{self.where.parent}/pipelineJobs", body, params={_JOB_ID: job_id}, what=name)
        # Nobody else makes such an id: a conflict says that an earlier try was taken, and its answer lost.
        return self.get(name) if answer is None else answer

    def get(self, name: str) -> dict[str, Any]:
        """A job. Raises `InputError` when there is none of that name."""
        return self._ask("GET", name, what=name) or {}

    def list(self, last: int) -> list[dict[str, Any]]:
        """Our newest jobs of the region, newest first."""
        asked = {"filter": f"labels.{LABEL}:*", "orderBy": "create_time desc", "pageSize": str(min(last, 100))}
        found: list[dict[str, Any]] = []
        while len(found) < last:
            answer = self._ask("GET", f"{self.where.parent}/pipelineJobs", params=asked) or {}
            found += answer.get("pipelineJobs", [])
            if not answer.get("nextPageToken"):
                break
            asked["pageToken"] = answer["nextPageToken"]
        return found[:last]

    def cancel(self, name: str) -> None:
        """Ask for the end of a job. What its steps have finished stays in the cache."""
        self._ask("POST", f"{name}:cancel", {}, what=name)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *,
             params: Mapping[str, str] | None = None, what: str = "") -> dict[str, Any] | None:
        """One request, again while the service is away; None where the id of a new job is taken."""
        tries, deadline = 0, time.monotonic() + self.patience
        while True:
            problem = ""
            try:
                answer = self._session.request(method, f"{self.host}/v1/{path}", params=params, json=body,
                                               timeout=_TIMES_S, allow_redirects=False)
            except GoogleAuthError as error:
                if not getattr(error, "retryable", False):
                    raise _no_credentials(error) from None
                problem = _line(error)
            except (requests.ConnectionError, requests.Timeout) as error:
                problem = "no answer in time" if isinstance(error, requests.Timeout) else "the connection broke"
            else:
                if answer.status_code == 409 and _JOB_ID in (params or {}):
                    return None
                if answer.status_code not in _PASSING:
                    return self._read(answer, what)
                problem = f"answers {answer.status_code}: {_said(answer)}".rstrip(": ")
            wait = _WAITS_S[min(tries, len(_WAITS_S) - 1)]
            if time.monotonic() + wait > deadline:
                raise LostConnection(f"{self.host}: {problem}", remedy="is the region right, and the network up?")
            if tries == 0:
                self._note(f"{self.host}: {problem}; trying again")
            tries += 1
            time.sleep(wait)

    def _read(self, answer: requests.Response, what: str) -> dict[str, Any]:
        status, said = answer.status_code, _said(answer)
        if status == 401:
            raise MachineError(f"{self.host} rejects your credentials: {said}",
                               remedy="gcloud auth application-default login")
        if status == 403:
            raise MachineError(f"{self.host} does not allow this: {said}",
                               remedy=f"roles/aiplatform.user in {self.where.project}, and the API enabled: "
                                      "gcloud services enable aiplatform.googleapis.com")
        if status == 404:
            raise InputError(f"no {what or 'such thing'} on {self.host}",
                             remedy="`photoshoot runs --vertex` lists runs")
        if status != 200:
            kind = InputError if status == 400 else MachineError
            raise kind(f"{self.host} refuses ({status}): {said}", remedy="correct what it names")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise MachineError(f"{self.host} answers with something else than Vertex AI's API",
                               remedy=f"is there a proxy, is {ENDPOINT} right?")
        return found


def _credentials(host: str) -> Any:
    if host.startswith("http://"):
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        return default_credentials(scopes=[_SCOPE])[0]
    except DefaultCredentialsError as error:
        raise _no_credentials(error) from None


def _no_credentials(error: Exception) -> MachineError:
    return MachineError(f"no valid Google credentials: {_line(error)}", remedy="gcloud auth application-default login")


def _said(answer: requests.Response) -> str:
    """The message of a google.rpc.Status, in one line."""
    try:
        text = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = answer.reason or ""
    return " ".join(text.split())[:300]


def _line(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())[:300]
