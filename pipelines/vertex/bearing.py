"""What Vertex AI bears of a profile, what it has no place for, and what cannot work there.

Vertex AI makes the machines itself, from a step's limits of CPU and memory and its accelerator: there are no nodes to
select, no volumes, no Secrets and no queue of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.core.errors import InputError, SettingsError
from components.core.record.step import STUDIES
from components.core.record.tracking import TRACKING_URI
from components.core.settings import Settings
from pipelines.profile import Placement, Pool, Profile, Vertex

GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"
"""GKE's label of nodes with a GPU; its values are Vertex AI's names, written another way."""
_TYPE = re.compile(r"[A-Z][A-Z0-9_]+")
_HOST = re.compile(r"https?://(?:[^/@]*@)?(?P<host>[^/:]+)")
_INSIDE = re.compile(r"[^.]+|.+\.(svc|local)|127\..+")
"""Hosts that only pods of a cluster, or one machine, can find."""
_ARGUMENTS = ("gpu_accelerator", "gpu_count")


@dataclass(frozen=True)
class Borne:
    """A profile as far as Vertex AI bears it."""

    profile: Profile
    accelerator: str
    """Vertex AI's name of the accelerator (AcceleratorType), such as NVIDIA_L4; empty: no step has one."""
    count: int
    """Accelerators per machine."""
    service_account: str | None
    """E-mail address of the account that the steps run as; None: the project's Compute Engine default."""
    dropped: tuple[str, ...]
    """Fields of the profile that Vertex AI has no place for, by name."""

    @property
    def vertex(self) -> Vertex:
        """Where on Vertex AI."""
        return self.profile.vertex or Vertex()


def borne(settings: Settings, profile: Profile, arguments: Mapping[str, str] | None = None) -> Borne:
    """What a run with these settings keeps of a profile on Vertex AI.

    Args:
        settings: What each step does.
        profile: Any profile, a cluster's too.
        arguments: Another accelerator than the profile's: ``gpu_accelerator`` and ``gpu_count``.

    Raises:
        SettingsError: Something cannot work on Vertex AI; the remedy names the setting.
        InputError: An argument of another name or value.
    """
    for error in impossible(settings, profile):
        raise error
    pool = _with_arguments(profile.pool("gpu"), arguments or {})
    steps = {name: _step(step, profile) for name, step in ({"default": Placement()} | profile.steps).items()}
    kind = _accelerator(profile, pool) if pool.count else ""
    email = profile.service_account if "@" in (profile.service_account or "") else None
    kept = Profile(name=profile.name, state=profile.state, parallelism=profile.parallelism, vertex=profile.vertex,
                   pools={"gpu": Pool(count=pool.count)}, steps=steps)
    return Borne(kept, kind, pool.count, email, tuple(_dropped(profile)))


def impossible(settings: Settings, profile: Profile) -> Iterator[SettingsError]:
    """Everything that would fail such a run on Vertex AI for certain, each with the setting to change."""
    if profile.state_claim:
        yield SettingsError(f"Vertex AI has no volumes, and the state of profile {profile.name} is the volume "
                            f"{profile.state_claim}", remedy="state: gs://bucket/prefix instead of state_claim")
    if settings.train.nodes > 1:
        yield SettingsError(f"train.nodes={settings.train.nodes}: several machines train by a TrainJob, which Vertex "
                            "AI does not have", remedy="train.nodes=1, with more accelerators: --arg gpu_count=4")
    yield from _tracking(profile)
    if settings.tune.enabled and any(STUDIES not in profile.step(task).environment
                                     for task in ("prepare-study", "tune-worker", "select-weights")):
        yield SettingsError(f"tune.enabled: Vertex AI has no Kubernetes Secrets, and nothing else in profile "
                            f"{profile.name} tells the database of studies",
                            remedy=f"{STUDIES}, without a password, under steps.tune.environment, or "
                                   "tune.enabled=false")


