"""The option with which somebody takes a version whose files are not those that were registered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipelines.display import say

AcceptOption = Annotated[str | None, typer.Option(
    "--accept-changed", metavar="REASON", help="Take the version's files although they are not those that were "
                                               "registered; the ledger keeps the reason.")]


def accepted(home: Path, model_name: str, version: str, reason: str | None) -> None:
    """Take a version's changed files, where somebody gave a reason to, and say so."""
    if reason is None:
        return
    from pipelines.home.folder import Home
    from pipelines.results.promotion import accept_changed

    tell([line] if (line := accept_changed(Home.found(home), model_name, version, reason)) else [])


def tell(notes: Sequence[str]) -> None:
    """Say what is odd, or was done on the way."""
    for note in notes:
        say(f"note: {note}")
