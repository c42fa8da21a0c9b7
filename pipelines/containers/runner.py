"""A step's container, from its start to its end, inside KFP's local runner.

KFP's own handler lets the engine remove a container that ended and takes one that is gone for a success. Here a
container is created, started, waited for, asked what became of it, and only then removed; what says nothing about
itself did not succeed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfp import local
from kfp.local import docker_task_handler, status
from kfp.local.docker_task_handler import DockerTaskHandler

from components.core import progress
from components.core.errors import MachineError
from pipelines.containers.execution import OWNER, Setup, connected, environment
from pipelines.steps import step_of

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

_LONGEST_POLL_S = 2.0
_PATIENCE_S = 120
"""How long an engine may be silent (restarting, for example) before its container counts as lost."""
_SHARED_MEMORY = "2g"
_KILLED, _NO_MEMORY, _NOT_STARTED = 137, 251, (125, 126, 127)

# The output goes straight to the log: whole, in time, and without the engine, which may come and go. Whether memory ran
# out is asked of the kernel (control groups 2 and 1): not every engine knows, least of all of a worker process.
_SHELL = f"""
"$@" >>"$0" 2>&1
code=$?
counts=$(cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null || true)
if [ $code -ne 0 ] && echo "$counts" | grep -q "^oom_kill [1-9]"; then exit {_NO_MEMORY}; fi
exit $code
"""


def container_runner(setup: Setup) -> local.DockerRunner:
    """A runner for `kfp.local.init` whose containers are started, followed and removed as this module does it."""

    class Handler(DockerTaskHandler):  # type: ignore[misc]
        def run(self) -> status.Status:
            ended_well = run_container(setup, self.image, self.full_command, self.env_vars)
            return status.Status.SUCCESS if ended_well else status.Status.FAILURE

    docker_task_handler.DockerTaskHandler = Handler
    return local.DockerRunner(environment=environment(setup, os.environ))


def run_container(setup: Setup, image: str, command: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Run a step to its end; whether it succeeded. If not, an event says why, unless the step itself did."""
    name = _task_name(command)
    begun = Path(setup.events).stat().st_size
    try:
        with connected(setup.address) as client:
            state = _run(client, setup, image, command, variables)
    except MachineError as error:
        _failed(setup, begun, name, error)
        return False
    if state["ExitCode"] == 0:
        return True
    _failed(setup, begun, name, _explained(step_of(name), state, setup))
    return False


def _run(client: docker.DockerClient, setup: Setup, image: str, command: Sequence[str],
         variables: Mapping[str, str]) -> dict[str, Any]:
    """The engine's words on the container's end: ExitCode, OOMKilled, Error."""
    import docker

    shell = ["sh", "-c", _SHELL, setup.log, *command]
    try:
        container = client.containers.create(
            image, shell, user=setup.user, environment=dict(variables), working_dir="/tmp",
            volumes={path: {"bind": path, "mode": mode} for path, mode in setup.mounts.items()},
            labels={OWNER: setup.owner}, network_mode="host", shm_size=_SHARED_MEMORY,
            read_only=True, tmpfs={"/tmp": "rw,exec,mode=1777"}, cap_drop=["ALL"],
            security_opt=["no-new-privileges"], **setup.options,
        )
    except docker.errors.DockerException as error:
        raise MachineError(f"the engine cannot create a container from {image}: {error}",
                           remedy="make images") from error
    try:
        container.start()
        return _end(container)
    except docker.errors.NotFound as error:
        raise MachineError("the container was removed before its end", remedy="run the same command again to resume"
                           ) from error
    except docker.errors.APIError as error:
        raise MachineError(f"the engine cannot start a container from {image}: {error.explanation or error}",
                           path=setup.log) from error
    finally:
        # A container that the engine no longer reaches is removed by whoever started us.
        with contextlib.suppress(docker.errors.DockerException, OSError):
            container.remove(force=True)


def _end(container: Container) -> dict[str, Any]:
    """Wait until the container has ended. A connection that breaks is not one.

    Raises `MachineError` when the engine stays silent, docker's `NotFound` when somebody has removed the container.
    """
    import docker

    begun, silent_since = time.monotonic(), None
    while True:
        try:
            container.reload()
            silent_since = None
            if container.status in ("exited", "dead", "stopped"):
                return dict(container.attrs["State"])
        except docker.errors.NotFound:
            raise
        except OSError as error:  # as requests' errors are, docker's among them
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > _PATIENCE_S:
                raise MachineError(f"the container engine has been silent for {_PATIENCE_S} s",
                                   remedy="start it, then run the same command again to resume") from error
        # Asking now and then, not the engine's own wait: podman's asks itself four times a second, at a price.
        time.sleep(min(_LONGEST_POLL_S, 0.1 + (time.monotonic() - begun) / 10))


def _explained(step: str, state: Mapping[str, Any], setup: Setup) -> MachineError:
    code, limit = state["ExitCode"], setup.options.get("mem_limit")
    if state.get("OOMKilled") or code == _NO_MEMORY:
        remedy = "give it more with --memory, or choose smaller settings" if limit else "choose smaller settings"
        return MachineError(f"step {step} ran out of memory{f' (limit {limit})' if limit else ''}", remedy=remedy)
    if code == _KILLED:
        return MachineError(f"step {step} was killed from outside (signal 9)",
                            remedy="if nobody did, the machine ran out of memory; run the same command again to resume")
    if code in _NOT_STARTED:
        return MachineError(f"step {step} could not be started in its container: {state.get('Error') or code}",
                            path=setup.log, remedy="make images")
    return MachineError(f"step {step} exited with code {code}", path=setup.log, remedy="see the log")


def _failed(setup: Setup, begun: int, task: str, error: MachineError) -> None:
    """Say why a task failed, unless it has said so itself since `begun`."""
    with open(setup.events, encoding="utf-8") as file:
        file.seek(begun)
        events = [json.loads(line) for line in file if line.endswith("\n")]
    if any(event.get("step") == task and event.get("state") == "failed" for event in events):
        return
    with contextlib.suppress(OSError), open(setup.log, "a", encoding="utf-8") as log:
        log.write(f"{error}\n")
    progress.event(step=task, state="failed", error=error.to_json())


def _task_name(command: Sequence[str]) -> str:
    """Name of the component, which is also that of its events."""
    words = list(command)
    return words[words.index("--function_to_execute") + 1].replace("_", "-")
