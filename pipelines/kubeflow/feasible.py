"""What cannot work, told before anything is paid for: settings that a profile's nodes and objects do not bear."""

from __future__ import annotations

from collections.abc import Iterator

from components.core.errors import SettingsError
from components.core.record.step import STUDIES
from components.core.settings import Settings
from components.core.stores.storage import is_remote
from pipelines.profile import Placement, Profile


def refuse_impossible(settings: Settings, profile: Profile | None, root: str = "") -> None:
    """Return where the run can work. Raises the first of `impossible`."""
    for error in impossible(settings, profile, root):
        raise error


def impossible(settings: Settings, profile: Profile | None, root: str = "") -> Iterator[SettingsError]:
    """Everything that would fail such a run for certain, each with the setting to change.

    Without a profile nothing is known of the nodes, and only what no cluster can do is told. `root` is where
    artifacts go, where somebody said so.
    """
    yield from _start(settings)
    yield from _several_nodes(settings, profile, root)
    if profile is not None:
        yield from _accelerator_names(profile)
        yield from _volume(settings, profile)
        yield from _studies(settings, profile)


def _start(settings: Settings) -> Iterator[SettingsError]:
    start, digest = settings.train.from_, settings.train.from_digest
    if start is not None and (digest is None or start.startswith("/")):
        yield SettingsError(f"train.from={start}: pods have neither this machine's files nor a registry to ask",
                            remedy="photoshoot compile and run look it up; else starter, or a gs:// address and "
                                   "train.from_digest")


def _several_nodes(settings: Settings, profile: Profile | None, root: str) -> Iterator[SettingsError]:
    nodes = settings.train.nodes
    if nodes == 1:
        return
    what = f"train.nodes={nodes}"
    if profile is None:
        yield SettingsError(f"{what}: without a profile nothing says what the machines are",
                            remedy="--profile, or train.nodes=1")
        return
    if not profile.state:
        where = f"is the volume {profile.state_claim}" if profile.state_claim else "has no place"
        yield SettingsError(f"{what}: machines share their checkpoints on gs:// only, and the state of profile "
                            f"{profile.name} {where}",
                            remedy="state: gs://bucket/prefix in the profile, or train.nodes=1")
    if not profile.train_jobs:
        yield SettingsError(f"{what}: the steps of profile {profile.name} may not make TrainJobs",
                            remedy="steps.trainJobs=true in the chart and train_jobs: true in the profile, or "
                                   "train.nodes=1")
    if root and not is_remote(root):
        yield SettingsError(f"{what}: machines share what lies on gs:// only, and artifacts go to {root}",
                            remedy="--root gs://bucket/prefix, or train.nodes=1")
    processes = nodes * (settings.train.processes or _accelerators(profile, profile.step("train")))
    if settings.train.batch % processes:
        yield SettingsError(f"{what}: train.batch={settings.train.batch} cannot be divided by {processes} processes",
                            remedy=f"train.batch={-(-settings.train.batch // processes) * processes}")


def _accelerators(profile: Profile, asked: Placement) -> int:
    return max(profile.pool(asked.pool).count, 1) if asked.pool != "cpu" else 1


def _accelerator_names(profile: Profile) -> Iterator[SettingsError]:
    """Kubernetes' extended resources have a domain; Vertex AI's accelerators have none."""
    for name, pool in profile.pools.items():
        if pool.count and "/" not in pool.accelerator:
            yield SettingsError(f"pools.{name}.accelerator {pool.accelerator} of profile {profile.name} is no resource "
                                "of Kubernetes", remedy="nvidia.com/gpu, or --backend vertex if that is meant")


def _volume(settings: Settings, profile: Profile) -> Iterator[SettingsError]:
    """Several nodes that mount a volume of one node wait for each other for ever."""
    if not profile.state_claim or profile.state_access_mode == "ReadWriteMany":
        return
    fan_out = {"preprocess.shards": settings.preprocess.shards,
               "tune.workers": settings.tune.workers if settings.tune.enabled else 1}
    for setting, count in fan_out.items():
        if count > 1:
            yield SettingsError(
                f"{setting}={count}: tasks on several nodes cannot share the volume {profile.state_claim}, which is "
                f"{profile.state_access_mode} in profile {profile.name}",
                remedy=f"state: gs://bucket/prefix instead of state_claim, state_access_mode: ReadWriteMany, or "
                       f"{setting}=1")


def _studies(settings: Settings, profile: Profile) -> Iterator[SettingsError]:
    if not settings.tune.enabled:
        return
    for task in ("prepare-study", "tune-worker", "select-weights"):
        asked = profile.step(task)
        if STUDIES not in {*asked.environment, *(name for secret in asked.secrets for name in secret.env.values())}:
            yield SettingsError(
                f"tune.enabled: nothing in profile {profile.name} tells {task} the database of studies",
                remedy=f"a Secret with {STUDIES} under steps.{task}.secrets, or tune.enabled=false")
            return
