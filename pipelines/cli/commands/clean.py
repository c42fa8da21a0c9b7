"""Freeing the disk."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.app import DEFAULT_HOME, RESULTS, HomeOption, JsonOption, app, succeeded
from pipelines.display import errors, table


@app.command(rich_help_panel=RESULTS)
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Free it; without this it is only shown.")] = False,
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Show what of the home folder no version or study needs, and free it (--yes).

    Registered versions, studies, records and reports of runs stay. What is freed is made again where it is needed: a
    step of an earlier run is then not reused. Interrupted, the same command goes on.
    """
    from pipelines.home import cleaning
    from pipelines.home.folder import Home

    place = Home.found(home)
    found = cleaning.clean(place) if yes else cleaning.needless(place)
    size = sum(freed.bytes for freed in found)
    if as_json:
        kinds = [{"what": freed.what, "count": freed.count, "bytes": freed.bytes} for freed in found]
        succeeded(home=str(place.root), freed=yes, bytes=size, kinds=kinds)
        return
    table(str(place.root), ("", "", "size"), [
        *((freed.what, str(freed.count), _megabytes(freed.bytes)) for freed in found), ("all", "", _megabytes(size))])
    if yes:
        errors.print(f"freed {_megabytes(size)}")
    elif found:
        errors.print("nothing was removed: --yes frees it")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
