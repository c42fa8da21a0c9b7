"""``photoshoot posemap``, ``people``, ``pose-maps`` and ``texture``: pose maps of plain photos, a page of what was
understood of them, pose maps of a DensePose dump, a person's texture map as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from components.core.errors import InputError
from pipelines.cli.app import (
    STEP_BY_STEP,
    JsonOption,
    OutOption,
    PeopleOption,
    PhotosOption,
    SettingsOptions,
    app,
    finish,
    succeeded,
)
from pipelines.display import say

_SHOWN = 10


class Order(StrEnum):
    """Order of a pose map's channels in its file."""

    IUV = "iuv"
    VUI = "vui"


class Whom(StrEnum):
    """Of several people in a photo, whom to take."""

    LARGEST = "largest"
    CENTRE = "centre"
    ALL = "all"


@app.command(rich_help_panel=STEP_BY_STEP)
def posemap(
    photos: Annotated[list[Path], typer.Argument(help="Photos, and folders of photos.", metavar="PHOTO_OR_FOLDER...")],
    out: OutOption,
    *,
    order: Annotated[Order, typer.Option("--order", help="Channels of the files as (red, green, blue).")] = Order.IUV,
    matte: Annotated[bool, typer.Option("--matte", help="Write <stem>-matte.png too: 255 is the person.")] = False,
    person: Annotated[
        Whom | None, typer.Option("--person", help="Of several people: short for --set preprocess.person=...")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make again what is there.")] = False,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:
    """Make the pose map (IUV) of each photo from landmarks: <stem>.png in DensePose's format, without detectron2.

    Files that are there are kept: the same command again goes on where it was interrupted. Photos without a pose map
    are listed with the reason, and the exit code is then 2. (`pose-maps` is for those who have a DensePose dump.)
    """
    settings = asked.settings(*([] if person is None else [f"preprocess.person={person.value}"])).preprocess
    from components.preprocess.posemap import Wanted, write_pose_maps

    wanted = Wanted("IUV" if order == Order.IUV else "VUI", mattes=matte, overwrite=overwrite)
    summary = write_pose_maps(photos, out, settings, wanted)
    finish("posemap", summary, out, as_json)
    if not as_json:
        for note in [note for note in summary.notes if note["note"]][:_SHOWN]:
            say(f"  {note['person']} ({note['confidence']}): {note['note']}")
    if summary.rejected:
        raise typer.Exit(InputError.exit_code)


@app.command(rich_help_panel=STEP_BY_STEP)
def people(
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    *,
    most: Annotated[int, typer.Option("--most", min=1, help="Of more photos than that, an even sample.")] = 200,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:
    """Write a page that shows what `preprocess` understands of photos: pose map, matte, texture, confidence of each
    person, and what is left out and why."""
    settings = asked.settings().preprocess
    from pipelines.results.people.page import write_people_page

    finish("people", write_people_page(photos, out, settings, most), out, as_json)


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
