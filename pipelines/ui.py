"""The verb `ui`: an MLflow server on the home folder; and links into MLflow's pages that open on the right view."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from components.core.errors import MachineError, machine_errors
from pipelines.display import errors
from pipelines.home import Home
from pipelines.processes import ended_with_us

DEFAULT_PORT = 5000
# MLflow 3 opens its pages for traces and prompts unless it is told that this is about training.
_VIEW = "workflowType=machine_learning"


@dataclass(frozen=True)
class Links:
    """Addresses of MLflow's pages; `base` is where its server is."""

    base: str

    @staticmethod
    def of(home: Home, base: str | None = None) -> Links:
        """Links to the tracking server in use; for a home folder's own database, to where `photoshoot ui` serves it."""
        uri = home.tracking_uri
        return Links((base or (uri if uri.startswith("http") else f"http://127.0.0.1:{DEFAULT_PORT}")).rstrip("/"))

    def experiments(self) -> str:
        """The list of experiments."""
        return f"{self.base}/#/experiments?{_VIEW}"

    def experiment(self, experiment_id: str) -> str:
        """An experiment's runs."""
        return f"{self.base}/#/experiments/{experiment_id}/runs?{_VIEW}"

    def run(self, experiment_id: str, run_id: str) -> str:
        """One run."""
        return f"{self.base}/#/experiments/{experiment_id}/runs/{run_id}?{_VIEW}"

    def artifact(self, experiment_id: str, run_id: str, path: str) -> str:
        """A file of a run, as MLflow shows it."""
        return f"{self.base}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{quote(path)}?{_VIEW}"

    def compare(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> str:
        """Several runs side by side, with MLflow's own charts."""
        runs, experiments = (quote(json.dumps(list(dict.fromkeys(ids)))) for ids in (run_ids, experiment_ids))
        return f"{self.base}/#/compare-runs?runs={runs}&experiments={experiments}&{_VIEW}"


def serve(home: Home, host: str, port: int) -> None:
    """Run the MLflow UI until interrupted. Raises `MachineError` when the port is in use."""
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        errors.print(f"MLflow is at {Links.of(home).experiments()}")
        return
    _check_port(host, port)
    environment = os.environ | {
        # Helper processes of features that are not used here would outlive the server.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", home.tracking_uri,
         "--default-artifact-root", str(home.mlflow_artifacts), "--host", host, "--port", str(port), "--workers", "1"],
        env=environment, start_new_session=True,
    )
    errors.print(f"MLflow: {Links(f'http://{host}:{port}').experiments()}   (Ctrl-C ends it)")
    with contextlib.suppress(KeyboardInterrupt), ended_with_us(server):
        code = server.wait()
        if code:
            raise MachineError(f"the MLflow server ended with exit code {code}", remedy="its output above says why")


def _check_port(host: str, port: int) -> None:
    with machine_errors(f"{host}:{port}"), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            raise MachineError(f"cannot listen there: {error.strerror}", path=f"{host}:{port}",
                               remedy="choose another --host or --port") from error
