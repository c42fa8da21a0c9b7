"""docs/architecture.md names files, and what is in them: both are there."""

from __future__ import annotations

import re
from pathlib import Path

import snippets

REPOSITORY = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"((?:components|pipelines|photoshoot|docs|tests)/[\w/.-]*|pyproject\.toml)(?::(\w+))?")


def wrong(markdown: str) -> list[str]:
    """Code in running text that names a file that is not there, or a name that its file does not define."""
    found = []
    for code in snippets.spoken(markdown):
        match = PLACE.fullmatch(code)
        if match:
            path, name = REPOSITORY / match[1], match[2]
            text = path.read_text(encoding="utf-8") if name and path.is_file() else ""
            if not path.exists() or (name and not re.search(rf"^\s*(def |class |){name}\b", text, re.MULTILINE)):
                found.append(code)
    return found


def test_what_the_page_names_is_there() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len([code for code in snippets.spoken(page) if PLACE.fullmatch(code)]) > 60
    assert not wrong(page)


def test_what_is_not_there_is_noticed() -> None:
    page = "`components/core/presets.py` `components/core/presets.py:preset` `components/train/`"
    assert not wrong(page)
    assert wrong("`components/core/preset.py` `components/core/presets.py:pre` `components/trains/`") == [
        "components/core/preset.py", "components/core/presets.py:pre", "components/trains/"]
