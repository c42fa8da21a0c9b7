"""Things break while the pipeline runs in containers: it ends in success or in a clear failure, never in a wrong
success, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from servers import GcsProxy, Handler, MlflowServer, PostgresServer, http_server, url_of, wait_for

from components.core.record import tracking
from components.core.stores.storage import open_location
from pipelines.containers.engines import engine_socket
from pipelines.containers.execution import OWNER, connected
from pipelines.home.folder import Home
from pipelines.results.runs import RUN_TAG
from pipelines.steps import steps_of_run

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
FAULTS = 8
"""How many there are."""
STEPS = steps_of_run(synthetic=True, tuned=False)
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
        said = re.sub(r"(127\.0\.0\.1):\d+", r"\1", self.result.get("error", ""))
        return re.sub(r"(?<!/)/[^/\s]\S*/", ".../", re.sub(r"\([^()]*http:[^()]*\)", "(...)", said))

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

    def kill(self) -> None:
        """End it without a word, if it has not ended."""
        self._child.kill()
        self._child.wait()

    def end(self) -> Outcome:
        """Wait for its end."""
        try:
            output, log = self._child.communicate(timeout=400)
        finally:
            self.kill()
        result = json.loads(output.splitlines()[-1]) if output else {}
        return Outcome(self._child.returncode, result, self.events(), log)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that is a disk of its own where we may make one."""
    disk = tmp_path_factory.mktemp("faults") / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", disk], check=True)
    yield disk
    if mounted:
        subprocess.run(["umount", "--lazy", disk], check=True)  # this process still has databases open there


@pytest.fixture(scope="module")
def home(disk: Path) -> Path:
    """A home folder with one good run in it: its first steps are reused by those that follow with another seed."""
    outcome = Run(disk / "home").end()
    assert outcome.code == 0, outcome.log
    return disk / "home"


class _Unavailable(Handler):
    """A bucket that is not there for anybody."""

    def do_GET(self) -> None:
        """Also of every other kind of request."""
        self.reply(503)

    do_POST = do_PUT = do_DELETE = do_GET


