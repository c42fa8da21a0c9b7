"""Which taints a pod accepts, and what is asked of pools."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from pipelines.doctor.kubernetes.nodes import asked_of_pools, quantity, tolerated
from pipelines.profile import Toleration, load_profile

_WORDS = st.sampled_from(["a", "b", "c"])
_EFFECTS = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
_TAINTS = st.builds(SimpleNamespace, key=_WORDS, value=st.none() | _WORDS, effect=_EFFECTS)


@given(_TAINTS)
def test_a_taint_is_accepted_by_its_own_toleration_and_by_wider_ones(taint: SimpleNamespace) -> None:
    assert tolerated(taint, [Toleration(key=taint.key, value=taint.value, effect=taint.effect)])
    assert tolerated(taint, [Toleration(key=taint.key, value=taint.value)])
    assert tolerated(taint, [Toleration(key=taint.key, operator="Exists")])
    assert tolerated(taint, [Toleration(operator="Exists")])
    assert not tolerated(taint, [])


@given(_TAINTS, _TAINTS)
def test_a_toleration_of_another_taint_does_not_help(taint: SimpleNamespace, other: SimpleNamespace) -> None:
    toleration = Toleration(key=other.key, value=other.value, effect=other.effect)
    same = (taint.key, taint.value, taint.effect) == (other.key, other.value, other.effect)
    assert tolerated(taint, [toleration]) == same


def test_a_pool_is_asked_for_the_most_of_its_tasks() -> None:
    asks = {ask.pool: ask for ask in asked_of_pools(load_profile("gke-spot"), ["synthesize", "train", "gather"])}
    assert asks["gpu"].cpu == (6, "train") and asks["gpu"].memory == (quantity("24Gi"), "train")
    assert asks["cpu"].scratch == (quantity("40Gi"), "gather")
    assert [ask.pool for ask in asked_of_pools(load_profile("local"), ["train"])] == ["cpu"]
