from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from kfp.kubernetes import kubernetes_executor_config_pb2 as k8s
from kfp.pipeline_spec import pipeline_spec_pb2

from components.core.errors import SettingsError
from components.core.presets import preset
from pipelines.kubeflow.compilation import compile_pipeline
from pipelines.profile import Profile, load_profile, names, seconds
from pipelines.steps import STEPS, TASK_STEP

EVERYTHING = ["preprocess.shards=3", "tune.enabled=true", "tune.workers=2"]
"""A pipeline with both loops: preprocessing by shards, a study by workers."""


class Compiled:
    """A compiled pipeline, parsed with KFP's protobufs."""

    def __init__(self, path: Path) -> None:
        spec, *platforms = yaml.safe_load_all(path.read_text())
        self.spec = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        executors = platforms[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platforms else {}
        self.kubernetes = {name.removeprefix("exec-"): json_format.ParseDict(config, k8s.KubernetesExecutorConfig())
                           for name, config in executors.items()}
        self.containers = {name.removeprefix("exec-"): executor["container"] for name, executor in
                           json_format.MessageToDict(self.spec.deployment_spec)["executors"].items()
                           if "container" in executor}
        self.graphs = {"": self.spec.root.dag} | {
            name: component.dag for name, component in self.spec.components.items() if component.HasField("dag")}

    def task(self, name: str) -> Any:
        """The task of that name, in whatever graph it is."""
        return next(graph.tasks[name] for graph in self.graphs.values() if name in graph.tasks)

    def looped(self, name: str) -> bool:
        """Whether the task is inside a loop."""
        return name not in self.spec.root.dag.tasks


def _compile(folder: Path, profile: str | None, changes: list[str] = EVERYTHING, photos: str | None = None) -> Compiled:
    out = folder / "pipeline.yaml"
    placed = None if profile is None else load_profile(profile)
    compile_pipeline(preset("smoke").with_changes(changes), out, photos, "registry", placed)
    return Compiled(out)


CLUSTER = """
base: gke-spot
state: gs://bucket/state
queue: gpus
parallelism: 2
train_jobs: true
notify: {secret: webhook, key: address}
"""
"""All that a profile of one's own can add to a shipped one."""
VOLUME = "base: gke-ondemand\nstate_claim: files\nstate_access_mode: ReadWriteMany\n"


@pytest.fixture(scope="module", params=["gke-spot", "gke-ondemand", "local", CLUSTER, VOLUME])
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, quick_kfp: None
) -> tuple[Profile, Compiled]:
    folder, name = tmp_path_factory.mktemp("compiled"), request.param
    if "\n" in name:
        name = str(folder / "mine.yaml")
        Path(name).write_text(request.param)
    return load_profile(name), _compile(folder, name)


def _expected(profile: Profile, task: str, looped: bool) -> k8s.KubernetesExecutorConfig:
    """What the profile says of a task, written out by hand as KFP's configuration."""
    asked, wanted = profile.step(task), k8s.KubernetesExecutorConfig()
    prefix = "pipelinechannel--" if looped else ""
    wanted.node_selector.node_selector_json.component_input_parameter = f"{prefix}{asked.pool}_node_selector"
    wanted.tolerations.add().toleration_json.component_input_parameter = f"{prefix}{asked.pool}_tolerations"
    wanted.active_deadline_seconds = seconds(asked.timeout)
    wanted.image_pull_policy = profile.image_pull_policy
    for secret in asked.secrets:
        entry = wanted.secret_as_env.add(secret_name=secret.name, optional=secret.optional)
        entry.secret_name_parameter.runtime_value.constant.string_value = secret.name
        for key, variable in secret.env.items():
            entry.key_to_env.add(secret_key=key, env_var=variable)
    if asked.shared_memory:
        wanted.empty_dir_mounts.add(volume_name="shared-memory", mount_path="/dev/shm", medium="Memory",
                                    size_limit=asked.shared_memory)
    if asked.scratch:
        wanted.empty_dir_mounts.add(volume_name="scratch", mount_path="/scratch", size_limit=asked.scratch)
    if profile.queue:
        wanted.pod_metadata.labels["kueue.x-k8s.io/queue-name"] = profile.queue
    if task == "finish" and profile.notify:
        entry = wanted.secret_as_env.add(secret_name=profile.notify.secret, optional=True)
        entry.secret_name_parameter.runtime_value.constant.string_value = profile.notify.secret
        entry.key_to_env.add(secret_key=profile.notify.key, env_var="PHOTOSHOOT_WEBHOOK")
    if profile.state_claim:
        claim = wanted.pvc_mount.add(constant=profile.state_claim, mount_path="/state")
        claim.pvc_name_parameter.runtime_value.constant.string_value = profile.state_claim
    return wanted


