"""The verb `ui`: an MLflow server on the home folder."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys

from components.core.errors import MachineError, machine_errors
from pipelines.display import errors
from pipelines.home.folder import Home
from pipelines.processes import ended_with_us
from pipelines.results.links import Links


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
        # Not an argument, which everybody on this machine can read: it may have a password.
        "MLFLOW_BACKEND_STORE_URI": home.tracking_uri,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--default-artifact-root", str(home.mlflow_artifacts),
         "--host", host, "--port", str(port), "--workers", "1"],
        env=environment, start_new_session=True,
    )
    errors.print(f"MLflow: {Links(f'http://{host}:{port}').experiments()}   (Ctrl-C ends it)")
    with contextlib.suppress(KeyboardInterrupt), ended_with_us(server):
        code = server.wait()
        if code:
            raise MachineError(f"the MLflow server exited with code {code}", remedy="see its output above")


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
