"""Commands for what runs leave behind."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    HomeOption,
    JsonOption,
    OutOption,
    app,
    finish,
)
from pipelines.display import table


@app.command(rich_help_panel=RESULTS)
def shoot(
    photo: Annotated[Path, typer.Option("--photo", help="Photo of the person.")],
    iuv: Annotated[Path, typer.Option("--iuv", help="The photo's DensePose map.")],
    pose: Annotated[list[Path], typer.Option("--pose", help="Pose map to imitate; may be given several times.")],
    out: OutOption,
    matte: Annotated[Path | None, typer.Option("--matte", help="The photo's matte, if there is one.")] = None,
    background: Annotated[Path | None, typer.Option("--background", help="Picture to stand before.")] = None,
    version: Annotated[str, typer.Option("--version", help="Version number or alias.")] = "champion",
    model_name: Annotated[str, typer.Option("--model-name")] = "photoshoot",
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Paint a person in other poses with a registered version."""
    from components.shoot.generate import Sitter
    from pipelines.home import Home
    from pipelines.shooting import shoot_with_version

    summary = shoot_with_version(Home.at(home), model_name, version, Sitter(photo, iuv, matte), pose, out, background)
    finish("shoot", summary, out, as_json)


@app.command(rich_help_panel=RESULTS)
def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs to compare; the last five when none is named.")] = None,
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Put runs side by side: headline figures with 95 % intervals, and the settings in which they differ."""
    from pipelines.compare import compare_runs
    from pipelines.home import Home

    comparison = compare_runs(Home.at(home), runs or [])
    if as_json:
        print(json.dumps({"status": "succeeded", **asdict(comparison)}))
        return
    table("Runs", ("", *comparison.runs), comparison.rows())


@app.command(rich_help_panel=RESULTS)
def versions(home: HomeOption = DEFAULT_HOME, model_name: Annotated[str, typer.Option("--model-name")] = "photoshoot",
             as_json: JsonOption = False) -> None:
    """List the registered versions with aliases and verdicts."""
    from pipelines.compare import list_versions
    from pipelines.home import Home

    found = list_versions(Home.at(home), model_name)
    if as_json:
        print(json.dumps({"status": "succeeded", "versions": [asdict(version) for version in found]}))
        return
    table(f"Versions of {model_name}", ("version", "aliases", "gate", "run", "created"), [
        (v.version, ", ".join(v.aliases), v.verdict, v.run, v.created) for v in found
    ])


@app.command(rich_help_panel=RESULTS)
def ui(home: HomeOption = DEFAULT_HOME, port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
       host: Annotated[str, typer.Option("--host")] = "127.0.0.1") -> None:
    """Open the MLflow UI on this home folder; Ctrl-C ends it."""
    from pipelines.home import Home
    from pipelines.ui import serve

    serve(Home.at(home), host, port)
