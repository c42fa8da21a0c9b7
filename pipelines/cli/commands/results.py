"""Commands for what runs leave behind: comparing them, MLflow's pages, the home folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    HomeOption,
    JsonOption,
    ModelNameOption,
    app,
    succeeded,
)
from pipelines.display import errors, say, table

_SHOWN = 10


@app.command(rich_help_panel=RESULTS)
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Runs by name or MLflow id, versions (v3), aliases (@champion); else the last five."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file; default: one in the home folder.")] = None,
    ui_address: Annotated[
        str | None, typer.Option("--ui", help="Address of the MLflow UI for links.", metavar="URL")
    ] = None,
    model_name: ModelNameOption = "photoshoot",
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Put runs side by side: metrics with 95 % intervals, what differs from the first run beyond noise, settings that
    differ. Writes a page with the same contact sheet's rows for each run."""
    from pipelines.home.folder import Home
    from pipelines.results.compare import compare_runs
    from pipelines.results.page import default_path, write_page

    place = Home.found(home)
    comparison, found = compare_runs(place, runs or [], model_name, ui_address)
    page = write_page(comparison, found, (out or default_path(place, found)).absolute())
    if as_json:
        succeeded(**comparison.to_json(), page=str(page))
        return
    table("Runs", ("", *comparison.runs), comparison.rows())
    for note in (*comparison.legend(), *comparison.notes):
        say(note)
    print(f"page    {page}")
    print(f"MLflow  {comparison.links['compare']}")


@app.command(rich_help_panel=RESULTS)
def ui(home: HomeOption = DEFAULT_HOME, port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
       host: Annotated[str, typer.Option("--host")] = "127.0.0.1") -> None:
    """Open the MLflow UI on this home folder; Ctrl-C ends it."""
    from pipelines.home.folder import Home
    from pipelines.local.ui import serve

    serve(Home.found(home), host, port)


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
            say(f"{title}: {reference.what}, {reference.path}")
        if len(references) > _SHOWN:
            errors.print(f"{title}: {len(references) - _SHOWN} more (--json lists them)")
    if found.missing:
        errors.print("a version or run whose files are missing needs them back where they are said to be; a step whose "
                     "work is missing runs again", soft_wrap=True)
    else:
        print(f"all {found.references} versions, runs and reusable steps have their files")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
