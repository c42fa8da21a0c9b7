from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.core.presets import preset
from components.core.settings import Settings
from pipelines.home import Home
from pipelines.steps import STEPS


def photoshoot(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a person types it, in a process of its own."""
    return subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments], capture_output=True, text=True, cwd=cwd)


def _one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode not in (0, 70), done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error:")
    return lines[0]


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['photoshoot', '--help']\n"
        "from pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'mlflow', 'kfp', 'pandas', 'pyarrow', 'sklearn', 'cv2', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("run", *STEPS[:-1], "compile", "compare", "versions", "ui"):
        assert f" {command} " in done.stdout


def test_settings_explain_themselves_and_read_back(tmp_path: Path) -> None:
    done = photoshoot("settings", "--preset", "smoke", "--set", "train.batch=3")
    tree = yaml.safe_load(done.stdout)
    assert Settings.from_tree(tree) == preset("smoke").with_changes(["train.batch=3"])
    assert "# Pairs per step" in done.stdout


@pytest.mark.parametrize(("arguments", "named"), [
    (["run", "--set", "train.bach=8"], "train.batch"),
    (["run", "--preset", "dmeo"], "dmeo"),
    (["run", "--photos", "nowhere"], "nowhere"),
    (["run", "--settings", "nowhere.yaml"], "nowhere.yaml"),
    (["runn"], "runn"),
    (["run", "--fotos", "x"], "--fotos"),
    (["preprocess", "--photos", "x"], "--out"),
    (["preprocess", "--photos", "nowhere", "--out", "out"], "nowhere"),
    (["cluster", "--people", "nowhere", "--out", "out"], "nowhere"),
    (["compile", "-o", "pipeline.txt"], "pipeline.txt"),
    (["compare"], "photoshoot run"),
    (["compare", "no-such-run"], "no-such-run"),
])
def test_wrong_input_is_one_line_and_an_exit_code(arguments: list[str], named: str, tmp_path: Path) -> None:
    Home.at(tmp_path / ".photoshoot")
    done = photoshoot(*arguments, cwd=tmp_path)
    assert named in _one_line_error(done)
    assert not (tmp_path / "out").exists()


def test_an_error_is_json_too(tmp_path: Path) -> None:
    done = photoshoot("run", "--photos", "nowhere", "--json", cwd=tmp_path)
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["status"] == "failed"
    assert "nowhere" in last["error"]


def test_debug_shows_where(tmp_path: Path) -> None:
    done = photoshoot("--debug", "run", "--photos", "nowhere", cwd=tmp_path)
    assert "Traceback" in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    Home.at(tmp_path / ".photoshoot")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = photoshoot("ui", "--port", str(port), cwd=tmp_path)
    error = _one_line_error(done)
    assert str(port) in error
    assert "--port" in error


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = photoshoot("versions", "--home", "home", cwd=tmp_path)
    assert "home" in _one_line_error(done)


def test_an_empty_folder_ends_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = photoshoot("preprocess", "--photos", "photos", "--out", "out", cwd=tmp_path)
    assert "photos" in _one_line_error(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
