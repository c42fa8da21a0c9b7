"""The application, its options in common and how a command ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from components.core import masking
from components.core.errors import InputError, PhotoshootError
from components.core.presets import names
from components.core.record.tracking_errors import tracking_errors
from pipelines.cli.help import App
from pipelines.cli.table import PIPELINE as PIPELINE
from pipelines.cli.table import RESULTS as RESULTS
from pipelines.cli.table import STEP_BY_STEP as STEP_BY_STEP
from pipelines.cli.table import OnDemand

if TYPE_CHECKING:
    from components.core.settings import Settings

app = App(name="photoshoot", cls=OnDemand,
          help="From a folder of people's photos to a registered model that re-poses a person.")

HomeOption = Annotated[Path, typer.Option("--home", envvar="PHOTOSHOOT_HOME", help="Folder that holds all state.")]
PresetOption = Annotated[str, typer.Option("--preset", help=f"Settings to start from: {', '.join(names())}.")]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="YAML file with settings over the preset.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting: --set train.batch=8.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line of stdout.")]
PhotosOption = Annotated[Path, typer.Option("--photos", help="Folder of photos; pose maps, if any, in iuv/ or beside.")]
SourceOption = Annotated[
    Path | None,
    typer.Option("--photos", help="Folder or gs:// prefix of photos. Without it, synthetic people."),
]
PeopleOption = Annotated[Path, typer.Option("--people", help="People data set that `preprocess` wrote.")]
IdentitiesOption = Annotated[Path, typer.Option("--identities", help="Identities that `cluster` wrote.")]
ModelOption = Annotated[Path, typer.Option("--model", help="Model that `train` wrote.")]
ModelNameOption = Annotated[str, typer.Option("--model-name", help="Name of the registered model.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write.")]

DEFAULT_HOME = Path(".photoshoot")
_INTERRUPTED, _DEFECT = 130, 70


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.", is_eager=True)] = False,
) -> None:
    if debug:
        os.environ["PHOTOSHOOT_DEBUG"] = "1"


@dataclass(frozen=True)
class SettingsOptions:
    """The options that settings come from."""

    preset_name: PresetOption = "demo"
    settings_file: SettingsOption = None
    changes: SetOption = None

    def settings(self, *more: str) -> Settings:
        """The preset, the file over it, the single changes over both, and `more` of these."""
        from components.core.presets import preset
        from components.core.settings import Settings
        from pipelines.local.pinning import pinned

        settings = preset(self.preset_name)
        if self.settings_file:
            settings = Settings.from_yaml(self.settings_file, settings)
        return pinned(settings.with_changes([*(self.changes or []), *more]))


def succeeded(**values: Any) -> None:
    """The one object that `--json` prints of a command that went well."""
    print(json.dumps({"status": "succeeded", **values}, default=str))


def finish(name: str, summary: Any, out: Path | None, as_json: bool, **more: Any) -> None:
    """Show a step's summary (a dataclass): as one JSON object, with `more` in it, or as a table and what was left out.

    `out` None: nothing was written.
    """
    from pipelines.display import say, table

    values = asdict(summary)
    if as_json:
        written = {} if out is None else {"out": str(out)}
        succeeded(**written, **values, **more)
        return
    shown = [(key, str(value)) for key, value in values.items() if not isinstance(value, (list, dict, tuple))]
    shown += [(key, f"{len(value)}") for key, value in values.items() if isinstance(value, (list, tuple)) and value]
    table(name, ("", ""), [*shown, *([] if out is None else [("written to", str(out))])])
    for rejected in values.get("rejected", [])[:10]:
        say(f"  left out {rejected['photo']}: {rejected['reason']}")


def main() -> None:
    """Entry point: errors become one line and an exit code; `--debug` keeps stack traces."""
    masking.install()
    as_json = "--json" in sys.argv
    try:
        with tracking_errors(refusals=True):
            code = app(prog_name=app.info.name, standalone_mode=False)
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C and SIGTERM
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except PhotoshootError as error:
        if os.environ.get("PHOTOSHOOT_DEBUG"):
            traceback.print_exc()
        _fail(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        from pipelines.display import errors

        errors.print("interrupted: run the same command again to resume")
        _json_error(as_json, "interrupted")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if _is_usage_error(error):
            _misused(error, as_json)
        if os.environ.get("PHOTOSHOOT_DEBUG"):
            traceback.print_exc()  # not the interpreter: its words would not go through the mask
            sys.exit(1)
        problem = f"a defect in photoshoot: {type(error).__name__}: {error}"
        _fail(PhotoshootError(problem, remedy="`photoshoot --debug ...` shows where"), as_json, _DEFECT)


def _fail(error: PhotoshootError, as_json: bool, code: int | None = None) -> NoReturn:
    from pipelines.display import show_error

    show_error(error)
    _json_error(as_json, str(error))
    sys.exit(error.exit_code if code is None else code)


def _misused(error: Any, as_json: bool) -> NoReturn:
    """Say which option or command does not exist; for a command without its arguments, what it takes."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(InputError.exit_code)
    asked = error.ctx.command_path if getattr(error, "ctx", None) else app.info.name
    _fail(InputError(error.format_message(), remedy=f"{asked} --help"), as_json)


def _is_usage_error(error: Exception) -> bool:
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _json_error(as_json: bool, message: str) -> None:
    if as_json:
        print(json.dumps({"status": "failed", "error": message}))
