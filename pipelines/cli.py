"""``photoshoot``: the command line.

Commands import what they need when they run, so that help answers at once.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core.errors import InputError, PhotoshootError
from components.core.presets import names, preset
from components.core.settings import Settings
from pipelines.display import errors, output, show_error, table

app = typer.Typer(
    name="photoshoot",
    help="From a folder of people's photos to a registered model that re-poses a person.",
    no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
)

PIPELINE = "The pipeline"
STEP_BY_STEP = "One step on a folder"
RESULTS = "Runs and versions"

HomeOption = Annotated[Path, typer.Option("--home", envvar="PHOTOSHOOT_HOME", help="Folder that holds all state.")]
PresetOption = Annotated[str, typer.Option("--preset", help=f"Settings to start from: {', '.join(names())}.")]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="YAML file with settings over the preset.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting: --set train.batch=8.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line of stdout.")]
PhotosOption = Annotated[Path, typer.Option("--photos", help="Folder of photos with iuv/ (and matte/, labels.csv).")]
PeopleOption = Annotated[Path, typer.Option("--people", help="People data set that `preprocess` wrote.")]
IdentitiesOption = Annotated[Path, typer.Option("--identities", help="Identities that `cluster` wrote.")]
ModelOption = Annotated[Path, typer.Option("--model", help="Model that `train` wrote.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write.")]

DEFAULT_HOME = Path(".photoshoot")


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.", is_eager=True)] = False,
) -> None:
    if debug:
        os.environ["PHOTOSHOOT_DEBUG"] = "1"


def _settings(preset_name: str, file: Path | None, changes: list[str] | None) -> Settings:
    settings = preset(preset_name)
    if file:
        settings = Settings.from_yaml(file, settings)
    return settings.with_changes(changes or [])


@app.command(rich_help_panel=PIPELINE)
def run(
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder of photos with iuv/. Without it, synthetic people.")
    ] = None,
    preset_name: PresetOption = "demo",
    settings_file: SettingsOption = None,
    changes: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline on this machine: photos in, a registered version, a report and a contact sheet out.

    The same command again reuses every step whose code, settings and inputs are unchanged, and goes on with a
    training that was interrupted.
    """
    settings = _settings(preset_name, settings_file, changes)
    if photos is not None and not photos.is_dir():
        raise InputError("no such folder", path=photos, remedy="give --photos a folder of photos")
    from pipelines.display import figure
    from pipelines.home import Home
    from pipelines.run import run_pipeline

    result = run_pipeline(settings, photos, Home.at(home))
    if as_json:
        print(result.to_json())
        return
    rows = [(name, figure(entry)) for name, entry in result.metrics.items()]
    table(f"Run {result.run_id}", ("figure (people never trained on)", "value [95 % interval] count"), rows)
    table("Gate", ("line", "found", "bound", ""), [
        (line["name"], "-" if line["value"] is None else f"{line['value']:.4g}",
         f"{line['comparison']} {line['bound']:g}",
         "pass" if line["passed"] else f"FAIL {line['reason'] or ''}".rstrip())
        for line in result.gate
    ])
    aliases = f" ({', '.join(result.aliases)})" if result.aliases else ""
    people = result.people
    lines = {
        "model version": f"{settings.register_.model_name} {result.model_version}{aliases}: gate {result.verdict}",
        "people": f"{people['accepted']} accepted, {len(people['rejected'])} rejected",
        "report": result.report,
        "contact sheet": result.contact_sheet,
        "time": f"{result.seconds:.0f} s",
        "MLflow": f"photoshoot ui --home {home}",
    }
    # No table: a path that is folded cannot be copied.
    for name, value in lines.items():
        print(f"{name:<14} {value}")
    for left_out in people["rejected"][:10]:
        errors.print(f"left out {left_out['photo']}: {left_out['reason']}", markup=False, soft_wrap=True)


@app.command("compile", rich_help_panel=PIPELINE)
def compile_(
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML file to write.")] = Path("pipeline.yaml"),
    photos: Annotated[str | None, typer.Option("--photos", help="gs:// prefix or folder; else synthetic.")] = None,
    registry: Annotated[str, typer.Option("--registry", help="Prefix of the image names.")] = "",
    preset_name: PresetOption = "demo",
    settings_file: SettingsOption = None,
    changes: SetOption = None,
) -> None:
    """Write the pipeline as KFP IR YAML, to upload to a Kubeflow cluster."""
    settings = _settings(preset_name, settings_file, changes)
    from pipelines.compilation import compile_pipeline

    compile_pipeline(settings, out, photos, registry)
    errors.print(f"wrote {out}")


