"""Manifests of kinds that are not Kubernetes' own, held against the fields that their projects document.

Only the fields that the chart uses are written down here; one that is not is refused, as a strict API server would.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

STRINGS = {"*": str}
METADATA = {"name": str, "namespace": str, "labels": STRINGS, "annotations": STRINGS}
# https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor
SERVICE_MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": METADATA,
    "spec": {"selector": {"matchLabels": STRINGS},
             "endpoints": [{"port": str, "path": str, "interval": re.compile(r"(\d+h)?(\d+m)?(\d+s)?")}]},
}
DOCUMENTED = {("monitoring.coreos.com/v1", "ServiceMonitor"): SERVICE_MONITOR}


def wrong(value: Any, wanted: Any, where: str = "") -> Iterator[str]:
    """What does not fit: `wanted` is a type, a pattern, a literal, a list of one entry or a mapping ("*": any key)."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        for key, inner in value.items():
            entry = wanted.get(key, wanted.get("*"))
            if entry is None:
                yield f"{where}.{key}: no such field"
            else:
                yield from wrong(inner, entry, f"{where}.{key}")
    elif isinstance(wanted, list) and isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from wrong(inner, wanted[0], f"{where}[{number}]")
    elif not _fits(value, wanted):
        yield f"{where}: {value!r} is not {wanted!r}"


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return isinstance(value, str) and bool(wanted.fullmatch(value))
    return type(value) is wanted if isinstance(wanted, type) else bool(value == wanted)


def test_custom_manifests_have_the_documented_fields(rendered: Any, everything: Any) -> None:
    custom = [d for d in rendered.documents if (d["apiVersion"], d["kind"]) in DOCUMENTED]
    for document in custom:
        assert list(wrong(document, DOCUMENTED[document["apiVersion"], document["kind"]], document["kind"])) == []
    if rendered is everything:
        assert {d["kind"] for d in custom} == {kind for _, kind in DOCUMENTED}


@pytest.mark.parametrize(("path", "value"), [
    (("spec", "endpoints", 0, "prot"), "http"), (("spec", "endpoints", 0, "port"), 8080),
    (("spec", "endpoints", 0, "interval"), "often"), (("spec", "selector", "matchLabels"), ["a"]),
])
def test_the_check_notices(everything: Any, path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(everything.one("ServiceMonitor", "-studio"))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert len(list(wrong(document, SERVICE_MONITOR))) == 1
