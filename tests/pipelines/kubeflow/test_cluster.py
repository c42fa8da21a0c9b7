"""Runs on a cluster that takes every pod away once and answers as it likes end with the version of an untouched one.

`cluster` says what of Kubeflow it imitates. The pods are processes that do the steps' real work and are killed at
random moments; Kubeflow's and Kubernetes' APIs drop connections and answer 409, 429 and 500 now and then.
"""

from __future__ import annotations

import os
import random
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster import Pods, Workflow
from servers import gcs_bucket

from components.core.presets import preset
from components.core.record import tracking
from pipelines.cli.commands.kubeflow import run_on_kubeflow
from pipelines.cli.options import FollowOptions
from pipelines.kubeflow import submit
from pipelines.kubeflow.access import Access
from pipelines.kubeflow.record import KFP_RUN
from pipelines.kubeflow.server import LostConnection, Server
from pipelines.kubeflow.submit import Order
from pipelines.profile import load_profile

SMALL = ["train.steps=4", "train.checkpoint_every=1", "train.sample_every=100", "train.width=4", "train.max_width=8",
         "train.latent=8", "train.batch=2", "evaluate.pairs=16", "evaluate.probes=8", "evaluate.distractors=9",
         "evaluate.rows=1", "evaluate.min_images=2", "synthesize.people=6", "synthesize.photos_per_person=2",
         "synthesize.height=96", "preprocess.shards=2", "preprocess.shard_size=2"]
TASKS = ("synthesize", "preprocess-part", "gather", "cluster", "train", "evaluate", "challenge", "register")


class Faults(deque[str]):
    """What happens to the next request, for ever: mostly nothing."""

    def __init__(self, dice: random.Random, kinds: tuple[str, ...]) -> None:
        super().__init__(["there is always one"])
        self._dice, self._kinds, self.count = dice, kinds, 0

    def popleft(self) -> str:
        if self._dice.random() < 0.8:
            return "none"
        self.count += 1
        return self._dice.choice(self._kinds)


@dataclass
class World:
    """The services that runs share."""

    kfp: Any
    kubernetes: Any
    pods: Pods
    folder: Path
    state: str
    uri: str

    def run(self, name: str, dice: random.Random | None, seconds: dict[str, float]) -> Workflow:
        """Submit a run, and follow it to its end."""
        profile = self.folder / f"{name}.yaml"
        profile.write_text(f"tracking_uri: {self.uri}\nstate: {self.state}/{name}\nparallelism: 2\n"
                           "steps: {default: {timeout: 1h, retries: {count: 3, wait: 1s, factor: 1}}}\n")
        settings = preset("smoke").with_changes([*SMALL, f"register.model_name={name}"])
        order = Order(settings, load_profile(str(profile)), name=name)
        def begin(run: dict[str, Any]) -> Workflow:
            workflow = Workflow(run, self.pods, self.folder / run["display_name"], self.dice.get(run["display_name"]),
                                seconds, self._tell)
            workflow.start()
            return workflow

        self.kfp.begin = begin
        self.dice[name] = dice
        server = Server(Access(self.kfp.url, namespace="team"), patience=60)
        while True:
            with suppress(LostConnection):  # before the server had taken it: never sent again unless a person does
                run_on_kubeflow(server, order, True, False, FollowOptions(poll=0.05, patience=60, retries=60))
                break
            assert not [run for run in self.kfp.runs.values() if run["display_name"] == name]
        made = [flow for flow in self.kfp.workflows.values() if flow.run["display_name"] == name]
        assert len(made) == 1, "there are never two of one run"
        return made[0]

    def __post_init__(self) -> None:
        self.dice: dict[str, random.Random | None] = {}

    def _tell(self, run_id: str, node: str, pod: str) -> None:
        self.kubernetes.pod(pod, node, run_id, {"phase": "Failed", "reason": "Terminated"})

    def version(self, name: str) -> dict[str, str]:
        """The one version of a model that was tried, by all that it rests on, and how the run is recorded.

        A registration that was killed may leave another one, which was never tried and has no alias.
        """
        mlflow = tracking.client(self.uri)
        (version,) = [one for one in mlflow.search_model_versions(f"name = '{name}'")
                      if one.tags.get("tried") == "passed"]
        assert mlflow.get_model_version_by_alias(name, "challenger").version == version.version
        experiments = [found.experiment_id for found in mlflow.search_experiments()]
        (run,) = [one for one in mlflow.search_runs(experiments, f"attributes.run_name = '{name}'")
                  if KFP_RUN in one.data.tags]
        assert run.info.status == "FINISHED" and not run.data.tags[tracking.ERROR_TAG]
        return {key: value for key, value in version.tags.items() if key.startswith(("digest.", "gate.", "verdict"))}


@pytest.fixture
def world(kfp: Any, kubernetes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.kubeflow.server._WAITS_S", (0.01, 0.02, 0.05))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", os.environ["KUBECONFIG"])
    # KFP compiles one pipeline at a time in a process.
    one_at_a_time, compiled = threading.Lock(), submit.compiled

    def compiled_alone(*arguments: Any) -> Any:
        with one_at_a_time:
            return compiled(*arguments)

    monkeypatch.setattr(submit, "compiled", compiled_alone)
    root = Path(__file__).resolve().parents[3]
    with gcs_bucket("state") as bucket:
        paths = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        pods = Pods(uri, os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"})
        try:
            yield World(kfp, kubernetes, pods, tmp_path, bucket, uri)
        finally:
            pods.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [pytest.param(1, marks=pytest.mark.long),
                                  pytest.param(20, marks=pytest.mark.endurance)])
def test_runs_whose_pods_are_all_taken_away_end_with_the_same_version(world: World, runs: int) -> None:
    untouched = world.run("untouched", None, {})
    assert set(untouched.took) == {*TASKS, "finish"} and not world.pods.killed
    expected, each = world.version("untouched"), world.pods.began
    world.kfp.faults = Faults(random.Random(runs), ("drop", "409", "429", "500", "503", "lose"))
    world.kubernetes.faults = Faults(random.Random(-runs), ("drop", "409", "429", "500"))
    names = [f"run-{number}" for number in range(runs)]
    with ThreadPoolExecutor(2) as pool:
        flows = list(pool.map(lambda name: world.run(name, random.Random(name), untouched.took), names))
    for name in names:
        found = world.version(name)
        assert {key: (expected[key], found.get(key)) for key in expected if found.get(key) != expected[key]} == {}, name
    assert all(flow.run["state"] == "SUCCEEDED" for flow in flows)
    assert world.pods.killed >= 0.8 * each * runs, "nearly every pod was taken away once"
    retried = sum(path.endswith(":retry") for _, path in world.kfp.requests)
    assert retried >= runs and world.kfp.faults.count > (10 if runs > 1 else 0)
