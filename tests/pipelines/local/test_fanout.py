"""Preprocessing by several tasks, and photos on gs://, through the command line; the run is over when people are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from networks import needs_weights
from PIL import Image
from servers import gcs_bucket

from components.core.presets import preset
from components.core.stores.storage import open_location
from components.preprocess import preprocess
from pipelines.display import PipelineDisplay
from pipelines.home.folder import Home
from pipelines.kubeflow.compilation import compile_pipeline
from pipelines.steps import STEPS

CHANGES = ["preprocess.shards=3", "preprocess.shard_size=2", "preprocess.matte=silhouette",
           "preprocess.min_sharpness=0", "preprocess.repeats=2"]


@pytest.fixture
def bucket() -> Iterator[str]:
    with gcs_bucket("photos") as address:
        yield address


def _faceless(folder: Path, count: int) -> Path:
    """Photos of people of whom only the torso shows: good people, but nobody for `cluster` to recognise."""
    (folder / "iuv").mkdir(parents=True)
    for number in range(count):
        photo = np.random.default_rng(number).integers(0, 256, (120, 96, 3), dtype=np.uint8)
        photo[10:110, 10:86] //= 4  # so that the photo shows where the body is
        iuv = np.zeros_like(photo)
        iuv[10:110, 10:86] = (2, 0, 0)
        iuv[10:110, 10:86, 1] = np.linspace(0, 255, 100)[:, None]
        iuv[10:110, 10:86, 2] = np.linspace(255, 0, 76)[None, :]  # V grows to the person's right
        Image.fromarray(photo).save(folder / f"p{number}.png")
        Image.fromarray(iuv).save(folder / "iuv" / f"p{number}.png")
    return folder


@pytest.mark.long
def test_several_tasks_make_the_people_of_one_from_photos_on_gs(bucket: str, tmp_path: Path) -> None:
    needs_weights("sface")
    photos = _faceless(tmp_path / "photos", 7)
    (photos / "p7.png").write_bytes((photos / "p2.png").read_bytes())
    (photos / "iuv" / "p7.png").write_bytes((photos / "iuv" / "p2.png").read_bytes())
    open_location(f"{bucket}/set").upload(photos)
    home = tmp_path / "home"
    command = [sys.executable, "-m", "pipelines.cli", "run", "--preset", "smoke", "--photos", f"{bucket}/set",
               "--home", str(home), "--json"]
    for change in CHANGES:
        command += ["--set", change]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr  # nobody to cluster
    assert "preprocess done" in done.stderr and "cluster" in done.stderr, done.stderr
    events = [json.loads(line) for line in next(home.glob("runs/*/events.jsonl")).read_text().splitlines()]
    assert {event["label"] for event in events if "label" in event} >= {f"preprocess {n}/3" for n in (1, 2, 3)}
    made = next(Home.at(home).pipeline_root.glob("*/gather/people"))
    settings = preset("smoke").with_changes([*CHANGES, "preprocess.shards=1"]).preprocess
    summary = preprocess(photos, tmp_path / "people", settings)
    assert summary.accepted == 7 and [one["photo"] for one in summary.rejected] == ["p7.png"]
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.name != "summary.json"} == {
        path.name: path.read_bytes() for path in (tmp_path / "people").iterdir()}
    assert json.loads((made / "summary.json").read_text())["digest"] == summary.digest
    assert not any((home / "state" / "preprocess").iterdir())


def test_one_line_when_there_is_nothing_at_the_address(bucket: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", "run", "--photos", f"{bucket}/nothing", "--home",
                           str(tmp_path / "home")], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2
    assert f"{bucket}/nothing: no files there" in done.stderr and "Traceback" not in done.stderr


def test_the_compiled_pipeline_has_a_loop_and_a_gathering_task(tmp_path: Path) -> None:
    import yaml

    out = tmp_path / "pipeline.yaml"
    compile_pipeline(preset("smoke").with_changes(["preprocess.shards=4"]), out, photos="gs://bucket/photos")
    spec = json_format.ParseDict(next(yaml.safe_load_all(out.read_text())), pipeline_spec_pb2.PipelineSpec())
    tasks = spec.root.dag.tasks
    loop = next(task for name, task in tasks.items() if name.startswith("for-loop"))
    assert json.loads(loop.parameter_iterator.items.raw) == ["1/4", "2/4", "3/4", "4/4"]
    assert set(tasks["gather"].dependent_tasks) == {next(name for name in tasks if name.startswith("for-loop"))}
    assert "gather" in tasks["cluster"].dependent_tasks and "preprocess" not in tasks


def test_the_tasks_of_a_step_are_shown_as_the_step(capsys: pytest.CaptureFixture[str]) -> None:
    display = PipelineDisplay(STEPS)
    for task, state in (("preprocess-part", "started"), ("preprocess-part", "started"),
                        ("preprocess-part", "finished"), ("preprocess-part", "finished"), ("gather", "started")):
        display.event({"step": task, "state": state, "seconds": 1.0})
        assert display.states["preprocess"] == "started"
    display.event({"step": "gather", "state": "finished", "seconds": 1.0})
    assert display.states["preprocess"] == "finished"
    assert capsys.readouterr().err.count("preprocess") == 2  # began, done
