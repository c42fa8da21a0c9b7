"""The home folder: where it is, what is in it, and putting it right after a move."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.cli.app import DEFAULT_HOME, RESULTS, HomeOption, JsonOption, app, succeeded
from pipelines.display import errors, table

_SHOWN = 10


@app.command("home", rich_help_panel=RESULTS)
def home_(
    repair: Annotated[
        bool, typer.Option("--repair", help="Look for paths to the home's earlier place, whatever its record says.")
    ] = False,
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Show where the home folder is, how large, and whether anything that it points to is missing or outside.

    A home may be renamed or copied: the first command that opens it elsewhere makes its paths lead to the new place.
    """
    from pipelines.home.contents import DATABASES, KINDS, OTHER, contents
    from pipelines.home.folder import Home

    place = Home.found(home, repair=repair)
    found = contents(place)
    if as_json:
        succeeded(**asdict(found), bytes=sum(found.sizes.values()))
        return
    said = {**KINDS, DATABASES: "MLflow's and Optuna's", OTHER: ""}
    table(str(place.root), ("", "size", ""), [
        *((kind, _megabytes(size), said[kind]) for kind, size in found.sizes.items()),
        ("all", _megabytes(sum(found.sizes.values())), ""),
    ])
    if found.on_server:
        errors.print("MLFLOW_TRACKING_URI is set: the files that its records point to are not checked", soft_wrap=True)
    for title, references in (("missing", found.missing), ("outside the home", found.outside)):
        for reference in references[:_SHOWN]:
            errors.print(f"{title}: {reference.what}, {reference.path}", markup=False, soft_wrap=True)
        if len(references) > _SHOWN:
            errors.print(f"{title}: {len(references) - _SHOWN} more (--json lists them)")
    if found.missing:
        errors.print("a version or run whose files are missing needs them back where they are said to be; a step whose "
                     "work is missing runs again", soft_wrap=True)
    else:
        print(f"all {found.references} versions, runs and reusable steps have their files")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
