"""The report's place for the verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from components.core.artifacts.report import no_verdict, with_verdict
from components.core.judging.gate import Line, Verdict

LINES = (Line("ssim", 0.91234, 0.9, ">=", True, ""), Line("face", 0.5, 0.4, "<=", False, "<b> & more"),
         Line("pairs", None, 20, ">=", False, "too few", judged=False))


def content(lines: tuple[Line, ...]) -> dict[str, Any]:
    verdict = Verdict.of(lines)
    return {"model_name": "a & b", "model_version": "7", "aliases": ["challenger"], "outcome": verdict.outcome,
            "verdict": verdict.summary, "lines": [asdict(line) for line in lines]}


@pytest.mark.parametrize("lines", [LINES, LINES[:2], LINES[:1]])
def test_the_place_is_filled_from_data_and_can_be_filled_anew(lines: tuple[Line, ...]) -> None:
    report = f"<h1>Report</h1>\n{no_verdict()}\n<section>metrics</section>"
    filled = with_verdict(with_verdict(report, content(LINES)), content(lines))
    assert filled == with_verdict(report, content(lines))
    assert filled.startswith("<h1>Report</h1>") and filled.endswith("<section>metrics</section>")
    assert "No verdict yet" not in filled and "a &amp; b version 7" in filled and "<b>" not in filled
    assert filled.count("<tr><td>") == len(lines) and "0.9123" in filled and "≥ 0.9" in filled
    shown = {"passed": ("yes", "pass"), "failed": ("no", "fail"), "not judged": ("unknown", "not judged")}
    for line in lines:
        mark, text = shown[line.outcome]
        assert f'<td class="{mark}">{text}</td>' in filled
    assert f'class="verdict {Verdict.of(lines).outcome.replace(" ", "-")}"' in filled


def test_a_report_without_the_place_stays_as_it_is() -> None:
    assert with_verdict("<p>an older page</p>", content(LINES)) == "<p>an older page</p>"
