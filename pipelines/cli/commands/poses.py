"""The poses that people can be painted in: listing, drawing and learning them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import DEFAULT_HOME, RESULTS, HomeOption, JsonOption, app, succeeded
from pipelines.cli.help import App

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
    from pipelines.display import table
    from pipelines.results.poses import poses_of, write_sheet

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
    from pipelines.results.poses import learn_pose

    path = learn_pose(home or context.obj, name, photo, replace=replace)
    if as_json:
        succeeded(name=name, file=str(path))
    else:
        print(f"{path}: `photoshoot shoot --pose {name}` uses it")


def split_tags(tags: list[str] | None) -> list[str]:
    """Tags given one by one or with commas between them."""
    return [tag.strip() for given in tags or [] for tag in given.split(",") if tag.strip()]
