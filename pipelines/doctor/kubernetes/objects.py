"""What must lie in the namespace: the service account, Secrets with their keys, claims, and room under its quotas.

Of Secrets only the names of their keys are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipelines.doctor.checks import status_of
from pipelines.doctor.finding import Finding, Level, ok, problem, warning
from pipelines.doctor.kubernetes.nodes import amount, quantity
from pipelines.profile import Profile

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

TIMEOUT_S = (3, 8)
_CHART = "helm upgrade --install photoshoot charts/photoshoot makes it"
RIGHTS = "the chart's role for the doctor allows it: --set doctor.enabled=true, doctor.subjects names you"


@dataclass(frozen=True)
class Keys:
    """Keys that steps take from a Secret."""

    keys: frozenset[str]
    steps: tuple[str, ...]
    optional: bool


def namespace(api: CoreV1Api, name: str) -> list[Finding]:
    """Whether the namespace is there and not on its way out."""
    what = f"namespace {name}"
    there, found = _get(what, lambda: api.read_namespace(name, _request_timeout=TIMEOUT_S),
                        "--namespace names the one that Kubeflow and the chart are in")
    if there is None:
        return found
    if there.status and there.status.phase == "Terminating":
        return [problem(what, "is being deleted", "active", "wait until it is gone, and make it again")]
    return [ok(what, "there", "there")]


def service_account(api: CoreV1Api, namespace: str, name: str | None) -> list[Finding]:
    """Whether the account of the run's pods exists."""
    if name is None:
        return [ok("service account", "Kubeflow's own (the profile names none)")]
    what = f"service account {name}"
    there, found = _get(what, lambda: api.read_namespaced_service_account(name, namespace, _request_timeout=TIMEOUT_S),
                        _CHART + ", or name another as service_account in the profile")
    return found if there is None else [ok(what, "there", "there")]


def secrets(profile: Profile, tasks: Iterable[str]) -> dict[str, Keys]:
    """The Secrets that tasks need, by name; images' pull secrets without keys."""
    found: dict[str, Keys] = {}
    for task in tasks:
        for secret in profile.step(task).secrets:
            known = found.get(secret.name, Keys(frozenset(), (), True))
            found[secret.name] = Keys(known.keys | set(secret.env), (*known.steps, task),
                                      known.optional and secret.optional)
    for name in profile.image_pull_secrets:
        found.setdefault(name, Keys(frozenset(), ("image pulls",), False))
    return found


def secret(api: CoreV1Api, namespace: str, name: str, wanted: Keys) -> list[Finding]:
    """Whether a Secret has the keys, none of them empty."""
    what = f"Secret {name}"
    needed = f"keys {', '.join(sorted(wanted.keys))}" if wanted.keys else "there"
    there, found = _get(what, lambda: api.read_namespaced_secret(name, namespace, _request_timeout=TIMEOUT_S),
                        f"kubectl -n {namespace} create secret generic {name} ..., or {_CHART}", needed)
    if there is None:
        if wanted.optional and found[0].level == Level.PROBLEM:
            return [ok(what, "missing; steps start without it", f"{needed} (optional)")]
        return found
    data: Mapping[str, str] = there.data or {}
    missing = sorted(key for key in wanted.keys if not data.get(key))
    if not missing:
        return [ok(what, f"there, for {', '.join(wanted.steps[:4])}", needed)]
    make = warning if wanted.optional else problem
    return [make(what, f"lacks or has empty: {', '.join(missing)}", needed,
                 f"kubectl -n {namespace} edit secret {name}, or the profile names other keys")]


def claim(api: CoreV1Api, namespace: str, name: str, several_nodes: bool) -> list[Finding]:
    """Whether a persistent volume claim is there and can be mounted; by several nodes at once where a run does that."""
    what = f"claim {name}"
    read = api.read_namespaced_persistent_volume_claim
    there, found = _get(what, lambda: read(name, namespace, _request_timeout=TIMEOUT_S),
                        _CHART + ", or leave state_claim out of the profile", "bound")
    if there is None:
        return found
    phase = there.status.phase if there.status else None
    if phase == "Lost":
        return [problem(what, "its volume is lost", "bound", "delete the claim and make it again")]
    modes = list(there.spec.access_modes or [])
    if several_nodes and "ReadWriteMany" not in modes:
        return [problem(what, ", ".join(modes), "ReadWriteMany: this run's steps share it from several nodes at once",
                        "a claim of a shared file system, or tune.workers=1 and preprocess.shards=1")]
    if phase != "Bound":
        return [warning(what, f"{phase}".lower(), "bound",
                        "fine if its storage class waits for the first pod; otherwise see kubectl describe pvc")]
    return [ok(what, f"bound, {', '.join(modes)}", "bound")]


