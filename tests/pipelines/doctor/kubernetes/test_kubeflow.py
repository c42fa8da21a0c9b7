"""Kubeflow Pipelines over HTTP: answering or not, and its version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from servers import Handler, http_server, silent_port, url_of

from pipelines.doctor.finding import Level
from pipelines.doctor.kubernetes.kubeflow import kubeflow, version
from pipelines.kubeflow.access import Access


@pytest.fixture
def server() -> Iterator[Any]:
    """A server whose `health` (path -> body; text is HTML) a test can change."""

    class Kubeflow(Handler):
        def do_GET(self) -> None:
            body = self.server.health.get(self.path)  # type: ignore[attr-defined]
            html = isinstance(body, str)
            content = body.encode() if html else json.dumps(body or {"error": "not found"}).encode()
            self.reply(200 if body else 404, content, Content_Type="text/html" if html else "application/json")

    with http_server(Kubeflow) as server:
        server.health = {"/apis/v2beta1/healthz": {"multi_user": False}}  # type: ignore[attr-defined]
        yield server


def _access(server: Any) -> Access:
    return Access(url_of(server), "team")


@pytest.mark.parametrize(("stated", "level"),
                         [("2.17.0", Level.OK), ("2.3.0", Level.PROBLEM), ("unknown", Level.WARNING)])
def test_the_version_is_that_of_the_v1_path(server: Any, stated: str, level: Level) -> None:
    server.health["/apis/v1beta1/healthz"] = {"tag_name": stated, "multi_user": False}
    found = {one.what: one for one in kubeflow(_access(server))}
    assert found["Kubeflow Pipelines"].level == Level.OK
    assert found["Kubeflow Pipelines: version"].level == level and found["Kubeflow Pipelines: version"].found == stated
    assert found["clock against Kubeflow Pipelines"].level == Level.OK


def test_the_page_before_the_server_states_the_version_too(server: Any) -> None:
    server.health["/apis/v2beta1/healthz"] = {"multi_user": True, "apiServerTagName": "2.18.1"}
    found = {one.what: one for one in kubeflow(_access(server))}
    assert found["Kubeflow Pipelines: version"].found == "2.18.1"
    assert "namespace team" in found["Kubeflow Pipelines"].found


def test_a_login_page_is_one_problem(server: Any) -> None:
    server.health = {"/apis/v2beta1/healthz": "<html>Sign in</html>"}
    (found,) = kubeflow(_access(server))
    assert found.level == Level.PROBLEM and "login page" in found.found and "--auth" in found.how_to_mend


def test_a_server_that_is_not_there_is_one_problem() -> None:
    with silent_port() as port:
        (found,) = kubeflow(Access(f"http://127.0.0.1:{port}"))
    assert found.level == Level.PROBLEM and "does not answer" in found.found


@pytest.mark.parametrize(("stated", "level"),
                         [("2.16.9", Level.PROBLEM), ("v3.0.0-rc.1", Level.OK), ("", Level.WARNING)])
def test_versions(stated: str, level: Level) -> None:
    assert version(stated).level == level
