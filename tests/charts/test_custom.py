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
NAMED = {"name": str, "value": str}
PROBE = {"httpGet": {"path": str, "port": int}, "initialDelaySeconds": int, "periodSeconds": int,
         "timeoutSeconds": int, "failureThreshold": int}
# https://kserve.github.io/website/docs/reference/crd-api: PredictorSpec is a pod's spec and what scales it; the
# container's fields are Kubernetes' own.
INFERENCE_SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": METADATA,
    "spec": {"predictor": {
        "labels": STRINGS, "minReplicas": int, "maxReplicas": int, "canaryTrafficPercent": int, "timeout": int,
        "serviceAccountName": str, "automountServiceAccountToken": bool, "enableServiceLinks": bool,
        "imagePullSecrets": [{"name": str}], "nodeSelector": STRINGS,
        "tolerations": [{"key": str, "operator": str, "value": str, "effect": str}],
        "volumes": [{"name": str, "emptyDir": {}}],
        "containers": [{
            "name": "kserve-container", "image": str, "imagePullPolicy": str, "command": [str], "args": [str],
            "env": [NAMED | {"valueFrom": {"secretKeyRef": {"name": str, "key": str}}}],
            "ports": [{"containerPort": int, "protocol": "TCP"}], "readinessProbe": PROBE, "livenessProbe": PROBE,
            "resources": {"requests": {"*": str}, "limits": {"*": str}}, "workingDir": str,
            "securityContext": {
                "runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "allowPrivilegeEscalation": bool,
                "readOnlyRootFilesystem": bool, "capabilities": {"drop": [str]}, "seccompProfile": {"type": str}},
            "volumeMounts": [{"name": str, "mountPath": str}],
        }],
    }},
}
DOCUMENTED = {("monitoring.coreos.com/v1", "ServiceMonitor"): SERVICE_MONITOR,
              ("serving.kserve.io/v1beta1", "InferenceService"): INFERENCE_SERVICE}


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


def test_custom_manifests_have_the_documented_fields(everything: Any, kserve: Any, external: Any) -> None:
    found = set()
    for rendered in (everything, kserve, external):
        for document in (d for d in rendered.documents if (d["apiVersion"], d["kind"]) in DOCUMENTED):
            kind = document["apiVersion"], document["kind"]
            assert list(wrong(document, DOCUMENTED[kind], document["kind"])) == []
            found.add(kind)
    assert found == DOCUMENTED.keys()


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


@pytest.mark.parametrize(("field", "value"), [
    ("minReplicas", "1"), ("canary", 10), ("containers", []), ("timeout", 1.5)])
def test_the_check_notices_a_wrong_inference_service(kserve: Any, field: str, value: Any) -> None:
    document = copy.deepcopy(kserve.one("InferenceService", "-serving"))
    document["spec"]["predictor"][field] = value
    assert len(list(wrong(document, INFERENCE_SERVICE))) == 1
