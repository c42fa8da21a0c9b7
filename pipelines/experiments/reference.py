"""``make reference``: docs/reference/, written from docstrings: every setting, and the public names of `photoshoot`;
and the tables of docs/security.md."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import photoshoot
from components.core.atomic import atomic_path
from components.core.settings import Section, Settings
from components.core.settings.section import BECAUSE
from pipelines.experiments import checks

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
_WRITTEN = "*`make reference` writes this page from the docstrings.*"
_QUOTED = re.compile(r": '([^']*)'")
"""An annotation that is not evaluated, as a signature shows it."""
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_GROUPED = 10_000
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "array": "list",
          "object": "mapping"}


def settings_page() -> str:
    """Every setting: what it may be, its default, what it means."""
    intro = ("Set one with `--set train.batch=8`, several in a YAML file with `--settings FILE`: `photoshoot settings` "
             "prints all of them as such a file, `--preset` with a preset's values in place of these defaults.")
    return "\n\n".join(["# Settings", _WRITTEN, intro, *_sections(Settings, "")]) + "\n"


def _sections(section: type[Section], path: str) -> Iterator[str]:
    rows, below = list[str](), list[str]()
    schemas = section.model_json_schema(by_alias=True)["properties"]
    for name, field in section.model_fields.items():
        key = field.alias or name
        if isinstance(field.default, Section):
            below += _sections(type(field.default), f"{path}{key}.")
        else:
            default = field.get_default(call_default_factory=True)
            given = f"`{json.dumps(default, ensure_ascii=False, default=dict)}`"
            cells = (f"`{path}{key}`", _allowed(schemas[key]) + _because(schemas[key]), given,
                     " ".join((field.description or "").split()))
            rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    title = f"## `{path.rstrip('.')}`\n\n{inspect.getdoc(section)}\n\n" if path else "## At the top\n\n"
    yield title + "\n".join(["| setting | may be | default | meaning |", "|---|---|---|---|", *rows])
    yield from below


def _because(schema: Mapping[str, Any]) -> str:
    return f" ({schema[BECAUSE]})" if BECAUSE in schema else ""


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _allowed(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_allowed(one) for one in schema["anyOf"])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return ", ".join(f"`{value}`" for value in values)
    bounds = [text.format(_number(schema[key])) for key, text in _BOUNDS.items() if key in schema]
    kind = str(schema.get("type", "object"))
    return ", ".join([_TYPES.get(kind, kind), *bounds])


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _GROUPED else f"{value:g}"


def python_page() -> str:
    """The public names of `photoshoot` with their parameters and attributes."""
    parts = ["# `photoshoot` in Python", _WRITTEN, "[From Python](../python.md) shows it in use."]
    for name in sorted(set(photoshoot.__all__) - {"__version__"}, key=lambda one: (one[0].isupper(), one)):
        thing, module = getattr(photoshoot, name), import_module(photoshoot._FOUND_IN[name])
        own = _attributes(ast.parse(inspect.getsource(module)).body)
        parts += [f"## `{name}`", *_entry(thing, name, own)]
    return "\n\n".join(parts) + "\n"


def _entry(thing: Any, name: str, own: Mapping[str, tuple[str, str]]) -> list[str]:
    if name in own:  # an alias of types
        return [f"`{own[name][0]}`", _text(own[name][1])]
    if not inspect.isclass(thing):
        return [_signature(thing, name), _text(inspect.getdoc(thing))]
    parts = [_text(inspect.getdoc(thing))]
    (written,) = ast.parse(inspect.getsource(thing)).body
    assert isinstance(written, ast.ClassDef)
    rows = [f"- `{key}: {kind}`" + (f": {_line(text)}" if text else "")
            for key, (kind, text) in _attributes(written.body).items()]
    members = [(key, getattr(one, "__func__", one)) for key, one in vars(thing).items() if not key.startswith("_")]
    rows += [f"- `{key}`: {_line(inspect.getdoc(member))}" for key, member in members if isinstance(member, property)]
    parts += ["\n".join(rows)] if rows else []
    for key, member in members:
        if inspect.isfunction(member):
            parts += [f"### `{name}.{key}`", _signature(member, key), _text(inspect.getdoc(member))]
    return parts


def _attributes(body: Sequence[ast.stmt]) -> dict[str, tuple[str, str]]:
    """Public names that are assigned or annotated: type (an alias: what it stands for) and the docstring below."""
    found: dict[str, tuple[str, str]] = {}
    for one, after in zip(body, [*body[1:], None], strict=True):
        told = after.value if isinstance(after, ast.Expr) else None
        text = told.value if isinstance(told, ast.Constant) and isinstance(told.value, str) else ""
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            found[one.target.id] = ast.unparse(one.annotation), text
        elif isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and text:
            found[one.targets[0].id] = ast.unparse(one.value), text
    return {name: told for name, told in found.items() if not name.startswith("_")}


def _signature(function: Any, name: str) -> str:
    signature = inspect.signature(function)
    shown = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
    returned = "" if inspect.isclass(function) else f" -> {signature.return_annotation}"
    text = _QUOTED.sub(r": \1", str(signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)))
    return f"```text\n{name}{text}{returned}\n```"


def _text(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").replace("``", "`")


def _line(docstring: str | None) -> str:
    return " ".join(_text(docstring).split())


def main() -> None:
    """Write the pages."""
    for name, page in (("settings.md", settings_page()), ("python.md", python_page())):
        with atomic_path(FOLDER / name) as partial:
            partial.write_text(page, encoding="utf-8")
    checks.write()


if __name__ == "__main__":
    main()
