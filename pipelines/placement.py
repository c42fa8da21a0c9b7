"""What a profile says of a step, put on its KFP task as the pipeline is built.

What belongs to a pool becomes an input of the compiled pipeline (``gpu_node_selector``, ``gpu_tolerations``,
``gpu_accelerator``, ``gpu_count``, the first two for ``cpu``), so that another pool can be chosen at submission without
compiling again. KFP fixes the rest when it compiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.profile import Placement, Profile, seconds
from pipelines.steps import EXIT_TASK, LOOPED_TASKS

if TYPE_CHECKING:
    from kfp.dsl.pipeline_task import PipelineTask

SHARED_MEMORY, SCRATCH, STATE = "/dev/shm", "/scratch", "/state"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""By this label Kueue takes charge of a pod or a TrainJob."""


def place(task: PipelineTask, name: str, profile: Profile, inputs: Mapping[str, Any]) -> None:
    """Put the placement of the task called `name` on it.

    Args:
        task: The KFP task.
        name: Name of its component: one of `STEPS`, a key of `TASK_STEP` or `EXIT_TASK`.
        profile: What places it.
        inputs: The pipeline's inputs that `Profile.inputs` names, as KFP channels: what a submission may change.
    """
    from kfp import kubernetes

    asked = profile.step(name)
    kubernetes.add_node_selector_json(task, inputs[f"{asked.pool}_node_selector"])
    kubernetes.add_toleration_json(task, inputs[f"{asked.pool}_tolerations"])
    if asked.pool != "cpu":
        accelerator, count = inputs[f"{asked.pool}_accelerator"], inputs[f"{asked.pool}_count"]
        # The setters alone do not carry the inputs into a loop: its sub-pipeline would lack what its tasks refer to.
        task.register_pipeline_channels([accelerator, count])
        task.set_accelerator_type(accelerator).set_accelerator_limit(count)
    task.set_cpu_request(asked.cpu).set_memory_request(asked.memory).set_memory_limit(asked.memory)
    kubernetes.set_timeout(task, seconds(asked.timeout))
    if asked.retries.count:
        retries = asked.retries
        # KFP's "max duration" is no longest wait: it counts from the first attempt's start, and attempts end with it.
        task.set_retry(retries.count, f"{seconds(retries.wait)}s", retries.factor, f"{seconds(asked.timeout)}s")
    if asked.cache is not None:
        task.set_caching_options(asked.cache)
    _environment(task, profile, asked, name)
    _volumes(task, profile, asked)
    if profile.queue:
        kubernetes.add_pod_label(task, QUEUE_LABEL, profile.queue)
    kubernetes.set_image_pull_policy(task, profile.image_pull_policy)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(profile.image_pull_secrets))


def _environment(task: PipelineTask, profile: Profile, asked: Placement, name: str) -> None:
    from kfp import kubernetes

    variables = dict(asked.environment)
    if profile.tracking_uri:
        variables.setdefault("MLFLOW_TRACKING_URI", profile.tracking_uri)
    if profile.state or profile.state_claim:
        variables.setdefault("PHOTOSHOOT_STATE", profile.state or STATE)
    if name in LOOPED_TASKS and asked.retries.count:
        variables.setdefault("PHOTOSHOOT_ATTEMPTS", str(asked.retries.count + 1))
    if asked.scratch:
        variables.setdefault("TMPDIR", SCRATCH)
    for variable, value in variables.items():
        task.set_env_variable(variable, value)
    for secret in asked.secrets:
        kubernetes.use_secret_as_env(task, secret.name, dict(secret.env), optional=secret.optional)
    if name == EXIT_TASK and profile.notify:
        # Optional: a Secret that is missing must not keep the run from its end.
        kubernetes.use_secret_as_env(task, profile.notify.secret, {profile.notify.key: "PHOTOSHOOT_WEBHOOK"},
                                     optional=True)


def _volumes(task: PipelineTask, profile: Profile, asked: Placement) -> None:
    from kfp import kubernetes

    if asked.shared_memory:
        kubernetes.empty_dir_mount(task, "shared-memory", SHARED_MEMORY, medium="Memory",
                                   size_limit=asked.shared_memory)
    if asked.scratch:
        kubernetes.empty_dir_mount(task, "scratch", SCRATCH, size_limit=asked.scratch)
    if profile.state_claim:
        kubernetes.mount_pvc(task, profile.state_claim, STATE)