def _tracking(profile: Profile) -> Iterator[SettingsError]:
    """A version is registered with MLflow, so its server has to be in reach of Google's machines."""
    address = profile.tracking_uri or profile.step("register").environment.get(TRACKING_URI)
    remedy = "tracking_uri: https://... in the profile, of a server that Google's machines reach"
    if not address:
        yield SettingsError(f"profile {profile.name} has no tracking_uri: on Vertex AI a version would be registered "
                            "on a machine that is gone afterwards", remedy=remedy)
        return
    found = _HOST.match(address)
    if not found or _INSIDE.fullmatch(found["host"]):
        yield SettingsError(f"tracking_uri {address} of profile {profile.name} is an address inside a cluster or of "
                            "one machine, which Vertex AI does not reach", remedy=remedy)


def _with_arguments(pool: Pool, arguments: Mapping[str, str]) -> Pool:
    other = sorted(set(arguments) - set(_ARGUMENTS))
    if other:
        raise InputError(f"--arg {other[0]}: nothing on Vertex AI answers to it",
                         remedy=f"--arg takes {' and '.join(_ARGUMENTS)}")
    count = arguments.get("gpu_count", str(pool.count))
    if not re.fullmatch(r"\d{1,3}", count):
        raise InputError(f"--arg gpu_count={count}: not a number of accelerators", remedy="--arg gpu_count=1")
    if "gpu_accelerator" not in arguments:
        return pool.model_copy(update={"count": int(count)})
    return Pool(accelerator=arguments["gpu_accelerator"], count=int(count))


def _accelerator(profile: Profile, pool: Pool) -> str:
    """Vertex AI's name: the pool's own, or that of the nodes it selects on GKE (nvidia-l4: NVIDIA_L4).

    Whether the region has it is for Vertex AI to say: the list grows.
    """
    named = pool.accelerator if "/" not in pool.accelerator else pool.node_selector.get(GKE_ACCELERATOR, "")
    kind = named.upper().replace("-", "_")
    if not _TYPE.fullmatch(kind):
        raise SettingsError(f"profile {profile.name}: nothing says which accelerator the pool gpu is "
                            f"({pool.accelerator})",
                            remedy="accelerator: NVIDIA_L4 under pools.gpu, or --arg gpu_accelerator=NVIDIA_L4")
    return kind


def _step(asked: Placement, profile: Profile) -> Placement:
    """A step's placement without what belongs to pods.

    It knows MLflow's address by its environment: with `tracking_uri` the pipeline would end with a task that closes
    the MLflow run of the submission, and there is none.
    """
    environment = dict(asked.environment)
    if profile.tracking_uri:
        environment.setdefault(TRACKING_URI, profile.tracking_uri)
    return asked.model_copy(update={"environment": environment, "secrets": [], "scratch": None, "shared_memory": None})


def _dropped(profile: Profile) -> Iterator[str]:
    """What a profile asks for, and Vertex AI has no place for."""
    if profile.service_account and "@" not in profile.service_account:
        yield f"service_account {profile.service_account} (Kubernetes'; Vertex AI's is an e-mail address)"
    if profile.image_pull_policy != "IfNotPresent":
        yield f"image_pull_policy {profile.image_pull_policy}"
    for name in profile.image_pull_secrets:
        yield f"image_pull_secrets {name}"
    if profile.queue:
        yield f"queue {profile.queue}"
    if profile.train_jobs:
        yield "train_jobs"
    if profile.notify:
        yield f"notify {profile.notify.secret}"
    for name, pool in profile.pools.items():
        selectors = sorted(key for key in pool.node_selector if key != GKE_ACCELERATOR)
        if selectors:
            yield f"pools.{name}.node_selector {', '.join(selectors)}"
        if pool.tolerations:
            yield f"pools.{name}.tolerations"
    yield from _dropped_of_steps(profile.steps)


def _dropped_of_steps(steps: Mapping[str, Placement]) -> Iterator[str]:
    fields: tuple[str, ...] = ("shared_memory", "scratch", "timeout")
    for field in fields:
        asking = [name for name, step in steps.items() if field in step.model_fields_set and getattr(step, field)]
        if asking:
            yield f"{field} of {', '.join(asking)}"
    secrets = dict.fromkeys(secret.name for step in steps.values() for secret in step.secrets)
    if secrets:
        yield f"secrets {', '.join(secrets)}"