@app.command("settings", rich_help_panel=PIPELINE)
def settings_(
    preset_name: PresetOption = "demo", settings_file: SettingsOption = None, changes: SetOption = None
) -> None:
    """Print all settings as YAML, each with its meaning."""
    from pipelines.explain import explained_yaml

    output.file.write(explained_yaml(_settings(preset_name, settings_file, changes)))


def _finish(name: str, summary: Any, out: Path, as_json: bool) -> None:
    values = asdict(summary)
    if as_json:
        print(json.dumps({"status": "succeeded", "out": str(out), **values}, default=str))
        return
    shown = [(key, str(value)) for key, value in values.items() if not isinstance(value, (list, dict, tuple))]
    shown += [(key, f"{len(value)}") for key, value in values.items() if isinstance(value, (list, tuple)) and value]
    table(name, ("", ""), [*shown, ("written to", str(out))])
    for rejected in values.get("rejected", [])[:10]:
        errors.print(f"  left out {rejected['photo']}: {rejected['reason']}", markup=False, soft_wrap=True)


@app.command(rich_help_panel=STEP_BY_STEP)
def synthesize(out: OutOption, preset_name: PresetOption = "demo", settings_file: SettingsOption = None,
               changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Render photos of people who do not exist, with exact pose maps."""
    settings = _settings(preset_name, settings_file, changes).synthesize
    from components.synthesize import synthesize as work

    _finish("synthesize", work(out, settings), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def preprocess(photos: PhotosOption, out: OutOption, preset_name: PresetOption = "demo",
               settings_file: SettingsOption = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Cut out every person: crop, pose map, matte, texture map."""
    settings = _settings(preset_name, settings_file, changes).preprocess
    from components.core.tracking import step_run
    from components.preprocess import preprocess as work

    with step_run("preprocess") as recorder:
        _finish("preprocess", work(photos, out, settings, recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def cluster(people: PeopleOption, out: OutOption, preset_name: PresetOption = "demo",
            settings_file: SettingsOption = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Sort people into identities by their faces, and split the identities."""
    settings = _settings(preset_name, settings_file, changes).cluster
    from components.cluster import cluster as work
    from components.core.tracking import step_run

    with step_run("cluster") as recorder:
        _finish("cluster", work(people, out, settings, recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def train(people: PeopleOption, identities: IdentitiesOption, out: OutOption, preset_name: PresetOption = "demo",
          settings_file: SettingsOption = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Train the re-posing model; the same command again goes on from the last checkpoint."""
    settings = _settings(preset_name, settings_file, changes).train
    from components.core.tracking import step_run
    from components.train import train as work

    with step_run("train") as recorder:
        _finish("train", work(people, identities, out, settings, recorder=recorder), out, as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def evaluate(model: ModelOption, people: PeopleOption, identities: IdentitiesOption, out: OutOption,
             preset_name: PresetOption = "demo", settings_file: SettingsOption = None, changes: SetOption = None,
             as_json: JsonOption = False) -> None:
    """Judge a model on people it was never trained on; write the report and the contact sheet."""
    settings = _settings(preset_name, settings_file, changes).evaluate
    from components.core.tracking import step_run
    from components.evaluate import evaluate as work

    with step_run("evaluate") as recorder:
        _finish("evaluate", work(model, people, identities, out, settings, recorder), out, as_json)


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
    _finish("shoot", summary, out, as_json)


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


def main() -> None:
    """Entry point: errors become one line and an exit code; `--debug` keeps stack traces."""
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except PhotoshootError as error:
        if os.environ.get("PHOTOSHOOT_DEBUG"):
            traceback.print_exc()
        show_error(error)
        _json_error(as_json, str(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        errors.print("interrupted: the same command goes on where it stopped")
        _json_error(as_json, "interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if _is_usage_error(error):
            show_error(InputError(error.format_message(), remedy="photoshoot --help"))  # type: ignore[attr-defined]
            _json_error(as_json, str(error))
            sys.exit(2)
        if os.environ.get("PHOTOSHOOT_DEBUG"):
            raise
        problem = f"a defect in photoshoot: {type(error).__name__}: {error}"
        show_error(PhotoshootError(problem, remedy="`photoshoot --debug ...` shows where"))
        _json_error(as_json, problem)
        sys.exit(70)


def _is_usage_error(error: Exception) -> bool:
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _json_error(as_json: bool, message: str) -> None:
    if as_json:
        print(json.dumps({"status": "failed", "error": message}))


if __name__ == "__main__":
    main()
