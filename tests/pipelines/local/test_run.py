"""The whole pipeline on `smoke` settings: what is made, what is reused, what failure looks like."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from smoke import run_pipeline as _run

from components.core.record import tracking
from pipelines.home.folder import Home
from pipelines.steps import steps_of_run

STEPS = steps_of_run(synthetic=True, tuned=False)


@pytest.fixture(scope="module")
def home(smoke_run: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(smoke_run[0], tmp_path_factory.mktemp("life") / "home"))


@pytest.fixture(scope="module")
def first(smoke_run: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return smoke_run[1]


def test_a_run_ends_with_a_version_a_report_and_a_contact_sheet(first: dict[str, Any], home: Path) -> None:
    assert first["status"] == "succeeded"
    # Of a handful of people nothing can be told: that is no bad model.
    assert first["verdict"] == "not judged" and "too little evidence on" in first["verdict_summary"]
    assert first["people"]["accepted"] > 0
    assert all(first["steps"][step] == "finished" for step in STEPS)
    assert Path(first["report"]).read_text().lstrip().lower().startswith("<!doctype html")
    assert Image.open(first["contact_sheet"]).size[0] > 300
    mlflow = tracking.client(Home.at(home).tracking_uri)
    version = mlflow.get_model_version_by_alias("photoshoot", "challenger").version
    assert str(version) == first["model_version"]


def test_a_run_keeps_what_it_is_compared_by_and_says_what_it_cost(first: dict[str, Any], home: Path) -> None:
    kept = home / "runs" / first["run_id"] / "evaluation"
    assert {path.name for path in kept.iterdir()} == {"metrics.json", "pairs.jsonl", "samples", "curves.json"}
    curves = json.loads((kept / "curves.json").read_text())
    assert curves["steps"] == [2, 4] and all(len(values) == 2 for values in curves["series"].values())
    assert 0 < sum(first["device_seconds"].values()) < first["seconds"] and "device-seconds" in first["cost"]
    mlflow = tracking.client(Home.at(home).tracking_uri)
    metrics = mlflow.get_run(first["mlflow_run_id"]).data.metrics
    assert metrics[tracking.DEVICE_SECONDS] == pytest.approx(sum(first["device_seconds"].values()), abs=1)


def test_mlflow_shows_one_tree(first: dict[str, Any], home: Path) -> None:
    mlflow = tracking.client(Home.at(home).tracking_uri)
    parent = mlflow.get_run(first["mlflow_run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.params["train.steps"] == "4"
    values = {name: entry["value"] for name, entry in first["metrics"].items() if entry["value"] is not None}
    assert values
    assert values.items() <= {k: pytest.approx(v) for k, v in parent.data.metrics.items()}.items()
    children = mlflow.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{first['mlflow_run_id']}'"
    )
    assert {run.info.run_name for run in children} == set(STEPS)
    assert {run.info.status for run in children} == {"FINISHED"}
    names = {file.path for file in mlflow.list_artifacts(first["mlflow_run_id"])}
    assert {"settings.yaml", "report.html", "contact_sheet.png", "result.json"} <= names


def test_the_version_loads_in_a_fresh_process_and_paints(first: dict[str, Any], home: Path, tmp_path: Path) -> None:
    """With nothing but the package and the registry's address: photo and pose maps in, image out."""
    from components.core.people.dataset import PeopleDataset

    folder = next(Home.at(home).pipeline_root.glob("*/preprocess/people"))
    people = PeopleDataset.open(folder)
    Image.fromarray(people[0].photo).save(tmp_path / "photo.png")
    Image.fromarray(people[0].iuv).save(tmp_path / "pose.png")
    Image.fromarray(people[1].iuv).save(tmp_path / "target.png")
    code = (
        "import io, sys, mlflow, pandas as pd\n"
        "from PIL import Image\n"
        "read = lambda name: open(f'{sys.argv[1]}/{name}.png', 'rb').read()\n"
        "model = mlflow.pyfunc.load_model('models:/photoshoot@challenger')\n"
        "row = {'source_photo': read('photo'), 'source_pose': read('pose'), 'target_pose': read('target')}\n"
        "out = model.predict(pd.DataFrame([row]))\n"
        "image = Image.open(io.BytesIO(out['image'].iloc[0]))\n"
        "assert image.size == (64, 64), image.size\n"
        "assert len(image.convert('RGB').getcolors(4096)) > 10\n"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": Home.at(home).tracking_uri}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment,
                          cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_person_is_shot_with_the_registered_version(first: dict[str, Any], home: Path, tmp_path: Path) -> None:
    photos = next(Home.at(home).pipeline_root.glob("*/synthesize/photos"))
    photo, other = sorted((photos / "photos").iterdir())[:2]
    maps = [photos / "iuv" / f"{path.stem}.png" for path in (photo, other)]
    command = [sys.executable, "-m", "pipelines.cli", "shoot", "--home", str(home), "--photo", str(photo),
               "--iuv", str(maps[0]), "--pose", str(maps[0]), "--pose", str(maps[1]), "--size", "64",
               "--out", str(tmp_path / "new")]
    done = subprocess.run([*command, "--version", "challenger", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = ["contact-sheet.jpg", *(path.name for path in maps)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    assert Image.open(tmp_path / "new" / maps[1].name).size == (64, 64)
    refused = subprocess.run([*command, "--version", "99"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "no version 99" in refused.stderr and "the newest version is 1" in refused.stderr


def test_what_a_run_names_next_works_as_it_stands(first: dict[str, Any], home: Path) -> None:
    made_at = str(Path(first["report"]).parents[2])  # `home` is a copy of where the run was made
    ui, shoot, compare = (command.replace(made_at, str(home)) for command in first["next"])
    assert " ui --home " in ui and "--version 1" in shoot and str(home) in shoot
    for command in (shoot, compare):
        done = subprocess.run(shlex.split(command), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "not judged" in done.stdout  # by compare
    assert Image.open(home / "runs" / first["run_id"] / "shots" / "pose.png").size == (64, 64)
    # No version was good enough to be champion: who asks for one is told which there is, who does not gets the newest.
    without = [word for word in shlex.split(shoot) if word not in ("--version", "1")]
    refused = subprocess.run([*without, "--version", "champion"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "no champion of photoshoot yet: the newest version is 1 (its gate: not judged)" in refused.stderr
    assert "`--version 1` uses it" in refused.stderr
    again = subprocess.run(without, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "no champion of photoshoot yet: version 1 (its gate: not judged) is used" in again.stderr


@pytest.mark.long
def test_an_evaluation_setting_reruns_evaluation_and_registration_only(first: dict[str, Any], home: Path) -> None:
    code, result, log = _run(home, "--set", "evaluate.rows=3")
    assert code == 0, log
    assert [step for step in STEPS if result["steps"][step] == "finished"] == ["evaluate", "challenge", "register"]
    assert all(result["steps"][step] == "reused" for step in STEPS[: STEPS.index("evaluate")])
    assert "reused" in log


def test_the_same_run_again_registers_no_second_version(first: dict[str, Any], home: Path) -> None:
    code, result, log = _run(home)
    assert code == 0, log
    assert [step for step in STEPS if result["steps"][step] != "reused"] == ["challenge", "register"]
    assert result["model_version"] == first["model_version"]


@pytest.mark.long
def test_runs_compare_by_figures_and_by_the_settings_that_differ(first: dict[str, Any], home: Path) -> None:
    _, other, _ = _run(home, "--set", "evaluate.rows=3")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "compare", first["run_id"], other["run_id"],
         "--home", str(home), "--json"],
        capture_output=True, text=True,
    )
    comparison = json.loads(done.stdout.splitlines()[-1])
    assert comparison["runs"] == [first["run_id"], other["run_id"]]
    assert comparison["settings"] == {"evaluate.rows": ["6", "3"]}
    assert set(comparison["metrics"]) == set(first["metrics"])


def test_a_step_that_fails_is_one_line_and_a_failed_run(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (64, 64)).save(photos / "a.png")
    code, result, log = _run(tmp_path / "home", "--photos", str(photos), "--set", "preprocess.pose_maps=given")
    assert code == 2
    assert result["status"] == "failed"
    assert "iuv" in result["error"]
    assert "Traceback" not in log
    mlflow = tracking.client(Home.at(tmp_path / "home").tracking_uri)
    experiment = mlflow.get_experiment_by_name("photoshoot")
    runs = mlflow.search_runs([experiment.experiment_id], "tags.`photoshoot.run` != ''")
    assert [run.info.status for run in runs] == ["FAILED"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_ending_the_command_ends_all_its_processes(ending: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "run", "--preset", "smoke", "--home", str(home)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    mark = str(home).encode()
    _wait_for(lambda: any(home.glob("runs/*/events.jsonl")) and len(_processes_with(mark)) > 1)
    command.send_signal(ending)
    command.wait(30)
    _wait_for(lambda: not _processes_with(mark))


def _processes_with(mark: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in environment:
                found.append(int(entry.name))
    return found


def _wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)
