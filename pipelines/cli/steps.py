"""One step on a folder."""

from __future__ import annotations

from pipelines.cli.app import (
    STEP_BY_STEP,
    IdentitiesOption,
    JsonOption,
    ModelOption,
    OutOption,
    PeopleOption,
    PhotosOption,
    PresetOption,
    SetOption,
    SettingsOption,
    app,
    finish,
    settings_from,
)


@app.command(rich_help_panel=STEP_BY_STEP)
def synthesize(out: OutOption, preset_name: PresetOption = "demo", settings_file: SettingsOption = None,
               changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Render photos of people who do not exist, with exact pose maps."""
    settings = settings_from(preset_name, settings_file, changes).synthesize
    from components.synthesize import synthesize as work

    finish("synthesize", work(out, settings), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def preprocess(photos: PhotosOption, out: OutOption, preset_name: PresetOption = "demo",
               settings_file: SettingsOption = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Cut out every person: crop, pose map, matte, texture map."""
    settings = settings_from(preset_name, settings_file, changes).preprocess
    from components.core.tracking import step_run
    from components.preprocess import preprocess as work

    with step_run("preprocess") as recorder:
        finish("preprocess", work(photos, out, settings, recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def cluster(people: PeopleOption, out: OutOption, preset_name: PresetOption = "demo",
            settings_file: SettingsOption = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Sort people into identities by their faces, and split the identities."""
    settings = settings_from(preset_name, settings_file, changes).cluster
    from components.cluster import cluster as work
    from components.core.tracking import step_run

    with step_run("cluster") as recorder:
        finish("cluster", work(people, out, settings, recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def train(people: PeopleOption, identities: IdentitiesOption, out: OutOption, preset_name: PresetOption = "demo",
          settings_file: SettingsOption = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Train the re-posing model; the same command again goes on from the last checkpoint."""
    settings = settings_from(preset_name, settings_file, changes).train
    from components.core.tracking import step_run
    from components.train import train as work

    with step_run("train") as recorder:
        finish("train", work(people, identities, out, settings, recorder=recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def evaluate(model: ModelOption, people: PeopleOption, identities: IdentitiesOption, out: OutOption,
             preset_name: PresetOption = "demo", settings_file: SettingsOption = None, changes: SetOption = None,
             as_json: JsonOption = False) -> None:
    """Judge a model on people it was never trained on; write the report and the contact sheet."""
    settings = settings_from(preset_name, settings_file, changes).evaluate
    from components.core.tracking import step_run
    from components.evaluate import evaluate as work

    with step_run("evaluate") as recorder:
        finish("evaluate", work(model, people, identities, out, settings, recorder), out, as_json)
