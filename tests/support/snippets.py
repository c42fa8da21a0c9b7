"""Commands and snippets in Markdown: found, checked against the real command line, and run.

A fence of a language is run, unless a comment in front of it, or anywhere on the page for all of its fences, says what
it lacks here: ``<!-- needs: a cluster -->``, ``<!-- this page needs: Google Cloud -->``. Then its commands are checked
by name and options only, as are those that take minutes (`LONG`) and those in running text.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer.main
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer.testing import CliRunner

import pipelines.cli  # noqa: F401  # adds the commands to the app
from components.core.errors import PhotoshootError
from components.core.presets import preset
from components.core.settings import Settings
from pipelines.cli.app import app
from pipelines.profile import names as profiles

REPOSITORY = Path(__file__).resolve().parents[2]
SHELL, PYTHON = ("sh", "bash"), ("python",)
LONG = {"run", "tune", "train", "experiment", "ui", "doctor", "studio"}
"""Commands of `photoshoot` that take minutes, or do not end."""

_NEEDS = re.compile(r"<!-- (this page )?needs: \S.* -->")
_CONTROL = {"&&", "||", ";", "|", "&", "(", ")"}
_SECTIONS = "|".join(Settings().to_tree().keys() - {"preset", "experiment"})
_SETTING = re.compile(rf"(?:--set[ =])?((?:{_SECTIONS})(?:\.\w+)+)(?:=(\S+))?")


@dataclass(frozen=True)
class Fence:
    """A code block: its language, text, first line (from 1) and whether it is to be run."""

    language: str
    text: str
    line: int
    runs: bool


def fences(markdown: str) -> list[Fence]:
    """The code blocks of a page, in order."""
    found, tokens = [], MarkdownIt().parse(markdown)
    remarks = [(token, match) for token in tokens if token.type == "html_block"
               for match in [_NEEDS.search(token.content)] if match]
    whole_page = any(match[1] for _, match in remarks)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "fence" and token.map:
            marked = whole_page or any(before is remark for remark, _ in remarks)
            found.append(Fence(token.info.strip(), token.content, token.map[0] + 1, not marked))
    return found


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, as words; what cannot be split (here-documents) is left out, but never a
    line with a command of ours."""
    for line in re.sub(r"\\\n\s*", " ", script).splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.wordchars += "$@{}%+,:^!"
            words = list(lexer)
        except ValueError:
            if re.search(r"(^|[\s/])photoshoot [a-z]", line):
                raise
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if word in _CONTROL or set(word) <= set(";&|()"):
                if command:
                    yield command
                command = []
            elif command or not re.match(r"\w+=", word):
                command.append(word)


def spoken(markdown: str) -> Iterator[str]:
    """Code in running text."""
    for token in MarkdownIt().enable("table").parse(markdown):
        yield from (child.content for child in token.children or [] if child.type == "code_inline")


def links(markdown: str) -> Iterator[str]:
    """Where links and pictures lead."""
    for token in MarkdownIt().enable("table").parse(markdown):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield str(target)


def first_cells(markdown: str) -> Iterator[list[str]]:
    """The code in each table row's first cell."""
    tokens: list[Token] = MarkdownIt().enable("table").parse(markdown)
    for row, cell, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (row.type, cell.type) == ("tr_open", "td_open"):
            yield [child.content for child in inline.children or [] if child.type == "code_inline"]


def is_ours(command: list[str]) -> bool:
    """Whether a command is one of the repository's."""
    program = command[0].removeprefix(".venv/bin/")
    module = command[2] if len(command) > 2 and command[1] == "-m" else ""
    return program in ("photoshoot", "make") or program != command[0] or module.partition(".")[0] in (
        "components", "pipelines", "photoshoot")


def check(command: list[str], *, whole: bool = True) -> None:
    """Raise ValueError for a command of ours that does not exist, for options that it has not and, where it is `whole`,
    for what it lacks."""
    program, *arguments = command
    name = program.removeprefix(".venv/bin/")
    if name == "photoshoot":
        _check_photoshoot(arguments, whole)
    elif name == "make":
        _check_make(arguments)
    elif name == "python" and arguments[:1] == ["-m"]:
        if find_spec(arguments[1]) is None:
            raise ValueError(f"no module {arguments[1]}")
    elif name != program and not (Path(sys.executable).parent / name).is_file():
        raise ValueError(f"no program {name} in .venv/bin")


