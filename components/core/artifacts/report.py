"""The report's place for the gate's verdict: what stands there until registration has one, and how it is filled."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

_SLOT = ("<gate-verdict>", "</gate-verdict>")
"""An element of our own, once in a report."""
_TITLES = {"passed": "Passed the gate", "failed": "Did not pass the gate",
           "not judged": "Not judged: too little to go by"}
_SIGNS = {">=": "≥", "<=": "≤"}


def no_verdict() -> str:
    """The place as evaluation leaves it."""
    return _placed('<section class="verdict"><strong>No verdict yet</strong>\n<p class="soft">The gate decides when '
                   "the model is registered; the report kept with the version has its verdict.</p></section>")


def with_verdict(report: str, verdict: Mapping[str, Any]) -> str:
    """A report with the verdict (the content of verdict.json) in its place; unchanged where it has no place for one."""
    before, start, rest = report.partition(_SLOT[0])
    _, end, after = rest.partition(_SLOT[1])
    return before + _placed(_section(verdict)) + after if start and end else report


def _placed(section: str) -> str:
    return f"{_SLOT[0]}\n{section}\n{_SLOT[1]}"


def _section(verdict: Mapping[str, Any]) -> str:
    said = (f"{verdict['model_name']} version {verdict['model_version']}: {verdict['verdict']}. "
            f"Aliases: {', '.join(verdict['aliases'])}.")
    return (f'<section class="verdict {verdict["outcome"].replace(" ", "-")}"><strong>{_TITLES[verdict["outcome"]]}'
            f'</strong><p class="soft">{html.escape(said)}</p>{_table(verdict["lines"])}</section>')


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(line['name'])}</td><td>{'–' if line['value'] is None else format(line['value'], '.4g')}"
        f"</td><td>{_SIGNS[line['comparison']]} {line['bound']:g}</td>{_outcome(line)}"
        f'<td class="reason">{html.escape(line["reason"])}</td></tr>' for line in lines)
    return ('<div class="table"><table><thead><tr><th>Requirement</th><th>Value</th><th>Bound</th><th></th><th></th>'
            f"</tr></thead><tbody>{rows}</tbody></table></div>")


def _outcome(line: Mapping[str, Any]) -> str:
    mark, text = ("yes", "pass") if line["passed"] else ("no", "fail") if line["judged"] else ("unknown", "not judged")
    return f'<td class="{mark}">{text}</td>'
