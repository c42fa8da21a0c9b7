"""Whether the nodes are what a profile asks for: labels, taints, accelerators, size.

Everything wrong with a pool is told at once: who mends a taint only to learn of the missing GPU then has lost a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipelines.doctor.finding import Finding, Level, ok, problem, warning
from pipelines.profile import POOLS, Placement, Pool, PoolName, Profile, Toleration

if TYPE_CHECKING:
    from kubernetes.client import V1Node, V1Taint

_CLOUDS = ("gce://", "aws://", "azure://")
_KEEPS_AWAY = ("NoSchedule", "NoExecute")
_GIB = Decimal(1 << 30)
_SHOWN = 3


@dataclass(frozen=True)
class Ask:
    """The most that tasks of one pool ask of a node, and which task it is."""

    pool: PoolName
    cpu: tuple[Decimal, str]
    memory: tuple[Decimal, str]
    scratch: tuple[Decimal, str]


def node_findings(nodes: Sequence[V1Node], profile: Profile, tasks: Iterable[str]) -> list[Finding]:
    """Findings for each pool that one of `tasks` uses.

    A pool without nodes is a warning in a cloud, where pools grow from nothing, and a problem elsewhere.
    """
    asks = asked_of_pools(profile, tasks)
    return [finding for ask in asks for finding in _pool(nodes, profile.pool(ask.pool), ask)]


def asked_of_pools(profile: Profile, tasks: Iterable[str]) -> list[Ask]:
    """What tasks ask of each pool."""
    placements = {task: profile.step(task) for task in tasks}
    found = []
    for pool in POOLS:
        here = {task: asked for task, asked in placements.items() if asked.pool == pool}
        if here:
            found.append(Ask(pool, _most(here, lambda one: one.cpu), _most(here, lambda one: one.memory),
                             _most(here, lambda one: one.scratch)))
    return found


def _most(placements: Mapping[str, Placement], of: Callable[[Placement], str | None]) -> tuple[Decimal, str]:
    return max(((quantity(of(asked) or "0"), task) for task, asked in placements.items()), key=lambda one: one[0])


def tolerated(taint: V1Taint, tolerations: Iterable[Toleration]) -> bool:
    """Whether a pod with these tolerations accepts a taint, as Kubernetes' scheduler decides it."""
    return any(
        (one.effect is None or one.effect == taint.effect)
        and (one.key is None or one.key == taint.key)
        and (one.operator == "Exists" or (one.key is not None and (one.value or "") == (taint.value or "")))
        for one in tolerations
    )


def _pool(nodes: Sequence[V1Node], pool: Pool, ask: Ask) -> list[Finding]:
    what = f"{ask.pool} nodes"
    here = [node for node in nodes if _has_labels(node, pool.node_selector)]
    found = [_labels(what, nodes, here, pool)]
    # Without a node of these labels, those that look meant: a taint or a missing GPU there is the next surprise.
    looked_at = here or [node for node in nodes if _looks_meant(node, pool)]
    if not looked_at:
        return found + ([_accelerators(what, [], pool, _grows(nodes))] if pool.count else [])
    found.append(_taints(what, looked_at, pool))
    if pool.count:
        found.append(_accelerators(what, looked_at, pool, growing=False))
    found += _sizes(what, looked_at, pool, ask)
    if here and all(finding.level != Level.PROBLEM for finding in found):
        found.append(_one_with_all(what, here, pool, ask))
    return found


def _labels(what: str, nodes: Sequence[V1Node], here: Sequence[V1Node], pool: Pool) -> Finding:
    wanted = _pairs(pool.node_selector) or "any node"
    if here:
        return ok(f"{what}: labels", f"{len(here)} of {len(nodes)} nodes: {_names(here)}", wanted)
    near = [node for node in nodes if _looks_meant(node, pool)]
    found = f"none of {len(nodes)} nodes has them"
    if near:
        lacking = {key: _of(near[0].metadata.labels).get(key, "-") for key, value in pool.node_selector.items()
                   if _of(near[0].metadata.labels).get(key) != value}
        found += f"; {_names(near)} has {_pairs(lacking)}"
    elif _grows(nodes):
        return warning(f"{what}: labels", f"{found}; a pool scaled to zero shows none until a step needs one",
                       wanted, "does the node pool exist, with these labels? resize it to 1 to have it checked")
    return problem(f"{what}: labels", found, wanted,
                   "label the node pool so, or name its labels in the profile (node_selector)")


def _taints(what: str, nodes: Sequence[V1Node], pool: Pool) -> Finding:
    what = f"{what}: taints"
    refused = {node.metadata.name: bad for node in nodes if (bad := _refusing(node, pool))}
    wanted = f"only taints that the profile tolerates ({_tolerations(pool)})"
    shown = "; ".join(f"{name}: {', '.join(bad)}" for name, bad in list(refused.items())[:_SHOWN])
    mend = "add a toleration for it to the pool in the profile, or take the taint off the node pool"
    if len(refused) == len(nodes):
        return problem(what, shown, wanted, mend)
    if refused and pool.node_selector:
        return warning(what, shown, wanted, mend)
    return ok(what, f"{len(nodes) - len(refused)} of {len(nodes)} nodes take the pods", wanted)


