"""The last word of a run: MLflow's run is closed with the reason, and a webhook is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl.executor import Executor
from servers import Handler, http_server, url_of

from components.core.errors import DataError
from components.core.record import tracking
from components.core.record.step import step
from components.finish import component, finish
from components.finish.webhook import WEBHOOK

RUN = "5f0c3a52-0000-4000-8000-000000000000"


class Hook:
    """A webhook; `answers` are its next statuses, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.told: list[Any] = []
        self.url = ""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    state = Hook()

    class Api(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            status = state.answers.pop(0) if state.answers else 200
            if status == 0:
                self.close_connection = True
                return self.connection.close()
            if status == 200:
                state.told.append(json.loads(body))
            self.reply(status, b"ok")

    with http_server(Api) as server:
        state.url = f"{url_of(server)}/services/T0/B0/secret-path"
        monkeypatch.setenv(WEBHOOK, state.url)
        monkeypatch.setattr("components.finish.webhook._WAITS_S", (0.0, 0.0, 0.0))
        yield state


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of MLflow, which takes seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def parent(store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The MLflow run of a pipeline run that is under way."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    run = tracking.client().create_run("0", run_name="first")
    monkeypatch.setenv("MLFLOW_PARENT_RUN_ID", run.info.run_id)
    return str(run.info.run_id)


def test_slack_is_told_of_success_and_of_failure(hook: Hook) -> None:
    finish({"state": "COMPLETE"}, "first", RUN)
    finish({"state": "FAILED", "error_message": "node\nwent away"}, "second", RUN)
    assert hook.told[0] == {"text": "photoshoot run first succeeded"}
    assert hook.told[1] == {"text": "photoshoot run second failed: node went away -- "
                                    f"`photoshoot retry {RUN}` goes on from what is done"}


def test_a_busy_webhook_is_asked_again_and_none_of_its_errors_fails_the_run(
    hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.answers = [429, 0, 503]
    finish({"state": "SUCCEEDED"}, "first", RUN)
    assert len(hook.told) == 1
    for answers in ([404], [503] * 4):
        hook.answers = answers
        finish({"state": "SUCCEEDED"}, "first", RUN)
    said = capsys.readouterr().out
    assert "refuses the message (404)" in said and "does not answer: it answers 503" in said
    assert len(hook.told) == 1 and "secret-path" not in said


def test_a_failed_run_is_closed_with_what_its_step_said(hook: Hook, parent: str) -> None:
    with step("preprocess"):
        pass
    with pytest.raises(DataError), step("train"):
        raise DataError("a shard is torn", path="people", remedy="run preprocess again")
    lost = tracking.client().create_run("0", run_name="evaluate", tags={
        "mlflow.parentRunId": parent, tracking.STEP_TAG: "evaluate"})
    finish({"state": "RUNNING"}, "first", RUN)  # what KFP's store still thinks of a pod that is gone
    mlflow = tracking.client()
    run = mlflow.get_run(parent)
    assert run.info.status == "FAILED" and run.info.end_time
    reason = run.data.tags[tracking.ERROR_TAG]
    assert "train: people: a shard is torn -- run preprocess again" in reason and "preprocess:" not in reason
    assert "evaluate: its pod went away" in reason and reason in hook.told[0]["text"]
    assert mlflow.get_run(lost.info.run_id).info.status == "KILLED"


def test_an_attempt_that_failed_is_no_reason_once_the_step_is_done(parent: str) -> None:
    with pytest.raises(DataError), step("register"):
        raise DataError("torn", remedy="again")
    with step("register"):
        pass
    ending = finish({"state": "FAILED"}, "first", RUN)
    assert ending.succeeded and tracking.client().get_run(parent).info.status == "FINISHED"


def test_without_mlflow_and_webhook_there_is_a_line_in_the_log(capsys: pytest.CaptureFixture[str],
                                                             monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    finish({"state": "SUCCEEDED"}, "first", RUN)
    assert capsys.readouterr().out == "photoshoot run first succeeded\n"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_PARENT_RUN_ID", "f" * 32)
    finish({"state": "SUCCEEDED"}, "first", RUN)
    assert "the MLflow run was not closed" in capsys.readouterr().out


@pytest.mark.parametrize(("state", "said"), [("COMPLETE", "succeeded"), ("FAILED", "failed: its log says why")])
def test_kfps_executor_hands_over_what_its_backend_says(state: str, said: str, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    """As the driver of 2.17 writes it: the metadata store's word, and an error without message."""
    status = {"state": state, "pipelineTaskName": "exit-handler-1", "pipelineJobResourceName": "first", "error": {}}
    given = {"inputs": {"parameterValues": {"status": status, "name": "first", "run": RUN}},
             "outputs": {"outputFile": str(tmp_path / "out.json")}}
    Executor(executor_input=given, function_to_execute=component.finish.python_func).execute()
    assert f"photoshoot run first {said}" in capsys.readouterr().out
