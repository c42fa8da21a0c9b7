from pathlib import Path

import pytest

from components.core.atomic import atomic_folder, atomic_path
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
