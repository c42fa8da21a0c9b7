"""Links into MLflow's pages that open on the right view."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from components.core.masking import without_account
from pipelines.home.folder import Home

DEFAULT_PORT = 5000
# MLflow 3 opens its pages for traces and prompts unless it is told that this is about training.
_VIEW = "workflowType=machine_learning"


@dataclass(frozen=True)
class Links:
    """Addresses of MLflow's pages; `base` is where its server is."""

    base: str

    @staticmethod
    def of(home: Home, base: str | None = None) -> Links:
        """Links to the tracking server in use; for a home folder's own database, to where `photoshoot ui` serves it."""
        uri = home.tracking_uri
        return Links((base or (without_account(uri) if uri.startswith("http") else f"http://127.0.0.1:{DEFAULT_PORT}")).rstrip("/"))

    def experiments(self) -> str:
        """The list of experiments."""
        return f"{self.base}/#/experiments?{_VIEW}"

    def experiment(self, experiment_id: str) -> str:
        """An experiment's runs."""
        return f"{self.base}/#/experiments/{experiment_id}/runs?{_VIEW}"

    def run(self, experiment_id: str, run_id: str) -> str:
        """One run."""
        return f"{self.base}/#/experiments/{experiment_id}/runs/{run_id}?{_VIEW}"

    def artifact(self, experiment_id: str, run_id: str, path: str) -> str:
        """A file of a run, as MLflow shows it."""
        return f"{self.base}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{quote(path)}?{_VIEW}"

    def compare(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> str:
        """Several runs side by side, with MLflow's own charts."""
        runs, experiments = (quote(json.dumps(list(dict.fromkeys(ids)))) for ids in (run_ids, experiment_ids))
        return f"{self.base}/#/compare-runs?runs={runs}&experiments={experiments}&{_VIEW}"
