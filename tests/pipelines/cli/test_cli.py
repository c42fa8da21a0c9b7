from __future__ import annotations

import importlib
import json
import pkgutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

import pipelines.cli.commands
from components.core.presets import preset
from components.core.settings import Settings
from pipelines.cli.app import app
from pipelines.cli.help import Entry, entry
from pipelines.cli.table import COMMANDS
from pipelines.home.folder import Home
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


_UNNEEDED_FOR_HELP = {
    "torch", "mlflow", "kfp", "pandas", "pyarrow", "sklearn", "cv2", "numpy", "pydantic", "rich", "yaml"}


def imported_by(*arguments: str) -> tuple[set[str], str]:
    """The modules that a command has imported when it ends well, in a process of its own, and what it printed."""
    code = (
        "import json, sys\n"
        "from pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed, _, modules = done.stdout.rstrip("\n").rpartition("\n")
    return set(json.loads(modules)), printed


def test_help_lists_the_commands_under_headings_and_imports_neither_them_nor_what_they_need() -> None:
    modules, printed = imported_by("--help")
    assert not modules & _UNNEEDED_FOR_HELP
    assert not {f"pipelines.cli.commands.{listed.module}" for listed in COMMANDS.values()} & modules
    assert not any(name.startswith(("components.core.settings", "pipelines.display")) for name in modules)
    headings = [line for line in printed.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "The pipeline:", "One step on a folder:", "Runs and versions:", "On Kubeflow:"]
    for command in ("run", *STEPS[:-1], "compile", "compare", "versions", "ui"):
        assert f"\n  {command} " in printed


def test_the_help_of_a_command_needs_no_more_than_the_command_line() -> None:
    modules, printed = imported_by("run", "--help")
    assert not modules & (_UNNEEDED_FOR_HELP - {"pydantic", "rich"})  # typer and our tables use these two
    assert "components.core.settings" not in modules
    assert "deepfashion-512" in printed and "[default: demo]" in printed
    assert printed.index("--photos") < printed.index("On Kubeflow:") < printed.index("--host")


def test_what_help_says_of_the_commands_is_what_they_say_of_themselves() -> None:
    for found in pkgutil.iter_modules(pipelines.cli.commands.__path__):
        if found.name != "__main__":
            importlib.import_module(f"pipelines.cli.commands.{found.name}")
    commands = typer.main.get_group(app).commands
    assert {name: entry(commands[name]) for name in commands} == {
        name: Entry(listed.panel, listed.summary) for name, listed in COMMANDS.items()}
    where = {one.name or str(one.callback.__name__): one.callback.__module__ for one in app.registered_commands}
    groups = {one.name: one.typer_instance for one in app.registered_groups}
    assert {*where, *groups} == {*COMMANDS}
    for name, listed in COMMANDS.items():
        module = f"pipelines.cli.commands.{listed.module}"
        assert where.get(name, module) == module
        assert name in where or groups[name] in vars(sys.modules[module]).values()


def test_a_command_without_its_arguments_says_what_it_takes() -> None:
    done = photoshoot()
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Usage: photoshoot ") and "error:" not in done.stderr
    assert "Usage: photoshoot identities " in photoshoot("identities").stderr


def test_a_misspelt_command_or_option_names_its_neighbour_and_where_to_look() -> None:
    error = _one_line_error(photoshoot("runn"))
    assert "'run'" in error and error.endswith("-- photoshoot --help")
    assert _one_line_error(photoshoot("run", "--sed", "1")).endswith("-- photoshoot run --help")


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
