"""What the commands do with runs on Vertex AI Pipelines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipelines.cli.ending import show_listed, show_next
from pipelines.cli.options import vertex_at
from pipelines.display import PipelineDisplay, errors, say

if TYPE_CHECKING:
    from pathlib import Path

    from components.core.settings import Settings
    from pipelines.cli.options import FollowOptions, VertexOptions
    from pipelines.kubeflow.submit import Order
    from pipelines.profile import Profile
    from pipelines.vertex.bearing import Borne
    from pipelines.vertex.server import Vertex


def run_on_vertex(google: VertexOptions, order: Order, as_json: bool, detach: bool, following: FollowOptions) -> None:
    """Submit, and follow unless detached."""
    from pipelines.results.next_steps import after_vertex_submission
    from pipelines.vertex.bearing import borne
    from pipelines.vertex.jobs import request, submit

    following.limit()  # what is wrong with it is told before anything starts
    kept = borne(order.settings, order.profile, order.arguments)
    body = request(order, kept, order.root or kept.vertex.root or "")
    server = google.connect(order.profile, following.patience)
    _say_dropped(kept)
    job = submit(server, body)
    name, link = str(job["name"]), server.where.page(str(job["name"]))
    say(f"run {name}: {link}")
    if detach:
        after = after_vertex_submission(name)
        if as_json:
            print(json.dumps({"status": "submitted", "run_id": name, "name": job["displayName"], "link": link,
                              "next": [one.command for one in after]}))
        else:
            show_next(after)
        return
    _watch(server, job, as_json, following)


def compile_for_vertex(settings: Settings, out: Path, photos: str | None, registry: str, profile: Profile) -> None:
    """Write the pipeline as Vertex AI takes it."""
    from pipelines.vertex.bearing import borne
    from pipelines.vertex.document import pipeline_spec, write_spec

    kept = borne(settings, profile)
    write_spec(pipeline_spec(settings, kept, photos, registry), out)
    _say_dropped(kept)
    errors.print(f"wrote {out}")


def follow_job(name: str, as_json: bool, following: FollowOptions) -> None:
    """Follow a run to its end."""
    from pipelines.vertex.server import place_of

    server = vertex_at(place_of(name), following.patience)
    _watch(server, server.get(name), as_json, following)


def cancel_job(name: str, as_json: bool) -> None:
    """End a run."""
    from pipelines.vertex.jobs import state
    from pipelines.vertex.server import ENDED, place_of

    server = vertex_at(place_of(name))
    now = state(server.get(name))
    if now not in ENDED:
        server.cancel(name)
    if as_json:
        print(json.dumps({"status": now.lower() if now in ENDED else "canceling", "run_id": name}))
    else:
        print(f"run {name} " + (f"has ended: {now}" if now in ENDED else "is being cancelled"))


def show_vertex_runs(last: int, google: VertexOptions, as_json: bool, status: str | None) -> None:
    """The newest runs of a project and region, as a table or JSON; `status` (as of local runs) leaves out others."""
    server = google.connect()
    show_listed(f"Runs on Vertex AI, {server.where.project} in {server.where.region}",
                [_row(server, job) for job in server.list(last)], ("run_id", "name"), status, as_json)


def _watch(server: Vertex, job: dict[str, Any], as_json: bool, following: FollowOptions) -> None:
    """Follow a job to its end; raises what says why it did not succeed."""
    from pipelines.kubeflow.follow import Interrupted
    from pipelines.results.next_steps import after_kubeflow_run
    from pipelines.vertex.jobs import conclude, follow, seconds, state, steps_of

    name = str(job["name"])
    link = server.where.page(name)
    try:
        with PipelineDisplay(steps_of(job)) as display:
            job = follow(server, name, display, poll=following.poll, wait=following.limit())
    except KeyboardInterrupt:
        raise Interrupted(name) from None
    conclude(job, link)
    after = after_kubeflow_run({"vertex": name}, None)
    if as_json:
        print(json.dumps({"status": state(job).lower(), "run_id": name, "name": job["displayName"], "link": link,
                          "seconds": seconds(job), "steps": dict(display.states),
                          "next": [one.command for one in after]}))
        return
    print(f"run {job['displayName']} succeeded: {link}")
    show_next(after)


def _say_dropped(kept: Borne) -> None:
    if kept.dropped:
        say(f"Vertex AI has no place for these of profile {kept.profile.name}: {'; '.join(kept.dropped)}")


def _row(server: Vertex, job: dict[str, Any]) -> dict[str, Any]:
    from pipelines.vertex.jobs import moment, seconds, state

    begun = moment(job.get("createTime"))
    return {"run_id": job["name"], "name": job["displayName"], "status": state(job).lower(),
            "started": begun.strftime("%Y-%m-%d %H:%M") if begun else "", "seconds": seconds(job),
            "link": server.where.page(str(job["name"]))}
