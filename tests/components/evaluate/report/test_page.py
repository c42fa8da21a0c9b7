"""The report as a reader meets it: whole, safe, and looked at in a real browser."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.artifacts.evaluation import SAMPLES_CARD
from components.core.artifacts.model import CURVES, read_curves
from components.core.artifacts.report import no_verdict
from components.evaluate.report import page as report
from components.evaluate.report import sheet

COLUMNS = ("source", "target pose", "output", "texture warp", "truth")


@pytest.fixture(scope="module")
def content(evaluated: Path) -> dict[str, Any]:
    return dict(json.loads((evaluated / "metrics.json").read_text()))


def _rows(count: int) -> list[sheet.Row]:
    random = np.random.default_rng(0)
    return [sheet.Row([random.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in COLUMNS], f"row {k}", f"k/{k}")
            for k in range(count)]


def _curves() -> dict[str, Any]:
    return {"format": "photoshoot.curves/1", "steps": [10, 20, 30],
            "series": {"loss/l1": [0.3, 0.2, 0.1], "loss/gan": [None, None, 0.7]}}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.alts: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [found[name] or "" for name in ("src", "href") if name in found]
        self.anchors |= {f"#{found['id']}"} if found.get("id") else set()
        self.alts += [found.get("alt")] if tag == "img" else []


def test_the_report_has_everything_inside(evaluated: Path, content: dict[str, Any]) -> None:
    text = (evaluated / "report.html").read_text()
    page = _Page(text)
    inside = [address for address in page.addresses if not address.startswith("data:")]
    assert set(inside) <= page.anchors and len(page.addresses) > len(inside) + 20
    assert not re.search(r"url\(|@import|https?:", text)
    assert all(alt for alt in page.alts[:-1])  # the last is the empty frame that enlarges the others
    assert no_verdict() in text
    assert report.number(content["metrics"]["ssim"]["value"], 3) in text
    assert content["metrics"]["frechet"]["reason"] in text
    controls = [name for name, _ in report.CONTROLS.values()]
    sections = (*report.PARTS.values(), *report.MEMORISATION.values(), *controls)
    assert [said for said in sections if said not in html.unescape(text)] == []


def test_names_from_outside_cannot_inject_anything(content: dict[str, Any]) -> None:
    rejected = [{"photo": "<script>alert(1)</script>.png", "reason": "a < b & \"c\""}]
    people = [{**content["by_identity"][0], "identity": "<img src=x onerror=alert(1)>"}]
    scores = {"set_aside": rejected, "identities_per_split": {"train": 2, "test": 6}, "photos_per_split": {"train": 9}}
    text = report.render({**content, "people": {**content["people"], "rejected": rejected}, "by_identity": people,
                          "identities": {"digest": "d", "scores": scores}}, {}, ("a",))
    assert "2 to train on (9 photos), 6 for the test (0 photos)" in text and "1 crop set aside" in text
    assert "<script>alert" not in text and "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text and "a &lt; b &amp;" in text


def test_an_evaluation_that_is_not_valid_says_so_first(content: dict[str, Any]) -> None:
    controls = {name: {**found, "behaved": False, "reason": "it passed the gate"}
                for name, found in content["controls"].items()}
    text = report.render({**content, "valid": False, "controls": controls, "notes": []}, {"sheet": []}, ("a",))
    assert text.index("This evaluation is not valid") < text.index('id="sheet"')
    assert "it passed the gate" in text
    valid = report.render({**content, "valid": True, "notes": []}, {"sheet": []}, ("a",))
    assert "is not valid" not in valid


def test_curves_are_drawn_where_a_training_left_them(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / CURVES).write_text(json.dumps(_curves()))
    drawn = report.render(content, {"sheet": []}, ("a",), curves=read_curves(tmp_path))
    assert drawn.count('<svg class="chart"') == 2 and "Absolute difference: " in drawn
    assert "<svg" not in report.render(content, {"sheet": []}, ("a",), curves=read_curves(tmp_path / "none"))


def test_rows_survive_as_files(tmp_path: Path) -> None:
    from PIL import Image

    rows = _rows(2)
    sheet.write_samples(tmp_path / "samples", COLUMNS, rows)
    told = json.loads((tmp_path / "samples" / SAMPLES_CARD).read_text())
    assert [row["key"] for row in told["rows"]] == ["k/0", "k/1"] and told["columns"] == list(COLUMNS)
    cells = sheet.cells(Image.open(tmp_path / "samples" / told["rows"][1]["file"]), len(COLUMNS), told["gap"])
    for cell, picture in zip(cells, rows[1].pictures, strict=True):
        wanted = Image.fromarray(picture).resize(cell.size, Image.Resampling.LANCZOS)
        assert np.array_equal(np.asarray(cell), np.asarray(wanted))


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_browser_shows_it_without_complaint(content: dict[str, Any], evaluated: Path, width: int, scheme: str,
                                              tmp_path: Path, look: Any) -> None:
    text = report.render(content, {"sheet": _rows(3), "best": _rows(1), "worst": _rows(1)}, COLUMNS, curves=_curves(),
                         folder=evaluated)
    (tmp_path / "report.html").write_text(text)
    seen = look(f"file://{tmp_path / 'report.html'}", width, scheme)
    assert (seen.complaints, seen.too_wide) == ([], 0)
    page = seen.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(250, 249, 246)" if scheme == "light" else "rgb(20, 22, 26)")
    page.locator(".zoom").nth(2).click()
    page.wait_for_function("document.querySelector('dialog img').naturalWidth > 0")
    assert page.locator("dialog p").inner_text() == "output of row 0"
    page.keyboard.press("ArrowRight")
    assert page.locator("dialog p").inner_text() == "texture warp of row 0"
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
