"""The preflight, and the networks that a run needs beside the package."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.app import (
    DEFAULT_HOME,
    PIPELINE,
    HomeOption,
    JsonOption,
    SettingsOptions,
    app,
    succeeded,
)
from pipelines.cli.help import App
from pipelines.cli.options import KUBEFLOW, RegistryOption, RootOption, ServerOptions

if TYPE_CHECKING:
    from components.core.stores.known_weights import KnownWeights
    from pipelines.doctor import Finding

WRONG = 3

weights = App(help="List the networks that can be needed: for what, licence, size, where each is; `fetch` brings them.",
              invoke_without_command=True, no_args_is_help=False)
app.add_typer(weights, name="weights", rich_help_panel=PIPELINE)


@app.command(rich_help_panel=PIPELINE)
def doctor(
    *,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder or gs:// prefix of photos that the run will use.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", rich_help_panel=KUBEFLOW,
                     help="Look at Kubernetes for this profile: gke-ondemand, gke-spot, local or a YAML file."),
    ] = None,
    access: ServerOptions,
    context: Annotated[
        str | None,
        typer.Option("--context", rich_help_panel=KUBEFLOW, help="Context of the kubeconfig; else the current one."),
    ] = None,
    registry: RegistryOption = "",
    root: RootOption = "",
    patience: Annotated[float, typer.Option("--patience", min=5, help="Time limit of a check, in seconds.")] = 20,
    asked: SettingsOptions,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Look for what would fail a run, in seconds and before anything costs money.

    Give it the options of the run to come. This machine, its stores and photos are always looked at; Kubernetes with
    --profile, Kubeflow Pipelines with --host. Exit code 0: nothing would fail a run; 3: something would.
    """
    settings = asked.settings()
    from components.core.stores.storage import address
    from pipelines.doctor import Level, diagnose
    from pipelines.doctor.diagnosis import Patient
    from pipelines.doctor.finding import worst_first
    from pipelines.profile import load_profile

    chosen = load_profile(profile) if profile else None
    patient = Patient(settings, home, None if photos is None else address(photos), chosen,
                      access.access(), context, registry, root)
    findings = worst_first(diagnose(patient, patience))
    problems = sum(finding.level == Level.PROBLEM for finding in findings)
    if as_json:
        print(json.dumps({"status": "failed" if problems else "succeeded", "problems": problems,
                          "findings": [asdict(finding) for finding in findings]}))
    else:
        _show(findings)
    if problems:
        raise typer.Exit(WRONG)


def _show(findings: list[Finding]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from pipelines.display import output
    from pipelines.doctor import Level

    colours = {Level.PROBLEM: "bold red", Level.WARNING: "yellow", Level.OK: "green"}
    drawn = Table(show_edge=False, pad_edge=False)
    for column in ("", "what", "found", "wanted", "how to mend it"):
        drawn.add_column(column, overflow="fold", no_wrap=column == "")
    for finding in findings:
        texts = (finding.what, finding.found, finding.wanted, finding.how_to_mend)
        drawn.add_row(f"[{colours[finding.level]}]{finding.level}[/]", *[escape(text) for text in texts])
    output.print(drawn)
    counts = {level: sum(finding.level == level for finding in findings) for level in Level}
    output.print(f"problems: {counts[Level.PROBLEM]}, warnings: {counts[Level.WARNING]}, in order: {counts[Level.OK]}")


@weights.callback()
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="DensePose's other weights, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the networks that can be needed: for what, licence, size, where each is; `fetch` brings them."""
    if context.invoked_subcommand:
        return
    from components.core.settings import DensePoseSettings
    from components.core.stores.known_weights import cache_folder
    from components.core.stores.published import megabytes
    from components.preprocess.densepose.weights import PUBLISHED
    from pipelines.display import table
    from pipelines.doctor.networks import networks

    found = networks()
    if as_json:
        succeeded(weights=[asdict(one) for one in found])
        return
    others = set() if every else {*PUBLISHED} - {DensePoseSettings().config}
    shown = [one for one in found if one.name not in others or one.address]
    table(f"{len(shown)} networks; fetched ones are in {cache_folder()}",
          ("name", "needed by", "licence", "size", "digest", "where"), [
        (one.name, one.needed_by, one.licence.partition(";")[0].partition(",")[0],
         megabytes(one.size) if one.size else "", one.digest[:19].removesuffix("..."),
         one.where if one.address else f"not here: {one.publisher}")
        for one in shown])
    commands = [one.get for one in shown if one.get.startswith("photoshoot ")]
    if commands:
        print(f"`{commands[0]}` brings one; without a name, what the settings need for photos")


@weights.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="As `photoshoot weights` lists them, or landmarks, faces for all of a "
                                                 "kind. Without: what the settings need for photos."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Folder or gs:// prefix to put them into, for PHOTOSHOOT_WEIGHTS. Default: that "
                                  "folder where it is set, else the cache."),
    ] = None,
    *,
    asked: SettingsOptions,
    as_json: JsonOption = False,
) -> None:
    """Bring networks here, each checked against its digest.

    The same command goes on where it stopped. What cannot be fetched does not keep the rest from coming; exit code 3
    says that something is missing, 4 that a file is not what it should be.
    """
    from components.core.stores.wanted import wanted_weights
    from pipelines.doctor.networks import chosen, destination

    wanted = chosen(names or wanted_weights(asked.settings(), photos=True))
    there = _bring_all(wanted, destination(to), as_json)
    if as_json:
        succeeded(weights=there)
    elif not wanted:
        print("these settings need no network that is not in the package")


def _bring_all(wanted: dict[str, KnownWeights], to: str | None, quiet: bool) -> dict[str, str]:
    """Where each is now. Raises the last error after all were tried; those before it are shown."""
    from components.core.errors import PhotoshootError
    from pipelines.display import show_error
    from pipelines.doctor.networks import bring

    there, failed = {}, None
    for name, known in wanted.items():
        try:
            there[name] = bring(name, known, to)
        except PhotoshootError as error:
            if failed:
                show_error(failed)
            failed = error
        else:
            if not quiet:
                print(f"{name}: {there[name]}")
    if failed:
        raise failed
    return there
