"""The preflight."""

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
    PresetOption,
    SetOption,
    SettingsOption,
    app,
    settings_from,
)
from pipelines.cli.options import KUBEFLOW, AuthOption, HostOption, NamespaceOption, RegistryOption, RootOption

if TYPE_CHECKING:
    from pipelines.doctor import Finding

WRONG = 3


@app.command(rich_help_panel=PIPELINE)
def doctor(
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder or gs:// prefix of photos that the run will use.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", rich_help_panel=KUBEFLOW,
                     help="Look at Kubernetes for this profile: gke-ondemand, gke-spot, local or a YAML file."),
    ] = None,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    auth: AuthOption = None,
    context: Annotated[
        str | None,
        typer.Option("--context", rich_help_panel=KUBEFLOW, help="Context of the kubeconfig; else the current one."),
    ] = None,
    registry: RegistryOption = "",
    root: RootOption = "",
    patience: Annotated[float, typer.Option("--patience", min=5, help="Time limit of a check, in seconds.")] = 20,
    preset_name: PresetOption = "demo",
    settings_file: SettingsOption = None,
    changes: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Look for what would fail a run, in seconds and before anything costs money.

    Give it the options of the run to come. This machine, its stores and photos are always looked at; Kubernetes with
    --profile, Kubeflow Pipelines with --host. Exit code 0: nothing would fail a run; 3: something would.
    """
    settings = settings_from(preset_name, settings_file, changes)
    from components.core.stores.storage import address
    from pipelines.doctor import Level, diagnose
    from pipelines.doctor.diagnosis import Patient
    from pipelines.doctor.finding import worst_first
    from pipelines.kubeflow.access import Access
    from pipelines.placement import load_profile

    chosen = load_profile(profile) if profile else None
    patient = Patient(settings, home, None if photos is None else address(photos), chosen,
                      Access(host, namespace, auth), context, registry, root)
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
