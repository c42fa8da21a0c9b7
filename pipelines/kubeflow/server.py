"""A Kubeflow Pipelines server (2.17, API v2beta1), over KFP's own API client.

Every request goes through `_Api.request`: time limits, renewed credentials, patience with a connection that comes and
goes, and errors in one line. What KFP's `Client.wait_for_run_completion` does not do (it never returns for a cancelled
run) is done in `pipelines.kubeflow.follow`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import kfp_server_api
import urllib3
from kfp_server_api.exceptions import ApiException

from components.core.errors import InputError, MachineError, PhotoshootError
from pipelines.kubeflow.access import Access

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Experiment, V2beta1RecurringRun, V2beta1Run

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CONNECT_S, _READ_S = 10.0, 60.0
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_PASSING = {429, 502, 503, 504}
_MAYBE_PASSING, _MAYBE_TRIES = {409, 500}, 4
"""Often a conflict or a hiccup inside, sometimes an answer for good: a question is asked again a few times only."""
_TRIES = 6
ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
_LOGIN = {301, 302, 303, 307, 308}
_NOT_ARCHIVED = json.dumps(
    {"predicates": [{"operation": "NOT_EQUALS", "key": "storage_state", "stringValue": "ARCHIVED"}]})


class LostConnection(MachineError):
    """The server did not answer within the patience there was."""


class Server:
    """A connection. `patience` (seconds): how long a server that does not answer is asked again."""

    def __init__(
        self, access: Access, *, patience: float = 60.0, note: Callable[[str], None] = lambda text: None
    ) -> None:
        self.access = access
        self.host = access.address()
        configuration = kfp_server_api.Configuration(host=self.host)
        configuration.retries = False  # ours are: urllib3's would repeat what must not happen twice
        configuration.ssl_ca_cert = os.environ.get("SSL_CERT_FILE")  # a company's own authority
        self._api = _Api(configuration, access, patience, note)
        self.runs = kfp_server_api.RunServiceApi(self._api)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._api)
        self.recurring = kfp_server_api.RecurringRunServiceApi(self._api)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._api)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._api)
        with self.errors():
            health = kfp_server_api.HealthzServiceApi(self._api).healthz_service_get_healthz()
        self.namespace = access.pods_namespace() if health.multi_user else None
        """The person's namespace; None on a server for one, which refuses to be told any."""

    def run(self, run_id: str) -> V2beta1Run:
        """A run. Raises `InputError` when there is none of that id."""
        with self.errors(f"run {run_id}"):
            return self.runs.run_service_get_run(run_id=run_id)

    def resolve(self, name_or_id: str) -> V2beta1Run:
        """A run by its id, or the newest of that name. Raises `InputError` when there is none."""
        if _UUID.fullmatch(name_or_id):
            return self.run(name_or_id)
        with self.errors():
            found = self.runs.run_service_list_runs(namespace=self.namespace, page_size=1, sort_by="created_at desc",
                                                    filter=equals("display_name", name_or_id)).runs
        if not found:
            raise InputError(f"no run {name_or_id} on {self.host}", remedy="`photoshoot runs --kubeflow` lists them")
        return self.run(str(found[0].run_id))

    def list_runs(self, last: int) -> list[V2beta1Run]:
        """The newest runs, newest first."""
        with self.errors():
            found = self.runs.run_service_list_runs(
                namespace=self.namespace, page_size=last, sort_by="created_at desc", filter=_NOT_ARCHIVED)
        return list(found.runs or [])

    def find_run(self, name: str, description: str) -> V2beta1Run | None:
        """The run of that name and description, if there is one."""
        with self.errors():
            found = self.runs.run_service_list_runs(namespace=self.namespace, page_size=50, sort_by="created_at desc",
                                                    filter=equals("display_name", name))
        return next((run for run in found.runs or [] if run.description == description), None)

    def cancel(self, run_id: str) -> None:
        """End a run. Its pods end within half a minute."""
        with self.errors(f"run {run_id}"):
            self.runs.run_service_terminate_run(run_id=run_id)

    def start(self, body: V2beta1Run) -> str:
        """Start a run, which a text in its description tells from all others; returns its id.

        Should the connection break, or the server stumble, it is asked whether it had taken the run: there are never
        two of it. Raises `LostConnection` where that cannot be told.
        """
        for attempt in range(_TRIES):
            try:
                with self.errors("pipeline version"):
                    return str(self.runs.run_service_create_run(body).run_id)
            except (LostConnection, _Stumbled) as error:
                taken = self.find_run(body.display_name, body.description)
                if taken is not None:
                    return str(taken.run_id)
                if isinstance(error, LostConnection) or attempt == _TRIES - 1:
                    raise
            time.sleep(_WAITS_S[min(attempt, len(_WAITS_S) - 1)])
        raise AssertionError("unreachable")

    def retry(self, run_id: str) -> None:
        """Run the failed steps of a run again, and what comes after them.

        The server refuses while pods of the run are still ending: it is asked again until they have.
        """
        deadline, tries, ended = time.monotonic() + self._api.patience, 0, False
        while True:
            try:
                with self.errors(f"run {run_id}"):
                    self.runs.run_service_retry_run(run_id=run_id)
                    return
            except (LostConnection, _Stumbled) as error:
                state = self.run(run_id).state
                if state not in ENDED and (ended or isinstance(error, LostConnection)):
                    return  # it was taken, and only the answer lost
                ended = state in ("FAILED", "CANCELED")
                wait = _WAITS_S[min(tries, len(_WAITS_S) - 1)]
                if not ended or time.monotonic() + wait > deadline:
                    raise error from None
            tries += 1
            time.sleep(wait)

    def experiment(self, name: str, again: int = _TRIES) -> V2beta1Experiment:
        """The experiment of that name; it is made where there is none."""
        with self.errors(f"experiment {name}"):
            found = self.experiments.experiment_service_list_experiments(
                namespace=self.namespace, page_size=10, filter=equals("display_name", name))
            if found.experiments:
                return found.experiments[0]
            try:
                return self.experiments.experiment_service_create_experiment(
                    kfp_server_api.V2beta1Experiment(display_name=name, namespace=self.namespace))
            except (ApiException, LostConnection) as error:
                if getattr(error, "status", 500) not in _MAYBE_PASSING | _PASSING or again == 0:
                    raise
        time.sleep(_WAITS_S[0])
        return self.experiment(name, again - 1)  # somebody else has made it meanwhile, or the server stumbled

    def schedules(self) -> list[V2beta1RecurringRun]:
        """Recurring runs, newest first."""
        with self.errors():
            found = self.recurring.recurring_run_service_list_recurring_runs(
                namespace=self.namespace, page_size=100, sort_by="created_at desc")
        return list(found.recurring_runs or [])

    def delete_schedule(self, schedule_id: str) -> None:
        """No further runs; those that were started go on."""
        with self.errors(f"schedule {schedule_id}"):
            self.recurring.recurring_run_service_delete_recurring_run(recurring_run_id=schedule_id)

    @contextmanager
    def errors(self, what: str = "") -> Iterator[None]:
        """Turn the API client's errors into ours; `what` is what a 404 did not find."""
        try:
            yield
        except ApiException as error:
            raise _plain(error, self.host, what) from None