def check_setting(text: str) -> None:
    """Raise ValueError for text like ``train.batch`` or ``--set train.batch=8`` whose setting does not exist or whose
    value is out of range; other text is left alone."""
    found = _SETTING.fullmatch(text)
    if not found:
        return
    key, value = found.groups()
    tree: Any = Settings().to_tree()
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            raise ValueError(f"no setting {key}")
        tree = tree[part]
    if value is not None and not re.search("[A-Z]{3}|[.]{3}", value):
        _refusals(lambda: Settings().with_changes([f"{key}={value}"]))


def _check_photoshoot(arguments: list[str], whole: bool) -> None:
    click_command: Any = typer.main.get_command(app)
    context: Any = click_command.context_class(click_command, info_name="photoshoot")
    words = ["photoshoot"]
    while hasattr(click_command, "get_command"):
        if not arguments or arguments[0].startswith("-"):
            break
        name, *arguments = arguments
        below = click_command.get_command(context, name)
        words.append(name)
        if below is None:
            raise ValueError(f"no command `{' '.join(words)}`")
        context, click_command = below.context_class(below, info_name=name, parent=context), below
    if {"--help", "-h"} & set(arguments):
        return
    try:
        # As click's own `make_context` does, which also runs what a missing value falls back on.
        options, left, _ = click_command.make_parser(context).parse_args(args=list(arguments))
        if left:
            raise ValueError(f"`{' '.join(words)}`: what is {' '.join(left)}?")
        for parameter in click_command.params:
            if whole or options.get(parameter.name):
                _refusals(partial(parameter.handle_parse_result, context, options, []))
    except Exception as error:
        if isinstance(error, ValueError) or not hasattr(error, "format_message"):
            raise
        raise ValueError(f"`{' '.join(words)}`: {error.format_message()}") from None
    _check_values(words, click_command, options)


def _check_values(words: list[str], click_command: Any, options: dict[str, Any]) -> None:
    """Presets, profiles, backends and settings are names, too."""
    chosen = options.get("preset_name")
    settings = _refusals(lambda: preset(chosen)) if chosen else Settings()
    changes = [change for change in options.get("changes") or [] if not re.search("[A-Z]{3}", change)]
    _refusals(lambda: settings.with_changes(changes))
    helps = {parameter.name: str(getattr(parameter, "help", "")) for parameter in click_command.params}
    backend = options.get("backend")
    if backend and not re.search(rf"\b{re.escape(backend)}\b", helps["backend"]):
        raise ValueError(f"`{' '.join(words)}`: --backend {backend} is none that its help names")
    profile = options.get("profile")
    if profile and profile not in profiles() and not profile.endswith(".yaml"):
        raise ValueError(f"`{' '.join(words)}`: no profile {profile}")


def _refusals(work: Any) -> Any:
    try:
        return work()
    except PhotoshootError as error:
        raise ValueError(str(error)) from None


def _check_make(arguments: list[str]) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for word in (word for word in arguments if not word.startswith("-")):
        name, is_variable, _ = word.partition("=")
        known = rf"\$\({name}\)|\$\(if \$\({name}\)" if is_variable else rf"^{re.escape(name)}:"
        if not re.search(known, makefile, re.M):
            raise ValueError(f"make: no {'variable' if is_variable else 'target'} {name}")


def run_shell(script: str) -> list[list[str]]:
    """Check every command and run those that end soon, one after the other; returns those that were run.

    Raises ValueError for a command that is wrong or fails, or is not known here.
    """
    done = []
    for command in commands(script):
        check(command)
        name = command[0].removeprefix(".venv/bin/")
        if name == "make" or (name == "photoshoot" and command[1] in LONG and "--help" not in command):
            continue
        if name == "photoshoot":
            result = CliRunner().invoke(app, command[1:])
            if result.exit_code:
                raise ValueError(f"`{shlex.join(command)}`: {result.exception or result.output}")
        elif name == "python":
            ended = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True)
            if ended.returncode:
                raise ValueError(f"`{shlex.join(command)}`: {ended.stderr}")
        else:
            raise ValueError(f"`{name}` cannot be run here: say what it needs, <!-- needs: ... --> before the fence")
        done.append(command)
    return done