def test_every_task_has_what_the_profile_says_and_nothing_else(compiled: tuple[Profile, Compiled]) -> None:
    profile, found = compiled
    expected = {"synthesize", "preprocess-part", "gather", "cluster", "prepare-study", "tune-worker",
                "select-weights", "train", "evaluate", "challenge", "register"}
    expected |= {"finish"} if profile.tracking_uri else set()
    assert set(found.kubernetes) == set(found.containers) == expected
    for name, config in found.kubernetes.items():
        assert config == _expected(profile, name, found.looped(name)), name


def test_resources_environment_and_retries(compiled: tuple[Profile, Compiled]) -> None:
    profile, found = compiled
    for name, container in found.containers.items():
        asked, resources = profile.step(name), container["resources"]
        assert {key: value for key, value in resources.items() if key.startswith("resource")} == {
            "resourceCpuRequest": asked.cpu, "resourceMemoryRequest": asked.memory, "resourceMemoryLimit": asked.memory}
        assert ("accelerator" in resources) == (asked.pool == "gpu")
        variables = {entry["name"]: entry["value"] for entry in container.get("env", [])}
        assert variables == {
            **({"MLFLOW_TRACKING_URI": profile.tracking_uri} if profile.tracking_uri else {}),
            **({"PHOTOSHOOT_STATE": profile.state or "/state"} if profile.state or profile.state_claim else {}),
            **({"PHOTOSHOOT_ATTEMPTS": str(asked.retries.count + 1)}
               if name in ("preprocess-part", "tune-worker") and asked.retries.count else {}),
            **({"TMPDIR": "/scratch"} if asked.scratch else {})}
        policy = found.task(name).retry_policy
        assert policy.max_retry_count == asked.retries.count
        if asked.retries.count:
            # Argo counts from the first attempt's start and reads whole factors only.
            assert policy.backoff_max_duration.seconds == seconds(asked.timeout)
            assert policy.backoff_duration.seconds == seconds(asked.retries.wait)
            assert policy.backoff_factor == int(policy.backoff_factor) == asked.retries.factor


def test_inputs_reach_every_graph_that_refers_to_them(compiled: tuple[Profile, Compiled]) -> None:
    """A name that its graph does not have fails a task an hour into a run, not when it is compiled."""
    profile, found = compiled
    inputs = {"": found.spec.root.input_definitions.parameters} | {
        name: component.input_definitions.parameters for name, component in found.spec.components.items()}
    referred = 0
    for graph, dag in found.graphs.items():
        for name, task in dag.tasks.items():
            given = {value.component_input_parameter for value in task.inputs.parameters.values()} - {""}
            if name in found.kubernetes:
                config = found.kubernetes[name]
                given |= {config.node_selector.node_selector_json.component_input_parameter,
                          *(one.toleration_json.component_input_parameter for one in config.tolerations)}
                text = json.dumps(found.containers[name]["resources"])
                # What a container's placeholders name must be an input of its task.
                for key in ("gpu_count", "gpu_accelerator"):
                    assert (f"pipelinechannel--{key}" in text) == (f"pipelinechannel--{key}" in task.inputs.parameters)
            assert given <= set(inputs[graph]), (graph, name)
            referred += len(given)
    assert referred > 20
    defaults = {name: json_format.MessageToDict(value.default_value) for name, value in inputs[""].items()}
    assert defaults == profile.inputs()


def test_loops_have_a_cap_and_the_exit_handler_runs_however_the_run_ends(compiled: tuple[Profile, Compiled]) -> None:
    profile, found = compiled
    loops = {name: task for graph in found.graphs.values() for name, task in graph.tasks.items()
             if task.HasField("parameter_iterator")}
    assert len(loops) == 2
    for task in loops.values():
        assert task.iterator_policy.parallelism_limit == profile.parallelism
    if not profile.tracking_uri:
        assert "finish" not in found.containers
        return
    last = found.task("finish")
    assert last.trigger_policy.strategy == last.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
    assert set(found.spec.root.dag.tasks) == {"finish", *last.dependent_tasks}, "nothing happens outside of it"
    assert not last.caching_options.enable_cache


def test_several_machines_are_asked_for_by_a_task_without_accelerators(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CLUSTER)
    found = _compile(tmp_path, str(path), changes=["train.nodes=2", "train.batch=4"])
    assert "train" not in found.containers
    asking = found.containers["train-on-nodes"]
    assert "accelerator" not in asking["resources"], "two nodes take two GPUs, not three"
    selector = found.kubernetes["train-on-nodes"].node_selector.node_selector_json
    assert selector.component_input_parameter == "pipelinechannel--cpu_node_selector"
    inputs = found.task("train-on-nodes").inputs.parameters
    assert {name: inputs[name].component_input_parameter for name in ("node_selector", "tolerations", "accelerator",
                                                                      "count")} == {
        name: f"pipelinechannel--gpu_{name}" for name in ("node_selector", "tolerations", "accelerator", "count")}
    machine = json.loads(inputs["machine"].runtime_value.constant.string_value)
    train = load_profile(str(path)).step("train")
    assert machine == {"cpu": train.cpu, "memory": train.memory, "shared_memory": train.shared_memory,
                       "scratch": train.scratch}


