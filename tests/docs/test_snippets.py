"""Every command and Python snippet of the README and the docs: run, or checked against what there is."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import snippets

from components.core.settings import PreprocessSettings, SynthesizeSettings

REPOSITORY = Path(__file__).resolve().parents[2]
VERSION = REPOSITORY / "tests" / "fixtures" / "version-ce91e44" / "version"
PLACES = ("*.md", "docs/**/*.md", "charts/*/README.md", "images/README.md", "components/core/data/README.md")
PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for place in PLACES for path in REPOSITORY.glob(place))
RUN = [page for page in PAGES if any(fence.runs and fence.language in (*snippets.SHELL, *snippets.PYTHON)
                                     for fence in snippets.fences((REPOSITORY / page).read_text()))]

every_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages speak of: a folder of photos, the people in it, pictures by name, a home with a champion."""
    from components.preprocess import preprocess
    from components.synthesize import synthesize

    root = tmp_path_factory.mktemp("things")
    synthesize(root / "photos", SynthesizeSettings(people=6, photos_per_person=2, height=160), workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.preprocess.run.cores", lambda: 1)
        preprocess(root / "photos", root / "people", PreprocessSettings(resolution=64, texel=16, min_person=32))
    for name, photo in zip(("anna", "anna-2", "bert"), sorted((root / "photos" / "photos").iterdir()), strict=False):
        shutil.copy(photo, root / f"{name}.jpg")
        shutil.copy(root / "photos" / "iuv" / f"{photo.stem}.png", root / f"{name}-iuv.png")
    shutil.copy(root / "bert-iuv.png", root / "pose.png")
    shutil.copy(root / "bert.jpg", root / "room.jpg")
    (root / ".photoshoot" / "runs").mkdir(parents=True)
    client = mlflow.MlflowClient(f"sqlite:///{root}/.photoshoot/mlflow.db")
    client.create_registered_model("photoshoot")
    shutil.copytree(VERSION, root / ".photoshoot" / "version")  # MLflow writes into it
    client.create_model_version("photoshoot", str(root / ".photoshoot" / "version"))
    client.set_registered_model_alias("photoshoot", "champion", "1")
    return root


@pytest.fixture
def workplace(things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with those things, in which a page is read from top to bottom."""
    shutil.copytree(things, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("components.preprocess.run.cores", lambda: 1)
    return tmp_path


@every_page
def test_commands_are_there_with_their_options(page: str) -> None:
    text, wrong = (REPOSITORY / page).read_text(), []
    for fence in snippets.fences(text):
        if fence.language not in snippets.PYTHON:
            wrong += problems(page, fence.line, snippets.check, snippets.commands(fence.text))
    for code in snippets.spoken(text):
        wrong += problems(page, code, snippets.check_setting, [] if page.startswith("charts/") else [code])
        if re.match(r"(photoshoot|make|\.venv/bin/\S+|python -m) ", code):
            spoken = snippets.commands(code.removesuffix(" ..."))
            wrong += problems(page, code, lambda command: snippets.check(command, whole=False), spoken)
    for cell in snippets.first_cells(text):
        if any(code.startswith("photoshoot ") for code in cell):
            shortened = [["photoshoot", *code.split()] for code in cell if not re.match("photoshoot |make ", code)]
            wrong += problems(page, cell, lambda command: snippets.check(command, whole=False), shortened)
    assert not wrong, "\n".join(wrong)


@every_page
def test_links_within_the_repository_lead_somewhere(page: str) -> None:
    here = (REPOSITORY / page).parent
    for target in snippets.links((REPOSITORY / page).read_text()):
        assert "://" in target or target.startswith("#") or (here / target.partition("#")[0]).exists(), target


def problems(page: str, where: object, check: Callable[[Any], object], found: Any) -> list[str]:
    said = []
    for one in found:
        try:
            if not isinstance(one, list) or snippets.is_ours(one):
                check(one)
        except ValueError as error:
            said.append(f"{page}, {where}: {error}")
    return said


@pytest.mark.parametrize("page", RUN)
@pytest.mark.usefixtures("workplace")
def test_snippets_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "snippet"}
    before = dict(os.environ)
    try:
        for fence in snippets.fences((REPOSITORY / page).read_text()):
            if fence.runs and fence.language in snippets.SHELL:
                try:
                    snippets.run_shell(fence.text)
                except ValueError as error:
                    pytest.fail(f"{page}, line {fence.line}: {error}", pytrace=False)
            elif fence.runs and fence.language in snippets.PYTHON:
                exec(compile("\n" * fence.line + fence.text, page, "exec"), names)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.usefixtures("workplace")
def test_short_commands_of_running_text_run() -> None:
    """Those that need nothing, and the help of all that the table of commands names."""
    said = {code for page in PAGES for code in snippets.spoken((REPOSITORY / page).read_text())}
    short = {code for code in said if re.match(r"photoshoot (settings|compile)\b", code)}
    assert len(short) > 1
    for code in sorted(short):
        assert snippets.run_shell(code)
    cells = snippets.first_cells((REPOSITORY / "docs" / "commands.md").read_text())
    names = {code.removeprefix("photoshoot ").split()[0] for cell in cells for code in cell
             if not code.startswith("make ")}
    assert len(names) > 20
    for name in sorted(names):
        assert snippets.run_shell(f"photoshoot {name} --help")


def test_what_is_run_is_not_nothing() -> None:
    assert {"README.md", "docs/data.md", "docs/python.md"} <= set(RUN)


@pytest.mark.parametrize(("script", "message"), [
    ("photoshoot runn", "no command `photoshoot runn`"), ("photoshoot run --fotos x", "--fotos"),
    ("photoshoot identities list", "Missing option"), ("photoshoot identities liste", "no command"),
    ("photoshoot preprocess --photos x", "Missing option"), ("photoshoot promote 3 4", "what is 4"),
    ("photoshoot run --set train.bach=8", r"train\.batch"), ("photoshoot run --set train.batch=x", r"train\.batch"),
    ("photoshoot run --preset dmeo", "unknown preset"), ("photoshoot run --profile gke", "no profile gke"),
    ("photoshoot ui --port=http", "--port"), ("make help && .venv/bin/photoshoot runn # no", "no command"),
    ("PHOTOSHOOT_HOME=x \\\n  photoshoot runn", "no command"), ("make rnu", "no target rnu"),
    ("make run ARG=x", "no variable ARG"),
    (".venv/bin/fotoshoot", "no program"), ("python -m pipelines.nothing", "no module"), ("cowsay", "cannot be run"),
    ("photoshoot versions --home nowhere", "no home folder"), ("python -c 'raise KeyError(7)'", "KeyError: 7"),
])
def test_a_command_that_is_wrong_is_noticed(script: str, message: str, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        snippets.run_shell(script)


@pytest.mark.parametrize(("text", "wrong"), [
    ("train.batch", False), ("train.bach", True), ("--set train.batch=8", False), ("train.batch=-1", True),
    ("register.gate.features=NAME", False), ("register.champion", False), ("train.log", True), ("metrics.json", False),
])
def test_a_setting_that_is_wrong_is_noticed(text: str, wrong: bool) -> None:
    found = problems("page", 1, snippets.check_setting, [text])
    assert bool(found) == wrong, found


@pytest.mark.parametrize("code", ["photoshoot runn", "photoshoot run --fotos x", "photoshoot run --backend nowhere",
                                  "photoshoot run --set train.bach=8"])
def test_a_command_in_running_text_that_is_wrong_is_noticed(code: str) -> None:
    snippets.check(["photoshoot", "preprocess", "--photos", "x"], whole=False)
    with pytest.raises(ValueError, match=r"runn|--fotos|--backend|train\.batch"):
        snippets.check(code.split(), whole=False)


def test_fences_are_run_unless_they_say_what_they_need() -> None:
    page = "<!-- needs: a cluster -->\n```sh\na\n```\n\ntext\n\n```sh\nb\n```\n"
    assert [(fence.text, fence.line, fence.runs) for fence in snippets.fences(page)] == [
        ("a\n", 2, False), ("b\n", 8, True)]
    assert not any(fence.runs for fence in snippets.fences(f"<!-- this page needs: a cloud -->\n\n{page}"))
    assert list(snippets.commands("a 'b c' \\\n  d && e | f # no\n(g)")) == [["a", "b c", "d"], ["e"], ["f"], ["g"]]


def test_long_commands_are_checked_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert snippets.run_shell("make run\nphotoshoot run --photos x\nphotoshoot settings --preset smoke") == [
        ["photoshoot", "settings", "--preset", "smoke"]]
    assert not list(tmp_path.iterdir())
