"""``photoshoot pose-maps`` and ``texture``: a DensePose dump as pose maps, a person's texture map as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import (
    STEP_BY_STEP,
    JsonOption,
    PeopleOption,
    PhotosOption,
    SettingsOptions,
    app,
    finish,
    succeeded,
)


@app.command("pose-maps", rich_help_panel=STEP_BY_STEP)
def pose_maps(
    dump: Annotated[Path, typer.Argument(help="What DensePose's `apply_net.py dump` wrote (.pkl).")],
    photos: PhotosOption,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; default: iuv/ beside the photos.")] = None,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:
    """Turn a DensePose dump into a pose map (PNG) for each photo; photos that have one keep it."""
    settings = asked.settings().preprocess
    from components.preprocess.densepose.dump import unpack_dump

    finish("pose-maps", unpack_dump(dump, photos, out, settings), out or photos / "iuv", as_json)


@app.command(rich_help_panel=STEP_BY_STEP)
def texture(
    people: PeopleOption,
    id: Annotated[str, typer.Option("--id", help="Whose: the id in the people data set, by default the photo's stem.")],
    out: Annotated[Path, typer.Option("--out", help="PNG to write.")],
    complete: Annotated[bool, typer.Option("--complete", help="Fill what the photo does not show.")] = False,
    smpl_lookup: Annotated[
        Path | None, typer.Option("--smpl-lookup", help="Lookup file: write SMPL's layout instead of the atlas.")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=16, max=4096, help="Side of the picture in SMPL's layout.")] = 512,
    as_json: JsonOption = False,
) -> None:
    """Write a person's texture map as a PNG whose opacity says how far to trust it.

    Opaque: seen in the photo. Half (128): mirrored from the body's other side. A quarter (64): painted. Clear: nothing.
    """
    from components.core.people.dataset import PeopleDataset
    from components.core.pictures.images import write_png
    from components.core.pictures.texture_picture import texture_picture

    dataset = PeopleDataset.open(people)
    person = dataset[dataset.index(id)]
    picture, shares = texture_picture(person.texture, person.seen, fill=complete, lookup=smpl_lookup, size=size)
    write_png(out, picture)
    if as_json:
        succeeded(out=str(out), id=id, layout="smpl" if smpl_lookup else "atlas", **shares)
    else:
        print(f"{out}: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
