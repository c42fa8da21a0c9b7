"""A Kubernetes API over real HTTP: the part of core/v1 that the doctor looks at, of objects that a test can change."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from servers import Handler, http_server, url_of
from servers import kubeconfig as write_kubeconfig

PASSWORD = "aHVudGVyMg=="
NAMESPACE = "team"
_OBJECT = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/?]+)(?:/(?P<kind>\w+)(?:/(?P<name>[^/?]+))?)?")


@dataclass
class Kubernetes:
    """What the server says. `objects` is kind -> name -> object, in the one namespace there is."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    """Kinds that this account may not read."""
    accepted: bool = True
    """Whether the server knows who asks."""
    clock: float = 0.0
    """Seconds by which the server's clock is ahead."""
    pages: int = 1
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if not self.accepted:
            return 401, {}
        if path.startswith("/version"):
            return 200, {"major": "1", "minor": "33", "gitVersion": "v1.33.4", "gitCommit": "", "gitTreeState": "",
                         "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64"}
        if path.startswith("/api/v1/nodes"):
            return self._nodes(path)
        if path.startswith("/apis/"):
            kind, name = path.partition("?")[0].split("/")[-2:]
            if kind in self.forbidden:
                return 403, {"kind": "Status", "reason": "Forbidden"}
            there = self.objects.get(kind, {})
            return (200, there[name]) if name in there else (404, {"kind": "Status", "reason": "NotFound"})
        found = _OBJECT.match(path)
        if not found:
            return 404, {}
        kind, name = found["kind"] or "namespaces", found["name"] or ("" if found["kind"] else found["namespace"])
        if kind in self.forbidden:
            return 403, {"kind": "Status", "reason": "Forbidden"}
        if found["namespace"] != NAMESPACE and kind != "namespaces":
            return 404, {}
        there = self.objects.get(kind, {})
        if not name:
            return 200, {"kind": "List", "metadata": {}, "items": list(there.values())}
        return (200, there[name]) if name in there else (404, {"kind": "Status", "reason": "NotFound"})

    def _nodes(self, path: str) -> tuple[int, dict[str, Any]]:
        if "nodes" in self.forbidden:
            return 403, {}
        if self.pages == 1:
            return 200, {"kind": "NodeList", "metadata": {}, "items": self.nodes}
        page = int(path.partition("continue=")[2].partition("&")[0] or 0)
        more = {"continue": str(page + 1)} if page + 1 < self.pages else {}
        return 200, {"kind": "NodeList", "metadata": more, "items": self.nodes[page :: self.pages]}


def node(name: str, labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None,
         provider: str = "", **allocatable: str) -> dict[str, Any]:
    """A node; keywords are allocatable resources over those of a small machine, gpu for nvidia.com/gpu."""
    offered = {"cpu": "7900m", "memory": "28Gi", "ephemeral-storage": "150Gi", "pods": "110"} | allocatable
    if "gpu" in offered:
        offered["nvidia.com/gpu"] = offered.pop("gpu")
    return {"kind": "Node", "metadata": {"name": name, "labels": dict(labels or {})},
            "spec": {"taints": list(taints or []), **({"providerID": provider} if provider else {})},
            "status": {"allocatable": offered, "conditions": [{"type": "Ready", "status": "True"}]}}


SPOT = {"cloud.google.com/gke-accelerator": "nvidia-l4", "photoshoot.dev/pool": "gpu-spot",
        "cloud.google.com/gke-spot": "true"}
TAINTS = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
          {"key": "cloud.google.com/gke-spot", "value": "true", "effect": "NoSchedule"}]


def healthy() -> Kubernetes:
    """Kubernetes in which the profile gke-spot runs."""
    named = {
        "namespaces": {NAMESPACE: {"status": {"phase": "Active"}}},
        "serviceaccounts": {"photoshoot-runner": {}},
        "secrets": {"photoshoot-mlflow-client": {"data": {"username": PASSWORD, "password": PASSWORD}},
                    "photoshoot-studies": {"data": {"url": PASSWORD}}},
        "persistentvolumeclaims": {"photoshoot-state": {"spec": {"accessModes": ["ReadWriteOnce"]},
                                                        "status": {"phase": "Bound"}}},
        "resourcequotas": {},
        "configmaps": {"kfp-launcher": {"data": {"defaultPipelineRoot": "minio://mlpipeline/v2"}}},
    }
    for kind in named.values():
        for name, thing in kind.items():
            thing["metadata"] = {"name": name}
    return Kubernetes([node("plain"), node("spot", SPOT, TAINTS, gpu="1")], named)


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    """A healthy server that the kubeconfig (context ``there``) leads to."""
    state = healthy()

    class Api(Handler):
        def do_GET(self) -> None:
            self.reply_json(*state.answer(self.path))

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + state.clock, usegmt=True)

    with http_server(Api) as server:
        state.url = url_of(server)
        kubeconfig(tmp_path / "kubeconfig", state.url, monkeypatch)
        yield state


def kubeconfig(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a kubeconfig and make it the default one, also for a client that is imported already."""
    write_kubeconfig(path, url, token="secret-token")
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def kubeconfig_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the default kubeconfig lead to an address."""
    return lambda url: kubeconfig(tmp_path / "kubeconfig", url, monkeypatch)
