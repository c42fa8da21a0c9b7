"""Runs side by side: the table, the page in a real browser, the links against a real MLflow server."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import Service, free_port, healthy

from components.core.errors import InputError
from components.core.record import tracking
from components.core.settings import Settings
from components.evaluate.report import sheet
from pipelines.cli.app import app
from pipelines.cli.commands import results  # noqa: F401  # registers the command
from pipelines.home.folder import Home
from pipelines.results.compare import compare_runs
from pipelines.results.files import RECORDS, RESULT_FILE, SETTINGS_FILE
from pipelines.results.links import Links
from pipelines.results.page import sheets, write_page
from pipelines.results.runs import RUN_TAG

COLUMNS = ("source", "target pose", "output", "texture warp", "truth")


def _metric(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 40, "by": "identity"}


def _evaluation(shift: float, people: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    difficulty = np.random.default_rng(3).normal(0.7, 0.1, 40)
    lines = [{"kind": "transfer", "identity": f"i{k % 8}", "source": f"s{k}", "target": f"t{k}",
              "ssim": round(float(value + shift), 6)} for k, value in enumerate(difficulty)]
    content = {
        "format": "photoshoot.evaluation/2",
        "model": {"digest": "m" * 64, "bytes": 10, "generator": "warp", "resolution": 64, "texel": 16,
                  "trained_on": "synthetic", "settings": {"steps": 3, "batch": 2}},
        "people": {"digest": people * 64, "accepted": 40, "origin": "synthetic", "rejected": []},
        "identities": {"digest": "i" * 64, "scores": {}}, "notes": [],
        "settings": {"split": "test"}, "counts": {"identities": 8, "pairs": 40},
        "networks": {"features": "builtin-features", "perceptual": "builtin-perceptual"},
        "judge": {"embedder": "builtin-judge", "judge_in_loss": False}, "baselines": {"texture_warp": {}},
        "metrics": {"ssim": _metric(float(difficulty.mean()) + shift), "frechet": {"value": None, "reason": "too few"}},
        "parts": {"face": {"l1": _metric(0.1 - shift)}},
        "memorisation": {"identity_capture": {**_metric(0.02), "passed": True, "bound": 0.1, "comparison": "<="}},
    }
    return content, lines


def _make(home: Home, name: str, shift: float, people: str = "p", **changes: str) -> str:
    """A finished run as `photoshoot run` leaves it."""
    mlflow = tracking.client(home.tracking_uri)
    found = mlflow.get_experiment_by_name("photoshoot")
    experiment = found.experiment_id if found else mlflow.create_experiment("photoshoot", str(home.mlflow_artifacts))
    run = mlflow.create_run(experiment, run_name=name, tags={RUN_TAG: name}).info.run_id
    folder = home.root / "runs" / name
    (folder / RECORDS).mkdir(parents=True)
    content, lines = _evaluation(shift, people)
    (folder / RECORDS / "metrics.json").write_text(json.dumps(content))
    (folder / RECORDS / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves = {"format": "photoshoot.curves/1", "steps": [1, 2], "series": {"loss/l1": [0.5, 0.4 - shift]}}
    (folder / RECORDS / "curves.json").write_text(json.dumps(curves))
    random = np.random.default_rng(len(name))
    rows = [sheet.Row([random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in COLUMNS], f"i{k}: s in t",
                      f"transfer/{people}{k}/t") for k in range(2)]
    sheet.write_samples(folder / RECORDS / "samples", COLUMNS, rows)
    (folder / SETTINGS_FILE).write_text(Settings().with_changes([f"train.{key}={value}" for key, value in
                                                                 changes.items()]).to_yaml())
    line = {"name": "ssim", "value": 0.7 + shift, "bound": 0.6, "comparison": ">=", "passed": True, "reason": ""}
    result = {"run_id": name, "mlflow_run_id": run, "model_version": "1", "verdict": "passed", "seconds": 60.0,
              "metrics": content["metrics"], "gate": [line], "cost": "0.01 USD (60 device-seconds cpu)"}
    (folder / RESULT_FILE).write_text(json.dumps(result))
    recorder = tracking.MlflowRecorder(mlflow, run)
    for file in (RESULT_FILE, SETTINGS_FILE):
        recorder.artifact(folder / file)
    recorder.artifact(folder / RECORDS, RECORDS)
    mlflow.set_terminated(run)
    return str(run)


def test_settings_of_an_older_run_are_compared_under_their_names_of_today(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    for name in ("run-old", "run-new"):
        _make(home, name, 0.0, beta1="0.25")
    path = home.root / "runs" / "run-old" / SETTINGS_FILE
    path.write_text(path.read_text().replace("beta1:", "momentum:"))
    found, _ = compare_runs(home, ["run-old", "run-new"])
    assert not found.settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home.at(tmp_path_factory.mktemp("compare") / "home")
    _make(home, "run-a", 0.0)
    _make(home, "run-b", 0.02, steps="7")
    _make(home, "run-c", 0.02, "q")
    return home


def test_a_small_but_steady_gain_is_seen_pair_by_pair(home: Home) -> None:
    comparison, _ = compare_runs(home, ["run-a", "run-b"])
    found = comparison.differences[1]["ssim"]
    assert (found.verdict, found.method, found.n) == ("better", "paired", 40) and found.value == pytest.approx(0.02)
    assert comparison.settings == {"train.steps": [str(Settings().train.steps), "7"]}
    assert comparison.differences[0] == {}
    assert not any("other people" in note for note in comparison.notes)


def test_other_people_are_named_and_never_paired(home: Home) -> None:
    comparison, _ = compare_runs(home, ["run-a", "run-c"])
    found = comparison.differences[1]["ssim"]
    assert (found.method, found.verdict) == ("intervals", "same")
    assert any("run-c" in note and "other people" in note for note in comparison.notes)
    assert any("\N{DAGGER}" in cell for row in comparison.rows() for cell in row)


def test_a_run_made_elsewhere_is_read_from_mlflow(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = compare_runs(home, ["run-a", "run-b"])
    monkeypatch.setenv(tracking.TRACKING_URI, home.tracking_uri)
    elsewhere = Home.at(tmp_path / "other")
    there, runs = compare_runs(elsewhere, ["run-a", here.links["runs"]["run-b"].split("/")[-1].partition("?")[0]])
    assert there.to_json() | {"links": None} == here.to_json() | {"links": None}
    assert [len(found.strips) for found in sheets(runs, ["run 1", "run 2"])] == [2]


def test_what_is_not_there_or_has_not_finished_is_said(home: Home) -> None:
    for name, said in (("nothing", "no run nothing"), ("v3", "no version v3"), ("@champion", "no version @champion"),
                       ("v3", "nothing was registered yet")):
        with pytest.raises(InputError, match=said):
            compare_runs(home, [name])
    mlflow = tracking.client(home.tracking_uri)
    experiment = mlflow.get_experiment_by_name("photoshoot").experiment_id
    mlflow.create_run(experiment, run_name="half", tags={RUN_TAG: "half"})
    with pytest.raises(InputError, match="half has not finished"):
        compare_runs(home, ["run-a", "half"])


def test_a_run_of_a_version_that_kept_no_evaluation_is_shown_but_not_compared(home: Home, tmp_path: Path) -> None:
    _make(home, "run-old", 0.3)
    shutil.rmtree(home.root / "runs" / "run-old" / RECORDS)
    comparison, runs = compare_runs(home, ["run-a", "run-old"])
    assert comparison.metrics["ssim"][1]["value"] > 0.9
    assert {found.verdict for found in comparison.differences[1].values()} == {"unknown"}
    assert any("run-old" in note and "not compared" in note for note in comparison.notes)
    assert "run-old" in write_page(comparison, runs, tmp_path / "page.html").read_text()


def test_the_command_prints_a_table_and_writes_the_page(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    app(["compare", "run-a", "run-b", "--home", str(home.root)], standalone_mode=False)
    shown = capsys.readouterr()
    line = next(line for line in shown.out.splitlines() if line.startswith("ssim"))
    assert line.rstrip().endswith("better") and "#/compare-runs?" in shown.out
    app(["compare", "run-a", "run-b", "--home", str(home.root), "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["differences"][1]["ssim"]["verdict"] == "better"
    assert Path(found["page"]).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_same_rows_side_by_side(home: Home, tmp_path: Path, width: int, look: Any) -> None:
    comparison, runs = compare_runs(home, ["run-a", "run-b"])
    page = write_page(comparison, runs, tmp_path / "page.html")
    seen = look(f"file://{page}", width)
    assert (seen.complaints, seen.too_wide) == ([], 0)
    pictures = seen.page.locator("#sheet ~ .rows img")
    assert pictures.count() == 2 * 5
    alts = [pictures.nth(k).get_attribute("alt") for k in range(5)]
    assert [alt.partition(" of ")[0] for alt in alts] == ["source", "target pose", "run 1", "run 2", "truth"]
    assert "better" in seen.page.locator("#metrics ~ .table").first.inner_text()
    assert seen.page.locator(".chart").count() == 1


def test_pictures_of_other_pairs_stand_by_themselves(home: Home) -> None:
    _, runs = compare_runs(home, ["run-a", "run-c"])
    found = sheets(runs, ["run 1", "run 2"])
    assert [one.marked for one in found] == [["run 1"], ["run 2"]]
    assert [one.columns[2] for one in found] == ["run 1", "run 2"]


@pytest.fixture(scope="module")
def server(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`photoshoot ui` on the home, as a user starts it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pipelines.cli", "ui", "--home", home.root, "--port", str(port)]
    with Service(command, lambda: healthy(address), tmp_path_factory.mktemp("ui")):
        yield address


def test_links_open_on_the_right_view_of_a_real_server(home: Home, server: str, look: Any) -> None:
    comparison, _ = compare_runs(home, ["run-a", "run-b"], ui=server)
    page = look(comparison.links["compare"], 1280).page
    page.get_by_text("run-a").first.wait_for(timeout=60_000)
    page.get_by_text("run-b").first.wait_for(timeout=60_000)
    page.goto(comparison.links["runs"]["run-b"])
    page.get_by_role("heading", name="run-b").first.wait_for(timeout=60_000)
    experiment = tracking.client(home.tracking_uri).get_experiment_by_name("photoshoot").experiment_id
    page.goto(Links(server).experiment(experiment))
    page.get_by_text("run-a").first.wait_for(timeout=60_000)
