"""Follow a run on Kubeflow to its end, whatever the end is.

KFP names a run's tasks by our components, so a step's state is that of its tasks. What went wrong is told from the pods
where Kubernetes lets us look (`pipelines.kubeflow.pods`), else from the run's own details.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from components.core.errors import InputError, MachineError, PhotoshootError
from pipelines.display import PipelineDisplay
from pipelines.kubeflow import pods
from pipelines.kubeflow.pods import TAKEN_AWAY, Trouble
from pipelines.kubeflow.server import ENDED, LostConnection, Server
from pipelines.steps import PARTIAL_TASKS, STEPS, TASK_STEP, step_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

SUCCEEDED, FAILED, CANCELED, SKIPPED = "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
POLL_S = 5.0
_LOOK_EVERY_S = 30.0
_INSTANT_S = 1.5
"""No pod starts and ends in this time: a task that took no longer was reused."""
_Run = TypeVar("_Run")
_TASKS = {*STEPS, *TASK_STEP}
_WENT_AWAY = re.compile(r"pod deleted|pod was (deleted|terminated)|node ?shutdown|preempt|no longer running|taken back",
                        re.IGNORECASE)
"""What Argo (4.0: "pod deleted") and the kubelet say of a pod that went away with its node."""


class StillRunning(MachineError):
    """We stopped following; the run goes on."""


class Interrupted(PhotoshootError):
    """A person stopped following; the run goes on."""

    exit_code = 130

    def __init__(self, run_id: str) -> None:
        super().__init__(f"interrupted; run {run_id} goes on", remedy=_follow_or_cancel(run_id))


class RunFailed(PhotoshootError):
    """The run failed, was cancelled or was skipped."""


@dataclass(frozen=True)
class StepState:
    """One step of a run: ``started``, ``finished`` or ``failed``, and the seconds it took so far."""

    state: str
    seconds: float

    @property
    def reused(self) -> bool:
        """Whether an earlier run's result was taken."""
        return self.state == "finished" and self.seconds < _INSTANT_S


def follow(server: Server, run_id: str, display: PipelineDisplay, *, poll: float = POLL_S, wait: float | None = None,
           look: Callable[[], Sequence[Trouble]] | None = None, say: Callable[[str], None] = lambda text: None
           ) -> V2beta1Run:
    """Show a run's steps until it has ended; returns it in its last state.

    Args:
        server: The connection, with the patience that lost connections deserve.
        run_id: The run.
        display: Told what the steps do.
        poll: Seconds between two looks.
        wait: Seconds after which to stop following; None follows to the end.
        look: What is wrong with the run's pods just now; asked now and then.
        say: Told each such trouble once.

    Raises:
        StillRunning: `wait` is over, or the server cannot be asked any more; the run goes on.
        InputError: No such run.
    """
    looked = time.monotonic()
    reported: set[tuple[str, str]] = set()

    def between() -> None:
        nonlocal looked
        if look and time.monotonic() - looked >= _LOOK_EVERY_S:
            looked = time.monotonic()
            for trouble in look():
                if (trouble.pod, trouble.reason) not in reported:
                    reported.add((trouble.pod, trouble.reason))
                    say(str(trouble))

    return to_its_end(run_id, lambda: server.run(run_id), lambda run: (str(run.state), step_states(_tasks(run))),
                      ENDED, display, poll=poll, wait=wait, between=between)


def to_its_end(run_id: str, ask: Callable[[], _Run], told: Callable[[_Run], tuple[str, Mapping[str, StepState]]],
               ended: Collection[str], display: PipelineDisplay, *, poll: float, wait: float | None,
               between: Callable[[], None] = lambda: None) -> _Run:
    """Ask for a run until it has ended, and show its steps; returns it in its last state. Of any service that runs
    pipelines.

    Args:
        run_id: The run, as `photoshoot follow` takes it.
        ask: The run as it is now.
        told: Its state, SUCCEEDED where all is well, and its steps'.
        ended: States after which nothing more comes.
        display: Told what the steps do.
        poll: Seconds between two looks.
        wait: Seconds after which to stop; None: at the run's end.
        between: Called before each pause.

    Raises `StillRunning` as `follow`, and the `InputError` that `ask` raises.
    """
    started = time.monotonic()
    while True:
        try:
            run = ask()
        except InputError:
            raise
        except PhotoshootError as error:
            raise StillRunning(f"{error.problem}; run {run_id} goes on", remedy=_again(error, run_id)) from None
        state, steps = told(run)
        show(steps, display, succeeded=state == SUCCEEDED)
        if state in ended:
            return run
        if wait is not None and time.monotonic() - started >= wait:
            raise StillRunning(f"run {run_id} is {state.lower()} after {wait:.0f} s and goes on",
                               remedy=_follow_or_cancel(run_id))
        between()
        time.sleep(poll)