def test_what_is_never_reused_stays_so(compiled: tuple[Profile, Compiled]) -> None:
    _, found = compiled
    cached = {name: found.task(name).caching_options.enable_cache for name in found.containers}
    assert not any(cached[name] for name in ("challenge", "register"))
    assert cached["train"] and cached["evaluate"] and cached["cluster"]


def test_without_a_profile_nothing_is_placed(tmp_path: Path) -> None:
    found = _compile(tmp_path, None, photos="gs://bucket/photos")
    assert not found.kubernetes and not found.spec.root.input_definitions.parameters
    assert all("resources" not in container and "env" not in container for container in found.containers.values())
    assert found.task("tune-worker").retry_policy.max_retry_count == 3


def test_a_step_may_leave_the_cache_and_kubeflow_its_secrets_for_images(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("image_pull_secrets: [registry]\nsteps: {train: {cache: false, environment: {A: b}}}\n")
    found = _compile(tmp_path, str(path), changes=[])
    assert [one.secret_name for one in found.kubernetes["train"].image_pull_secret] == ["registry"]
    assert not found.task("train").caching_options.enable_cache and found.task("evaluate").caching_options.enable_cache
    assert found.containers["train"]["env"] == [{"name": "A", "value": "b"}]
    assert "env" not in found.containers["cluster"]


@pytest.mark.parametrize(("text", "said"), [
    ("steps: {trian: {cpu: '1'}}", "no step trian"),
    ("steps: {train: {gpus: 1}}", "steps.train.gpus"),
    ("steps: {train: {memory: 24 GB}}", "'24 GB' is not a Kubernetes quantity"),
    ("steps: {train: {memory: '-1Gi'}}", "not a Kubernetes quantity"),
    ("steps: {train: {timeout: soon}}", "not a duration"),
    ("steps: {train: {pool: tpu}}", "steps.train.pool"),
    ("steps: {train: {retries: {count: 3, factor: 1.5}}}", "steps.train.retries.factor"),
    ("steps: {train: {retries: {count: 20, wait: 1m}}}", "the last of 20 retries would wait"),
    ("pools: {gpu: {count: -1}}", "pools.gpu.count"),
    ("pools: {gpu: {tolerations: [{key: a, operator: Exists, value: b}]}}", "Exists takes no value"),
    ("pools: {tpu: {}}", "pools.tpu"),
    ("- a list", "the profile"),
    ("base: gke", "base: no profile gke"),
    ("{state: /state}", "not gs://bucket/prefix"),
    ("{state: 'gs://bucket/s', state_claim: files}", "two places for one thing"),
    ("{state_claim: files, state_access_mode: ReadOnlyMany}", "state_access_mode"),
    ("{notify: {url: 'https://hooks'}}", "notify.secret"),
    ("a: [", "not YAML"),
])
def test_a_wrong_profile_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_profile(str(path))
    assert said in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gke-ondemand, gke-spot, local"):
        load_profile("gke")
    with pytest.raises(SettingsError, match=r"none\.yaml"):
        load_profile(str(tmp_path / "none.yaml"))


def test_tasks_take_their_own_place_their_steps_or_the_default() -> None:
    profile = Profile.model_validate({"name": "p", "steps": {
        "default": {"cpu": "1"}, "preprocess": {"cpu": "6"}, "gather": {"cpu": "2"}}})
    asked = {name: profile.step(name).cpu for name in ("gather", "preprocess-part", "preprocess", "train")}
    assert asked == {"gather": "2", "preprocess-part": "6", "preprocess": "6", "train": "1"}


@given(st.sampled_from([*STEPS, *TASK_STEP]))
def test_shipped_profiles_place_every_task(name: str) -> None:
    for profile in map(load_profile, names()):
        asked = profile.step(name)
        assert asked.pool == "cpu" or profile.pool("gpu").count > 0
        on_kubernetes = "/" in profile.pool("gpu").accelerator  # Vertex AI cannot be asked for shared memory
        assert asked.pool == "cpu" or asked.shared_memory or not on_kubernetes, "loader processes need more than 64 MB"


@given(st.integers(1, 10_000), st.sampled_from("smhd"))
def test_durations(number: int, unit: str) -> None:
    assert seconds(f"{number}{unit}") == number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
