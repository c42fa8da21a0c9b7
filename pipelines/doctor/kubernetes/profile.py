"""What a profile alone tells: what cannot work on it, what would be lost, what does not fit into itself."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.settings import Settings
from pipelines.doctor.finding import Finding, ok, problem, warning
from pipelines.doctor.kubernetes.nodes import quantity
from pipelines.kubeflow.feasible import impossible
from pipelines.profile import Profile
from pipelines.steps import ON_NODES, STEPS, TASK_STEP


def tasks_of_run(settings: Settings, with_photos: bool) -> list[str]:
    """Components of the run that the settings describe, as a profile names them."""
    skipped = {"tune"} if not settings.tune.enabled else set()
    skipped |= {"synthesize"} if with_photos else set()
    tasks = [step for step in STEPS if step not in skipped]
    tasks += [task for task, step in TASK_STEP.items() if step == "tune" and settings.tune.enabled]
    tasks += [ON_NODES] if settings.train.nodes > 1 else []
    return tasks + (["preprocess-part", "gather"] if settings.preprocess.shards > 1 else [])


def combination(settings: Settings, profile: Profile | None, root: str = "") -> list[Finding]:
    """Whether settings and profile can work together; everything that cannot, each with the setting to change."""
    what = f"settings on profile {profile.name}" if profile else "settings"
    found = [problem(what, error.problem, "what these nodes can do", error.remedy or "")
             for error in impossible(settings, profile, root)]
    if profile and not (profile.state or profile.state_claim) and _retried(settings, profile):
        found.append(warning(
            f"state on profile {profile.name}", "nowhere: a step whose pod is lost begins again", "gs://bucket/prefix",
            f"a profile of your own: base: {profile.name}, and state: gs://bucket/prefix"))
    return found or [ok(what, "can work")]


def _retried(settings: Settings, profile: Profile) -> bool:
    return any(profile.step(task).retries.count for task in tasks_of_run(settings, False))


def profile_itself(profile: Profile, tasks: Sequence[str]) -> list[Finding]:
    """What a profile alone can have wrong: shared memory counts as memory of the pod."""
    found = []
    for task in tasks:
        asked = profile.step(task)
        if asked.shared_memory and quantity(asked.shared_memory) >= quantity(asked.memory):
            found.append(problem(f"profile {profile.name}: {task}",
                                 f"shared_memory {asked.shared_memory} of memory {asked.memory}",
                                 "less: /dev/shm counts as the pod's memory", "raise memory, or lower shared_memory"))
        if asked.pool != "cpu" and not profile.pool(asked.pool).count:
            found.append(warning(f"profile {profile.name}: {task}",
                                 f"is on the {asked.pool} pool, which asks for no accelerator",
                                 "count of at least 1", f"set pools.{asked.pool}.count in the profile"))
    return found or [ok(f"profile {profile.name}", "shared memory and accelerators fit")]
