"""MLflow's client, but for secrets: parameters, tags and texts of runs are masked before they are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

from components.core.masking import masked


class MaskedClient(MlflowClient):
    """The methods by which words get into a run. Tags of versions are digests and lines of the gate: a reason that
    somebody gives is masked where it is read (`components.register.ledger.checked_reason`)."""

    def create_run(self, experiment_id: str, start_time: int | None = None, tags: dict[str, Any] | None = None,
                   run_name: str | None = None) -> Run:
        """As MLflow's; tags and name are masked."""
        said = None if tags is None else {key: masked(str(value)) for key, value in tags.items()}
        return super().create_run(experiment_id, start_time, said, None if run_name is None else masked(run_name))

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """As MLflow's; the value is masked."""
        return super().set_tag(run_id, key, masked(str(value)), synchronous)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """As MLflow's; the value is masked."""
        return super().log_param(run_id, key, masked(str(value)), synchronous)

    def log_batch(self, run_id: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = (),
                  tags: Sequence[RunTag] = (), synchronous: bool | None = None) -> Any:
        """As MLflow's; parameters and tags are masked."""
        return super().log_batch(run_id, metrics, [Param(one.key, masked(str(one.value))) for one in params],
                                 [RunTag(one.key, masked(str(one.value))) for one in tags], synchronous)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """As MLflow's; the text is masked."""
        super().log_text(run_id, masked(text), artifact_file)
