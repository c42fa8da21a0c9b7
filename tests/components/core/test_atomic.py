import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from components.core.atomic import atomic_folder, atomic_path, sweep, sweep_below
from components.core.errors import MachineError


def test_a_file_appears_whole_and_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="midway"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ValueError("midway")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / name).write_text(name)
    assert [one.name for one in path.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "kept").touch()
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise KeyboardInterrupt
    assert [one.name for one in path.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("number", "problem"), [(28, "no space left"), (30, "read-only"), (13, "permission denied")])
def test_a_disk_that_refuses_is_one_clear_line(tmp_path: Path, number: int, problem: str) -> None:
    for block in (atomic_path, atomic_folder):
        with pytest.raises(MachineError, match=problem) as caught, block(tmp_path / "x") as temporary:
            raise OSError(number, "as the system says it", str(temporary))
        assert caught.value.remedy
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
import os
import socket
import subprocess
import sys
from pathlib import Path
from components.core.atomic import atomic_folder, atomic_path, sweep, sweep_below

file, folder = Path(sys.argv[1]), Path(sys.argv[2])
with atomic_path(file) as half, atomic_folder(folder) as other:
    half.write_text("half")
    (other / "half").write_text("half")
    if sys.argv[3] == "waits":
        print("ready", flush=True)
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _half_written(folder: Path, then: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(folder / "a.txt"), str(folder / "b"), then], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)})
    if then == "waits":
        assert child.stdout and child.stdout.readline() == "ready\n"
    else:
        child.wait()
    return child


def test_what_a_killed_process_left_is_swept_up_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    living, dead = tmp_path / "living", tmp_path / "dead"
    for folder in (living, dead):
        folder.mkdir()
        (folder / "c.txt").write_text("whole")
    _half_written(dead, "dies")
    child = _half_written(living, "waits")
    assert len(list(dead.iterdir())) == len(list(living.iterdir())) == 5
    sweep_below(tmp_path)
    assert [path.name for path in dead.iterdir()] == ["c.txt"]
    assert len(list(living.iterdir())) == 5
    child.kill()
    child.communicate()
    sweep(living, "b")
    assert {path.name.lstrip(".")[0] for path in living.iterdir()} == {"a", "c"}
    sweep(living)
    assert [path.name for path in living.iterdir()] == ["c.txt"]


def test_the_next_to_write_a_folder_sweeps_up_after_a_killed_one(tmp_path: Path) -> None:
    _half_written(tmp_path, "dies")
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "whole").touch()
    assert not [path for path in tmp_path.iterdir() if path.name.lstrip(".").startswith("b.")]


def test_another_machines_process_is_not_taken_for_dead(tmp_path: Path) -> None:
    """On a shared disk whose locks only this machine sees."""
    _half_written(tmp_path, "dies")
    for lock in tmp_path.glob(".*.alive"):
        lock.write_text("another-machine")
    assert not sweep(tmp_path) and len(list(tmp_path.iterdir())) == 4
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_had_moved_aside_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".b.partial-1-abcdef.old"
    aside.mkdir()
    (aside / "whole").touch()
    (tmp_path / "b.partial-1-abcdef").mkdir()
    (tmp_path / ".b.partial-1-abcdef.alive").write_text(socket.gethostname())
    sweep(tmp_path)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["whole"] and len(list(tmp_path.iterdir())) == 1


def test_files_of_others_and_of_earlier_versions_that_are_new_stay(tmp_path: Path) -> None:
    for name in (".a.partial-77.txt", "b.partial", "c.partial-x", ".d.alive"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    os.utime(tmp_path / ".a.partial-77.txt", (0, 0))
    sweep(tmp_path)
    assert not (tmp_path / ".a.partial-77.txt").exists()


def test_files_are_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with atomic_path(tmp_path / "a") as file, atomic_folder(tmp_path / "b") as folder:
            file.touch()
            (folder / "c").touch()
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "b", "b/c")] == [0o600, 0o700, 0o600]


def test_a_lock_that_outlived_its_file_is_swept_up(tmp_path: Path) -> None:
    """Killed between the rename and the end."""
    (tmp_path / "a.txt").touch()
    (tmp_path / ".a.txt.partial-1-abcdef.alive").write_text(socket.gethostname())
    sweep(tmp_path, "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
