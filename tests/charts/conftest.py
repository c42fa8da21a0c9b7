"""The chart, rendered by the real Helm library under a few sets of values."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "photoshoot"

Document = dict[str, Any]


def _digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


# Everything that can be switched on, on.
EVERYTHING: dict[str, Any] = {
    "image": {"digest": _digest("a"), "pullPolicy": "Always", "pullSecrets": ["registry"]},
    "clusterDomain": "team.example",
    "nodeSelector": {"pool": "cpu"},
    "tolerations": [{"key": "pool", "operator": "Equal", "value": "cpu", "effect": "NoSchedule"}],
    "database": {
        "type": "in-cluster", "image": {"digest": _digest("b")},
        "server": {"persistence": {"storageClass": "fast", "size": "1.5Ti"}},
    },
    "mlflow": {
        "replicas": 3,
        "persistence": {"accessMode": "ReadWriteMany", "storageClass": "shared"},
        "service": {"type": "LoadBalancer", "port": 80},
        "allowedHosts": ["mlflow.example.com", "*.team.example"],
        "serviceAccount": {"annotations": {"example.com/owner": "team"}},
        "resources": {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
    },
    "dashboard": {"enabled": True, "allowFrom": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]},
    "serving": {
        "enabled": True, "replicas": 2,
        "image": {"repository": "team/photoshoot-train", "digest": _digest("c")},
        "allowFrom": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
        "serviceAccount": {"googleServiceAccount": "serving@team-project.iam.gserviceaccount.com"},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "resources": {"requests": {"cpu": 1, "memory": "2Gi"}, "limits": {"memory": "4Gi", "nvidia.com/gpu": 1}},
    },
    "studio": {
        "enabled": True, "version": "12", "image": {"digest": _digest("d")},
        "weights": {"existingClaim": "networks"}, "scratch": {"medium": "", "size": "4Gi"},
        "ingress": {
            "enabled": True, "className": "nginx", "host": "studio.example.com", "tlsSecret": "studio-certificate",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "64m"},
        },
        "allowFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
        "serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}},
        "nodeSelector": {"pool": "large"}, "tolerations": [{"key": "large", "operator": "Exists"}],
    },
    "backup": {"enabled": True, "persistence": {"storageClass": "cold"}},
    "steps": {
        "serviceAccount": {
            "name": "trainer", "googleServiceAccount": "trainer@team-project.iam.gserviceaccount.com",
            "annotations": {"example.com/owner": "team"},
        },
        "credentials": {"kubeflow": True},
        "state": {"accessMode": "ReadWriteMany", "storageClass": "shared"},
        "readableSecrets": ["mlpipeline-minio-artifact"],
        "trainJobs": True,
    },
    "doctor": {
        "enabled": True, "secrets": ["weights"],
        "subjects": [{"kind": "Group", "name": "team@example.com", "apiGroup": "rbac.authorization.k8s.io"}],
    },
    "networkPolicy": {"allowFrom": [{"namespaceSelector": {"matchLabels": {"team": "vision"}}}]},
}
# Database, artifacts, backups and every Secret are somebody else's.
EXTERNAL: dict[str, Any] = {
    "image": {"repository": "team/photoshoot-tools", "tag": "0123abcd"},
    "database": {
        "type": "external", "host": "10.1.2.3", "port": 6432, "sslMode": "verify-ca", "caSecret": "database-ca",
        "existingSecret": "mlflow-database", "studiesSecret": "studies",
    },
    "mlflow": {
        "replicas": 2,
        "auth": {"existingSecret": "mlflow-login"},
        "artifacts": {"destination": "gs://team-bucket/mlflow"},
        "serviceAccount": {"googleServiceAccount": "mlflow@team-project.iam.gserviceaccount.com"},
    },
    "dashboard": {"enabled": True},
    "serving": {"enabled": True},
    "studio": {
        "enabled": True, "tokenSecret": "studio-token", "weights": {"location": "gs://team-bucket/networks"},
        "serviceAccount": {"googleServiceAccount": "studio@team-project.iam.gserviceaccount.com"},
    },
    "backup": {
        "enabled": True, "destination": "gs://team-bucket/backups",
        "serviceAccount": {"googleServiceAccount": "backup@team-project.iam.gserviceaccount.com"},
    },
    "steps": {"credentials": {"existingSecret": "steps-login"}, "state": {"create": False}},
}
# As little as there can be.
OPEN: dict[str, Any] = {
    "mlflow": {"persistence": {"existingClaim": "old-runs"}, "auth": {"enabled": False}},
    "steps": {"serviceAccount": {"create": False}, "state": {"create": False}},
    "networkPolicy": {"enabled": False},
    "tests": {"enabled": False},
}
# Served by KServe.
KSERVE: dict[str, Any] = {
    "serving": {
        "enabled": True, "kserve": {"enabled": True, "mode": "Knative", "minReplicas": 0},
        "allowFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "knative-serving"}}}],
        "nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "serviceAccount": {"googleServiceAccount": "serving@team-project.iam.gserviceaccount.com"},
    },
    "image": {"pullSecrets": ["registry"]},
}
VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {}, "everything": EVERYTHING, "external": EXTERNAL, "open": OPEN, "kserve": KSERVE,
}
# What the sets name and the chart does not make: Secrets and claims that are there already.
NAMED_ELSEWHERE = {
    "registry", "mlflow-database", "studies", "database-ca", "mlflow-login", "steps-login", "old-runs",
    "studio-token", "networks", "studio-certificate",
}


class Rendered:
    """The manifests of the chart under one set of values, in namespace ``vision``."""

    def __init__(self, files: dict[str, str]) -> None:
        texts = [text for path, text in files.items() if path.endswith(".yaml")]
        self.documents: list[Document] = [d for text in texts for d in yaml.safe_load_all(text) if d]
        self.notes = files["photoshoot/templates/NOTES.txt"]

    def all(self, *kinds: str) -> list[Document]:
        """All documents of these kinds."""
        return [d for d in self.documents if d["kind"] in kinds]

    def one(self, kind: str, name: str) -> Document:
        """The document of `kind` whose name ends with `name`."""
        found = [d for d in self.all(kind) if d["metadata"]["name"].endswith(name)]
        assert len(found) == 1, f"{len(found)} {kind} {name}"
        return found[0]

    def templates(self) -> dict[str, Document]:
        """Every pod template (metadata and spec), by kind and name of what makes it."""
        found = {}
        for d in self.documents:
            where = f"{d['kind']}/{d['metadata']['name']}"
            if d["kind"] == "Pod":
                found[where] = d
            elif d["kind"] == "CronJob":
                found[where] = d["spec"]["jobTemplate"]["spec"]["template"]
            elif d["kind"] in ("Deployment", "StatefulSet", "Job"):
                found[where] = d["spec"]["template"]
            elif d["kind"] == "InferenceService":  # its pods are made by KServe
                predictor = d["spec"]["predictor"]
                found[where] = {"metadata": {"labels": predictor["labels"]}, "spec": predictor}
        return found

    def container(self, kind: str, name: str) -> Document:
        """The only container of a workload's pods."""
        wanted = self.one(kind, name)["metadata"]["name"]
        (only,) = self.templates()[f"{kind}/{wanted}"]["spec"]["containers"]
        return dict(only)

    def environment(self, container: Document) -> dict[str, str]:
        """A container's environment, with what comes from the chart's own Secrets."""
        found = {}
        for entry in container["env"]:
            if "value" in entry:
                found[entry["name"]] = entry["value"]
            elif secret := entry["valueFrom"].get("secretKeyRef"):
                data = self.one("Secret", secret["name"])["data"]
                found[entry["name"]] = base64.b64decode(data[secret["key"]]).decode()
        return found