def training_runtime(api: CoreV1Api, name: str) -> list[Finding]:
    """Whether Kubeflow Trainer is installed, with the runtime that `train.runtime` names."""
    kind = "trainer.kubeflow.org", "v1alpha1", "clustertrainingruntimes"
    return _custom(api, f"training runtime {name}", kind, name,
                   "install Kubeflow Trainer 2.2 or newer with its runtimes, or set train.nodes=1")


def queue(api: CoreV1Api, namespace: str, name: str) -> list[Finding]:
    """Whether Kueue has the queue that the profile names: pods with the name of another wait for ever."""
    return _custom(api, f"queue {name}", ("kueue.x-k8s.io", "v1beta1", "localqueues"), name,
                   "make a LocalQueue of that name, or leave `queue` out of the profile", namespace)


def _custom(api: CoreV1Api, what: str, kind: tuple[str, str, str], name: str, mend: str, namespace: str = ""
            ) -> list[Finding]:
    from kubernetes.client import CustomObjectsApi

    asking, (group, version, plural) = CustomObjectsApi(api.api_client), kind

    def read() -> Any:
        if namespace:
            return asking.get_namespaced_custom_object(group, version, namespace, plural, name,
                                                       _request_timeout=TIMEOUT_S)
        return asking.get_cluster_custom_object(group, version, plural, name, _request_timeout=TIMEOUT_S)

    there, found = _get(what, read, mend)
    return found if there is None else [ok(what, "there", "there")]


def artifacts(api: CoreV1Api, namespace: str) -> list[Finding]:
    """Where Kubeflow keeps artifacts unless a run says otherwise, and whether this account can write there.

    The pods' account may have other rights, so that it cannot be written from here is a warning.
    """
    what, name = "artifacts of runs", "kfp-launcher"
    there, found = _get(what, lambda: api.read_namespaced_config_map(name, namespace, _request_timeout=TIMEOUT_S), "")
    if there is None:
        return [one for one in found if one.level == Level.WARNING] or [ok(what, "Kubeflow's own object store")]
    root = (there.data or {}).get("defaultPipelineRoot", "")
    if not root.startswith("gs://"):
        return [ok(what, f"{root or 'the default'} (ConfigMap {name})")]
    from pipelines.doctor.photos import writable

    return [replace(one, level=Level.WARNING) if one.level == Level.PROBLEM else one for one in writable(root, what)]


def quotas(api: CoreV1Api, namespace: str, largest: Mapping[str, Decimal]) -> list[Finding]:
    """Whether each resource in `largest` (name as in a quota -> quantity of the largest step) still fits the quotas."""
    try:
        items = api.list_namespaced_resource_quota(namespace, _request_timeout=TIMEOUT_S).items
    except Exception as error:
        if status_of(error) not in (403, 404):
            raise
        return []  # nothing promised: the pods' own failure would name the quota
    found = []
    for quota in items:
        hard, used = quota.status.hard or {}, quota.status.used or {}
        for resource, asked in largest.items():
            if resource not in hard:
                continue
            left = quantity(hard[resource]) - quantity(used.get(resource, "0"))
            if left < asked:
                found.append(problem(f"quota {quota.metadata.name}: {resource}",
                                     f"{used.get(resource, '0')} of {hard[resource]} used",
                                     f"{amount(resource, asked)} free for the largest step",
                                     "end what uses it, or ask for a larger quota"))
    return found or [ok("quotas", f"{len(items)}, with room for the largest step" if items else "none")]


def _get(what: str, read: Callable[[], Any], how_to_mend: str, wanted: str = "there") -> tuple[Any, list[Finding]]:
    """An object, or None with a finding: it is missing, or we may not look."""
    try:
        return read(), []
    except Exception as error:  # the client's ApiException, else what a check makes of it
        if status_of(error) == 404:
            return None, [problem(what, "missing", wanted, how_to_mend)]
        if status_of(error) == 403:
            return None, [warning(what, "this account may not look", wanted, RIGHTS)]
        raise
