"""Commands for runs on Kubeflow: follow, cancel, retry, list, and runs on a schedule. A run on Vertex AI goes by its
whole name, projects/P/locations/R/pipelineJobs/ID, and to `pipelines.cli.commands.vertex`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.core.errors import InputError, PhotoshootError
from pipelines.cli.app import JsonOption, SettingsOptions, app, succeeded
from pipelines.cli.commands import vertex
from pipelines.cli.ending import show_listed, show_next
from pipelines.cli.help import App
from pipelines.cli.options import KUBEFLOW, DetachOption, FollowOptions, OrderOptions, ServerOptions
from pipelines.display import PipelineDisplay, errors, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.kubeflow.pods import Trouble
    from pipelines.kubeflow.server import Server
    from pipelines.kubeflow.submit import Order

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id or name of the run; on Vertex AI projects/.../pipelineJobs/ID.")]
VERTEX = "projects/"
"""Names of runs on Vertex AI begin with it."""

schedules = App(help="Runs at fixed times.")
app.add_typer(schedules, name="schedule", rich_help_panel=KUBEFLOW)


def run_on_kubeflow(server: Server, order: Order, as_json: bool, detach: bool, following: FollowOptions) -> None:
    """Submit, and follow unless detached."""
    from pipelines.kubeflow import record
    from pipelines.kubeflow.submit import named, submit
    from pipelines.results.next_steps import after_submission

    following.limit()  # what is wrong with it is told before anything starts
    order = named(order)
    parent = "" if order.upload else record.begin(order.settings, order.name, order.photos)
    try:
        submitted = submit(server, order, parent)
    except BaseException as error:
        record.fail(parent, str(error) or type(error).__name__)
        raise
    record.name_run(parent, submitted.run_id, submitted.link)
    say(f"run {submitted.name}: {submitted.link}")
    if detach:
        after = after_submission(submitted.run_id)
        if as_json:
            print(json.dumps({"status": "submitted", "run_id": submitted.run_id, "name": submitted.name,
                              "link": submitted.link, "version_id": submitted.version_id, "mlflow_run_id": parent,
                              "next": [one.command for one in after]}))
        else:
            show_next(after)
        return
    watch(server, server.run(submitted.run_id), as_json, following)


def watch(server: Server, run: Any, as_json: bool, following: FollowOptions, retries: int | None = None) -> None:
    """Follow a run (as the server gives it) to its end; raises what says why it did not succeed.

    A run that only lost pods with their nodes is continued, `retries` times (None: as the options say).
    """
    from pipelines.kubeflow import record
    from pipelines.kubeflow.follow import SUCCEEDED, Interrupted, conclude, look_at, steps_of, summary
    from pipelines.results.next_steps import after_kubeflow_run

    run_id = str(run.run_id)
    display = PipelineDisplay(steps_of(server, run))
    look = look_at(server, run_id)
    link = server.access.page(f"runs/details/{run_id}")
    try:
        with display:
            run = _to_the_end(server, run_id, display, following, look,
                              following.retries if retries is None else retries)
    except KeyboardInterrupt:
        raise Interrupted(run_id) from None
    try:
        conclude(run, link, () if run.state == SUCCEEDED else look())
    except PhotoshootError as error:
        record.end(run_id, str(run.state), str(error))
        raise
    recorded = record.end(run_id, str(run.state))
    version = record.registered(recorded.get("mlflow_run_id", ""))
    after = after_kubeflow_run(recorded, version)
    if as_json:
        more = {**recorded, **({"version": version} if version else {}), "next": [one.command for one in after]}
        print(json.dumps(summary(run, display, link, more)))
        return
    print(f"run {run.display_name} succeeded: {link}")
    if version:
        recorded["model_version"] = f"{version['name']} {version['number']}: {version['verdict']}"
    for name, value in recorded.items():
        if name != "device_seconds":
            print(f"{name.replace('_', ' '):<14} {value}")
    show_next(after)


def _to_the_end(server: Server, run_id: str, display: PipelineDisplay, following: FollowOptions,
                look: Callable[[], Sequence[Trouble]], retries: int) -> Any:
    """Follow a run until it has ended, and goes on no more; returns it in its last state."""
    from pipelines.kubeflow import record
    from pipelines.kubeflow.follow import follow, lost_pods

    def say_below(text: str) -> None:
        say(f"  {text}")

    for left in range(retries, -1, -1):
        run = follow(server, run_id, display, poll=following.poll, wait=following.limit(), look=look,
                     say=say_below)
        if not left or not lost_pods(run, look()):
            return run
        say_below("pods were taken away with their nodes: the run goes on from where it was"
                  f" ({left - 1} more times, if need be)")
        server.retry(run_id)
        record.again(run_id)
    return run


@app.command(rich_help_panel=KUBEFLOW)
def follow(run: RunArgument, following: FollowOptions, access: ServerOptions, as_json: JsonOption = False) -> None:
    """Follow a run on Kubeflow or Vertex AI to its end: exit code 0 when it succeeds."""
    if run.startswith(VERTEX):
        vertex.follow_job(run, as_json, following)
        return
    from pipelines.kubeflow.server import ENDED

    server = access.connect(following.patience)
    found = server.resolve(run)
    # One that had ended before stays as it is: that is for `photoshoot retry`.
    watch(server, found, as_json, following, retries=0 if found.state in ENDED else None)


@app.command(rich_help_panel=KUBEFLOW)
def cancel(run: RunArgument, access: ServerOptions, as_json: JsonOption = False) -> None:
    """End a run on Kubeflow or Vertex AI. What its steps have finished stays; `photoshoot retry` resumes from there."""
    if run.startswith(VERTEX):
        vertex.cancel_job(run, as_json)
        return
    from pipelines.kubeflow import record
    from pipelines.kubeflow.server import ENDED

    server = access.connect()
    found = server.resolve(run)
    if found.state in ENDED:
        _done(as_json, str(found.state).lower(), found.run_id, f"run {found.display_name} has ended: {found.state}")
        return
    server.cancel(str(found.run_id))
    record.end(str(found.run_id), "CANCELED", "cancelled")
    _done(as_json, "canceling", found.run_id, f"run {found.display_name} is being cancelled")


@app.command(rich_help_panel=KUBEFLOW)
def retry(run: RunArgument, *, detach: DetachOption = False, following: FollowOptions, access: ServerOptions,
          as_json: JsonOption = False) -> None:
    """Run the failed steps of a run on Kubeflow again, and what comes after them."""
    if run.startswith(VERTEX):
        raise InputError("Vertex AI does not run a job again",
                         remedy="the same `photoshoot run` again takes what is done from the cache")
    from pipelines.kubeflow import record

    server = access.connect(following.patience)
    found = server.resolve(run)
    run_id = str(found.run_id)
    server.retry(run_id)
    record.again(run_id)
    if detach:
        _done(as_json, "running", run_id, f"`photoshoot follow {run_id}` follows it")
        return
    watch(server, server.run(run_id), as_json, following)


def show_runs(last: int, access: ServerOptions, as_json: bool, status: str | None = None) -> None:
    """The newest runs on Kubeflow, as a table or JSON; `status` (as of local runs) leaves out the others."""
    server = access.connect()
    show_listed(f"Runs on {server.host}", [_row(server, run) for run in server.list_runs(last)], ("name", "run_id"),
                status, as_json)


@schedules.command("add")
def schedule_add(
    cron: Annotated[str, typer.Option("--cron", help="When, in UTC: '0 3 * * 1' is Mondays at 3.")],
    *,
    photos: Annotated[str | None, typer.Option("--photos", help="gs:// prefix; else synthetic people.")] = None,
    asked: SettingsOptions,
    ordered: OrderOptions,
    access: ServerOptions,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline of now, with these settings, at fixed times. A run that is still going delays the next."""
    from pipelines.kubeflow.submit import schedule

    order = ordered.order(asked.settings(), photos)
    found = schedule(access.connect(), order, cron)
    if as_json:
        succeeded(schedule_id=found)
        return
    print(f"schedule {found}: `photoshoot schedule delete {found}` ends it")


