"""The verb `runs`: pipeline runs as MLflow has them, the ones that are under way, failed or were killed too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.core.record import tracking
from components.core.settings import CostSettings
from pipelines.home import moved as moved_home
from pipelines.home.folder import Home
from pipelines.results.costs import Cost, Use, total, use_of
from pipelines.results.links import Links

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RUN_TAG, HOME_TAG = moved_home.RUN_TAG, moved_home.HOME_TAG
ERROR_TAG = tracking.ERROR_TAG
PARENT_TAG = "mlflow.parentRunId"
STATUSES = ("running", "succeeded", "failed", "killed")
COLUMNS = {"identity_recovered": "identity", "perceptual": "perceptual", "ssim": "SSIM"}
"""Metrics of the table and their heads there; --json has them all."""
_NAMES = {"FINISHED": "succeeded", "FAILED": "failed", "KILLED": "killed", "RUNNING": "running", "SCHEDULED": "running"}
_STEP_RUNS = 5000


@dataclass(frozen=True)
class RunRow:
    """One pipeline run. Times in seconds; `cost` is None where no price is set for a device it used."""

    run_id: str
    mlflow_run_id: str
    status: str
    started: str
    seconds: float
    device_seconds: dict[str, float]
    cost: float | None
    currency: str
    metrics: dict[str, float]
    version: str
    verdict: str
    preset: str
    error: str
    link: str


def list_runs(home: Home, last: int, costs: CostSettings | None, status: str | None = None) -> list[RunRow]:
    """The newest `last` pipeline runs, newest first, of every experiment.

    `costs` are the prices to use for all of them; None takes those in each run's own settings. `status` (one of
    `STATUSES`) leaves out the others. A run counts as killed when MLflow has it as running but its command is gone.
    """
    mlflow = tracking.client(home.tracking_uri, at_once=True)
    experiments = [found.experiment_id for found in mlflow.search_experiments()]
    steps = _steps(mlflow, experiments)
    rows: list[RunRow] = []
    for run in _parents(mlflow, experiments, steps):
        row = _row(run, steps.get(run.info.run_id, []), home, costs)
        if status in (None, row.status):
            rows.append(row)
        if len(rows) == last:
            break
    return rows


def run_cost(mlflow: MlflowClient, parent: str, settings: CostSettings) -> Cost:
    """What the steps of one pipeline run cost so far."""
    return total(_uses(_under(mlflow, parent), int(time.time() * 1000)), settings)


def settle(mlflow: MlflowClient, parent: str, status: str, ended_ms: int) -> None:
    """End a run and those of its steps that could not do it themselves (killed), with the device-seconds they took."""
    for step in [run for run in _under(mlflow, parent) if run.info.status == "RUNNING"]:
        used = use_of(step, ended_ms)
        if used:
            mlflow.log_metric(step.info.run_id, tracking.DEVICE_SECONDS, used.device_seconds)
        mlflow.set_terminated(step.info.run_id, "KILLED", end_time=ended_ms)
    mlflow.set_terminated(parent, status, end_time=ended_ms)


def settle_dead(mlflow: MlflowClient, home: Home) -> None:
    """End the runs of this home whose command was killed before it could; call it while holding the home's lock."""
    experiments = [found.experiment_id for found in mlflow.search_experiments()]
    mine = f"tags.`{HOME_TAG}` = '{_quoted(str(home.root))}' and attributes.status = 'RUNNING'"
    for run in mlflow.search_runs(experiments, mine):
        name = run.data.tags.get(RUN_TAG, "")
        if home.is_alive(name) is False:
            settle(mlflow, run.info.run_id, "KILLED", _last_sign_ms(home, name, run.info.start_time))


def _under(mlflow: MlflowClient, parent: str) -> list[Run]:
    """All runs below a run: its steps, the workers of a study below its step, the trials below a worker."""
    experiment = mlflow.get_run(parent).info.experiment_id
    below = list(mlflow.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent}'", max_results=_STEP_RUNS))
    deeper = [_under(mlflow, run.info.run_id) for run in below if tracking.STEP_TAG in run.data.tags]
    return [*below, *(run for runs in deeper for run in runs)]


def _parents(mlflow: MlflowClient, experiments: list[str], steps: Mapping[str, Any]) -> list[Run]:
    """Pipeline runs, newest first: those we started, and those of a Kubeflow server, known by their steps."""
    found = {run.info.run_id: run
             for run in mlflow.search_runs(experiments, f"tags.`{RUN_TAG}` != ''", max_results=_STEP_RUNS)}
    found |= {run_id: mlflow.get_run(run_id) for run_id in steps if run_id not in found}
    return sorted(found.values(), key=lambda run: -run.info.start_time)


def _steps(mlflow: MlflowClient, experiments: list[str]) -> dict[str, list[Run]]:
    """Runs of steps by the run they belong to; workers of a study belong to the run that its step belongs to."""
    found = mlflow.search_runs(experiments, f"tags.`{tracking.STEP_TAG}` != ''", max_results=_STEP_RUNS,
                               order_by=["attributes.start_time DESC"])
    above = {run.info.run_id: run.data.tags.get(PARENT_TAG) for run in found}
    steps: dict[str, list[Run]] = {}
    for run in found:
        parent = run.data.tags.get(PARENT_TAG)
        while above.get(parent):
            parent = above[parent]
        if parent:
            steps.setdefault(parent, []).append(run)
    return steps


def _row(run: Run, steps: Sequence[Run], home: Home, costs: CostSettings | None) -> RunRow:
    tags, name = run.data.tags, run.data.tags.get(RUN_TAG) or run.info.run_name or run.info.run_id
    status = _NAMES.get(run.info.status, "running")
    ended = run.info.end_time or int(time.time() * 1000)
    if status == "running" and home.is_alive(name) is False:
        status, ended = "killed", _last_sign_ms(home, name, run.info.start_time)
    cost = total(_uses(steps, ended), costs or prices_of(run.data.params))
    return RunRow(
        run_id=name, mlflow_run_id=run.info.run_id, status=status,
        started=time.strftime("%Y-%m-%d %H:%M", time.localtime(run.info.start_time / 1000)),
        seconds=round(max(ended - run.info.start_time, 0) / 1000, 1), device_seconds=cost.by_kind,
        cost=None if cost.price is None else round(cost.price, 6), currency=cost.currency,
        metrics={key: value for key, value in run.data.metrics.items() if not key.startswith("cost/")},
        version=tags.get("photoshoot.version", ""), verdict=tags.get("photoshoot.verdict", ""),
        preset=tags.get("photoshoot.preset", ""), error=tags.get(ERROR_TAG, ""),
        link=Links.of(home).run(run.info.experiment_id, run.info.run_id),
    )  # fmt: skip


def prices_of(params: Mapping[str, str]) -> CostSettings:
    """The prices that a run was started with, from its parameters."""
    prefix = "costs.prices."
    prices = {name.removeprefix(prefix): float(value) for name, value in params.items() if name.startswith(prefix)}
    return CostSettings(prices=prices, currency=params.get("costs.currency", CostSettings().currency))


def _uses(steps: Sequence[Run], now_ms: int) -> list[Use]:
    return [used for used in (use_of(step, now_ms) for step in steps) if used]


def _last_sign_ms(home: Home, name: str, started_ms: int) -> int:
    sign = home.last_sign(name)
    return started_ms if sign is None else max(int(sign * 1000), started_ms)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def as_json(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [asdict(row) for row in rows]
