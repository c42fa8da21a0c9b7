"""Many runs and one table: which runs there are, what they are told, how they end and go on, what the table says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.core.errors import InputError, PhotoshootError
from components.core.presets import preset
from pipelines.experiments.repeat import outcome
from pipelines.experiments.repeat import page as repeat_page
from pipelines.experiments.repeat import runs as repeat
from pipelines.experiments.repeat.outcome import Outcome, assignment, read_outcome
from pipelines.experiments.repeat.processors import MACHINES, seen_with, share

_STAND_IN = Path(__file__).with_name("stand_in_run.py")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeat, "seen_with", lambda environment: {
        "threads": int(environment["OMP_NUM_THREADS"]), "torch": "AVX2", "numpy": "X", "openblas": "Y", "opencv": "Z"})
    for name in ("STAND_IN_WAIT", "STAND_IN_FAIL"):
        monkeypatch.delenv(name, raising=False)


def stand_in(job: repeat.Job) -> list[str]:
    return [sys.executable, str(_STAND_IN), *job.command()[3:]]


def jobs(work: Path, seeds: tuple[int, ...] = (0, 1), machines: tuple[str, ...] = ("plain", "two-threads"),
         *changes: str) -> list[repeat.Job]:
    settings = preset("demo").with_changes(list(changes))
    return repeat.plan(seeds, machines, settings, [part for one in changes for part in ("--set", one)], work)


def test_by_default_there_are_five_seeds_and_the_first_on_three_more_machines(tmp_path: Path) -> None:
    found = repeat.plan(range(5), list(MACHINES), preset("demo"), ["--preset", "smoke"], tmp_path)
    assert [(job.seed, job.machine.name) for job in found] == [
        *((seed, "plain") for seed in range(5)), (0, "one-thread"), (0, "two-threads"), (0, "avx2")]
    assert len({job.home.root for job in found}) == 8
    assert all(job.settings.synthesize.seed == job.seed for job in found)
    assert found[3].arguments == ("run", "--preset", "smoke", "--set", "synthesize.seed=3")
    with pytest.raises(InputError, match="unknown kind of machine gpu"):
        jobs(tmp_path, (0,), ("gpu",))


def test_a_machine_s_variables_are_what_the_libraries_go_by() -> None:
    """In a process of its own: what is set is what torch, NumPy, OpenBLAS and OpenCV then do."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    two = seen_with(environment | MACHINES["two-threads"].variables())
    assert (two["threads"], two["opencv_threads"]) == (2, 2)
    try:
        narrow = seen_with(environment | MACHINES["avx2"].variables())
    except InputError:
        pytest.skip("not an x86 processor")
    assert narrow["threads"] == 1 and narrow["torch"] in ("AVX2", "DEFAULT")
    assert not any("512" in str(value) or value == "X86_V4" for value in narrow.values()), narrow


