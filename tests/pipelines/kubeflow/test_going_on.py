"""A run whose pods went away with their nodes goes on by itself; one that failed for another reason does not."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from components.core.errors import MachineError
from components.core.presets import preset
from pipelines.kubeflow.access import Access
from pipelines.kubeflow.follow import lost_pods
from pipelines.kubeflow.pods import Trouble
from pipelines.kubeflow.server import LostConnection, Server
from pipelines.kubeflow.submit import Order, submit
from pipelines.profile import load_profile

ORDER = Order(preset("smoke"), load_profile("local"), name="once")


@pytest.fixture
def server(kfp: Any, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr("pipelines.kubeflow.server._WAITS_S", (0.01, 0.02))
    return Server(Access(kfp.url, namespace="team"), patience=1)


def _failed(server: Server, kfp: Any, *tasks: dict[str, Any]) -> Any:
    run_id = submit(server, ORDER).run_id
    kfp.plan = deque([("FAILED", list(tasks))])
    return server.run(run_id)


TAKEN = Trouble("train", "train-1", "Terminated", "the node was taken back", True)
MEMORY = Trouble("train", "train-2", "OOMKilled", "ran out of memory", True)


@pytest.mark.parametrize(("name", "error", "troubles", "lost"), [
    ("train", "pod deleted", (), True),
    ("train-driver", "pod deleted", (), True),
    ("train", "Pod was terminated in response to imminent node shutdown.", (), True),
    ("train", "", (TAKEN,), True),
    ("train", "", (), False),
    ("train", "exit code 1: DataError: a shard is torn", (), False),
    ("train", "OOMKilled (exit code 137)", (MEMORY,), False),
    ("train", "pod deleted", (MEMORY,), False),
])
def test_why_a_run_failed_is_told_apart(server: Server, kfp: Any, tasks: Any, name: str, error: str,
                                        troubles: tuple[Trouble, ...], lost: bool) -> None:
    run = _failed(server, kfp, tasks("preprocess", "SUCCEEDED"), tasks(name, "FAILED", error=error))
    assert lost_pods(run, troubles) is lost


def test_one_other_reason_is_enough(server: Server, kfp: Any, tasks: Any) -> None:
    run = _failed(server, kfp, tasks("train", "FAILED", error="pod deleted"),
                  tasks("evaluate", "FAILED", error="exit code 1"))
    assert not lost_pods(run, ())
    assert not lost_pods(_failed(server, kfp), ()), "nothing is known"


@pytest.mark.parametrize("faults", [["409"], ["500", "500", "500"], ["429", "503"], ["drop", "409", "none", "500"]])
def test_questions_are_asked_again_where_the_server_stumbles(server: Server, kfp: Any, faults: list[str]) -> None:
    run_id = submit(server, ORDER).run_id
    kfp.faults.extend(faults)
    assert server.run(run_id).run_id == run_id


def test_an_error_that_stays_is_told_soon(server: Server, kfp: Any) -> None:
    kfp.faults.extend(["500"] * 50)
    with pytest.raises(MachineError, match=r"refuses \(500\)"):
        server.list_runs(5)
    assert len(kfp.faults) > 40


@pytest.mark.parametrize("fault", ["409", "429", "500", "503", "lose"])
def test_whatever_answers_a_submission_there_is_one_run(server: Server, kfp: Any, fault: str) -> None:
    server.experiment("photoshoot")
    kfp.faults.extend(["none", fault])
    submitted = submit(server, ORDER)
    assert list(kfp.runs) == [submitted.run_id]


def test_an_experiment_that_somebody_makes_meanwhile_is_taken(server: Server, kfp: Any) -> None:
    kfp.faults.extend(["none", "409", "none", "lose"])
    submit(server, ORDER)
    assert len(kfp.experiments) == 1


class _Ending:
    """A workflow whose pods are still ending."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.started = refusals, 0

    def start(self) -> None:
        self.started += 1

    def details(self) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize("faults", [[], ["lose"], ["500"], ["none", "none", "409"]])
def test_a_retry_waits_until_the_pods_have_ended_and_happens_once(server: Server, kfp: Any, faults: list[str]) -> None:
    run_id = submit(server, ORDER).run_id
    kfp.runs[run_id]["state"] = "FAILED"
    kfp.workflows[run_id] = _Ending(2)
    kfp.faults.extend(faults)
    server.retry(run_id)
    assert kfp.workflows[run_id].started == 1 and kfp.runs[run_id]["state"] == "RUNNING"


def test_a_retry_that_is_refused_for_good_says_so(server: Server, kfp: Any) -> None:
    run_id = submit(server, ORDER).run_id
    kfp.workflows[run_id] = _Ending(0)
    kfp.runs[run_id]["state"] = "SUCCEEDED"
    with pytest.raises(MachineError, match="must be Failed"):
        server.retry(run_id)
    kfp.runs[run_id]["state"] = "FAILED"
    kfp.workflows[run_id].refusals = 10_000
    with pytest.raises(MachineError, match="in Running phase"):
        server.retry(run_id)
    kfp.faults.extend(["drop"] * 10_000)
    with pytest.raises(LostConnection):
        server.retry(run_id)
