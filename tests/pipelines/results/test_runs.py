"""The list of runs, on runs made by hand in a real MLflow store: what ended well, what failed, what was killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from components.core.errors import InputError
from components.core.record import tracking
from components.core.record.tracking import DEVICE_SECONDS, step_run
from components.core.settings import CostSettings, Settings
from pipelines.cli.app import app
from pipelines.cli.commands import runs  # noqa: F401  # registers the command
from pipelines.home.folder import Home
from pipelines.results.runs import ERROR_TAG, HOME_TAG, RUN_TAG, list_runs, settle_dead

PRICES = CostSettings(prices={"cpu": 3.6})  # a thousandth for a second


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three runs: one that succeeded, one that failed, one whose command is killed with SIGKILL in its second step."""
    home = Home.at(tmp_path_factory.mktemp("runs") / "home")
    mlflow = tracking.client(home.tracking_uri)
    experiment = mlflow.create_experiment("photoshoot", artifact_location=str(home.mlflow_artifacts))
    for name, status in (("one", "FINISHED"), ("two", "FAILED")):
        parent = _parent(mlflow, experiment, home, name)
        _step(mlflow, experiment, parent, 30.0)
        if status == "FAILED":
            mlflow.set_tag(parent, ERROR_TAG, "photos: no iuv/ -- make pose maps")
        mlflow.log_metric(parent, "ssim", 0.75)
        mlflow.set_terminated(parent, status)
    killed = subprocess.Popen([sys.executable, "-c", _KILLED, str(home.root), experiment], stdout=subprocess.PIPE,
                              text=True)
    assert killed.stdout is not None and killed.stdout.readline() == "under way\n"
    assert [row.status for row in list_runs(home, 9, None)] == ["running", "failed", "succeeded"]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    return home


_KILLED = f"""
import importlib.util, sys, time
from pathlib import Path
from components.core.record import tracking
from pipelines.home.folder import Home
found = importlib.util.spec_from_file_location("these", {__file__!r})
these = importlib.util.module_from_spec(found)
found.loader.exec_module(these)
_parent, _step = these._parent, these._step
home, experiment = Home.at(Path(sys.argv[1])), sys.argv[2]
mlflow = tracking.client(home.tracking_uri)
(home.root / "runs" / "three").mkdir()
with home.alive(home.root / "runs" / "three"):
    parent = _parent(mlflow, experiment, home, "three")
    _step(mlflow, experiment, parent, 10.0)
    _step(mlflow, experiment, parent, None)
    (home.root / "runs" / "three" / "events.jsonl").write_text("")
    print("under way", flush=True)
    time.sleep(600)
"""


def _parent(mlflow, experiment: str, home: Home, name: str) -> str:
    run = mlflow.create_run(experiment, run_name=name, tags={RUN_TAG: name, HOME_TAG: str(home.root)})
    tracking.MlflowRecorder(mlflow, run.info.run_id).params(Settings(costs=PRICES).to_tree())
    return str(run.info.run_id)


def _step(mlflow, experiment: str, parent: str, seconds: float | None) -> None:
    tags = {tracking.STEP_TAG: "train", "mlflow.parentRunId": parent, tracking.DEVICE_KIND: "cpu",
            tracking.DEVICE_COUNT: "1"}
    run = mlflow.create_run(experiment, run_name="train", tags=tags).info.run_id
    if seconds is not None:
        mlflow.log_metric(run, DEVICE_SECONDS, seconds)
        mlflow.set_terminated(run)


def test_runs_are_listed_newest_first_with_status_cost_and_figures(home: Home) -> None:
    three, two, one = list_runs(home, 9, None)
    assert [(row.run_id, row.status) for row in (one, two, three)] == [
        ("one", "succeeded"), ("two", "failed"), ("three", "killed")]
    assert one.cost == pytest.approx(0.03) and one.device_seconds == {"cpu": 30.0} and one.metrics == {"ssim": 0.75}
    assert two.error == "photos: no iuv/ -- make pose maps"
    assert three.device_seconds["cpu"] >= 10


def test_prices_given_now_are_used_for_all_runs(home: Home) -> None:
    row = list_runs(home, 9, CostSettings(prices={"cpu": 36.0}, currency="EUR"))[-1]
    assert (row.cost, row.currency) == (pytest.approx(0.3), "EUR")
    assert list_runs(home, 9, CostSettings())[-1].cost is None


def test_the_list_is_filtered_and_cut(home: Home) -> None:
    assert [row.run_id for row in list_runs(home, 2, None)] == ["three", "two"]
    assert [row.run_id for row in list_runs(home, 1, None, "succeeded")] == ["one"]


def test_the_command_prints_a_table_and_json(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*arguments: str) -> tuple[str, str]:
        app(["runs", "--home", str(home.root), *arguments], standalone_mode=False)
        shown = capsys.readouterr()
        return shown.out, shown.err

    table, said = listed("--last", "2")
    assert "killed" in table and "0.750" in table and "one" not in table
    assert "two failed: photos: no iuv/" in said
    found = json.loads(listed("--json")[0].splitlines()[-1])
    assert [row["status"] for row in found["runs"]] == ["killed", "failed", "succeeded"]
    assert "no runs that are running" in listed("--status", "running")[1]
    with pytest.raises(InputError, match="running, succeeded"):
        listed("--status", "lost")


def test_the_next_run_ends_what_a_killed_one_left_running(home: Home) -> None:
    mlflow = tracking.client(home.tracking_uri)
    before = list_runs(home, 1, None)[0]
    with home.lock():
        settle_dead(mlflow, home)
    run = mlflow.get_run(before.mlflow_run_id)
    steps = mlflow.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert {found.info.status for found in [run, *steps] if found.info.status != "FINISHED"} == {"KILLED"}
    assert all(found.data.metrics[DEVICE_SECONDS] > 0 for found in steps)
    after = list_runs(home, 1, None)[0]
    assert (after.status, after.seconds) == ("killed", before.seconds)


def test_a_steps_run_says_what_it_computed_on_and_for_how_long(
        home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """All attempts together: a step that is tried again resumes its run."""
    mlflow = tracking.client(home.tracking_uri)
    run = mlflow.create_run("0").info.run_id
    monkeypatch.setenv(tracking.TRACKING_URI, home.tracking_uri)
    monkeypatch.setenv(tracking.RUN_ID, run)
    taken = []
    for attempt in range(2):
        with pytest.raises(ValueError), step_run("train"):
            time.sleep(0.05)
            raise ValueError(attempt)
        found = mlflow.get_run(run)
        taken.append(found.data.metrics[DEVICE_SECONDS])
    assert taken[0] >= 0.05 and taken[0] + 0.05 <= taken[1]
    assert found.info.status == "FAILED" and found.data.tags[tracking.STEP_TAG] == "train"
    assert found.data.tags[tracking.DEVICE_KIND] and int(found.data.tags[tracking.DEVICE_COUNT]) >= 1
