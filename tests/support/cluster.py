"""A cluster in miniature: what Kubeflow Pipelines 2.17 on Argo Workflows 4.0 does with a compiled pipeline, as read in
their sources (docs/gke.md, "Retries"), with pods that are processes and nodes that are taken away.

- Each task is a driver's pod and then the executor's. A driver is never tried again.
- An executor is tried again as its retry policy says when its pod *failed* (it ended, with the node's notice), and not
  when its pod was *deleted* with the node; inside a loop, as users report, never.
- When a task is lost, what runs beside it ends, and the run is FAILED. Retrying the run keeps what has succeeded and
  makes the rest anew; while pods are still ending it is refused.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

_SUPPORT = Path(__file__).parent
_NOT_FOR_STEPS = ("pipelinechannel--", "accelerator_")
DELETED, NOTICE = "pod deleted", "Pod was terminated in response to imminent node shutdown."


class Lost(Exception):
    """A task that ended without success."""


class Pods:
    """The processes that stand for pods; many runs share them."""

    def __init__(self, tracking_uri: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_SUPPORT / "pod_server.py"), tracking_uri], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=dict(environment), start_new_session=True)
        self._waiting: dict[str, Future[dict[str, Any]]] = {}
        self._lock, self._count = threading.Lock(), 0
        self.began = self.killed = 0
        assert json.loads(self._process.stdout.readline())["ready"]  # type: ignore[union-attr]
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self, **pod: Any) -> dict[str, Any]:
        """Begin a pod and wait for its end: `pod_server` says what it takes and answers."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            self._count += 1
            self.began += 1
            name = str(self._count)
            self._waiting[name] = future
            self._process.stdin.write(json.dumps({"id": name, **pod}) + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        ended = future.result()
        self.killed += bool(ended["signal"])
        return ended

    def close(self) -> None:
        """End what runs, and the process."""
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(60)

    def _listen(self) -> None:
        for line in self._process.stdout:  # type: ignore[union-attr]
            ended = json.loads(line)
            self._waiting.pop(ended["id"]).set_result(ended)


class Workflow:
    """One run of a compiled pipeline. With `dice` every pod is taken away once, at a moment that they choose."""

    def __init__(self, run: dict[str, Any], pods: Pods, folder: Path, dice: random.Random | None,
                 seconds: Mapping[str, float], tell: Callable[[str, str, str], None] = lambda *_: None) -> None:
        self.run, self._pods, self._folder, self._dice = run, pods, folder, dice
        self._spec = run["pipeline_spec"]["pipeline_spec"]
        self._seconds = seconds
        """How long a component takes undisturbed: a pod is taken away before that."""
        self._tell = tell
        """Told the run, the path and the name of a pod that ended with its node's notice, and is still to be seen."""
        self.took: dict[str, float] = {}
        """Seconds that each component took in the end."""
        self._done: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._taken: set[str] = set()
        self._attempts, self._lock = 0, threading.Lock()
        self.refusals = 0 if dice is None else 1
        """How often a retry is still refused because pods are ending."""
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Run what has not succeeded, in a thread."""
        self.run["state"] = "RUNNING"
        self.thread = threading.Thread(target=self._whole, daemon=True)
        self.thread.start()

    def _whole(self) -> None:
        failed = False
        try:
            self._graph(self._spec["root"], {}, {}, "root")
        except Lost:
            failed = True
        except BaseException:
            self.run["state"] = "FAILED"
            raise
        self.run["state"] = "FAILED" if failed else "SUCCEEDED"

    def details(self) -> list[dict[str, Any]]:
        """The tasks as the API lists them."""
        with self._lock:
            return [dict(task) for task in self._tasks.values()]

    def _graph(self, component: dict[str, Any], parameters: dict[str, Any], artifacts: dict[str, Any], path: str
               ) -> dict[str, Any]:
        """Run a graph's tasks; its outputs by key. Raises `Lost` when one of them is, after those beside it."""
        outputs: dict[str, dict[str, Any]] = {}
        tasks, lost = dict(component["dag"]["tasks"]), {}
        while tasks:
            ready = [name for name, task in tasks.items() if not set(task.get("dependentTasks", [])) & set(tasks)]
            for name in ready:
                task = tasks.pop(name)
                last = "triggerPolicy" in task
                if not last and any(before in lost for before in task.get("dependentTasks", [])):
                    lost[name] = "omitted"
                    continue
                try:
                    outputs[name] = self._task(name, task, parameters, artifacts, outputs, path, lost)
                except Lost as error:
                    lost[name] = str(error)
        if lost:
            raise Lost(next(iter(lost.values())))
        return _outputs(component, outputs)

    def _task(self, name: str, task: dict[str, Any], parameters: dict[str, Any], artifacts: dict[str, Any],
              outputs: dict[str, Any], path: str, lost: Mapping[str, str]) -> dict[str, Any]:
        given = task.get("inputs", {})
        values = {key: self._parameter(value, parameters, outputs, lost)
                  for key, value in given.get("parameters", {}).items()}
        files = {key: artifacts[value["componentInputArtifact"]] if "componentInputArtifact" in value else
                 outputs[value["taskOutputArtifact"]["producerTask"]][value["taskOutputArtifact"]["outputArtifactKey"]]
                 for key, value in given.get("artifacts", {}).items()}
        component = self._spec["components"][task["componentRef"]["name"]]
        if "parameterIterator" in task:
            return self._loop(name, task, component, values, files, path)
        if "dag" in component:
            return self._graph(component, values, files, f"{path}.{name}")
        return self._container(name, task, component, values, files, path)

    def _parameter(self, value: dict[str, Any], parameters: dict[str, Any], outputs: dict[str, Any],
                   lost: Mapping[str, str]) -> Any:
        if "componentInputParameter" in value:
            return parameters.get(value["componentInputParameter"])
        if "taskFinalStatus" in value:
            failed = value["taskFinalStatus"]["producerTask"] in lost
            return {"state": "FAILED" if failed else "COMPLETE", "pipeline_task_name": "run"}
        if "taskOutputParameter" in value:
            from_ = value["taskOutputParameter"]
            return outputs[from_["producerTask"]][from_["outputParameterKey"]]
        constant = value["runtimeValue"]["constant"]
        names = {"{{$.pipeline_job_name}}": self.run["display_name"], "{{$.pipeline_job_uuid}}": self.run["run_id"]}
        return names.get(constant, constant)

    def _loop(self, name: str, task: dict[str, Any], component: dict[str, Any], values: dict[str, Any],
              files: dict[str, Any], path: str) -> dict[str, Any]:
        items = json.loads(task["parameterIterator"]["items"]["raw"])
        item_name = task["parameterIterator"]["itemInput"]
        limit = int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0)) or len(items)
        with ThreadPoolExecutor(limit) as pool:
            rounds = [pool.submit(self._graph, component, {**values, item_name: item}, files,
                                  f"{path}.{name}.loop-item({number})") for number, item in enumerate(items)]
        found = []
        for one in rounds:
            found.append(one.result())  # those beside the one that is lost have ended by now
        return {key: [one[key] for one in found] for key in found[0]} if found else {}

    def _container(self, name: str, task: dict[str, Any], component: dict[str, Any], values: dict[str, Any],
                   files: dict[str, Any], path: str) -> dict[str, Any]:
        where = f"{path}.{name}"
        if where in self._done:
            return self._done[where]
        driver = f"{name}-driver"
        if self._takes(f"{where}-driver"):
            self._says(where + "-driver", driver, "FAILED", DELETED)
            raise Lost(DELETED)
        self._says(where + "-driver", driver, "SUCCEEDED")
        self._says(where, name, "RUNNING")
        tries = 0 if ".loop-item" in path else int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(tries + 1):
            problem, outputs = self._pod(name, where, component, values, files)
            if not problem:
                self._says(where, name, "SUCCEEDED")
                self._done[where] = outputs
                return outputs
            if problem == DELETED or attempt == tries:
                break
        self._says(where, name, "FAILED", problem)
        raise Lost(problem)

    def _pod(self, name: str, where: str, component: dict[str, Any], values: dict[str, Any],
             files: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """One pod on a disk of its own: what went wrong, or its outputs."""
        with self._lock:
            self._attempts += 1
            place = self._folder / f"{self._attempts:03d}-{name}"
        place.mkdir(parents=True)
        container = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        outputs = {key: str(place / key / key) for key in component.get("outputDefinitions", {}).get("artifacts", {})}
        takes = self._takes(where)
        after = self._dice.uniform(0, self._seconds.get(name, 1.0)) if takes and self._dice else None
        ended = self._pods.run(
            component=name, inputs=files, outputs=outputs, kill_after=after, cwd=str(place),
            arguments={key: value for key, value in values.items() if not key.startswith(_NOT_FOR_STEPS)},
            env={entry["name"]: entry["value"] for entry in container.get("env", [])} | {"TMPDIR": str(place)},
            log=str(place / "log"))
        if ended["signal"]:
            if self._dice and self._dice.random() < 0.5:
                return DELETED, {}
            self._tell(self.run["run_id"], f"photoshoot.{where}.executor(0)", place.name)
            return NOTICE, {}
        if ended["code"]:
            return f"exit code {ended['code']}: {(place / 'log').read_text()[-2000:]}", {}
        self.took[name] = ended["seconds"]
        return "", outputs

    def _takes(self, pod: str) -> bool:
        """Whether this pod's node is to be taken away now: once, and a driver's not always."""
        with self._lock:
            if self._dice is None or pod in self._taken:
                return False
            self._taken.add(pod)
            return not pod.endswith("-driver") or self._dice.random() < 0.3

    def _says(self, where: str, name: str, state: str, error: str = "") -> None:
        with self._lock:
            self._tasks[where] = {
                "display_name": name, "task_id": where, "state": state, "start_time": "2026-11-22T10:00:00Z",
                "create_time": "2026-11-22T10:00:00Z", "execution_id": "7",
                "end_time": "1970-01-01T00:00:00Z" if state == "RUNNING" else "2026-11-22T10:01:00Z",
                **({"error": {"code": 2, "message": error}} if error else {})}


def _outputs(component: dict[str, Any], outputs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    selected = component["dag"].get("outputs", {}).get("artifacts", {})
    found = {}
    for key, value in selected.items():
        (selector,) = value["artifactSelectors"]
        found[key] = outputs[selector["producerSubtask"]][selector["outputArtifactKey"]]
    return found