@schedules.command("list")
def schedule_list(access: ServerOptions, as_json: JsonOption = False) -> None:
    """List what runs at fixed times."""
    found = access.connect().schedules()
    rows = [{"schedule_id": one.recurring_run_id, "name": one.display_name, "status": str(one.status).lower(),
             "cron": one.trigger.cron_schedule.cron if one.trigger and one.trigger.cron_schedule else ""}
            for one in found]
    if as_json:
        succeeded(schedules=rows)
        return
    if not rows:
        errors.print("no schedules: `photoshoot schedule add` makes one")
        return
    table("Schedules", ("schedule", "name", "when (UTC)", "status"),
          [(row["schedule_id"], row["name"], row["cron"], row["status"]) for row in rows])


@schedules.command("delete")
def schedule_delete(
    schedule_id: Annotated[str, typer.Argument(metavar="SCHEDULE", help="Id, from `photoshoot schedule list`.")],
    access: ServerOptions,
    as_json: JsonOption = False,
) -> None:
    """End a schedule. Runs that it has started go on."""
    access.connect().delete_schedule(schedule_id)
    _done(as_json, "succeeded", None, f"schedule {schedule_id} is no more")


def _row(server: Server, run: Any) -> dict[str, Any]:
    from pipelines.kubeflow.follow import run_seconds

    return {
        "run_id": run.run_id, "name": run.display_name, "status": str(run.state).lower(),
        "started": run.created_at.strftime("%Y-%m-%d %H:%M") if run.created_at else "",
        "seconds": run_seconds(run), "link": server.access.page(f"runs/details/{run.run_id}"),
    }


def _done(as_json: bool, status: str, run_id: str | None, text: str) -> None:
    if as_json:
        print(json.dumps({"status": status, **({} if run_id is None else {"run_id": run_id})}))
    else:
        print(text)