def _follow_or_cancel(run_id: str) -> str:
    return f"`photoshoot follow {run_id}` follows it again, `photoshoot cancel {run_id}` ends it"


def _again(error: PhotoshootError, run_id: str) -> str:
    mend = "" if isinstance(error, LostConnection) or not error.remedy else f"{error.remedy}; then "
    return f"{mend}`photoshoot follow {run_id}` follows it again"


def step_states(tasks: Iterable[V2beta1PipelineTaskDetail]) -> dict[str, StepState]:
    """State of each step that has begun, in the pipeline's order."""
    found: dict[str, list[V2beta1PipelineTaskDetail]] = {}
    for task in tasks:
        name = _task_name(task)
        if name:
            found.setdefault(step_of(name), []).append(task)
    return {step: _step_state(found[step]) for step in STEPS if step in found}


def _step_state(tasks: Sequence[V2beta1PipelineTaskDetail]) -> StepState:
    begun = [task.start_time.timestamp() for task in tasks if _is_time(task.start_time)]
    ends = [task.end_time.timestamp() for task in tasks if _is_time(task.end_time)]
    states = {task.state for task in tasks}
    done = any(task.state == SUCCEEDED and task.display_name not in PARTIAL_TASKS for task in tasks)
    state = "failed" if FAILED in states else "finished" if done else "started"
    until = max(ends) if ends and state != "started" else time.time()
    return StepState(state, max(until - min(begun), 0.0) if begun else 0.0)


def _task_name(task: V2beta1PipelineTaskDetail) -> str | None:
    """The component that a task runs. A driver, which decides where and whether it runs, counts when it fails."""
    name = task.display_name or ""
    if name.endswith("-driver") and task.state == FAILED:
        name = name.removesuffix("-driver")
    return name if name in _TASKS and task.state not in (SKIPPED, None, "RUNTIME_STATE_UNSPECIFIED") else None


def _is_time(moment: Any) -> bool:
    return moment is not None and moment.year > 1970  # unset times arrive as year 1 or 1970


def show(states: Mapping[str, StepState], display: PipelineDisplay, *, succeeded: bool) -> None:
    """Tell the display what has changed; `succeeded` when the whole run has."""
    for step, now in states.items():
        before = display.states.get(step)
        if before in (None, now.state, "reused") or (before == "waiting" and now.reused):
            continue
        if before == "waiting":
            display.event({"step": step, "state": "started"})
        if now.state != "started":
            display.event({"step": step, "state": now.state, "seconds": now.seconds})
    if succeeded:
        display.finish()


def _tasks(run: V2beta1Run) -> list[V2beta1PipelineTaskDetail]:
    return list(run.run_details.task_details or []) if run.run_details else []


def steps_of(server: Server, run: V2beta1Run) -> tuple[str, ...]:
    """The steps that a run's pipeline has, in order."""
    spec: Any = run.pipeline_spec
    reference = run.pipeline_version_reference
    if spec is None and reference is not None:
        with server.errors("pipeline version"):
            spec = server.pipelines.pipeline_service_get_pipeline_version(
                reference.pipeline_id, reference.pipeline_version_id).pipeline_spec
    found = steps_in((spec or {}).get("pipeline_spec", spec) or {})
    if not found:
        raise InputError(f"run {run.run_id} ({run.display_name}) was not made by photoshoot",
                         remedy="`photoshoot runs --kubeflow` lists them")
    return found


