"""What a run says at its end: three commands that fit what there is."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from components.core.presets import preset
from components.core.record import tracking
from components.core.record.registry import CHAMPION
from pipelines.cli import app as cli
from pipelines.cli.ending import show_result
from pipelines.kubeflow import record
from pipelines.results.files import RunResult
from pipelines.results.next_steps import Next, after_kubeflow_run, after_run, after_submission, program

HOME = Path(".photoshoot")
RESULT = RunResult(
    status="succeeded", run_id="run-1", mlflow_run_id="m", model_version="2", verdict="failed", metrics={},
    people={"accepted": 3, "rejected": []}, report="report.html", contact_sheet="sheet.png", steps={}, seconds=60,
    verdict_summary="failed 1 of 2 requirements: ssim", aliases=["challenger"],
    gate=[{"name": "ssim", "value": 0.5, "bound": 0.6, "comparison": ">=", "passed": False, "reason": "",
           "judged": True},
          {"name": "pairs", "value": None, "bound": 24, "comparison": ">=", "passed": False, "reason": "too few",
           "judged": False}],
)


@pytest.fixture(autouse=True)
def _called_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["photoshoot", "run"])


def words(following: list[Next]) -> list[str]:
    return [shlex.split(one.command)[1] for one in following]


def parsed(command: str) -> None:
    """Whether the command line takes it: every command, option and number of arguments."""
    name, *rest = shlex.split(command)[1:]
    group = get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    group.commands[name].make_context(name, rest, resilient_parsing=False)


@pytest.mark.parametrize(("verdict", "champion", "expected"), [
    ("failed", None, ["ui", "shoot", "compare"]), ("not judged", None, ["ui", "shoot", "compare"]),
    ("passed", "2", ["ui", "shoot", "compare"]), ("failed", "1", ["ui", "shoot", "compare"]),
    ("passed", "1", ["shoot", "compare", "promote"]), ("passed", None, ["shoot", "compare", "promote"]),
])
def test_three_commands_by_what_there_is(verdict: str, champion: str | None, expected: list[str]) -> None:
    following = after_run(replace(RESULT, verdict=verdict, champion=champion), "photoshoot", HOME, HOME)
    assert words(following) == expected
    shoot = following[expected.index("shoot")].command
    assert ("--version 2" in shoot) == (champion != "2")
    assert "--home" not in " ".join(one.command for one in following)
    for one in following:
        parsed(one.command)


def test_another_home_and_model_are_named_and_quoted() -> None:
    following = after_run(replace(RESULT, verdict="passed"), "her model", Path("my homes/a"), HOME)
    for one in following:
        assert one.command.endswith("--home 'my homes/a'")
        parsed(one.command)
    shoot, compare, promote = (one.command for one in following)
    assert "--model-name 'her model'" in shoot and "--model-name 'her model'" in promote
    assert "'my homes/a/runs/run-1/example/photo.png'" in shoot and "her model" not in compare


def test_the_program_is_named_as_it_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / ".venv" / "bin" / "photoshoot"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert program() == [".venv/bin/photoshoot"]
    monkeypatch.setenv("PATH", f"/usr/bin:{script.parent}")
    assert program() == ["photoshoot"]
    monkeypatch.chdir("/")
    monkeypatch.setenv("PATH", "/usr/bin")
    assert program() == [str(script).lstrip("/")]
    monkeypatch.setattr(sys, "argv", ["/somewhere/pipelines/cli/__main__.py"])
    assert program()[1:] == ["-m", "pipelines.cli"] and Path("/", program()[0]) == Path(sys.executable)


def test_what_could_not_be_judged_does_not_read_as_failed(capsys: pytest.CaptureFixture[str]) -> None:
    untold = replace(RESULT, verdict="not judged", verdict_summary="not judged, too little evidence on pairs")
    show_result(untold, preset("smoke"), HOME, False)
    said = capsys.readouterr().out
    assert "gate           not judged, too little evidence on pairs\n" in said
    assert "bring more people or photos" in said and "champion       none yet" in said
    assert "NOT JUDGED too few" in said
    assert said.rstrip().splitlines()[-1].strip() == "photoshoot compare"
    few = replace(untold, verdict_summary="not judged, too few people to judge (1 with two photos, 5 needed)")
    show_result(few, preset("smoke"), HOME, False)
    assert "too few people to judge: the model may be good; bring more people" in capsys.readouterr().out
    show_result(replace(RESULT, champion="1"), preset("smoke"), HOME, False)
    said = capsys.readouterr().out
    assert "failed 1 of 2" in said and "bring more people" not in said and "still version 1" in said
    show_result(untold, preset("smoke"), HOME, True)
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "not judged"
    assert [shlex.split(command)[1] for command in told["next"]] == ["ui", "shoot", "compare"]


def test_a_run_on_kubeflow_names_what_its_record_allows() -> None:
    assert words(after_kubeflow_run({}, None)) == ["runs"]
    recorded = {"mlflow_run_id": "m"}
    assert words(after_kubeflow_run(recorded, None)) == ["versions", "runs", "ui"]
    version = {"name": "photoshoot", "number": "3", "verdict": "passed", "champion": "1"}
    assert words(after_kubeflow_run(recorded, version)) == ["versions", "promote", "ui"]
    assert words(after_kubeflow_run(recorded, version | {"champion": "3"})) == ["versions", "runs", "ui"]
    assert words(after_kubeflow_run(recorded, version | {"verdict": "failed"})) == ["versions", "runs", "ui"]
    assert words(after_submission("abc")) == ["follow", "runs", "cancel"]
    for one in (*after_kubeflow_run({}, None), *after_kubeflow_run(recorded, version), *after_submission("abc")):
        parsed(one.command)


def test_the_version_of_a_run_on_kubeflow_is_found_by_its_registration(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    mlflow = tracking.client()
    parent = record.begin(preset("smoke"), "mine", None)
    experiment = mlflow.get_run(parent).info.experiment_id
    assert record.registered(parent) is None and record.registered("") is None
    tags = {tracking.STEP_TAG: "register", "mlflow.parentRunId": parent}
    step = mlflow.create_run(experiment, tags=tags).info.run_id
    assert record.registered(parent) is None
    mlflow.create_registered_model("hers")
    mlflow.create_model_version("hers", "file:///nowhere", step, tags={"verdict": "not judged"})
    found = {"name": "hers", "number": "1", "verdict": "not judged", "champion": ""}
    assert record.registered(parent) == found
    mlflow.set_registered_model_alias("hers", CHAMPION, "1")
    assert record.registered(parent) == found | {"champion": "1"}
