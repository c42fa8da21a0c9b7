"""Settings as YAML that explains itself: each key with its docstring as a comment."""

from __future__ import annotations

import textwrap

import yaml

from components.core.settings import Section, Settings


def explained_yaml(settings: Settings) -> str:
    """The whole tree as YAML; it reads back as the same settings."""
    return "\n".join(_lines(settings, 0)) + "\n"


def _lines(section: Section, depth: int) -> list[str]:
    indent = "  " * depth
    lines: list[str] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        key = field.alias or name
        if isinstance(value, Section):
            meaning = (type(value).__doc__ or "").strip().splitlines()[0]
            lines += ["", f"{indent}# {meaning}", f"{indent}{key}:", *_lines(value, depth + 1)]
            continue
        if field.description:
            text = " ".join(field.description.split())
            lines += textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        # A mapping (prices) takes several lines.
        lines.append(textwrap.indent(yaml.safe_dump({key: value}, allow_unicode=True).strip(), indent))
    return lines
