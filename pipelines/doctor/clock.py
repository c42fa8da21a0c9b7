"""Whether this machine's clock agrees with a server's: tokens, signed addresses and cache ages go by it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pipelines.doctor.finding import Finding, ok, problem, warning

_ANNOYING_S, _BREAKING_S = 30, 300
"""Google and OAuth libraries allow 10 s to 5 min; a Date header has whole seconds and its answer took a moment."""


def clock(server: str, headers: Mapping[str, str], now: float | None = None) -> list[Finding]:
    """Compare the Date header (RFC 9110, 6.6.1) of an answer that has just come; nothing where it has none."""
    date = next((value for name, value in headers.items() if name.lower() == "date"), None)
    if date is None:
        return []
    try:
        ahead = (time.time() if now is None else now) - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return []
    what, wanted = f"clock against {server}", f"within {_ANNOYING_S} s"
    found = f"{abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    mend = "set the clock of the one that is wrong: timedatectl set-ntp true"
    if abs(ahead) > _BREAKING_S:
        return [problem(what, found, wanted, mend)]
    if abs(ahead) > _ANNOYING_S:
        return [warning(what, found, wanted, mend)]
    return [ok(what, found, wanted)]
