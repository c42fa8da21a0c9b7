"""preprocess is killed again and again, at moments that nobody chose, and ends with the bytes of an undisturbed run."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from servers import gcs_bucket

from components.core.people.dataset import PeopleDataset
from components.core.settings import PreprocessSettings
from components.preprocess import gather, preprocess, preprocess_part, run

KILLS = int(os.environ.get("PHOTOSHOOT_KILLS", "12"))
"""50 and more were tried; a dozen keeps the tests quick."""
SETTINGS = PreprocessSettings(resolution=64, texel=16, shard_size=1, matte="silhouette")
PHOTOS = 12

# A process that has imported all it needs forks children and kills them, which costs milliseconds a time.
_KILLER = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
import cv2
from components.core.settings import PreprocessSettings
from components.preprocess.run import preprocess
from components.core.people.dataset import PeopleDataset

photos, root, kills, where = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
state = {"beside": None, "state": str(root / "state"), "bucket": "gs://bucket/state"}[where]
settings = PreprocessSettings.model_validate_json(sys.argv[5])
cv2.setNumThreads(1)
dice = random.Random(2102)

def out(attempt):  # a pipeline gives every attempt another folder
    return root / f"run-{attempt}" / "people" if state else root / "people"

def child(attempt):
    pid = os.fork()
    if pid == 0:
        try:
            preprocess(photos, out(attempt), settings, state=state)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    return pid

def work():
    if where == "bucket":
        from components.core.stores.storage import open_location
        return {name.rpartition("/")[2] for name in open_location(state).list()}
    return next(iter((root / "state" / "preprocess").glob("*")), None) if state else root / "people.partial"

def rows():
    folder = work()
    if where == "bucket":
        return sum(name.startswith("rows-") for name in folder)
    try:
        return len(list(folder.glob("rows-*"))) if folder else 0
    except FileNotFoundError:  # the child has just finished and cleared up
        return 0

killed, kept = 0, []
for attempt in range(kills):
    goal = rows() + dice.randint(0, 3)  # counted in finished shards, so that a slow machine sees the same
    pid = child(attempt)
    ended = 0
    while not ended and rows() < goal:
        time.sleep(0.001)
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        time.sleep(dice.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    killed += os.WIFSIGNALED(status)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    kept.append(rows())
    if out(attempt).exists():  # whole before the kill: begin anew
        assert len(PeopleDataset.open(out(attempt))) > 0
        shutil.rmtree(out(attempt))
pid = child("last")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print(json.dumps({"out": str(out("last")), "killed": killed, "kept": kept}))
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("where", "kills"), [("beside", KILLS), ("state", KILLS), ("bucket", 3)])
def test_killed_at_any_moment(bring: Callable[..., Path], tmp_path: Path, where: str, kills: int) -> None:
    photos, root = bring(PHOTOS), tmp_path / "root"
    with gcs_bucket("bucket") if where == "bucket" else nullcontext():
        done = subprocess.run(
            [sys.executable, "-c", _KILLER, str(photos), str(root), str(kills), where, SETTINGS.model_dump_json()],
            cwd=Path(run.__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["killed"] >= 2 and max(found["kept"]) >= 2  # work was really interrupted, and some of it kept
    preprocess(photos, tmp_path / "whole", SETTINGS)
    assert tree(Path(found["out"])) == tree(tmp_path / "whole")
    left = {path.name for path in Path(found["out"]).parent.iterdir()} - {"people"}
    assert not left, f"left behind: {left}"
    assert where != "state" or not list((root / "state" / "preprocess").iterdir())


def test_a_part_goes_on_in_the_state_folder(
        bring: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cutting: Any) -> None:
    """Two tasks share the state folder; one is interrupted and started again with another output."""
    monkeypatch.setattr(run, "_SMALLEST_SHARD", 1)
    photos, state = bring(6), tmp_path / "state"
    cutting.stop = lambda photo: len(cutting.photos) == 2
    with pytest.raises(KeyboardInterrupt):
        preprocess_part(photos, tmp_path / "lost" / "part", SETTINGS, "1/2", state=state)
    cutting.go_on()
    second = preprocess_part(photos, tmp_path / "b" / "part", SETTINGS, "2/2", state=state)
    assert (second.photos, second.shards) == (3, [1, 3, 5])
    cutting.go_on()
    preprocess_part(photos, tmp_path / "a" / "part", SETTINGS, "1/2", state=state)
    assert len(cutting.photos) == 1
    gather([tmp_path / "b" / "part", tmp_path / "a" / "part"], tmp_path / "people", SETTINGS)
    preprocess(photos, tmp_path / "whole", SETTINGS)
    assert tree(tmp_path / "people") == tree(tmp_path / "whole")
    assert len(PeopleDataset.open(tmp_path / "people")) == 6


def test_parts_that_run_at_once_share_the_cores(
        bring: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, asked = bring(6), list[int]()

    def one_by_one(work: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
        asked.append(workers)
        return map(work, items)

    monkeypatch.setattr(run, "_FEW_PHOTOS", 0)
    monkeypatch.setattr(run, "_SMALLEST_SHARD", 1)
    monkeypatch.setattr(run, "cores", lambda: 8)
    monkeypatch.setattr(run, "map_in_order", one_by_one)
    for number, (part, at_once) in enumerate((("1/3", 2), ("1/3", 5), ("1/1", 2), ("2/3", 1), ("3/40", 30))):
        preprocess_part(photos, tmp_path / f"part-{number}", SETTINGS, part, at_once=at_once)
    assert asked == [4, 2, 8, 8, 1]


def test_work_that_nobody_went_on_with_is_removed_after_a_week(
        bring: Callable[..., Path], tmp_path: Path, cutting: Any) -> None:
    photos, state = bring(3), tmp_path / "state"
    week = run._ABANDONED_AFTER_S
    cutting.stop = lambda photo: True
    plans = [SETTINGS.model_copy(update={"margin": margin}) for margin in (0.1, 0.2, 0.3, 0.4)]
    folders = []
    for settings in plans:
        with pytest.raises(KeyboardInterrupt):
            preprocess(photos, tmp_path / "lost", settings, state=state)
        folders += [one for one in (state / "preprocess").iterdir() if one not in folders]
    recent, own, held, old = folders
    for folder in (own, held, old):
        then = time.time() - week - 60
        for path in (*folder.iterdir(), folder):
            os.utime(path, (then, then))
    cutting.go_on()
    with open(held / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        preprocess(photos, tmp_path / "other", plans[1].model_copy(update={"margin": 0.5}), state=state)
        assert recent.exists() and held.exists() and not own.exists() and not old.exists()
    for path in (*held.iterdir(), held):
        os.utime(path, (then, then))
    preprocess(photos, tmp_path / "people", plans[2], state=state)  # late, and yet it is not thrown away first
    assert list((state / "preprocess").iterdir()) == [recent]