@pytest.fixture(scope="module", autouse=True)
def unavailable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run whose bucket never answers. It is begun first, because it only waits, and it does so for two minutes."""
    with http_server(_Unavailable) as server:
        run = Run(tmp_path_factory.mktemp("unavailable") / "home", "--photos", "gs://bucket/photos",
                  STORAGE_EMULATOR_HOST=url_of(server))
        yield run
        run.kill()


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
                "which break these things while\nthe `smoke` pipeline runs in containers. Beside each row they check "
                "that a version is registered only where the run\nsucceeded, and that afterwards MLflow shows no run "
                "as going on that has ended.\n\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def table() -> Table:
    """The table, filled from test to test."""
    return Table()


def versions(uri: str) -> int:
    """How many versions are registered."""
    return len(tracking.client(uri).search_model_versions("name = 'photoshoot'"))


def last_run(mlflow: MlflowClient) -> str:
    """The last run of the pipeline, by MLflow."""
    experiment = mlflow.get_experiment_by_name("photoshoot")
    (run,) = mlflow.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}` != ''",
                                order_by=["attributes.start_time DESC"], max_results=1)
    return str(run.info.run_id)


def status(uri: str) -> str:
    """How the last run of the pipeline ended, by MLflow."""
    mlflow = tracking.client(uri)
    return str(mlflow.get_run(last_run(mlflow)).info.status)


def failed(outcome: Outcome, uri: str, registered: int, code: int = 3) -> str:
    """Check that a run failed as it should; its words."""
    assert outcome.code == code, (outcome.result, outcome.log)
    assert outcome.result["status"] == "failed" and "Traceback" not in outcome.log
    assert "a defect in photoshoot" not in outcome.said
    assert versions(uri) == registered and status(uri) == "FAILED"
    return f"fails: “{outcome.said}”"


def succeeded(outcome: Outcome, uri: str, registered: int) -> None:
    """Check that a run made the next version, and that none before it seems to go on for ever."""
    assert outcome.code == 0, (outcome.result, outcome.log)
    assert versions(uri) == registered and status(uri) == "FINISHED"
    mlflow = tracking.client(uri)
    experiment = mlflow.get_experiment_by_name("photoshoot").experiment_id
    assert "RUNNING" not in {run.info.status for run in mlflow.search_runs([experiment])}


def curves(uri: str, run_id: str) -> list[int]:
    """The steps at which training recorded its loss."""
    mlflow = tracking.client(uri)
    experiment = mlflow.get_run(run_id).info.experiment_id
    (train,) = mlflow.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.run_name = 'train'")
    name = next(name for name in sorted(train.data.metrics) if name.startswith("loss/"))
    return sorted({metric.step for metric in mlflow.get_metric_history(train.info.run_id, name)})


def test_a_run_makes_a_version_and_the_next_one_reuses_its_steps(home: Path) -> None:
    mlflow = tracking.client(Home.at(home).tracking_uri)
    (version,) = mlflow.search_model_versions("name = 'photoshoot'")
    run = mlflow.get_run(last_run(mlflow))
    children = mlflow.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert {child.info.run_name: child.info.status for child in children} == dict.fromkeys(STEPS, "FINISHED")
    assert {path.stat().st_uid for path in home.rglob("*")} == {os.getuid()}
    again = Run(home, "--memory", "3g").end()
    assert again.code == 0 and again.result["model_version"] == str(version.version) == "1"
    assert [step for step in STEPS if again.result["steps"][step] != "reused"] == ["challenge", "register"]


def test_memory_is_scarce_and_then_the_step_is_killed(home: Path, table: Table) -> None:
    uri, other = Home.at(home).tracking_uri, ("--set", "train.seed=1")
    said = failed(Run(home, *other, "--memory", "200m").end(), uri, 1)
    assert "out of memory" in said
    table.row("out of memory", "containers limited to 200 MB", said,
              "with enough memory the same command resumes; steps that were done are reused")
    with engine_socket() as address, connected(address) as client:
        run = Run(home, *other)
        run.reaches(8)
        (container,) = client.containers.list(filters={"label": f"{OWNER}={home}"})
        container.kill("SIGKILL")
        said = failed(run.end(), uri, 1)
    again = Run(home, *other).end()
    succeeded(again, uri, 2)
    assert again.began("train") >= 4, "training did not go on from its checkpoint"
    assert again.result["steps"]["cluster"] == "reused"
    table.row("a step is killed", "SIGKILL to the training container in the middle", said,
              "the same command resumes from the last checkpoint and registers the version")


def test_the_disk_is_full(home: Path, disk: Path, table: Table) -> None:
    if not disk.is_mount():
        pytest.skip("only root may mount a disk that is too small")
    uri, other = Home.at(home).tracking_uri, ("--set", "train.seed=2")
    space = os.statvfs(disk)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    subprocess.run(["mount", "-o", f"remount,size={used + 2_000_000}", disk], check=True)
    try:
        outcome = Run(home, *other).end()
    finally:
        subprocess.run(["mount", "-o", "remount,size=2g", disk], check=True)
    assert outcome.code == 3 and versions(uri) == 2, (outcome.result, outcome.log)
    assert "MB are free on this disk" in outcome.said and "Traceback" not in outcome.log
    succeeded(Run(home, *other).end(), uri, 3)
    table.row("the disk is full", "two megabytes left on the disk with the home folder",
              "refuses to begin: “2 MB are free on this disk ...”", "with more space the same command works")


def test_mlflow_is_away_and_its_database_restarts(
    home: Path, table: Table, tracking_server: Callable[..., tuple[MlflowServer, str]],
    database: tuple[PostgresServer, str]
) -> None:
    postgres, store = database
    service, url = tracking_server(store)
    other = ("--set", "train.seed=3", "--set", "train.steps=32")
    run = Run(home, *other, MLFLOW_TRACKING_URI=url, MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")
    run.reaches(2)
    service.kill()
    outcome = run.end()
    assert outcome.code == 3, (outcome.result, outcome.log)
    assert "a defect in photoshoot" not in outcome.said and "Traceback" not in outcome.log
    service.start()
    assert versions(url) == 0
    table.row("MLflow stays down", "the server killed during training", f"fails: “{outcome.said}”",
              "with the server back the same command resumes")

    run = Run(home, *other, MLFLOW_TRACKING_URI=url)
    run.reaches(10)
    service.restart(away=8)
    run.reaches(20)
    postgres.restart(away=3)
    outcome = run.end()
    succeeded(outcome, url, 1)
    recorded = curves(url, outcome.result["mlflow_run_id"])
    assert recorded == [step for step in range(2, 33, 2) if step > outcome.began("train")], "a metric was lost"
    for fault, how in (("MLflow is down for a while", "the server killed during training, back 8 seconds later"),
                       ("the database restarts", "PostgreSQL below MLflow killed during training, back 3 seconds "
                        "later")):
        table.row(fault, how, "waits and succeeds", "every metric is recorded")


def test_the_bucket_answers_503(home: Path, table: Table, bucket: GcsProxy, tmp_path: Path) -> None:
    photos = next(Home.at(home).pipeline_root.glob("*/synthesize/photos"))
    open_location("gs://bucket/photos").upload(photos)
    bucket.refuse = lambda number, kind: number % 8 == 0
    outcome = Run(tmp_path / "home", "--photos", "gs://bucket/photos").end()
    assert len(bucket.refused) > 10
    succeeded(outcome, Home.at(tmp_path / "home").tracking_uri, 1)
    # By folder and name: pose maps and mattes are named after the same photos.
    copies, originals = ({path.parts[-2:]: path.read_bytes() for path in root.rglob("*.png")}
                         for root in (tmp_path / "home" / "state" / "photos", photos))
    assert copies == originals
    table.row("the bucket answers 503", "every eighth request for the photos refused", "tries again and succeeds",
              "the photos are copied bit by bit")


def test_the_bucket_stays_unavailable(unavailable: Run, table: Table) -> None:
    said = failed(unavailable.end(), Home.at(unavailable.home).tracking_uri, 0)
    table.row("the bucket stays unavailable", "every request for the photos refused", said, "nothing was begun")


def test_the_table_is_up_to_date(table: Table) -> None:
    """Last: what the tests above saw is what the document says. PHOTOSHOOT_WRITE_DOCS writes it anew."""
    if len(table.rows) < FAULTS:
        pytest.skip("not all faults were tried")
    if "PHOTOSHOOT_WRITE_DOCS" in os.environ:
        DOCUMENT.write_text(table.text())
    assert DOCUMENT.read_text() == table.text(), "PHOTOSHOOT_WRITE_DOCS=1 .ci/containers writes it anew"
