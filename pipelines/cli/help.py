"""Help as plain text: options and commands under the headings that they name as their panel.

Without rich: importing and drawing it took a third of a second, more than everything else that help needs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_ARGUMENTS, _OPTIONS, _COMMANDS = "Arguments", "Options", "Commands"


@dataclass(frozen=True)
class Entry:
    """A command as help lists it: the heading that it stands under and what it does, in one sentence."""

    panel: str
    summary: str


class Command(TyperCommand):
    """A command whose help puts options under their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _write_options(self, ctx, formatter)


class Group(TyperGroup):
    """A group whose help puts commands under their panels."""

    def entries(self, ctx: Any) -> dict[str, Entry]:
        """What help lists, by name, in its order."""
        return {name: entry(command) for name, command in self.commands.items()}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write options, then commands."""
        _write_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands; each summary in full."""
        listed = self.entries(ctx)
        width = max(map(len, listed), default=0)
        _write(formatter, ((entry.panel, (name.ljust(width), entry.summary)) for name, entry in listed.items()))


class App(typer.Typer):
    """A Typer application with this help."""

    def __init__(self, **options: Any) -> None:
        ours = {"cls": Group, "rich_markup_mode": None, "add_completion": False, "no_args_is_help": True,
                "pretty_exceptions_enable": False, "context_settings": CONTEXT}
        super().__init__(**(ours | options))

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Register a function as a command; a parameter that is a dataclass stands for the options in its fields."""
        register = super().command(name, **({"cls": Command} | options))

        def decorated(function: Any) -> Any:
            register(_flat(function))
            return function

        return decorated


def _flat(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the fields of its dataclasses as parameters of their own."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        known = get_type_hints(groups.get(name, function), include_extras=True)
        asked = fields(groups[name]) if name in groups else (parameter,)
        parameters += [inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, annotation=known[one.name],
                                         default=parameter.empty if one.default is MISSING else one.default)
                       for one in asked]

    @functools.wraps(function)
    def called(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        return function(**given)

    called.__dict__["__signature__"] = inspect.Signature(parameters)
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def entry(command: Any) -> Entry:
    """How help lists a command: the first sentence of its docstring."""
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    sentence, dot, _ = paragraph.partition(". ")
    return Entry(command.rich_help_panel or _COMMANDS, sentence + "." if dot else paragraph)


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    found: list[tuple[str, tuple[str, str]]] = []
    for parameter in command.get_params(ctx):
        default = _ARGUMENTS if parameter.param_type_name == "argument" else _OPTIONS
        if record := parameter.get_help_record(ctx):
            found.append((getattr(parameter, "rich_help_panel", None) or default, record))
    _write(formatter, found)


def _write(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    """Rows under their headings; what has none of its own comes first."""
    panels: dict[str, list[tuple[str, str]]] = {_ARGUMENTS: [], _OPTIONS: []}
    for panel, row in rows:
        panels.setdefault(panel, []).append(row)
    for panel, below in panels.items():
        if below:
            with formatter.section(panel):
                formatter.write_dl(below)
