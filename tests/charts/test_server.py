"""The chart's MLflow server, started here with exactly the command, environment and files that the chart gives its pod,
and the chart's own scripts against it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Handler, Service, free_port, http_server, url_of

FILES = Path(__file__).resolve().parents[2] / "charts" / "photoshoot" / "files"
PATIENCE = 120.0
API = "/api/2.0/mlflow"
EXPERIMENT = f"{API}/experiments/get?experiment_id=0"


class Server:
    """A running MLflow server and what the chart knows of it."""

    def __init__(self, rendered: Any, port: int) -> None:
        self.rendered, self.port, self.uri = rendered, port, f"http://127.0.0.1:{port}"
        environment = rendered.environment(rendered.container("Deployment", "-mlflow"))
        self.admin = f"admin:{environment['MLFLOW_AUTH_ADMIN_PASSWORD']}"

    def ask(self, path: str, login: str | None = None, host: str = "localhost", body: Any = None) -> int | None:
        """HTTP status of a GET, or a POST with a body; None when nobody answers."""
        headers = {"Host": host, "Content-Type": "application/json"}
        if login is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body),
                               headers)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def script(self, kind: str, name: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a pod's script with the pod's environment."""
        container = self.rendered.container(kind, name)
        environment = self.rendered.environment(container) | {"MLFLOW_TRACKING_URI": self.uri} | changes
        script = FILES / Path(container["command"][1]).name
        return subprocess.run([sys.executable, str(script)], env={"PATH": os.environ["PATH"]} | environment,
                              capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Any]) -> Iterator[Server]:
    """A server that runs the pod's command, with paths and the port replaced and nothing else."""
    volume = tmp_path_factory.mktemp("data")
    rendered = render({"serving": {"enabled": True}})
    container = rendered.container("Deployment", "-mlflow")
    port = free_port()
    bin_folder = Path(sys.executable).parent
    command = [str(bin_folder / container["command"][0]), *container["command"][1:]]
    command += [a.replace("/data/", f"{volume}/").replace("--port=5000", f"--port={port}") for a in container["args"]]
    environment = {name: value.replace("////data/", f"///{volume}/").replace("/auth/", f"{volume}/")
                   for name, value in rendered.environment(container).items()}
    (volume / "basic_auth.ini").write_text(
        rendered.one("ConfigMap", "-mlflow-auth")["data"]["basic_auth.ini"].replace("////data/", f"///{volume}/"))
    environment |= {"PATH": f"{bin_folder}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    running = Server(rendered, port)
    with Service(command, lambda: running.ask("/health", host="10.1.2.3:5000") == 200, volume,
                 environment=os.environ | environment):
        yield running


class FakeKubernetes(Handler):
    """One Deployment behind the two requests that follow.py makes, over real HTTP."""

    annotations: dict[str, str]
    patches: list[dict[str, Any]]

    def _answer(self) -> None:
        wanted = "/apis/apps/v1/namespaces/vision/deployments/photoshoot-serving?fieldManager=photoshoot-follow"
        right = self.path == wanted and self.headers["Authorization"] == "Bearer a-token"
        self.reply_json(200 if right else 403,
                        {"spec": {"template": {"metadata": {"annotations": self.annotations}}}})

    def do_GET(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        assert self.headers["Content-Type"] == "application/strategic-merge-patch+json"
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.patches.append(patch)
        self.annotations.update(patch["spec"]["template"]["metadata"]["annotations"])
        self._answer()


# One test, not one for each promise: tests are spread over processes, and each process would start a server.
def test_the_server_is_what_the_chart_promises(server: Server, tmp_path: Path) -> None:
    answers_to_the_services_names_and_no_other(server)
    lets_in_who_has_a_password(server)
    helm_test_tells_open_from_closed(server)
    serving_follows_the_alias(server, tmp_path)


def answers_to_the_services_names_and_no_other(server: Server) -> None:
    service = "photoshoot-mlflow"
    own = (service, f"{service}.vision", f"{service}.vision.svc", f"{service}.vision.svc.cluster.local")
    known = [*own, *(f"{name}:5000" for name in own), "localhost:8080"]
    strange = ["evil.example.com", "10.1.2.3:5000", f"{service}.other.svc:5000", f"{service}:5001"]
    assert {h: server.ask(EXPERIMENT, server.admin, h) for h in known} == dict.fromkeys(known, 200)
    assert {h: server.ask(EXPERIMENT, server.admin, h) for h in strange} == dict.fromkeys(strange, 403)
    # The kubelet asks by address and without a password, and only for /health.
    assert server.ask("/health", host="10.1.2.3:5000") == 200


def lets_in_who_has_a_password(server: Server) -> None:
    environment = server.rendered.environment(server.rendered.container("Job", "-mlflow-users"))
    steps, serving = (f"{environment[f'{p}_USER']}:{environment[f'{p}_PASSWORD']}" for p in ("STEPS", "SERVING"))
    assert [server.ask(EXPERIMENT, login) for login in (None, "admin:wrong", steps)] == [401, 401, 401]
    # Twice: the Job runs after every upgrade.
    first, second = server.script("Job", "-mlflow-users"), server.script("Job", "-mlflow-users")
    assert (first.returncode, first.stdout.split("\n")[:2]) == (0, ["steps: made", "serving: made"]), first.stderr
    assert (second.returncode, second.stdout.split("\n")[:2]) == (0, ["steps: there", "serving: there"])
    assert [server.ask(EXPERIMENT, login) for login in (steps, serving)] == [200, 200]
    # Each works with what it made itself; others may look and not touch; nobody makes users.
    assert server.ask(f"{API}/experiments/create", steps, body={"name": "a study"}) == 200
    rename = {"experiment_id": "1", "new_name": "mine"}
    assert server.ask(f"{API}/experiments/get?experiment_id=1", serving) == 200
    assert server.ask(f"{API}/experiments/update", serving, body=rename) == 403
    assert server.ask(f"{API}/experiments/update", steps, body=rename) == 200
    assert server.ask(f"{API}/users/create", steps, body={"username": "x", "password": "x" * 12}) == 403
    # A password that changed in the Secret changes in MLflow.
    changed = server.script("Job", "-mlflow-users", STEPS_PASSWORD="another-password")
    assert changed.stdout.startswith("steps: password changed"), changed.stderr
    assert server.ask(EXPERIMENT, "steps:another-password") == 200
    server.script("Job", "-mlflow-users")
    short = server.script("Job", "-mlflow-users", STEPS_PASSWORD="short")
    assert short.returncode == 1 and "12 characters or more" in short.stderr
    stranger = server.script("Job", "-mlflow-users", ADMIN_PASSWORD="not-the-password")
    assert stranger.returncode == 1 and "does not take the password of admin" in stranger.stderr


def helm_test_tells_open_from_closed(server: Server) -> None:
    good = server.script("Pod", "-test-mlflow")
    assert good.returncode == 0 and "refuses who gives no password" in good.stdout, good.stderr
    bad = server.script("Pod", "-test-mlflow", MLFLOW_TRACKING_PASSWORD="wrong")
    assert bad.returncode == 1 and "lets the steps in: HTTP status 401 instead of 200" in bad.stderr


def serving_follows_the_alias(server: Server, folder: Path) -> None:
    (folder / "token").write_text("a-token")
    handler = type("Handler", (FakeKubernetes,), {"annotations": {}, "patches": []})

    def follow() -> str:
        ended = server.script("CronJob", "-follow", KUBERNETES_API=url_of(api), KUBERNETES_ACCOUNT=str(folder))
        return ended.stdout + ended.stderr

    with http_server(handler) as api:
        assert follow() == "photoshoot@champion: no such version that we may see; nothing to do\n"
        assert server.ask(f"{API}/registered-models/create", server.admin, body={"name": "photoshoot"}) == 200
        assert follow() == "photoshoot@champion: no such version that we may see; nothing to do\n"
        for version in ("1", "2"):
            source = {"name": "photoshoot", "source": "gs://team-bucket/model"}
            assert server.ask(f"{API}/model-versions/create", server.admin, body=source) == 200
            alias = {"name": "photoshoot", "alias": "champion", "version": version}
            assert server.ask(f"{API}/registered-models/alias", server.admin, body=alias) == 200
            assert follow().startswith(f"photoshoot@champion is version {version}: rolled out")
            assert handler.annotations == {"photoshoot/version": version}
            assert follow() == f"photoshoot@champion is version {version}, which is served\n"
        assert len(handler.patches) == 2
        (folder / "token").write_text("no-token")
        assert "error: HTTP Error 403" in follow()