def _refusing(node: V1Node, pool: Pool) -> list[str]:
    return [f"{taint.key}{f'={taint.value}' if taint.value else ''}:{taint.effect}" for taint in node.spec.taints or []
            if taint.effect in _KEEPS_AWAY and not tolerated(taint, pool.tolerations)]


def _accelerators(what: str, nodes: Sequence[V1Node], pool: Pool, growing: bool) -> Finding:
    what, wanted = f"{what}: {pool.accelerator}", f"{pool.count} on one node"
    offers = {node.metadata.name: int(allocatable(node, pool.accelerator)) for node in nodes}
    enough = [name for name, count in offers.items() if count >= pool.count]
    if enough:
        return ok(what, f"{len(enough)} nodes with {max(offers.values())}", wanted)
    mend = ("is there a GPU in the node, and do its driver and device plugin run (kubectl describe node)? is the "
            "accelerator's name right in the profile?")
    if growing:
        return warning(what, "no node yet", wanted, mend)
    most = max(offers.values(), default=0)
    where = f" on {', '.join(list(offers)[:_SHOWN])}" if offers else ""
    return problem(what, f"{most or 'none'} allocatable{where}", wanted, mend)


def _sizes(what: str, nodes: Sequence[V1Node], pool: Pool, ask: Ask) -> list[Finding]:
    found = []
    for resource, (asked, task), name in (("cpu", ask.cpu, "cpu"), ("memory", ask.memory, "memory"),
                                          ("ephemeral-storage", ask.scratch, "scratch")):
        largest = max(allocatable(node, resource) for node in nodes)
        if not asked or (resource == "ephemeral-storage" and not largest):
            continue  # a node that does not say how much disk it has
        found_here = f"at most {amount(resource, largest)} on a node"
        wanted = f"{amount(resource, asked)} for {task}"
        if largest >= asked:
            found.append(ok(f"{what}: {resource}", found_here, wanted))
        else:
            found.append(problem(f"{what}: {resource}", found_here, wanted,
                                 f"larger machines, or a smaller `{name}` in the profile"))
    return found


def _one_with_all(what: str, nodes: Sequence[V1Node], pool: Pool, ask: Ask) -> Finding:
    what, wanted = f"{what}: ready", "a ready node that has all of it"
    fit = [node for node in nodes if not _refusing(node, pool) and _large_enough(node, pool, ask)]
    ready = [node for node in fit if _ready(node)]
    if ready:
        return ok(what, f"{len(ready)} of {len(nodes)}: {_names(ready)}", wanted)
    if fit:
        return problem(what, f"{_names(fit)} not ready or cordoned", wanted, "kubectl describe node; kubectl uncordon")
    return problem(what, "each of these is on some node, but no node has them all", wanted,
                   "use nodes of one kind in the pool")


def _large_enough(node: V1Node, pool: Pool, ask: Ask) -> bool:
    return (allocatable(node, "cpu") >= ask.cpu[0] and allocatable(node, "memory") >= ask.memory[0]
            and (not pool.count or allocatable(node, pool.accelerator) >= pool.count))


def _ready(node: V1Node) -> bool:
    conditions = node.status.conditions or []
    ready = all(one.status == "True" for one in conditions if one.type == "Ready")
    return ready and not node.spec.unschedulable


def _has_labels(node: V1Node, wanted: Mapping[str, str]) -> bool:
    labels = _of(node.metadata.labels)
    return all(labels.get(key) == value for key, value in wanted.items())


def _looks_meant(node: V1Node, pool: Pool) -> bool:
    """A node with the accelerator, or with some of the labels."""
    labels = _of(node.metadata.labels)
    return bool(pool.count and allocatable(node, pool.accelerator)) or any(key in labels for key in pool.node_selector)


def _grows(nodes: Sequence[V1Node]) -> bool:
    return any((node.spec.provider_id or "").startswith(_CLOUDS) for node in nodes)


def nodes_of(nodes: Sequence[V1Node], pool: Pool) -> list[V1Node]:
    """Those that take a pool's pods: they have its labels, and no taint that it does not tolerate."""
    return [node for node in nodes if _has_labels(node, pool.node_selector) and not _refusing(node, pool)]


def allocatable(node: V1Node, resource: str) -> Decimal:
    """How much of a resource the node has for pods; 0 where it does not say."""
    return quantity(_of(node.status.allocatable).get(resource, "0"))


def quantity(text: Any) -> Decimal:
    """A Kubernetes quantity as a number; bytes for memory."""
    from kubernetes.utils import parse_quantity

    return Decimal(parse_quantity(text))


def amount(resource: str, number: Decimal) -> str:
    """A quantity to read: GiB of memory and storage, else the number."""
    if "memory" in resource or "storage" in resource:
        return f"{number / _GIB:.1f} GiB"
    return f"{number.normalize():f}"


def _tolerations(pool: Pool) -> str:
    return ", ".join(f"{one.key or 'all'}{f'={one.value}' if one.value else ''}{f':{one.effect}' if one.effect else ''}"
                     for one in pool.tolerations) or "none"


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _names(nodes: Sequence[V1Node]) -> str:
    names = [node.metadata.name for node in nodes]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _of(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    return labels or {}