@pytest.fixture(scope="session")
def render() -> Iterator[Callable[..., Rendered]]:
    """Render the chart under values: ``render(values, name="photoshoot")``."""
    with helm_python.Chart.load(CHART) as chart:
        yield lambda values, name="photoshoot": Rendered(chart.render(values, name=name, namespace="vision"))


@pytest.fixture(scope="session", params=VALUE_SETS)
def rendered(request: pytest.FixtureRequest, render: Callable[..., Rendered]) -> Rendered:
    """The chart under each of the sets of values in turn."""
    return render(VALUE_SETS[request.param])


@pytest.fixture(scope="session")
def defaults(render: Callable[..., Rendered]) -> Rendered:
    return render({})


@pytest.fixture(scope="session")
def everything(render: Callable[..., Rendered]) -> Rendered:
    return render(EVERYTHING)


@pytest.fixture(scope="session")
def external(render: Callable[..., Rendered]) -> Rendered:
    return render(EXTERNAL)


@pytest.fixture(scope="session")
def bare(render: Callable[..., Rendered]) -> Rendered:
    return render(OPEN)


@pytest.fixture(scope="session")
def kserve(render: Callable[..., Rendered]) -> Rendered:
    return render(KSERVE)


@pytest.fixture(scope="session")
def value_sets() -> dict[str, dict[str, Any]]:
    return VALUE_SETS


@pytest.fixture(scope="session")
def named_elsewhere() -> set[str]:
    return NAMED_ELSEWHERE
