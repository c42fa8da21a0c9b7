"""``photoshoot pose-maps``: a DensePose dump, turned into the pose maps that everything else takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import (
    STEP_BY_STEP,
    JsonOption,
    PhotosOption,
    PresetOption,
    SetOption,
    SettingsOption,
    app,
    finish,
    settings_from,
)


@app.command("pose-maps", rich_help_panel=STEP_BY_STEP)
def pose_maps(
    dump: Annotated[Path, typer.Argument(help="What DensePose's `apply_net.py dump` wrote (.pkl).")],
    photos: PhotosOption,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; default: iuv/ beside the photos.")] = None,
    preset_name: PresetOption = "demo", settings_file: SettingsOption = None, changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a DensePose dump into a pose map (PNG) for each photo; photos that have one keep it."""
    settings = settings_from(preset_name, settings_file, changes).preprocess
    from components.preprocess.dump import unpack_dump

    finish("pose-maps", unpack_dump(dump, photos, out, settings), out or photos / "iuv", as_json)
