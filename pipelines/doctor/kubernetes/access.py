"""Kubernetes, through its official client: one connection, then all looks at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from components.core.errors import MachineError
from components.core.settings import Settings
from pipelines.doctor.checks import Check, run_checks, status_of
from pipelines.doctor.clock import clock
from pipelines.doctor.finding import Finding, ok, problem, warning
from pipelines.doctor.kubernetes import disk, objects
from pipelines.doctor.kubernetes.nodes import asked_of_pools, node_findings
from pipelines.doctor.kubernetes.profile import profile_itself, tasks_of_run
from pipelines.kubeflow.pods import core_api
from pipelines.profile import Profile

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api, V1Node

_API = "Kubernetes"
_PAGE = 500


def kubernetes(profile: Profile, namespace: str, context: str | None, settings: Settings, photos: str | None,
               patience: float) -> list[Finding]:
    """All that a run with this profile, these settings and these photos (None: synthetic people) needs of Kubernetes.

    Raises `MachineError` where the kubeconfig lacks the context, and outside a pod without a kubeconfig.
    """
    started = time.monotonic()
    api = core_api(context)
    if api is None:
        raise MachineError("neither in a pod nor with a kubeconfig",
                           remedy="kubectl config current-context; --context NAME")
    reached, found = _reach(api)
    if not reached:
        return found
    tasks = tasks_of_run(settings, photos is not None)
    several = settings.preprocess.shards > 1 or (settings.tune.enabled and settings.tune.workers > 1)
    checks = [
        Check("nodes", partial(_nodes, api, profile, tasks, settings, photos)),
        Check("namespace", partial(objects.namespace, api, namespace)),
        Check("service account", partial(objects.service_account, api, namespace, profile.service_account)),
        *[Check(f"Secret {name}", partial(objects.secret, api, namespace, name, keys))
          for name, keys in objects.secrets(profile, tasks).items()],
        *[Check("claim", partial(objects.claim, api, namespace, name, several))
          for name in [profile.state_claim] if name],
        *[Check("webhook", partial(objects.secret, api, namespace, notify.secret,
                                   objects.Keys(frozenset({notify.key}), ("the run's end",), False)))
          for notify in [profile.notify] if notify],
        *[Check("queue", partial(objects.queue, api, namespace, name)) for name in [profile.queue] if name],
        *([Check("training runtime", partial(objects.training_runtime, api, settings.train.runtime))]
          if settings.train.nodes > 1 else []),
        Check("artifacts", partial(objects.artifacts, api, namespace)),
        Check("quotas", partial(objects.quotas, api, namespace, _largest(profile, tasks))),
        Check("profile", partial(profile_itself, profile, tasks)),
    ]
    # Before whoever called stops waiting: what was found by then is told.
    return found + run_checks(checks, max(1.0, patience - 1.0 - (time.monotonic() - started)))


def _reach(api: CoreV1Api) -> tuple[bool, list[Finding]]:
    import urllib3
    from kubernetes import client

    host, asking = api.api_client.configuration.host, client.VersionApi(api.api_client)
    try:
        version, _, headers = asking.get_code_with_http_info(_request_timeout=objects.TIMEOUT_S)
    except client.ApiException as error:
        if status_of(error) != 401:
            return False, [problem(_API, f"{host} answers {error.status} {error.reason}", "the API",
                                   "is the kubeconfig the right one?")]
        return False, [problem(_API, f"{host} rejects your credentials", "an account that it accepts",
                               "log in again: gcloud container clusters get-credentials, or a fresh token")]
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return False, [problem(_API, f"{host} does not answer: {_reason(error)}", "the API",
                               "kubectl version; is the context right (--context), is a VPN or tunnel needed?")]
    return True, [ok(_API, f"{version.git_version} at {host}", "the API"), *clock("Kubernetes", headers)]


def _reason(error: BaseException) -> str:
    """urllib3 wraps what happened in sentences about its pool."""
    return str(getattr(error, "reason", None) or error)


def _nodes(api: CoreV1Api, profile: Profile, tasks: Sequence[str], settings: Settings, photos: str | None
           ) -> list[Finding]:
    nodes: list[V1Node] = []
    more: str | None = None
    try:
        while True:
            after = {"_continue": more} if more else {}
            page = api.list_node(limit=_PAGE, _request_timeout=objects.TIMEOUT_S, **after)
            nodes += page.items
            more = page.metadata._continue if page.metadata else None
            if not more:
                break
    except Exception as error:
        if status_of(error) == 403:
            return [warning("nodes", "this account may not list them", "labels, taints, accelerators", objects.RIGHTS)]
        raise
    needed, unknown = disk.looked_up(photos, settings, tasks)
    return [*node_findings(nodes, profile, tasks), *disk.disk_findings(nodes, profile, needed), *unknown]


def _largest(profile: Profile, tasks: Sequence[str]) -> dict[str, Decimal]:
    asks = asked_of_pools(profile, tasks)
    cpu, memory = max(ask.cpu[0] for ask in asks), max(ask.memory[0] for ask in asks)
    accelerators = {f"requests.{pool.accelerator}": Decimal(pool.count)
                    for pool in sorted((profile.pool(ask.pool) for ask in asks if ask.pool != "cpu"),
                                       key=lambda pool: pool.count) if pool.count}
    return {"requests.cpu": cpu, "requests.memory": memory, "limits.memory": memory, **accelerators}
