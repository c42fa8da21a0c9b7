"""Kubeflow Pipelines: answering, of a version that can run what this package compiles, and where it keeps artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.core.errors import PhotoshootError
from pipelines.doctor.checks import of_error
from pipelines.doctor.clock import clock
from pipelines.doctor.finding import Finding, ok, problem, warning
from pipelines.kubeflow.access import Access
from pipelines.kubeflow.server import Server

_WHAT = "Kubeflow Pipelines"
LEAST = (2, 17)
_MEND = "upgrade the server (docs/gke.md, step 6)"
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


def kubeflow(access: Access) -> list[Finding]:
    """Whether the server answers on its v2 API, and its version."""
    try:
        server = Server(access, patience=2.0)
    except PhotoshootError as error:
        return [of_error(_WHAT, error, wanted="Kubeflow's API, v2beta1")]
    multi_user = f"for many people, namespace {server.namespace}" if server.namespace else "for one"
    found = [ok(_WHAT, f"{server.host} answers; {multi_user}", "its API, v2beta1")]
    stated, headers = _health(server)
    return [*found, version(stated), *clock(_WHAT, headers)]


def version(stated: str) -> Finding:
    """Whether the version that a server states can run pipelines compiled by KFP 2.17."""
    wanted = ".".join(map(str, LEAST)) + " or newer"
    numbers = _NUMBERS.search(stated)
    if numbers is None:
        return warning(f"{_WHAT}: version", stated or "not stated", wanted,
                       "kubectl get deployment ml-pipeline -o wide shows its image")
    if (int(numbers[1]), int(numbers[2])) < LEAST:
        return problem(f"{_WHAT}: version", stated, wanted, _MEND)
    return ok(f"{_WHAT}: version", stated, wanted)


def _health(server: Server) -> tuple[str, Mapping[str, str]]:
    """Version and headers. The v2 answer's model drops the version; the v1 path and the UI's proxy state it."""
    stated, headers = "", {}
    for path in ("/apis/v2beta1/healthz", "/apis/v1beta1/healthz"):
        try:
            with server.errors():
                data, _, headers = server.runs.api_client.call_api(
                    path, "GET", response_type="object", _return_http_data_only=False)
        except PhotoshootError:
            continue  # newer servers may drop the v1 path
        stated = stated or _tag(data)
    return stated, headers


def _tag(data: Any) -> str:
    return str(data.get("tag_name") or data.get("apiServerTagName") or "") if isinstance(data, dict) else ""
