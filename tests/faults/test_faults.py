"""Things break while the pipeline runs in containers: it ends in success or in a clear failure, never in a wrong
success, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.core import tracking
from components.core.storage import open_location
from pipelines.containers import OWNER, connected
from pipelines.engines import engine_socket
from pipelines.home import Home
from pipelines.runs import RUN_TAG

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
SMOKE = ["--preset", "smoke", "--set", "train.steps=16", "--set", "evaluate.pairs=16"]

pytestmark = pytest.mark.timeout(900)


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    result: dict[str, Any]
    events: list[dict[str, Any]]
    log: str

    @property
    def said(self) -> str:
        """The error, without what is particular to one machine."""
        return re.sub(r"/\S+/", ".../", self.result.get("error", ""))

    def began(self, label: str) -> int:
        """How much of a piece of work was done before this run began it."""
        return int(next(event["done"] for event in self.events if event.get("label") == label))


class Run:
    """`photoshoot run` under way in its own process."""

    def __init__(self, home: Path, *more: str, **environment: str) -> None:
        self.home = home
        before = set(home.glob("runs/*"))
        self._child = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "run", "--backend", "containers", *SMOKE, "--home", str(home),
             "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
        wait_for(lambda: set(home.glob("runs/*")) - before or self._child.poll() is not None)
        self._folder = next(iter(set(home.glob("runs/*")) - before), None)

    def reaches(self, step: int) -> None:
        """Wait until training has done so many steps."""
        wait_for(lambda: self._child.poll() is not None or any(
            event.get("label") == "train" and event["done"] >= step for event in self.events()))
        assert self._child.poll() is None, self.end()

    def events(self) -> list[dict[str, Any]]:
        """What the steps have told so far."""
        path = self._folder / "events.jsonl" if self._folder else None
        lines = path.read_text().splitlines(keepends=True) if path and path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def end(self) -> Outcome:
        """Wait for its end."""
        try:
            output, log = self._child.communicate(timeout=400)
        finally:
            self._child.kill()
        result = json.loads(output.splitlines()[-1]) if output else {}
        return Outcome(self._child.returncode, result, self.events(), log)


def wait_for(condition: Callable[[], Any], seconds: float = 200) -> None:
    """Poll until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with one good run in it: its first steps are reused by those that follow with another seed."""
    home = tmp_path_factory.mktemp("faults") / "home"
    outcome = Run(home).end()
    assert outcome.code == 0, outcome.log
    return home


@dataclass
class Table:
    """Rows of docs/reliability.md."""

    rows: list[tuple[str, ...]] = field(default_factory=list)

    def row(self, fault: str, how: str, outcome: str, afterwards: str) -> None:
        """Keep what a test has seen."""
        self.rows.append((fault, how, outcome, afterwards))

    def text(self) -> str:
        """The document."""
        head = ("fault", "made by", "the run", "afterwards")
        lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * 4, *self.rows)]
        return ("# Reliability\n\nWhat becomes of a run when something breaks. The table is written by `tests/faults`, "
                "which break these things while\nthe `smoke` pipeline runs in containers, and check beside each row "
                "that no version was registered unless the run\nsucceeded, and that the MLflow run says FAILED if it "
                "did not.\n\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def table() -> Table:
    """The table, filled from test to test."""
    return Table()


def versions(uri: str) -> int:
    """How many versions are registered."""
    return len(tracking.client(uri).search_model_versions("name = 'photoshoot'"))


def status(uri: str) -> str:
    """How the last run of the pipeline ended, by MLflow."""
    mlflow = tracking.client(uri)
    experiment = mlflow.get_experiment_by_name("photoshoot")
    (run,) = mlflow.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}` != ''",
                                order_by=["attributes.start_time DESC"], max_results=1)
    return str(run.info.status)


def failed(outcome: Outcome, uri: str, registered: int, code: int = 3) -> str:
    """Check that a run failed as it should; its words."""
    assert outcome.code == code, (outcome.result, outcome.log)
    assert outcome.result["status"] == "failed" and "Traceback" not in outcome.log
    assert "a defect in photoshoot" not in outcome.said
    assert versions(uri) == registered and status(uri) == "FAILED"
    return f"fails: “{outcome.said}”"


def succeeded(outcome: Outcome, uri: str, registered: int) -> None:
    """Check that a run made the next version."""
    assert outcome.code == 0, (outcome.result, outcome.log)
    assert versions(uri) == registered and status(uri) == "FINISHED"


def curves(uri: str, run_id: str) -> list[int]:
    """The steps at which training recorded its loss."""
    mlflow = tracking.client(uri)
    experiment = mlflow.get_run(run_id).info.experiment_id
    (train,) = mlflow.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.run_name = 'train'")
    name = next(name for name in sorted(train.data.metrics) if name.startswith("loss/"))
    return sorted({metric.step for metric in mlflow.get_metric_history(train.info.run_id, name)})


def test_a_step_is_killed(home: Path, table: Table) -> None:
    uri = Home.at(home).tracking_uri
    before = versions(uri)
    with engine_socket() as address, connected(address) as client:
        run = Run(home, "--set", "train.seed=1")
        run.reaches(8)
        (container,) = client.containers.list(filters={"label": f"{OWNER}={home}"})
        container.kill("SIGKILL")
        said = failed(run.end(), uri, before)
    again = Run(home, "--set", "train.seed=1").end()
    succeeded(again, uri, before + 1)
    assert again.began("train") >= 4, "training did not go on from its checkpoint"
    assert again.result["steps"]["cluster"] == "reused"
    table.row("a step is killed", "SIGKILL to the training container in the middle", said,
              "the same command goes on from the last checkpoint and registers the version")


def test_a_step_runs_out_of_memory(home: Path, table: Table) -> None:
    uri = Home.at(home).tracking_uri
    before = versions(uri)
    said = failed(Run(home, "--set", "train.seed=2", "--memory", "200m").end(), uri, before)
    assert "out of memory" in said
    succeeded(Run(home, "--set", "train.seed=2").end(), uri, before + 1)
    table.row("out of memory", "containers limited to 200 MB", said,
              "the same command with enough memory succeeds; steps that were done are reused")


@pytest.fixture
def small_disk(home: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that is too small for a run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    used = sum(path.stat().st_blocks * 512 for path in home.rglob("*") if path.is_file())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(used // 8, 2_000_000)}", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_the_disk_is_full(small_disk: Path, table: Table) -> None:
    home = small_disk / "home"
    outcome = Run(home).end()
    assert outcome.code == 3, (outcome.result, outcome.log)
    assert "a defect in photoshoot" not in outcome.said and "Traceback" not in outcome.log
    subprocess.run(["mount", "-o", "remount,size=1g", small_disk], check=True)
    uri = Home.at(home).tracking_uri
    assert versions(uri) == 0
    succeeded(Run(home).end(), uri, 1)
    table.row("the disk is full", "a home on a disk of a few megabytes", f"fails: “{outcome.said}”",
              "the same command on a larger disk succeeds")


def test_mlflow_is_away_for_a_while(home: Path, table: Table, tracking_server: Any) -> None:
    service, url = tracking_server()
    run = Run(home, "--set", "train.seed=3", MLFLOW_TRACKING_URI=url)
    run.reaches(4)
    service.restart(away=8)
    outcome = run.end()
    succeeded(outcome, url, 1)
    assert curves(url, outcome.result["mlflow_run_id"]) == list(range(2, 17, 2)), "a figure was lost"
    table.row("MLflow is down for a while", "the server killed during training, back 8 seconds later",
              "waits and succeeds", "every figure is recorded")


def test_mlflow_stays_away(home: Path, table: Table, tracking_server: Any) -> None:
    service, url = tracking_server()
    run = Run(home, "--set", "train.seed=4", MLFLOW_TRACKING_URI=url, MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")
    run.reaches(4)
    service.kill()
    outcome = run.end()
    assert outcome.code == 3, (outcome.result, outcome.log)
    assert "a defect in photoshoot" not in outcome.said and "Traceback" not in outcome.log
    service.start()
    assert versions(url) == 0
    again = Run(home, "--set", "train.seed=4", MLFLOW_TRACKING_URI=url).end()
    succeeded(again, url, 1)
    table.row("MLflow stays down", "the server killed during training", f"fails: “{outcome.said}”",
              "with the server back the same command succeeds")


def test_the_database_restarts(home: Path, table: Table, tracking_server: Any, database: Any) -> None:
    postgres, store = database
    _, url = tracking_server(store)
    run = Run(home, "--set", "train.seed=5", MLFLOW_TRACKING_URI=url)
    run.reaches(4)
    postgres.restart(away=3)
    outcome = run.end()
    succeeded(outcome, url, 1)
    assert curves(url, outcome.result["mlflow_run_id"]) == list(range(2, 17, 2)), "a figure was lost"
    table.row("the database restarts", "PostgreSQL below MLflow killed during training, back 3 seconds later",
              "waits and succeeds", "every figure is recorded")


def test_the_bucket_answers_503(home: Path, table: Table, bucket: Any, tmp_path: Path) -> None:
    photos = next(Home.at(home).pipeline_root.glob("*/synthesize/photos"))
    open_location("gs://bucket/photos").upload(photos)
    bucket.refuse = lambda number: number % 3 == 0
    outcome = Run(tmp_path / "home", "--photos", "gs://bucket/photos").end()
    assert bucket.refused > 10
    uri = Home.at(tmp_path / "home").tracking_uri
    succeeded(outcome, uri, 1)
    copies = {path.name: path.read_bytes() for path in (tmp_path / "home" / "state" / "photos").rglob("*.png")}
    assert copies == {path.name: path.read_bytes() for path in photos.rglob("*.png")}
    table.row("the bucket answers 503", "every third request for the photos refused", "tries again and succeeds",
              "the photos are copied bit by bit")


def test_the_bucket_stays_unavailable(home: Path, table: Table, bucket: Any, tmp_path: Path) -> None:
    photos = next(Home.at(home).pipeline_root.glob("*/synthesize/photos"))
    open_location("gs://bucket/photos").upload(photos)
    bucket.refuse = lambda number: True
    again = Run(tmp_path / "home", "--photos", "gs://bucket/photos").end()
    said = failed(again, Home.at(tmp_path / "home").tracking_uri, 0)
    table.row("the bucket stays unavailable", "every request for the photos refused", said, "nothing was begun")


def test_the_table_is_up_to_date(table: Table) -> None:
    """Last: what the tests above saw is what the document says. PHOTOSHOOT_WRITE_DOCS writes it anew."""
    if len(table.rows) < 8:
        pytest.skip("not all faults were tried")
    if "PHOTOSHOOT_WRITE_DOCS" in os.environ:
        DOCUMENT.write_text(table.text())
    assert DOCUMENT.read_text() == table.text(), "PHOTOSHOOT_WRITE_DOCS=1 pytest tests/faults writes it anew"


