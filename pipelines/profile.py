"""Profiles: YAML that says where each step runs on Kubeflow, and what of that Vertex AI takes.

A profile names node pools (selector, tolerations, accelerator) and, per step, the pool with what the step asks of it.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.core.documents import MOST_YAML, Unreadable, read_text, yaml_value
from components.core.errors import SettingsError, machine_errors
from components.core.masking import has_secret
from pipelines.steps import EXIT_TASK, ON_NODES, STEPS, TASK_STEP, step_of

DEFAULT = "default"
PoolName = Literal["cpu", "gpu"]
"""Pools that a profile may describe; the pods of all but `cpu` get accelerators. Another name is another pool."""
POOLS: tuple[PoolName, ...] = get_args(PoolName)
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_WAIT_S, _ENDLESS_S = 3600, 3_600_000
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_QUANTITY = re.compile(r"\d{1,18}(\.\d{1,9})?(m|[kMGTPE]|[KMGTPE]i)?")


def seconds(duration: str) -> int:
    """Seconds in a duration such as ``90s``, ``30m``, ``12h``, ``2d``. Raises `ValueError`."""
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ValueError(f"{duration!r} is not a duration: write 90s, 30m, 12h or 2d")
    return int(found[1]) * _SECONDS[found[2]]


def _duration(value: str) -> str:
    seconds(value)
    return value


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise ValueError(f"{value!r} is not a Kubernetes quantity: write 2, 500m, 16Gi")
    return value


Duration = Annotated[str, AfterValidator(_duration)]
Quantity = Annotated[str, AfterValidator(_quantity)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Toleration(_Part):
    """A Kubernetes toleration (core/v1)."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None

    @model_validator(mode="after")
    def _exists_has_no_value(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes no value")
        return self

    def to_kubernetes(self) -> dict[str, str]:
        """As in a pod's specification."""
        return self.model_dump(exclude_none=True)


class Pool(_Part):
    """Nodes of one kind."""

    node_selector: dict[str, str] = {}
    """Labels that a node must have."""
    tolerations: list[Toleration] = []
    """Taints of the pool that the pods accept."""
    accelerator: str = "nvidia.com/gpu"
    """Resource name of the accelerator."""
    count: int = Field(0, ge=0, le=1024)
    """Accelerators per pod; 0 asks for none."""


class Retries(_Part):
    """What happens when a pod fails or its node goes away.

    KFP hands these to Argo, which retries pods that failed (evicted, out of memory, exit code), and not those whose
    object disappeared with the node: such a run fails, and `photoshoot follow` or `photoshoot retry` goes on with it.
    Tasks inside a loop try again by themselves, too, where a service was away.
    """

    count: int = Field(0, ge=0, le=1000)
    """Times a step is tried again."""
    wait: Duration = "30s"
    """Wait before the first retry."""
    factor: int = Field(2, ge=1, le=_LONGEST_WAIT_S)
    """Growth of the wait from one retry to the next. Argo reads whole numbers only."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        last = seconds(self.wait)
        for _ in range(1, self.count):  # step by step: the power itself may have a thousand digits
            last = min(last * self.factor, _ENDLESS_S)
        if last > _LONGEST_WAIT_S:
            more = "more than " if last == _ENDLESS_S else ""
            raise ValueError(f"the last of {self.count} retries would wait {more}{last / 3600:.0f} hours, and KFP "
                             "has no maximum wait: use fewer retries, a shorter wait or factor 1")
        return self


class Secret(_Part):
    """Keys of a Kubernetes Secret as environment variables."""

    name: str
    """Name of the Secret."""
    env: dict[str, str]
    """Key in the Secret -> environment variable."""
    optional: bool = False
    """Whether pods start without it."""


class Notify(_Part):
    """Who is told when a run ends, well or not: a webhook that takes ``{"text": ...}``, as Slack's and Mattermost's."""

    secret: str
    """Name of the Secret that has the webhook's address."""
    key: str = "url"
    """Its key in the Secret."""


class Vertex(_Part):
    """Where runs on Vertex AI Pipelines go (`--backend vertex`)."""

    project: str | None = None
    """Google Cloud project; null: --project or GOOGLE_CLOUD_PROJECT."""
    region: str | None = None
    """Region, such as us-central1; null: --region or GOOGLE_CLOUD_REGION."""
    root: str | None = None
    """gs:// prefix for artifacts; null: --root."""
    network: str | None = None
    """VPC network peered with the machines, projects/NUMBER/global/networks/NAME, to reach a private MLflow."""
    labels: dict[str, str] = {}
    """Labels of the runs, for bills and filters: lower-case letters, digits, - and _."""

    @model_validator(mode="after")
    def _as_google_writes_them(self) -> Self:
        if self.root and not re.fullmatch(r"gs://[^/]+(/.*)?", self.root):
            raise ValueError(f"root {self.root} is not gs://bucket/prefix")
        for key, value in self.labels.items():
            if not _LABEL.fullmatch(key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
                raise ValueError(f"label {key}={value}: at most 63 lower-case letters, digits, - and _")
        return self


class Placement(_Part):
    """What one step asks for."""

    pool: PoolName = "cpu"
    """Which pool."""
    cpu: Quantity = "1"
    """CPU cores requested."""
    memory: Quantity = "2Gi"
    """Memory requested, and its limit: a step that needs more is ended, its neighbours are not."""
    shared_memory: Quantity | None = None
    """Size of a memory-backed /dev/shm, which data loader processes pass batches through; Kubernetes gives 64 MB."""
    scratch: Quantity | None = None
    """Size of a disk for temporary files, /scratch."""
    timeout: Duration = "1d"
    """The step fails after this time, retries included."""
    retries: Retries = Retries()
    """Retries with back-off."""
    secrets: list[Secret] = []
    """Secrets that the step's environment needs."""
    environment: dict[str, str] = {}
    """Environment variables."""
    cache: bool | None = None
    """Whether KFP may reuse an earlier result; null leaves the pipeline's choice. What asks the registry (`challenge`,
    `register`) is never reused."""


class Profile(_Part):
    """Nodes and objects of Kubernetes, as the pipeline sees them."""

    name: str
    """Name, for messages."""
    service_account: str | None = None
    """Kubernetes service account of the run's pods; null: the namespace's pipeline default."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Images are named by content, so IfNotPresent never serves a stale one."""
    image_pull_secrets: list[str] = []
    """Secrets for a private image registry."""
    tracking_uri: str | None = None
    """Address of the MLflow server from inside the pods."""
    state: str | None = None
    """gs:// address where interrupted steps keep what they need to go on. Any number of runs and nodes share it."""
    state_claim: str | None = None
    """A persistent volume claim for that instead, mounted at /state."""
    state_access_mode: Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"] = "ReadWriteOnce"
    """Access mode of the claim; steps that work on several nodes at once need ReadWriteMany."""
    queue: str | None = None
    """Kueue's LocalQueue: every pod of a step, and every training job, waits in it for its turn."""
    parallelism: int = Field(0, ge=0)
    """Most shards of preprocessing, and most workers of a study, at the same time; 0 is all of them."""
    train_jobs: bool = False
    """Whether the steps may make TrainJobs (in the chart: steps.trainJobs=true), which `train.nodes` needs."""
    notify: Notify | None = None
    """Who is told when a run ends."""
    vertex: Vertex | None = None
    """Where on Vertex AI, for runs there."""
    pools: dict[PoolName, Pool] = {}
    """The node pools."""
    steps: dict[str, Placement] = {}
    """Per step; `default` is for every step that is not named. A task of a step that is not like the rest of it
    (`gather`, `prepare-study`) may be named too."""

    @model_validator(mode="after")
    def _no_secrets(self) -> Self:
        # They would stand in the compiled pipeline, which the server keeps and everybody there can read.
        words = [("tracking_uri", self.tracking_uri or "")] + [
            (f"steps.{name}.environment.{variable}", f"{variable}={value}")
            for name, step in self.steps.items() for variable, value in step.environment.items()]
        for key, value in words:
            if has_secret(value):
                raise ValueError(f"{key} holds a password or a token: put it into a Kubernetes Secret and name that "
                                 "under `secrets` (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for MLflow)")
        return self

    @model_validator(mode="after")
    def _steps_exist(self) -> Self:
        unknown = set(self.steps) - {*STEPS, *TASK_STEP, EXIT_TASK, DEFAULT}
        if unknown:
            raise ValueError(f"no step {sorted(unknown)[0]}: steps are {', '.join(STEPS)} and {DEFAULT}")
        return self

    @model_validator(mode="after")
    def _one_state(self) -> Self:
        if self.state and self.state_claim:
            raise ValueError("state and state_claim are two places for one thing: give one of them")
        if self.state and not re.fullmatch(r"gs://[^/]+(/.*)?", self.state):
            raise ValueError(f"state {self.state} is not gs://bucket/prefix")
        return self

    def step(self, task: str) -> Placement:
        """The placement of a task: its own, else its step's, else the default.

        What waits for a training on several machines computes nothing: unless it is named, it is as small as the
        default, has the step's environment, time and retries, and leaves the accelerators to the machines.
        """
        default = self.steps.get(DEFAULT) or Placement()
        found = self.steps.get(task) or self.steps.get(step_of(task)) or default
        if task == ON_NODES and task not in self.steps:
            return found.model_copy(update={"pool": "cpu", "cpu": default.cpu, "memory": default.memory,
                                            "shared_memory": None, "scratch": default.scratch})
        return found

    def pool(self, name: PoolName) -> Pool:
        """A pool; one that the profile does not describe takes any node."""
        return self.pools.get(name) or Pool()

    def inputs(self) -> dict[str, Any]:
        """Pipeline inputs that a submission may change, with this profile's values."""
        found: dict[str, Any] = {}
        for name in POOLS:
            pool = self.pool(name)
            found |= {
                f"{name}_node_selector": dict(pool.node_selector),
                f"{name}_tolerations": [toleration.to_kubernetes() for toleration in pool.tolerations],
            }
            if name != "cpu":
                # The count is text: KFP's driver reads accelerator counts given by input as strings.
                found |= {f"{name}_accelerator": pool.accelerator, f"{name}_count": str(pool.count)}
        return found


def names() -> list[str]:
    """Profiles that ship with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in _shipped().iterdir() if path.name.endswith(".yaml"))


def load_profile(name_or_path: str) -> Profile:
    """A shipped profile by name or one's own YAML file by path. Raises `SettingsError`."""
    if name_or_path in names():
        return _parse((_shipped() / f"{name_or_path}.yaml").read_text(encoding="utf-8"), name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        raise SettingsError(f"no profile {name_or_path}",
                            remedy=f"give one of {', '.join(names())} or a YAML file of your own")
    with machine_errors(path):
        try:
            text = read_text(path, MOST_YAML)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, Unreadable):
            raise SettingsError("not a readable profile", path=path, remedy=f"shipped ones are {', '.join(names())}"
                                ) from None
    return _parse(text, str(path))


def _shipped() -> Any:
    return resources.files("pipelines") / "profiles"


def _parse(text: str, source: str) -> Profile:
    try:
        tree = yaml_value(text)
        if not isinstance(tree, dict):
            return Profile.model_validate(tree)
        base = tree.pop("base", None)
        if base is not None:
            if base not in names():
                raise SettingsError(f"profile {source}: base: no profile {base}",
                                    remedy=f"shipped ones are {', '.join(names())}")
            tree = _over(yaml_value((_shipped() / f"{base}.yaml").read_text(encoding="utf-8")), tree)
        return Profile.model_validate({"name": Path(source).stem, **tree})
    except Unreadable as error:
        raise SettingsError(f"profile {source}: not YAML: {error}",
                            remedy="compare it with a shipped profile") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the profile"
        raise SettingsError(f"profile {source}: {where}: {first['msg'].removeprefix('Value error, ')}",
                            remedy="compare it with pipelines/profiles/gke-spot.yaml") from None


def _over(under: Any, over: Any) -> Any:
    """A tree over another: mappings are merged, the rest is replaced."""
    if isinstance(under, dict) and isinstance(over, dict):
        return under | {key: _over(under.get(key), value) for key, value in over.items()}
    return over
