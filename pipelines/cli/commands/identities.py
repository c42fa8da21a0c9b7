"""``photoshoot identities``: look at what the clustering found and decide by hand where it was wrong."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.app import STEP_BY_STEP, IdentitiesOption, JsonOption, app, succeeded
from pipelines.cli.help import App
from pipelines.display import table

if TYPE_CHECKING:
    from components.cluster.byhand.editing import ByHand
    from components.cluster.byhand.overrides import Decision

identities = App(help="List, merge, split and confirm identities by hand; later clusterings respect it.")
app.add_typer(identities, name="identities", rich_help_panel=STEP_BY_STEP)

OverridesOption = Annotated[
    str | None,
    typer.Option("--overrides", help="File of decisions, a path or gs:// address. "
                                     "Default: overrides.jsonl beside the identities folder."),
]
NameArgument = Annotated[str, typer.Argument(help="Name of an identity, as `list` shows it.")]


@identities.command("list")
def list_(folder: IdentitiesOption, overrides: OverridesOption = None, as_json: JsonOption = False) -> None:
    """List the identities: photos, split, confidence and the most doubtful photo."""
    hand = _open(folder, overrides)
    found, aside = hand.identities(), hand.set_aside()
    if as_json:
        succeeded(
            identities=[asdict(one) for one in found],
            set_aside=[{"photo": one.photo, "person": one.person_id, "reason": one.reason} for one in aside],
            decisions=[{"what": one.what, "when": one.when} for one in hand.decisions],
            overrides=str(hand.overrides))
        return
    table(f"{len(found)} identities, {len(aside)} photos set aside",
          ("identity", "photos", "split", "confidence", "most doubtful"),
          [(one.name, str(len(one.photos)), one.split, f"{one.confidence:.2f}", one.doubtful) for one in found])
    for decision in hand.decisions:
        print(f"decided {decision.when}: {decision.what}")


@identities.command()
def show(
    name: NameArgument,
    folder: IdentitiesOption,
    out: Annotated[Path, typer.Option("--out", help="PNG file to write.")],
    people: Annotated[Path | None, typer.Option("--people", help="People data set it was made from.")] = None,
    photos: Annotated[Path | None, typer.Option("--photos", help="Folder of portraits, instead of --people.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw all faces of one identity, the most doubtful first."""
    from components.cluster.byhand.editing import draw_identity

    count = draw_identity(folder, name, out, people, photos)
    if as_json:
        succeeded(identity=name, photos=count, out=str(out))
        return
    print(f"{count} photos of {name}: {out}")


@identities.command()
def merge(
    names: Annotated[list[str], typer.Argument(help="Identities that are one person.")],
    folder: IdentitiesOption,
    name: Annotated[str | None, typer.Option("--name", help="What to call them; default: the first name.")] = None,
    overrides: OverridesOption = None, as_json: JsonOption = False,
) -> None:
    """Say that several identities are one person."""
    hand = _open(folder, overrides)
    _decided(hand, hand.merge(names, name), as_json)


@identities.command()
def split(
    name: NameArgument,
    photos: Annotated[list[str], typer.Argument(help="Photos of it that show another person, all of them the same.")],
    folder: IdentitiesOption, overrides: OverridesOption = None, as_json: JsonOption = False,
) -> None:
    """Say that some photos of an identity are another person."""
    hand = _open(folder, overrides)
    _decided(hand, hand.split(name, photos), as_json)


@identities.command()
def confirm(
    name: NameArgument, folder: IdentitiesOption,
    new_name: Annotated[str | None, typer.Option("--name", help="What to call this person from now on.")] = None,
    overrides: OverridesOption = None, as_json: JsonOption = False,
) -> None:
    """Say that an identity is right as it is, and keep its name."""
    hand = _open(folder, overrides)
    _decided(hand, hand.confirm(name, new_name), as_json)


@identities.command("set-aside")
def set_aside(
    photos: Annotated[list[str], typer.Argument(help="Photos that do not show who it is: blurred, no face.")],
    folder: IdentitiesOption, overrides: OverridesOption = None, as_json: JsonOption = False,
) -> None:
    """Leave photos out whatever else is decided."""
    hand = _open(folder, overrides)
    _decided(hand, hand.leave_out(photos), as_json)


@identities.command()
def undo(folder: IdentitiesOption, overrides: OverridesOption = None, as_json: JsonOption = False) -> None:
    """Take the latest decision back."""
    hand = _open(folder, overrides)
    decision = hand.undo()
    if as_json:
        succeeded(undone=decision.what, overrides=str(hand.overrides))
        return
    print(f"undone: {decision.what}")


def _open(folder: Path, overrides: str | None) -> ByHand:
    from components.cluster.byhand.editing import ByHand

    return ByHand(folder, overrides or folder.absolute().parent / "overrides.jsonl")


def _decided(hand: ByHand, decision: Decision, as_json: bool) -> None:
    if as_json:
        succeeded(decision=decision.what, overrides=str(hand.overrides), decisions=len(hand.decisions))
        return
    print(f"decided: {decision.what}")
    print(f"for later runs: --set cluster.overrides={hand.overrides}")