def steps_in(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The steps in a pipeline's specification, in order; none where it is not one of ours."""
    graphs = [spec.get("root", {}), *spec.get("components", {}).values()]
    steps = {step_of(name) for graph in graphs for name in graph.get("dag", {}).get("tasks", {}) if name in _TASKS}
    return tuple(step for step in STEPS if step in steps)


def conclude(run: V2beta1Run, link: str, troubles: Sequence[Trouble] = ()) -> None:
    """Return if the run succeeded. Raises `RunFailed`, which says what failed, why, and how to go on."""
    if run.state == SUCCEEDED:
        return
    again = f"see {link}; `photoshoot retry {run.run_id}` resumes from what is done"
    if run.state == CANCELED:
        raise RunFailed(f"run {run.display_name} was cancelled", remedy=again)
    if run.state == SKIPPED:
        raise RunFailed(f"run {run.display_name} was skipped: the server did nothing", remedy=f"see {link}")
    raise RunFailed(f"run {run.display_name}: {_why(run, troubles)}", remedy=again)


def _why(run: V2beta1Run, troubles: Sequence[Trouble]) -> str:
    failed = [task for task in _tasks(run) if task.state == FAILED]
    said = {name: _error(task) for task in failed if (name := _task_name(task))}
    steps = list(dict.fromkeys(step_of(name) for name in said))
    ended = {trouble.step: trouble.text for trouble in reversed(troubles) if trouble.final}
    if not steps:
        reasons = [*ended.values(), _error(run), *(_error(task) for task in failed)]
        return next((reason for reason in reasons if reason), "failed before a step began")
    parts = []
    for step in steps:
        own = [text for name, text in said.items() if step_of(name) == step and text]
        inner = [_error(task) for task in failed if (task.display_name or "").startswith("executor")]
        reasons = [ended.get(step, ""), *own, *(inner if len(steps) == 1 else []), _error(run)]
        parts.append(f"{step} failed: {next((text for text in reasons if text), 'its log says why')}")
    return "; ".join(parts)


def _error(thing: Any) -> str:
    """What a run or task says of its failure, in one line."""
    history: Sequence[Any] = thing.state_history or []
    errors = [thing.error, *(status.error for status in reversed(history))]
    text = next((error.message for error in errors if error is not None and error.message), "")
    return " ".join(text.split())[:300]


def lost_pods(run: V2beta1Run, troubles: Sequence[Trouble]) -> bool:
    """Whether a run failed for no other reason than that machines were taken away, so that it can simply go on.

    Argo does not try a pod again that vanished with its node, and KFP no driver at all, whatever a step's retries.
    """
    if run.state != FAILED:
        return False
    failed = [task for task in _tasks(run) if task.state == FAILED]
    taken = {trouble.step for trouble in troubles if trouble.final and trouble.reason in TAKEN_AWAY}
    other = {trouble.step for trouble in troubles if trouble.final and trouble.reason not in TAKEN_AWAY}
    steps = {step_of(name): _error(task) for task in failed if (name := _task_name(task))}
    inner = [text for task in failed if not _task_name(task) and (text := _error(task))]
    reasons = {step: text or next(iter(inner), "") for step, text in steps.items()}
    return bool(reasons) and all(
        step in taken or (step not in other and _WENT_AWAY.search(text)) for step, text in reasons.items())


def summary(run: V2beta1Run, display: PipelineDisplay | None, link: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """A run as plain values, for --json."""
    return {
        "status": str(run.state).lower(), "run_id": run.run_id, "name": run.display_name, "link": link,
        "steps": {} if display is None else dict(display.states), **more,
    }


def run_seconds(run: V2beta1Run) -> float:
    """Seconds that a run has taken so far."""
    if not _is_time(run.created_at):
        return 0.0
    end = float(run.finished_at.timestamp()) if _is_time(run.finished_at) else time.time()
    return round(max(end - float(run.created_at.timestamp()), 0.0), 1)


def look_at(server: Server, run_id: str) -> Callable[[], Sequence[Trouble]]:
    """What is wrong with the run's pods whenever it is called; nothing where there is no access to Kubernetes."""
    namespace = server.access.pods_namespace()
    api: list[Any] = []

    def look() -> Sequence[Trouble]:
        if not api:
            api.append(pods.core_api())
        return pods.troubles(run_id, namespace, api[0]) if api[0] else []

    return look
