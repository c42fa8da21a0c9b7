"""Experiments about the method."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from components.core.settings import Generator
from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    HomeOption,
    JsonOption,
    PresetOption,
    SetOption,
    SettingsOption,
    app,
    settings_from,
    succeeded,
)
from pipelines.cli.help import App

experiments = App(help="Questions about the method itself, answered on people nobody trained on.")
app.add_typer(experiments, name="experiment", rich_help_panel=RESULTS)


@experiments.command()
def identity(
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and its picture.")] = Path("docs/experiments"),
    work: Annotated[Path, typer.Option("--work", help="Folder for people and models; what is there is used again.")]
    = Path(".photoshoot/experiments/identity"),
    people: Annotated[Path | None, typer.Option("--people", help="People data set (default: made here).")] = None,
    identities: Annotated[Path | None, typer.Option("--identities", help="Their identities.")] = None,
    generator: Annotated[Generator | None,
                         typer.Option("--generator", help="Train this one only (default: both).")] = None,
    preset_name: PresetOption = "demo", settings_file: SettingsOption = None, changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Train `paper` and `warp` alike and compare them, plain warping and a copy-cat on held-out people."""
    settings = settings_from(preset_name, settings_file, changes)
    from components.core.record.tracking import step_run
    from pipelines.display import table
    from pipelines.experiments import page
    from pipelines.experiments.identity import GENERATORS, Study, made_people, run

    found = made_people(people, identities, work, settings)
    with step_run("experiment", name="identity") as recorder:
        findings = run(*found, work, settings, recorder, GENERATORS if generator is None else [generator])
        written = page.write(findings, Study(*found, settings), out)
        recorder.artifact(written)
        recorder.artifact(out / page.PICTURE)
    if as_json:
        rows = {kind: {row.name: {name: figure.to_json() for name, figure in row.figures.items()} for row in rows}
                for kind, rows in findings.rows.items()}
        curves = {name: asdict(curve)["points"] for name, curve in findings.curves.items()}
        succeeded(page=str(written), figures=rows, curves=curves)
        return
    figures = findings.rows["transfer"]
    table("identity recovered, held-out people", ("", ""),
          [(row.name, f"{row.figures['identity_recovered'].value or float('nan'):.2f}") for row in figures]
          + [("written to", str(written))])


# Small enough for minutes on two cores, with enough people on each side of the split to tell.
_TUNING = ("synthesize.people=40", "cluster.validation=0.25", "cluster.test=0.3", "train.steps=80", "tune.steps=80",
           "tune.looks=1", "tune.pruner=none", "tune.trials=20", "evaluate.pairs=192")


@experiments.command()
def tuning(
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and its picture.")] = Path("docs/experiments"),
    preset_name: PresetOption = "smoke", settings_file: SettingsOption = None, changes: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Search for loss weights, then compare a tuned and an untuned run on people the study has never seen."""
    settings = settings_from(preset_name, settings_file, [*_TUNING, *(changes or [])])
    from pipelines.experiments import tuning as experiment
    from pipelines.home import Home

    print(f"written to {experiment.write(experiment.run(settings, Home.at(home)), out)}")
