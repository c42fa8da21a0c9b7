"""The search for loss weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.cli.app import (
    DEFAULT_HOME,
    PIPELINE,
    RESULTS,
    HomeOption,
    JsonOption,
    SettingsOptions,
    SourceOption,
    app,
    succeeded,
)
from pipelines.display import errors, table


@app.command(rich_help_panel=PIPELINE)
def tune(
    *,
    photos: SourceOption = None,
    trials: Annotated[int | None, typer.Option("--trials", min=4, help="Trials in all (tune.trials).")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Tasks that share them.")] = None,
    show: Annotated[bool, typer.Option("--dashboard", help="Open optuna-dashboard on the studies instead.")] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the dashboard.")] = 8080,
    asked: SettingsOptions,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Search for the loss weights that do best on validation people. The same command continues its study.

    What was set by hand in 2021 and what is set now are tried first, so the study says what it gained.
    """
    from pipelines.home.folder import Home

    if show:
        from pipelines.results.studies import dashboard

        dashboard(Home.at(home), "127.0.0.1", port)
        return
    short = [f"tune.{key}={value}" for key, value in (("trials", trials), ("workers", workers)) if value is not None]
    settings = asked.settings(*short)
    from pipelines.local.run import run_tuning

    result = run_tuning(settings, photos, Home.at(home))
    if as_json:
        print(result.to_json())
        return
    table(f"Study {result.study}: {result.winner} does best", ("loss", "weight"),
          [(name, f"{value:.4g}") for name, value in result.weights.items()])
    table("Score on validation people: identity recovered - Fréchet distance / texture warp's", ("trial", "score"), [
        (result.winner, f"{result.score:.3f}"),
        *((f"  gained over {name}", "-" if gain is None else f"{gain:+.3f}") for name, gain in result.gained.items()),
    ])
    for name, value in {
        "trials": ", ".join(f"{count} {state}" for state, count in result.trials.items() if count),
        "plots and table": result.folder,
        "time": f"{result.seconds:.0f} s",
        "train with them": f"photoshoot run --preset {settings.preset} --set-from {result.study} --home {home}",
        "MLflow": f"photoshoot ui --home {home}  ->  {result.link}",
    }.items():
        print(f"{name:<16} {value}")


@app.command(rich_help_panel=RESULTS)
def studies(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the studies of loss weights with their best."""
    from pipelines.home.folder import Home
    from pipelines.results.studies import list_studies

    rows = list_studies(Home.at(home))
    if as_json:
        succeeded(studies=[asdict(row) for row in rows])
        return
    if not rows:
        errors.print("no studies: `photoshoot tune` makes one")
        return
    table("Studies", ("study", "trials", "score", "best", "weights", "device time"), [
        (row.study, ", ".join(f"{count} {state}" for state, count in row.trials.items()),
         "-" if row.score is None else f"{row.score:.3f}", row.winner or "-",
         ", ".join(f"{name} {value:.3g}" for name, value in row.weights.items()) or "-", f"{row.device_seconds:.0f} s")
        for row in rows
    ])
