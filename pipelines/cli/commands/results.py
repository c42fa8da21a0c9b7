"""Commands for what runs leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    HomeOption,
    JsonOption,
    ModelNameOption,
    app,
    finish,
    succeeded,
)
from pipelines.display import errors, table


@dataclass(frozen=True)
class PoseOptions:
    """Which poses a person is painted in."""

    pose: Annotated[list[str] | None, typer.Option(
        "--pose", help="A pose by name (`photoshoot poses`), a photo of somebody in it, a pose map, or random; may be "
                       "given several times. Default: poses that fit the photos.")] = None
    tags: Annotated[list[str] | None, typer.Option(
        "--tags", metavar="TAG", help="Choose among poses with this tag, as portrait.")] = None
    count: Annotated[int | None, typer.Option("--count", help="How many poses are chosen; default: 8.")] = None
    seed: Annotated[int, typer.Option("--seed", help="Another seed chooses other poses.")] = 0


@app.command(rich_help_panel=RESULTS)
def shoot(
    *,
    photo: Annotated[list[Path], typer.Option("--photo", help="Photo of the person; may be given several times.")],
    poses: PoseOptions,
    out: Annotated[Path | None, typer.Option(
        "--out", help="Folder to write; default: photoshoot-<date>, here.")] = None,
    iuv: Annotated[list[Path] | None, typer.Option(
        "--iuv", help="The photo's pose map, if there is one; then one for each photo, in order.")] = None,
    matte: Annotated[
        list[Path] | None, typer.Option("--matte", help="The photo's matte, if there is one; then one for each photo.")
    ] = None,
    clothes: Annotated[list[Path] | None, typer.Option(
        "--clothes", help="Photo of somebody whose clothes to wear; may be given several times.")] = None,
    background: Annotated[str, typer.Option(
        "--background", metavar="PHOTO|studio|transparent", help="What is behind the person.")] = "studio",
    size: Annotated[int | None, typer.Option(
        "--size", metavar="PX", help="Side of the pictures, 64 to 2048. Default: what the photos support, up to 1024.",
    )] = None,
    version: Annotated[str | None, typer.Option(
        "--version", help="Version number or alias, or starter, the model that ships. Default: the champion, else the "
                          "newest that its gate did not fail, else the starter.")] = None,
    model_name: ModelNameOption = "photoshoot",
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Paint a person in other poses with a registered version, or the starter model before there is one. Without
    --pose: eight pictures in fitting poses, the most alike first, and a contact sheet.

    Several photos of the person show more of them: what each shows is put together, and the one that fits a pose best
    gives face and hair. A picture in a chosen pose whose face is unlike is painted again in another pose.
    """
    from components.shoot.session import Wishes
    from components.shoot.targets import Asked
    from pipelines.home.folder import Home
    from pipelines.results.shooting import OWN_POSES, STARTER, shoot_with_version, subjects

    person = subjects(photo, iuv or [], matte or [])
    place = Home.found(home) if version not in (None, STARTER) else Home.if_there(home)
    tags = [tag.strip() for given in poses.tags or [] for tag in given.split(",")]
    asked = Asked(poses.pose or [], tags, poses.count, poses.seed, place.root / OWN_POSES)
    wishes = Wishes(asked, background, subjects(clothes or []), size)
    summary, folder = shoot_with_version(place, model_name, version, person, wishes, out)
    if as_json:
        finish("shoot", summary, folder, as_json)
        return
    table(f"{len(summary.images)} pictures of {summary.size} px by {summary.version}", ("", "pose", "likeness"), [
        (Path(image).name, pose, "" if likeness is None else f"{likeness:.2f}")
        for image, pose, likeness in zip(summary.images, summary.poses, summary.likeness, strict=True)])
    for line in (*(f"painted again: {one}" for one in summary.repainted), *summary.notes):
        errors.print(f"  {line}", markup=False, soft_wrap=True)
    print(f"written to {folder}" + (f"; all on one page: {summary.contact_sheet}" if summary.contact_sheet else ""))


@app.command(rich_help_panel=RESULTS)
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Runs by name or MLflow id, versions (v3), aliases (@champion); else the last five."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file; default: one in the home folder.")] = None,
    ui_address: Annotated[
        str | None, typer.Option("--ui", help="Address of the MLflow UI for links.", metavar="URL")
    ] = None,
    model_name: ModelNameOption = "photoshoot",
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Put runs side by side: metrics with 95 % intervals, what differs from the first run beyond noise, settings that
    differ. Writes a page with the same contact sheet's rows for each run."""
    from pipelines.home.folder import Home
    from pipelines.results.compare import compare_runs
    from pipelines.results.page import default_path, write_page

    place = Home.found(home)
    comparison, found = compare_runs(place, runs or [], model_name, ui_address)
    page = write_page(comparison, found, (out or default_path(place, found)).absolute())
    if as_json:
        succeeded(**comparison.to_json(), page=str(page))
        return
    table("Runs", ("", *comparison.runs), comparison.rows())
    for note in (*comparison.legend(), *comparison.notes):
        errors.print(note, markup=False, soft_wrap=True)
    print(f"page    {page}")
    print(f"MLflow  {comparison.links['compare']}")


@app.command(rich_help_panel=RESULTS)
def ui(home: HomeOption = DEFAULT_HOME, port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
       host: Annotated[str, typer.Option("--host")] = "127.0.0.1") -> None:
    """Open the MLflow UI on this home folder; Ctrl-C ends it."""
    from pipelines.home.folder import Home
    from pipelines.local.ui import serve

    serve(Home.found(home), host, port)
