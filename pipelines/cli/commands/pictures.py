"""New pictures of a person, and the poses that they can be in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from components.core.record.registry import CHAMPION
from pipelines.cli.accepting import AcceptOption, accepted
from pipelines.cli.app import DEFAULT_HOME, RESULTS, HomeOption, JsonOption, ModelNameOption, app, finish, succeeded
from pipelines.cli.help import App
from pipelines.display import say, table

poses = App(help="List the poses that `shoot` knows by name, and draw them; `add` learns one from a photo.",
            invoke_without_command=True, no_args_is_help=False)
app.add_typer(poses, name="poses", rich_help_panel=RESULTS)


@poses.callback()
def list_(
    context: typer.Context,
    tags: Annotated[list[str] | None, typer.Option(
        "--tags", metavar="TAG", help="Only poses with this tag, as portrait or seated; several: with all of them.",
    )] = None,
    out: Annotated[Path | None, typer.Option(
        "--out", metavar="FILE", help="Draw them: a picture (.png, .jpg, .webp) or a page (.html).")] = None,
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """List the poses that `shoot` knows by name, and draw them; `add` learns one from a photo."""
    context.obj = home
    if context.invoked_subcommand:
        return
    from pipelines.pictures.poses import poses_of, write_sheet

    found = poses_of(home, split_tags(tags))
    if out is not None:
        write_sheet(found, out)
    if as_json:
        drawn = {} if out is None else {"out": str(out)}
        succeeded(poses=[{"name": pose.name, "title": pose.title, "tags": list(pose.tags), "framing": pose.framing}
                         for pose in found], **drawn)
        return
    table(f"{len(found)} poses", ("name", "what", "tags"),
          [(pose.name, pose.title, ", ".join(pose.tags)) for pose in found])
    print(f"drawn in {out}" if out else "`photoshoot poses --out poses.png` draws them")


@poses.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    photo: Annotated[Path, typer.Option("--photo", help="Photo of somebody in the pose; of them nothing is kept.")],
    replace: Annotated[bool, typer.Option("--replace", help="Learn a pose of one's own again.")] = False,
    home: Annotated[Path | None, typer.Option("--home", help="Folder that holds all state.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a pose from a photo and keep it in the home folder."""
    from pipelines.pictures.poses import learn_pose

    path = learn_pose(home or context.obj, name, photo, replace=replace)
    if as_json:
        succeeded(name=name, file=str(path))
    else:
        print(f"{path}: `photoshoot shoot --pose {name}` uses it")


def split_tags(tags: list[str] | None) -> list[str]:
    """Tags given one by one or with commas between them."""
    return [tag.strip() for given in tags or [] for tag in given.split(",") if tag.strip()]


@dataclass(frozen=True)
class PoseOptions:
    """Which poses a person is painted in."""

    pose: Annotated[list[str] | None, typer.Option(
        "--pose", help="A pose by name (`photoshoot poses`), a photo of somebody in it, a pose map, or random; may be "
                       "given several times. Default: poses that fit the photos.")] = None
    tags: Annotated[list[str] | None, typer.Option(
        "--tags", metavar="TAG", help="Choose among poses with this tag, as portrait.")] = None
    count: Annotated[int | None, typer.Option("--count", help="How many poses are chosen; default: 8.")] = None
    seed: Annotated[int, typer.Option("--seed", help="Another seed chooses other poses and clothes.")] = 0


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
        "--clothes", metavar="PHOTO|FOLDER|random", help="Photo of somebody whose clothes to wear; may be given "
        "several times. A folder of such photos, or random, the wardrobe that ships: others by chance in each picture."
    )] = None,
    background: Annotated[str, typer.Option(
        "--background", metavar="PHOTO|studio|transparent", help="What is behind the person.")] = "studio",
    size: Annotated[int | None, typer.Option(
        "--size", metavar="PX", help="Side of the pictures, 64 to 2048. Default: what the photos support, up to 1024.",
    )] = None,
    personalise: Annotated[bool, typer.Option(
        "--personalise", help="Fit the model to the photos first, two or more: about a minute, once for the same "
                              "photos. It stays in this machine's cache.")] = False,
    version: Annotated[str | None, typer.Option(
        "--version", help="Version number or alias, or starter, the model that ships. Default: the champion, else the "
                          "newest that its gate did not fail, else the starter.")] = None,
    accept_changed: AcceptOption = None,
    model_name: ModelNameOption = "photoshoot",
    home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False,
) -> None:
    """Paint a person in other poses with a registered version, or the starter model before there is one. Without
    --pose: eight pictures in fitting poses, the most alike first, and a contact sheet.

    Several photos of the person show more of them: what each shows is put together, and the one that fits a pose best
    gives face and hair. A picture in a chosen pose whose face is unlike is painted again in another pose.
    """
    from components.core.shooting.personal.tuning import PersonalSettings
    from components.shoot.session import Wishes
    from components.shoot.targets import Asked
    from pipelines.home.folder import Home
    from pipelines.pictures.shooting import OWN_POSES, STARTER, clothes_of, shoot_with_version, subjects

    person = subjects(photo, iuv or [], matte or [])
    place = Home.found(home) if version not in (None, STARTER) else Home.if_there(home)
    accepted(home, model_name, version or CHAMPION, accept_changed)
    asked = Asked(poses.pose or [], split_tags(poses.tags), poses.count, poses.seed, place.root / OWN_POSES)
    fit = PersonalSettings() if personalise else None
    wishes = Wishes(asked, background, size=size, personalise=fit, **clothes_of(clothes or []))
    summary, folder = shoot_with_version(place, model_name, version, person, wishes, out)
    if as_json:
        finish("shoot", summary, folder, as_json)
        return
    table(f"{len(summary.images)} pictures of {summary.size} px by {summary.version}",
          ("", "pose", "likeness", *(["clothes"] if any(summary.clothes) else [])), [
        (Path(image).name, pose, "" if likeness is None else f"{likeness:.2f}", *([Path(worn).name] if worn else []))
        for image, pose, likeness, worn in zip(summary.images, summary.poses, summary.likeness, summary.clothes,
                                               strict=True)])
    for line in (*(f"painted again: {one}" for one in summary.repainted), *summary.notes):
        say(f"  {line}")
    print(f"written to {folder}" + (f"; all on one page: {summary.contact_sheet}" if summary.contact_sheet else ""))
