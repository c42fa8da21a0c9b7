"""A disk that is full or cannot be written, and another person's umask, at each step: one line that names the path."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from smoke import SMALL

from pipelines.cli import app as command_line

Run = tuple[Path, dict[str, Any]]
SAID = {errno.ENOSPC: "no space left", errno.EROFS: "read-only"}
QUICK = [("synthesize", errno.ENOSPC), ("clean", errno.EROFS), ("run", errno.ENOSPC)]
STEPS = ("synthesize", "preprocess", "cluster", "train", "evaluate", "shoot", "run", "clean")


@pytest.fixture
def arguments(smoke_run: Run, tmp_path: Path) -> Callable[[str], list[str]]:
    """Of a step by name, on what the home with a run in it has; it writes to below the test's folder."""
    home = smoke_run[0]
    (run,) = [path.parent for path in home.glob("runs/*/outputs.json")]
    made = json.loads((run / "outputs.json").read_text())
    (photos,) = home.glob("artifacts/*/synthesize/photos")
    small = [*SMALL, "--set", "synthesize.people=1", "--set", "synthesize.photos_per_person=1"]
    data = ["--people", made["people"]]
    example = {name: str(run / "example" / f"{name}.png") for name in ("photo", "iuv", "pose")}
    model = ["--model", made["model"], *data, "--identities", made["identities"]]

    def of(step: str) -> list[str]:
        out = ["--out", str(tmp_path / "out")]
        return {
            "synthesize": ["synthesize", *small, *out],
            "preprocess": ["preprocess", *SMALL, "--photos", str(photos), *out],
            "cluster": ["cluster", *SMALL, *data, *out], "train": ["train", *SMALL, *model[2:], *out],
            "evaluate": ["evaluate", *SMALL, *model, *out],
            "shoot": ["shoot", *(text for name, path in example.items() for text in (f"--{name}", path)), *out,
                      "--home", str(tmp_path / "home")],
            "run": ["run", *small, "--home", str(tmp_path / "home")],
            "clean": ["clean", "--home", str(tmp_path / "home")],
        }[step]

    return of


def _refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["photoshoot", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    said = capsys.readouterr().err
    line = next(line for line in said.splitlines() if line.startswith("error:"))
    assert ended.value.code == 3, said
    assert "defect" not in said
    return line


@pytest.mark.parametrize(("step", "number"), [
    pytest.param(step, number, marks=() if (step, number) in QUICK else pytest.mark.endurance)
    for step in STEPS for number in SAID])
def test_a_disk_that_refuses_is_one_line_that_names_the_path(
        step: str, number: int, arguments: Callable[[str], list[str]], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that makes a file or folder below the test's folder is refused, as the kernel does."""
    given = arguments(step)
    if step == "clean":
        (tmp_path / "home" / "runs").mkdir(parents=True)
    real_open, real_mkdir = os.open, os.mkdir

    def refuse(path: Any) -> None:
        if not isinstance(path, int) and str(tmp_path) in os.fspath(path):
            raise OSError(number, os.strerror(number), os.fspath(path))

    def opened(path: Any, flags: int = os.O_RDONLY, *more: Any, **options: Any) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            refuse(path)
        return real_open(path, flags, *more, **options)

    def made(path: Any, *more: Any, **options: Any) -> None:
        if not Path(path).exists():
            refuse(path)
        real_mkdir(path, *more, **options)

    import builtins
    import io

    real = io.open

    def of_python(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            refuse(file)
        return real(file, mode, *more, **options)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "mkdir", made)
    monkeypatch.setattr(builtins, "open", of_python)
    monkeypatch.setattr(io, "open", of_python)
    line = _refused(given, monkeypatch, capsys)
    assert SAID[number] in line and str(tmp_path) in line and " -- " in line


def test_another_persons_umask_does_not_break_what_is_written(
        arguments: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o077)
    try:
        monkeypatch.setattr("sys.argv", ["photoshoot", *arguments("synthesize")])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert ended.value.code == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0o600, 0o700}
