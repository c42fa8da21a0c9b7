"""Pods without a cluster: a process that has imported what steps need forks a child for each, and kills it when asked.

Reads a line of JSON for each pod, ``{"id", "component", "arguments", "inputs", "outputs", "env", "cwd", "log",
"kill_after"}``, and writes ``{"id", "signal", "code", "output", "seconds"}`` when it has ended. One thread: what is
forked holds no locks.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

COMPONENTS = {
    "synthesize": "components.synthesize.component:synthesize",
    "preprocess": "components.preprocess.component:preprocess",
    "preprocess-part": "components.preprocess.component:preprocess_part",
    "gather": "components.preprocess.component:gather",
    "cluster": "components.cluster.component:cluster",
    "train": "components.train.component:train",
    "evaluate": "components.evaluate.component:evaluate",
    "challenge": "components.evaluate.challenge_component:challenge",
    "register": "components.register.component:register",
    "finish": "components.finish.component:finish",
}
_HEAVY = (
    "torch", "torch._dynamo", "torch.distributed.fsdp", "cv2", "pyarrow.parquet", "mlflow.pyfunc", "mlflow.tracking",
    "optuna", "google.cloud.storage", "photoshoot.serving", "components.synthesize.figure", "components.preprocess.run",
    "components.cluster.run", "components.train.loop", "components.evaluate.run", "components.register.run",
    "components.register.try_out",
)


def _function(component: str) -> Any:
    module, name = COMPONENTS[component].split(":")
    return getattr(importlib.import_module(module), name).python_func


def _artifact(path: Any) -> Any:
    if isinstance(path, list):
        return [_artifact(one) for one in path]
    return SimpleNamespace(path=path, uri=path, metadata={})


def _try_out_by_fork(command: list[str], cwd: Path, env: dict[str, str], **_: Any) -> Any:
    """`components.register.try_out` starts a fresh process, which takes seconds to import; a fork has imported."""
    from components.register import try_out

    pid = os.fork()
    if pid == 0:
        try:
            os.environ.clear()
            os.environ.update(env)
            os.chdir(cwd)
            try_out.main(*command[3:])
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return subprocess.CompletedProcess(command, code, "", "failed in a fork")


def _work(pod: dict[str, Any]) -> None:
    """The child: the component's function, as KFP's executor calls it."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(pod["id"]) % len(cores)]})  # a pod of one CPU starts no processes of its own
    log = os.open(pod["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(pod["env"])
    os.chdir(pod["cwd"])
    try_out = importlib.import_module("components.register.try_out")
    try_out.subprocess = SimpleNamespace(run=_try_out_by_fork, TimeoutExpired=subprocess.TimeoutExpired)
    if isinstance(pod["arguments"].get("status"), dict):
        pod["arguments"]["status"] = SimpleNamespace(error_message=None, **pod["arguments"]["status"])
    places = {name: _artifact(path) for name, path in (pod["inputs"] | pod["outputs"]).items()}
    for path in pod["outputs"].values():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    _function(pod["component"])(**pod["arguments"], **places)


def _fork(pod: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()  # what it starts goes with it
            _work(pod)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


def _open_stores(uri: str) -> None:
    """Open MLflow's database once: what was checked here is not checked anew in every pod. No connection is kept."""
    from mlflow.tracking._model_registry.utils import _get_store as registry
    from mlflow.tracking._tracking_service.utils import _get_store as runs

    from components.core.record import tracking

    client = tracking.client(uri)
    client.search_experiments()
    client.search_registered_models()
    for store in (runs(uri), registry(uri)):
        store.engine.dispose()


def main(uri: str) -> None:
    for name in _HEAVY:
        importlib.import_module(name)
    for component in COMPONENTS:
        _function(component)
    _open_stores(uri)
    print(json.dumps({"ready": True}), flush=True)
    running: dict[int, tuple[dict[str, Any], float]] = {}
    buffer, open_ = b"", True
    while open_ or running:
        readable = select.select([0] if open_ else [], [], [], 0.005)[0]
        if readable:
            data = os.read(0, 1 << 16)
            open_, buffer = bool(data), buffer + data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                pod = json.loads(line)
                running[_fork(pod)] = pod, time.monotonic()
        for pid, (pod, began) in list(running.items()):
            took = time.monotonic() - began
            if not open_ or (pod["kill_after"] is not None and took >= pod["kill_after"]):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                pod["kill_after"] = None if open_ else 0
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                del running[pid]
                signalled = os.WIFSIGNALED(status)
                print(json.dumps({"id": pod["id"], "signal": os.WTERMSIG(status) if signalled else 0, "seconds": took,
                                  "cpu": round(used.ru_utime + used.ru_stime, 3),
                                  "code": None if signalled else os.WEXITSTATUS(status)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