def test_runs_side_by_side_share_the_threads_unless_told_otherwise() -> None:
    cores = len(os.sched_getaffinity(0))
    plain, two = MACHINES["plain"], MACHINES["two-threads"]
    assert share(plain, 1, {}) == {}
    assert share(plain, 2, {})["OMP_NUM_THREADS"] == str(max(cores // 2, 1))
    assert share(plain, 2, {"OMP_NUM_THREADS": "7"}) == {}
    assert share(two, 4, {})["OMP_NUM_THREADS"] == "2"


def test_every_run_has_its_own_home_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://nobody.example")
    monkeypatch.setenv("PHOTOSHOOT_HOME", "elsewhere")
    found = repeat.run(jobs(tmp_path), tmp_path, 2, stand_in)
    assert [one.name for one in found] == ["seed-0", "seed-1", "seed-0-two-threads"]
    assert found[2].variables["OMP_NUM_THREADS"] == "2" and found[2].seen["threads"] == 2
    assert all(one.champion and one.identities == 2 and one.seconds == 60 for one in found)
    # The confidences differ between the machines; who is who does not.
    assert found[0].assignment == found[2].assignment != found[1].assignment
    assert {path.name for path in (tmp_path / "seed-0").iterdir()} == {"home", "job.json", "log.txt", "outcome.json"}


def test_what_is_finished_is_not_run_again_and_what_failed_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_FAIL", "1")
    with pytest.raises(PhotoshootError, match=r"1 of 3 runs have no result: seed-1 \(photos: no people\)"):
        repeat.run(jobs(tmp_path), tmp_path, 1, stand_in)
    first = (tmp_path / "seed-0" / "outcome.json").stat().st_mtime_ns
    monkeypatch.delenv("STAND_IN_FAIL")
    found = repeat.run(jobs(tmp_path), tmp_path, 1, stand_in)
    assert [one.attempts for one in found] == [1, 2, 1]
    assert (tmp_path / "seed-0" / "outcome.json").stat().st_mtime_ns == first
    assert len(list((tmp_path / "seed-0" / "home" / "runs").iterdir())) == 1


def test_other_settings_do_not_pass_for_finished_ones(tmp_path: Path) -> None:
    repeat.run(jobs(tmp_path, (0,), ("plain",)), tmp_path, 1, stand_in)
    with pytest.raises(InputError, match="other settings") as refused:
        repeat.run(jobs(tmp_path, (0,), ("plain",), "train.steps=7"), tmp_path, 1, stand_in)
    assert "--work" in str(refused.value) and "seed-0" in str(refused.value)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_killed_at_any_time_the_same_goes_on(ending: signal.Signals, tmp_path: Path) -> None:
    """The real way down: the experiment in a process, the run below it through the follower; then once more."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "import test_repeat\nfrom pipelines.experiments.repeat import runs as repeat\n"
        "repeat.seen_with = lambda environment: {}\n"
        "def command(job):\n"
        "    source = 'import sys, threading; from pipelines.cli import follower;'\n"
        "    source += 'threading.Thread(target=follower._end_with, args=(int(sys.argv[1]),), daemon=True).start();'\n"
        "    source += 'sys.path.insert(0, sys.argv[2]); import stand_in_run; stand_in_run.main(sys.argv[3:])'\n"
        "    return [sys.executable, '-c', source, job.command()[3], sys.argv[2], *job.command()[4:]]\n"
        "work = Path(sys.argv[1])\n"
        "repeat.run(test_repeat.jobs(work), work, 2, command)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(_STAND_IN.parent)],
                               env=os.environ | {"STAND_IN_WAIT": "1"}, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while read_outcome(tmp_path / "seed-0") is None or not list(tmp_path.glob("seed-1/home/runs/*/events.jsonl")):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.1)
    process.send_signal(ending)
    assert process.wait(40) != 0
    found = repeat.run(jobs(tmp_path), tmp_path, 1, stand_in)
    assert [one.attempts for one in found] == [1, 2, 1]
    assert found[1].seconds >= 60


def test_progress_is_by_the_minutes_of_the_steps(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, (0,), ("plain",))
    assert outcome.share_done(job.home) == 0
    folder = job.home.root / "runs" / "1"
    folder.mkdir(parents=True)
    seen = [0.0]
    for event in ({"step": "preprocess-part", "state": "started"}, {"step": "train", "state": "started"},
                  {"label": "train", "total": 10, "done": 5}, {"step": "train", "state": "finished"},
                  {"step": "register", "state": "finished"}):
        with open(folder / "events.jsonl", "a") as file:
            file.write(json.dumps(event) + "\n")
        seen.append(outcome.share_done(job.home))
    assert seen == sorted(set(seen)) and seen[-1] == pytest.approx(1)
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"label": "half a li')
    assert outcome.share_done(job.home) == pytest.approx(1)


def made(name: str, seed: int, machine: str, ssim: float, warp: float, digest: str = "a" * 64) -> Outcome:
    gate = [
        {"name": "pairs", "value": 64.0, "bound": 24, "comparison": ">=", "passed": True, "reason": ""},
        {"name": "ssim", "value": ssim, "bound": 0.6, "comparison": ">=", "passed": ssim >= 0.6, "reason": "low"},
        {"name": "over_warp", "value": warp, "bound": 1.0, "comparison": "<=", "passed": warp <= 1, "reason": ""},
    ]
    passed = all(line["passed"] for line in gate)
    return Outcome(name, seed, machine, {"OMP_NUM_THREADS": "1"}, {"threads": 1, "torch": "T", "numpy": "N",
                   "openblas": "O", "opencv": "C"}, "c0de", "passed" if passed else "failed", passed, gate, 60, digest,
                   600.0, 1)  # fmt: skip


RUNS = [made("seed-0", 0, "plain", 0.70, 0.5), made("seed-1", 1, "plain", 0.74, 0.7, "b" * 64),
        made("seed-0-avx2", 0, "avx2", 0.59, 0.6)]


def test_the_distance_from_a_bound_is_in_the_larger_standard_deviation() -> None:
    pairs, ssim, warp = repeat_page.spreads(RUNS)
    assert (pairs.mean, pairs.over_seeds, pairs.away) == (64, 0, None)
    assert ssim.over_seeds == pytest.approx(np.std([0.70, 0.74], ddof=1))
    assert ssim.over_machines == pytest.approx(np.std([0.70, 0.59], ddof=1))
    assert ssim.away == pytest.approx((np.mean([0.70, 0.74, 0.59]) - 0.6) / ssim.over_machines)
    assert ssim.passed == [True, True, False]
    assert warp.away == pytest.approx((1.0 - 0.6) / np.std([0.5, 0.7], ddof=1))


def test_a_run_without_a_figure_leaves_a_gap(tmp_path: Path) -> None:
    lone = made("seed-2", 2, "plain", 0.8, 0.5)
    lone.gate[1] |= {"value": None, "passed": False, "reason": "too few pairs"}
    del lone.gate[2]
    _, ssim, warp = repeat_page.spreads([*RUNS, lone])
    assert ssim.values[-1] is None and ssim.passed[-1] is False and ssim.mean == pytest.approx(np.mean([.70, .74, .59]))
    assert warp.values[-1] is None and warp.passed[-1] is None
    assert "- seed-2, `ssim` –, must be ≥ 0.6: too few pairs" in repeat_page.markdown([*RUNS, lone], "photoshoot")


def test_the_page_says_what_passed_what_did_not_and_which_runs_are_the_same(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    repeat_page.write(RUNS, "photoshoot experiment repeat", page)
    assert page.read_text().startswith(repeat_page.START)
    page.write_text(f"# Before\n\n{repeat_page.START}\nold\n{repeat_page.END}\n\n## After\n")
    repeat_page.write(RUNS, "photoshoot experiment repeat --parallel 2", page)
    text = page.read_text()
    assert text.startswith("# Before\n\n") and text.endswith("\n\n## After\n") and "old" not in text
    assert "`photoshoot experiment repeat --parallel 2` wrote this" in text
    assert "**2 of 3 passed, 2 with a champion.**" in text
    assert "The 2 runs of seed 0 found identical identities and splits." in text
    assert "- seed-0-avx2, `ssim` 0.59, must be ≥ 0.6: low" in text and "**0.59**" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    once = page.read_text()
    repeat_page.write(RUNS, "photoshoot experiment repeat --parallel 2", page)
    assert page.read_text() == once
    other = [RUNS[0], made("seed-0-avx2", 0, "avx2", 0.7, 0.5, "c" * 64)]
    assert "**different identities or splits**" in repeat_page.markdown(other, "photoshoot")
    assert repeat_page.same_identities(other) == {0: False}


def test_who_is_who_does_not_depend_on_the_order_of_rows_nor_on_how_sure(tmp_path: Path) -> None:
    rows = pd.DataFrame({"person_id": ["a", "b", "c"], "identity": ["x", "x", None], "split": ["train", "train", None],
                         "confidence": np.float32([0.5, 0.4, 0])})
    rows.to_parquet(tmp_path / "one")
    rows.iloc[::-1].assign(confidence=0.1).to_parquet(tmp_path / "two")
    rows.assign(split=["train", "test", None]).to_parquet(tmp_path / "three")
    digests = [assignment(tmp_path / name) for name in ("one", "two", "three")]
    assert digests[0] == digests[1] != digests[2]
