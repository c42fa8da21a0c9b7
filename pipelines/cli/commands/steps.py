"""One step on a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import InputError
from pipelines.cli.app import (
    STEP_BY_STEP,
    IdentitiesOption,
    JsonOption,
    ModelOption,
    OutOption,
    PeopleOption,
    PhotosOption,
    SettingsOptions,
    app,
    finish,
)
from pipelines.display import say

if TYPE_CHECKING:
    from components.core.settings import Settings


@app.command(rich_help_panel=STEP_BY_STEP)
def synthesize(out: OutOption, asked: SettingsOptions, as_json: JsonOption = False) -> None:
    """Render photos of people who do not exist, with exact pose maps."""
    settings = asked.settings().synthesize
    from components.synthesize import synthesize as work

    finish("synthesize", work(out, settings), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def preprocess(photos: PhotosOption, out: OutOption, asked: SettingsOptions, as_json: JsonOption = False) -> None:
    """Cut out every person: crop, pose map, matte, texture map."""
    settings = asked.settings().preprocess
    from components.core.record.tracking import step_run
    from components.preprocess import preprocess as work

    with step_run("preprocess") as recorder:
        finish("preprocess", work(photos, out, settings, recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def cluster(
    *,
    people: Annotated[Path | None, typer.Option("--people", help="People data set that `preprocess` wrote.")] = None,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder of portraits without pose maps, instead of --people.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; may be left out with --photos.")] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", help="Face network: short for --set cluster.embedder=...")
    ] = None,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:
    """Sort people into identities by their faces, and split the identities."""
    settings = asked.settings(*([] if embedder is None else [f"cluster.embedder={embedder}"])).cluster
    if (people is None) == (photos is None):
        raise InputError("--people or --photos is required", remedy="give one of them, not both")
    if people is not None and out is None:
        raise InputError("no output folder", remedy="give --out a folder to write")
    beside = None if out is None else out.absolute().parent / "overrides.jsonl"
    if settings.overrides is None and beside is not None and beside.is_file():
        settings = settings.model_copy(update={"overrides": str(beside)})  # where `photoshoot identities` leaves it
    from components.cluster import cluster_people, cluster_portraits
    from components.core.record.tracking import step_run

    with step_run("cluster") as recorder:
        if people is not None and out is not None:
            found = cluster_people(people, out, settings, recorder)
        else:
            assert photos is not None
            found = cluster_portraits(photos, out, settings, recorder)
    finish("cluster", found.summary, out, as_json, identities=found.identities)
    if found.summary.folders is not None and not as_json:
        for line in found.summary.folders.lines():
            say(f"  {line}")


@app.command(rich_help_panel=STEP_BY_STEP)
def train(
    people: PeopleOption, identities: IdentitiesOption, out: OutOption, *, asked: SettingsOptions,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, help="Processes that share the work: short for --set "
                                                            "train.processes=...; default: one for each GPU.")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Folder or gs:// address of the checkpoints; default: beside --out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train the re-posing model; the same command again resumes from the last checkpoint."""
    asked_for = asked.settings(*([] if processes is None else [f"train.processes={processes}"]))
    from components.core.record.tracking import step_run
    from components.train import train as work
    from components.train.record import earlier_run

    where = state or out.absolute().parent / "state"
    settings = _start_for(asked_for, people, f"{where}/starts").train
    with step_run("train", **earlier_run(people, identities, settings, where)) as recorder:
        finish("train", work(people, identities, out, settings, state=where, recorder=recorder), out, as_json)


def _start_for(settings: Settings, people: Path, keep: str) -> Settings:
    """The settings with the model that a training on these people starts from, which were cut out as they are."""
    if settings.train.from_ is None:
        return settings
    from components.core.people.dataset import PeopleDataset
    from components.core.record.tracking import TRACKING_URI
    from components.core.settings import PreprocessSettings
    from pipelines.home.starting import with_start

    dataset = PeopleDataset.open(people)
    cut = PreprocessSettings.model_validate(dataset.settings).model_copy(
        update={"resolution": dataset.resolution, "texel": dataset.texel})
    return with_start(settings.model_copy(update={"preprocess": cut}), os.environ.get(TRACKING_URI), keep)


@app.command(rich_help_panel=STEP_BY_STEP)
def evaluate(model: ModelOption, people: PeopleOption, identities: IdentitiesOption, out: OutOption,
             asked: SettingsOptions, as_json: JsonOption = False) -> None:
    """Judge a model on people it was never trained on; write the report and the contact sheet."""
    settings = asked.settings()
    from components.core.record.tracking import step_run
    from components.evaluate import evaluate as work

    with step_run("evaluate") as recorder:
        done = work(model, people, identities, out, settings.evaluate, recorder, settings.register_.gate)
        finish("evaluate", done, out, as_json)