class _Stumbled(MachineError):
    """The server refuses for now, or for good: a conflict, or an error inside."""


class _Api(kfp_server_api.ApiClient):  # type: ignore[misc]
    def __init__(self, configuration: Any, access: Access, patience: float, note: Callable[[str], None]) -> None:
        super().__init__(configuration)
        self._credentials = access.credentials()
        self.patience = patience
        self._note = note

    def request(self, method: str, url: str, **options: Any) -> Any:
        """One request, again where that is safe: see `_may_repeat`."""
        options["_request_timeout"] = options.get("_request_timeout") or (_CONNECT_S, _READ_S)
        own = dict(options.pop("headers", None) or {})
        renewed, tries, deadline = False, 0, time.monotonic() + self.patience
        while True:
            headers = own | self._credentials.headers()  # a copy: the client takes things out of it
            try:
                return _answered(super().request(method, url, headers=headers, **options), self.configuration.host)
            except ApiException as error:
                if error.status == 401 and not renewed and self._credentials.renew():
                    renewed = True
                    continue
                repeatable = error.status == 429 or _may_repeat(method, url)
                passing = error.status in _PASSING or (error.status in _MAYBE_PASSING and tries < _MAYBE_TRIES)
                if not (passing and repeatable):
                    raise
                problem = f"answers {error.status}"
            except urllib3.exceptions.HTTPError as error:
                problem = _cause(error)
                if not (_may_repeat(method, url) or isinstance(error, urllib3.exceptions.NewConnectionError)):
                    raise LostConnection(f"the connection to {self.configuration.host} broke: {problem}") from None
            wait = _WAITS_S[min(tries, len(_WAITS_S) - 1)]
            if time.monotonic() + wait > deadline:
                raise LostConnection(f"{self.configuration.host} does not answer: {problem}",
                                     remedy="is it up, is the port-forward running, is --host right?")
            if tries == 0:
                self._note(f"{self.configuration.host}: {problem}; trying again")
            tries += 1
            time.sleep(wait)


def _may_repeat(method: str, url: str) -> bool:
    """Whether it does no harm to do twice what may have been done once; a second run would cost money."""
    return method in ("GET", "DELETE") or url.endswith(":terminate")


def _answered(response: Any, host: str) -> Any:
    """The response, unless it is a login page: the API client would read that as an empty object."""
    kind = response.getheader("Content-Type", "") or ""
    if "html" in kind or response.data[:1] == b"<":
        raise _login(host)
    return response


def _plain(error: ApiException, host: str, what: str) -> PhotoshootError:
    said = _message(error)
    if error.status in _LOGIN:
        return _login(host)
    if error.status == 401:
        return MachineError(f"{host} rejects your credentials: the token or cookie is missing or has expired",
                            remedy="log in again and renew the file that --auth token:FILE or cookies:FILE names")
    if error.status == 403:
        return MachineError(f"{host} does not allow this: {said}", remedy="check --namespace")
    if error.status == 404:
        return InputError(f"no {what or 'such thing'} on {host}", remedy="`photoshoot runs --kubeflow` lists runs")
    if error.status == 0:
        return MachineError(f"no secure connection to {host}: {said}",
                            remedy="point SSL_CERT_FILE at your certificate authority's file")
    stumbled = error.status in _MAYBE_PASSING | _PASSING
    kind = InputError if error.status == 400 else _Stumbled if stumbled else MachineError
    return kind(f"{host} refuses ({error.status}): {said}", remedy="`photoshoot doctor` checks the server")


def _login(host: str) -> MachineError:
    return MachineError(f"{host} answers with a login page, not with Kubeflow's API",
                        remedy="log in, then --auth cookies:FILE; or --auth iap:CLIENT_ID, or a port-forward")


def _message(error: ApiException) -> str:
    """What the server says, in one line."""
    try:
        body = json.loads(error.body)
        text = str(body.get("message") or body.get("error") or body)
    except (TypeError, ValueError, AttributeError):
        text = str(error.reason or "")
    return " ".join(text.split())[:300]


def _cause(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "no answer in time"
    text = " ".join(str(error).split())
    return text.rpartition(": ")[2].strip("\"')( ") or type(error).__name__


def equals(key: str, value: str) -> str:
    """A filter of lists: one field is one value."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})
