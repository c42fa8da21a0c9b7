"""Values: wrong ones are refused in words, right ones are documented."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "photoshoot"
EXTERNAL = {"type": "external", "host": "db", "existingSecret": "db"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mlfow": {}}, "additional properties 'mlfow' not allowed"),
    ({"mlflow": {"replica": 2}}, "at '/mlflow': additional properties 'replica' not allowed"),
    ({"mlflow": {"replicas": 0}}, "at '/mlflow/replicas': minimum: got 0, want 1"),
    ({"mlflow": {"replicas": "two"}}, "at '/mlflow/replicas': got string, want integer"),
    ({"mlflow": {"replicas": 2}}, "SQLite serves one server only: set database.type"),
    ({"mlflow": {"replicas": 2}, "database": {"type": "in-cluster"}}, "mounted once only: set mlflow.artifacts"),
    ({"mlflow": {"auth": {"defaultPermission": "ALL"}}}, "defaultPermission': value must be one of 'READ'"),
    ({"mlflow": {"auth": {"enabled": False}, "service": {"type": "LoadBalancer"}}}, "open to whoever reaches"),
    ({"mlflow": {"service": {"port": 70000}}}, "at '/mlflow/service/port': maximum: got 70,?000, want 65,?535"),
    ({"mlflow": {"service": {"type": "Ingress"}}}, "at '/mlflow/service/type': value must be one of 'ClusterIP'"),
    ({"mlflow": {"persistence": {"size": "20 GB"}}}, "at '/mlflow/persistence/size': '20 GB' does not match"),
    ({"mlflow": {"artifacts": {"destination": "s3://b"}}}, 'destination is "s3://b": give gs://bucket/prefix'),
    ({"mlflow": {"allowedHosts": ["*"]}}, "allowedHosts has .*: name the hosts"),
    ({"mlflow": {"allowedHosts": ["https://mlflow.example.com"]}}, "at '/mlflow/allowedHosts/0': 'https://"),
    ({"mlflow": {"resources": {"limits": {"gpu": 1}}}}, "additional properties 'gpu' not allowed"),
    ({"database": {"type": "mysql"}}, "at '/database/type': value must be one of 'sqlite', 'in-cluster', 'external'"),
    ({"database": {"type": "external"}}, "database.host is empty: give the address"),
    ({"database": {"type": "external", "host": "db"}}, "existingSecret is empty: name a Secret with the key mlflow"),
    ({"database": {"host": "db"}}, 'database.host is "db", but database.type is sqlite'),
    ({"database": {"sslMode": "always"}}, "at '/database/sslMode': value must be one of 'disable'"),
    ({"database": EXTERNAL | {"sslMode": "verify-full"}}, "database.caSecret is empty: name a Secret"),
    ({"database": {"names": {"auth": "mlflow"}}}, "database.names has the same name twice"),
    ({"database": {"users": {"optuna": "mlflow"}}}, 'are both "mlflow": give each its own'),
    ({"database": {"names": {"mlflow": "runs; DROP"}}}, "at '/database/names/mlflow': 'runs; DROP' does not match"),
    ({"dashboard": {"enabled": True}}, "dashboard.enabled needs PostgreSQL: set database.type"),
    ({"dashboard": {"enabled": True}, "database": EXTERNAL}, "key optuna-password in database.studiesSecret"),
    ({"backup": {"enabled": True}}, "backup.enabled needs PostgreSQL"),
    ({"backup": {"destination": "/mnt"}}, 'backup.destination is "/mnt": give gs://bucket/prefix'),
    ({"backup": {"schedule": "daily"}}, "at '/backup/schedule': 'daily' does not match"),
    ({"serving": {"image": {"tag": "1"}}}, "no repository: give serving.image.repository too"),
    ({"serving": {"alias": "2nd"}}, "at '/serving/alias': '2nd' does not match"),
    ({"serving": {"kserve": {"enabled": True}}}, "but serving.enabled is false: switch both on"),
    ({"serving": {"enabled": True, "kserve": {"enabled": True}}}, "lets nobody in: name KServe's gateway"),
    ({"serving": {"enabled": True, "alias": "canary", "kserve": {"enabled": True}}}, 'both "canary"'),
    ({"serving": {"enabled": True, "kserve": {"enabled": True, "minReplicas": 5}}}, "is more than serving.kserve.max"),
    ({"serving": {"enabled": True, "kserve": {"enabled": True, "minReplicas": 0, "mode": "Standard"}}}, "cannot do"),
    ({"serving": {"kserve": {"mode": "Raw"}}}, "at '/serving/kserve/mode': value must be one of '', 'Knative'"),
    ({"studio": {"version": "the best"}}, "at '/studio/version': 'the best' does not match"),
    ({"studio": {"image": {"tag": "latest"}}}, "studio.image.tag is latest"),
    ({"studio": {"weights": {"location": "/networks"}}}, 'weights.location is "/networks": give gs://bucket/prefix'),
    ({"studio": {"weights": {"location": "gs://networks", "existingClaim": "networks"}}}, "give one of them"),
    ({"studio": {"scratch": {"medium": "Disk"}}}, "at '/studio/scratch/medium': value must be one of '', 'Memory'"),
    ({"studio": {"ingress": {"enabled": True}}}, "studio.ingress.host is empty"),
    ({"studio": {"ingress": {"enabled": True, "host": "a.example"}}}, "ingress controller's pods in studio.allowFrom"),
    ({"studio": {"serviceMonitor": {"enabled": True}}}, "name Prometheus's pods in studio.allowFrom"),
    ({"steps": {"credentials": {"user": "admin"}}}, 'is the administrator "admin"'),
    ({"image": {"tag": "latest"}}, "image.tag is latest.*: give the tag"),
    ({"database": {"image": {"tag": "latest"}}}, "database.image.tag is latest"),
    ({"image": {"repository": "photoshoot tools"}}, "at '/image/repository': 'photoshoot tools' does not match"),
    ({"image": {"digest": "sha256:abc"}}, "at '/image/digest': 'sha256:abc' does not match"),
    ({"networkPolicy": {"enabled": "yes"}}, "at '/networkPolicy/enabled': got string, want boolean"),
    ({"networkPolicy": {"allowFrom": [{}]}}, "at '/networkPolicy/allowFrom/0': minProperties: got 0, want 1"),
    ({"steps": {"serviceAccount": {"googleServiceAccount": "me"}}}, "googleServiceAccount': 'me' does not match"),
    ({"doctor": {"subjects": [{"kind": "Team", "name": "a"}]}}, "at '/doctor/subjects/0/kind': value must be one of"),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[str(values) for values, _ in WRONG])
def test_a_wrong_value_is_refused_by_name(render: Callable[..., Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        render(values)


# Documented as a whole: what is below is Kubernetes' own, or the same for every image.
WHOLE = ("resources", "nodeSelector", "annotations", "image")


def _leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        where = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict) and value and not (key in WHOLE and path):
            yield from _leaves(value, where)
        else:
            yield where


def test_schema_values_and_readme_know_the_same_names() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def declared(properties: dict[str, Any], path: str = "") -> Iterator[str]:
        for key, entry in properties.items():
            where = f"{path}.{key}".lstrip(".")
            inside = entry.get("properties")
            yield from declared(inside, where) if inside and not (key in WHOLE and path) else [where]

    values = set(_leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    table = (CHART / "README.md").read_text().split("\n## Values\n")[1]
    documented = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert set(declared(schema["properties"])) - {"global"} == values
    assert documented == values
