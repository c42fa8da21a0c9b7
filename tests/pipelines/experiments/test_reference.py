"""The reference: it has every setting and every public name, and the committed pages are up to date."""

from __future__ import annotations

import re

import pytest

import photoshoot
from components.core.settings import Section, Settings
from pipelines.experiments import reference

PAGES = {"settings.md": reference.settings_page, "python.md": reference.python_page}


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_docstrings_give(name: str) -> None:
    assert (reference.FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "`make reference`"


def _settings(tree: dict[str, object], path: str = "") -> set[str]:
    return {name for key, value in tree.items() for name in (
        _settings(value, f"{path}{key}.") if isinstance(value, dict) and _is_section(path + key) else {path + key})}


def _is_section(path: str) -> bool:
    found: object = Settings()
    for key in path.split("."):
        found = getattr(found, "register_" if key == "register" else key, None)
    return isinstance(found, Section)


def test_every_setting_is_there_with_a_meaning_and_what_it_may_be() -> None:
    rows = {cells[1].strip(" `"): cells for line in reference.settings_page().splitlines() if line.startswith("| `")
            for cells in [re.split(r"(?<!\\)\|", line)]}
    assert set(rows) == _settings(Settings().to_tree())
    assert not [name for name, cells in rows.items() if not all(cell.strip() for cell in cells[1:5])]


def test_bounds_choices_and_signatures_are_shown() -> None:
    page = reference.settings_page()
    assert "| `train.batch` | whole number, ≥ 1, ≤ 65,536 (a larger batch teaches nothing more) | `8` |" in page
    assert "| `train.generator` | `paper`, `warp` | `\"warp\"` |" in page
    hours = "number, > 0, ≤ 1,000,000 or null (that is a century of one device)"
    assert f"| `tune.device_hours` | {hours} | `null` |" in page
    python = reference.python_page()
    assert "load(model: str | Path, *, tracking_uri: str | None = None, device: str = 'cpu') -> Model" in python
    assert set(re.findall("^## `(.*)`$", python, re.MULTILINE)) == set(photoshoot.__all__) - {"__version__"}
    assert "- `mattes: Pixels`: uint8 [B, T, T], 255 = person." in python
