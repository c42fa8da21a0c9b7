"""The list of runs."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from components.core.errors import InputError
from pipelines.cli.app import (
    DEFAULT_HOME,
    RESULTS,
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    SettingsOptions,
    app,
    succeeded,
)
from pipelines.cli.commands.kubeflow import show_runs
from pipelines.cli.options import KUBEFLOW, ServerOptions, VertexOptions, old_name
from pipelines.display import errors, say, table


@app.command(rich_help_panel=RESULTS)
def runs(
    *,
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="How many, newest first.")] = 20,
    status: Annotated[
        str | None, typer.Option("--status", help="Only these: running, succeeded, failed or killed.")
    ] = None,
    settings_file: SettingsOption = None,
    changes: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
    on_kubeflow: Annotated[bool, typer.Option("--kubeflow", rich_help_panel=KUBEFLOW,
                                              help="List Kubeflow's runs instead of MLflow's.")] = False,
    on_cluster: Annotated[bool, typer.Option("--cluster", hidden=True)] = False,
    access: ServerOptions,
    on_vertex: Annotated[bool, typer.Option("--vertex", rich_help_panel=KUBEFLOW,
                                            help="List Vertex AI's runs of a project and region.")] = False,
    google: VertexOptions,
    as_json: JsonOption = False,
) -> None:
    """List pipeline runs: status, duration, cost, headline metrics; running, failed and killed ones too.

    A run's device time is priced by the settings it ran with; --settings or --set costs.prices... prices all of them
    anew, e.g. --set 'costs.prices={cpu: 0.2, H100: 3.9}'.
    """
    from pipelines.home.folder import Home
    from pipelines.results.costs import money
    from pipelines.results.runs import COLUMNS, STATUSES, list_runs
    from pipelines.results.runs import as_json as plain

    if status is not None and status not in STATUSES:
        raise InputError(f"unknown status {status}", remedy=f"choose one of {', '.join(STATUSES)}")
    if on_cluster:
        old_name("--cluster", "--kubeflow")
    if on_vertex:
        from pipelines.cli.commands.vertex import show_vertex_runs

        show_vertex_runs(last, google, as_json, status)
        return
    if on_kubeflow or on_cluster:
        show_runs(last, access, as_json, status)
        return
    prices = SettingsOptions("demo", settings_file, changes).settings().costs if settings_file or changes else None
    rows = list_runs(Home.found(home), last, prices, status)
    if as_json:
        succeeded(runs=plain(rows))
        return
    if not rows:
        errors.print("no runs" if status is None else f"no runs that are {status}")
        return
    table("Runs", ("run", "status", "time", "device time", "cost", *COLUMNS.values(), "version"), [
        (row.run_id, row.status, _duration(row.seconds),
         ", ".join(f"{_duration(seconds)} {kind}" for kind, seconds in row.device_seconds.items()) or "-",
         "-" if row.cost is None else money(row.cost, row.currency),
         *(f"{row.metrics[name]:.3f}" if name in row.metrics else "-" for name in COLUMNS),
         f"{row.version} {row.verdict}".strip() or "-")
        for row in rows
    ])
    for row in rows:
        if row.error:
            say(f"{row.run_id} failed: {row.error}")


def _duration(seconds: float) -> str:
    """``48 s``, ``12:05`` (minutes) or ``5:03:20`` (hours)."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return time.strftime("%H:%M:%S" if seconds < 86400 else f"{int(seconds // 86400)}d %H:%M:%S",
                         time.gmtime(seconds)).lstrip("0:")
