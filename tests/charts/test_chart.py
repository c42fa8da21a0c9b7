"""The Helm chart, rendered by the real Helm library and held against Kubernetes' own schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "photoshoot"
KUBERNETES = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34")

DEFAULTS: dict[str, Any] = {}
EXTERNAL: dict[str, Any] = {
    "image": {"repository": "team/photoshoot-tools", "digest": f"sha256:{'0123456789abcdef' * 4}"},
    "mlflow": {
        "replicas": 2,
        "database": {"existingSecret": "mlflow-database", "key": "uri", "port": 6432},
        "artifacts": {"destination": "gs://team-bucket/mlflow"},
        "serviceAccount": {"googleServiceAccount": "mlflow@team-project.iam.gserviceaccount.com"},
    },
}
EVERYTHING: dict[str, Any] = {
    "image": {"tag": "0123abcd", "pullPolicy": "Always", "pullSecrets": ["registry"]},
    "clusterDomain": "team.example",
    "mlflow": {
        "replicas": 3,
        "database": {"existingSecret": "mlflow-database"},
        "persistence": {"accessMode": "ReadWriteMany", "storageClass": "shared", "size": "1.5Ti"},
        "service": {"type": "LoadBalancer", "port": 80},
        "allowedHosts": ["mlflow.example.com", "*.team.example"],
        "serviceAccount": {"annotations": {"example.com/owner": "team"}},
        "resources": {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "pool", "operator": "Equal", "value": "cpu", "effect": "NoSchedule"}],
    },
    "steps": {
        "serviceAccount": {
            "name": "trainer", "googleServiceAccount": "trainer@team-project.iam.gserviceaccount.com",
            "annotations": {"example.com/owner": "team"},
        },
        "readableSecrets": ["mlpipeline-minio-artifact"],
    },
    "networkPolicy": {"allowFrom": [{"namespaceSelector": {"matchLabels": {"team": "vision"}}}]},
}
OPEN: dict[str, Any] = {
    "mlflow": {"persistence": {"existingClaim": "old-runs"}},
    "steps": {"serviceAccount": {"create": False}},
    "networkPolicy": {"enabled": False},
}
VALUE_SETS = {"defaults": DEFAULTS, "external": EXTERNAL, "everything": EVERYTHING, "open": OPEN}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm_python.Chart]:
    with helm_python.Chart.load(CHART) as loaded:
        yield loaded


def render(chart: helm_python.Chart, values: dict[str, Any], name: str = "photoshoot") -> list[dict[str, Any]]:
    """All manifests of the chart under `values`, in namespace ``vision``."""
    files = chart.render(values, name=name, namespace="vision")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def one(documents: list[dict[str, Any]], kind: str, part: str = "mlflow") -> dict[str, Any]:
    """The one document of `kind` that belongs to `part`."""
    found = [d for d in documents if d["kind"] == kind
             and d["metadata"]["labels"]["app.kubernetes.io/component"] == part]
    assert len(found) == 1, f"{len(found)} {kind} of {part}"
    return found[0]


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (only,) = one(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(only)


def option(documents: list[dict[str, Any]], name: str) -> str:
    (value,) = [a.split("=", 1)[1] for a in container(documents)["args"] if a.startswith(f"--{name}=")]
    return str(value)


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_lint_finds_nothing(values: dict[str, Any]) -> None:
    report = helm_python.lint(CHART, values, strict=True, namespace="vision", kube_version="v1.28.0")
    assert report["errors"] == []
    # Severity 1 is advice; the only piece of it we do not take is to have an icon.
    assert [m["error"] for m in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_manifests_are_valid(chart: helm_python.Chart, values: dict[str, Any], version: str) -> None:
    documents = render(chart, values)
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_validation_notices_a_wrong_field(chart: helm_python.Chart) -> None:
    deployment = one(render(chart, DEFAULTS), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["prots"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="prots"):
        kubernetes_validate.validate(deployment, "1.30", strict=True)


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_every_reference_leads_somewhere(chart: helm_python.Chart, values: dict[str, Any]) -> None:
    documents = render(chart, values)
    names = {(d["kind"], d["metadata"]["name"]) for d in documents}
    assert len(names) == len(documents), "two manifests of one kind and name"
    assert {d["metadata"]["namespace"] for d in documents} == {"vision"}

    deployment = one(documents, "Deployment")
    pod = deployment["spec"]["template"]
    assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in names
    selectors = [deployment["spec"]["selector"]["matchLabels"], one(documents, "Service")["spec"]["selector"]]
    selectors += [d["spec"]["podSelector"]["matchLabels"] for d in documents if d["kind"] == "NetworkPolicy"]
    selectors += [d["spec"]["selector"]["matchLabels"] for d in documents if d["kind"] == "PodDisruptionBudget"]
    for selector in selectors:
        assert selector.items() <= pod["metadata"]["labels"].items()

    volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
    assert {m["name"] for m in container(documents)["volumeMounts"]} == set(volumes)
    if "data" in volumes:
        claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
        assert claim == "old-runs" or ("PersistentVolumeClaim", claim) in names
    (port,) = container(documents)["ports"]
    assert one(documents, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert f"--port={port['containerPort']}" in container(documents)["args"]


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_mlflow_is_locked_down(chart: helm_python.Chart, values: dict[str, Any]) -> None:
    documents = render(chart, values)
    pod = one(documents, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    server = container(documents)
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }
    assert {"/tmp"} <= {m["mountPath"] for m in server["volumeMounts"]}
    assert server["resources"]["requests"]["memory"] and server["resources"]["limits"]["memory"]
    assert {server[p]["httpGet"]["path"] for p in ("startupProbe", "readinessProbe", "livenessProbe")} == {"/health"}
    environment = {e["name"]: e.get("value") for e in server["env"]}
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "--workers=1" in server["args"]


def test_the_database_url_stays_in_its_secret(chart: helm_python.Chart) -> None:
    server = container(render(chart, EXTERNAL))
    (store,) = [e for e in server["env"] if e["name"] == "MLFLOW_BACKEND_STORE_URI"]
    assert store["valueFrom"] == {"secretKeyRef": {"name": "mlflow-database", "key": "uri"}}
    assert not any("backend-store" in a for a in server["args"])


def test_no_volume_when_all_is_elsewhere(chart: helm_python.Chart) -> None:
    documents = render(chart, EXTERNAL)
    assert "PersistentVolumeClaim" not in {d["kind"] for d in documents}
    assert one(documents, "Deployment")["spec"].get("strategy") is None
    assert option(documents, "artifacts-destination") == "gs://team-bucket/mlflow"


def test_a_volume_mounted_once_is_let_go_first(chart: helm_python.Chart) -> None:
    assert one(render(chart, DEFAULTS), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert one(render(chart, EVERYTHING), "Deployment")["spec"]["strategy"] == {"type": "RollingUpdate"}


def test_disruption_budget_only_for_several_servers(chart: helm_python.Chart) -> None:
    assert "PodDisruptionBudget" not in {d["kind"] for d in render(chart, DEFAULTS)}
    assert one(render(chart, EXTERNAL), "PodDisruptionBudget")["spec"]["minAvailable"] == 1


def test_image_by_version_tag_or_digest(chart: helm_python.Chart) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert container(render(chart, DEFAULTS))["image"] == f"photoshoot-tools:{version}"
    assert container(render(chart, EVERYTHING))["image"] == "photoshoot-tools:0123abcd"
    assert container(render(chart, EXTERNAL))["image"] == f"team/photoshoot-tools@sha256:{'0123456789abcdef' * 4}"


def test_mlflow_answers_to_its_names(chart: helm_python.Chart) -> None:
    documents = render(chart, EVERYTHING, name="a-release")
    service = one(documents, "Service")["metadata"]["name"]
    hosts = option(documents, "allowed-hosts").split(",")
    for name in (service, f"{service}.vision", f"{service}.vision.svc", f"{service}.vision.svc.team.example"):
        assert {name, f"{name}:80"} <= set(hosts)
    assert {"mlflow.example.com", "*.team.example", "localhost:*"} <= set(hosts)
    assert "https://mlflow.example.com" in option(documents, "cors-allowed-origins").split(",")


def test_steps_may_do_what_kfp_needs_and_no_more(chart: helm_python.Chart) -> None:
    documents = render(chart, EVERYTHING)
    account = one(documents, "ServiceAccount", "steps")["metadata"]
    assert account["name"] == "trainer"
    assert account["annotations"] == {
        "iam.gke.io/gcp-service-account": "trainer@team-project.iam.gserviceaccount.com", "example.com/owner": "team",
    }
    binding = one(documents, "RoleBinding", "steps")
    role = one(documents, "Role", "steps")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "trainer", "namespace": "vision"}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert not any("*" in rule[key] for rule in role["rules"] for key in ("apiGroups", "resources", "verbs"))
    secrets = [rule for rule in role["rules"] if "secrets" in rule["resources"]]
    assert [rule["resourceNames"] for rule in secrets] == [["mlpipeline-minio-artifact"]]
    plain = one(render(chart, DEFAULTS), "Role", "steps")
    assert not any("secrets" in rule["resources"] for rule in plain["rules"])


def test_no_account_for_steps_when_not_wanted(chart: helm_python.Chart) -> None:
    assert not {d["kind"] for d in render(chart, OPEN)} & {"Role", "RoleBinding", "NetworkPolicy"}


def test_network_opens_what_the_server_uses(chart: helm_python.Chart) -> None:
    def ports(values: dict[str, Any]) -> set[int]:
        egress = one(render(chart, values), "NetworkPolicy")["spec"]["egress"]
        return {p["port"] for rule in egress for p in rule["ports"]}

    assert ports(DEFAULTS) == {53}
    assert ports(EVERYTHING) == {53, 5432}
    assert ports(EXTERNAL) == {53, 6432, 443, 80, 987, 988}
    (ingress,) = one(render(chart, EVERYTHING), "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"team": "vision"}}} in ingress["from"]
    assert len(one(render(chart, DEFAULTS), "NetworkPolicy")["spec"]["ingress"][0]["from"]) == 1


def test_notes_say_where_mlflow_is(chart: helm_python.Chart) -> None:
    def notes(values: dict[str, Any]) -> str:
        files = chart.render(values, name="photoshoot", namespace="vision")
        return files["photoshoot/templates/NOTES.txt"]

    assert "MLFLOW_TRACKING_URI=http://photoshoot-mlflow.vision.svc:5000" in notes(DEFAULTS)
    assert "WARNING" not in notes(DEFAULTS) and "SQLite" in notes(DEFAULTS)
    assert "WARNING" in notes(OPEN) and "service account" not in notes(OPEN)
    assert "SQLite" not in notes(EXTERNAL) and ":80\n" in notes(EVERYTHING)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mlfow": {}}, "additional properties 'mlfow' not allowed"),
    ({"mlflow": {"replica": 2}}, "at '/mlflow': additional properties 'replica' not allowed"),
    ({"mlflow": {"replicas": 0}}, "at '/mlflow/replicas': minimum: got 0, want 1"),
    ({"mlflow": {"replicas": "two"}}, "at '/mlflow/replicas': got string, want integer"),
    ({"mlflow": {"replicas": 2}}, "SQLite serves one server only.* set mlflow.replicas to 1"),
    ({"mlflow": {"replicas": 2, "database": {"existingSecret": "db"}}}, "mounted once only: set mlflow.artifacts"),
    ({"mlflow": {"service": {"port": 70000}}}, "at '/mlflow/service/port': maximum: got 70,?000, want 65,?535"),
    ({"mlflow": {"service": {"type": "Ingress"}}}, "at '/mlflow/service/type': value must be one of 'ClusterIP'"),
    ({"mlflow": {"persistence": {"size": "20 GB"}}}, "at '/mlflow/persistence/size': '20 GB' does not match"),
    ({"mlflow": {"artifacts": {"destination": "s3://b"}}}, 'destination is "s3://b": give gs://bucket/prefix'),
    ({"mlflow": {"allowedHosts": ["*"]}}, "allowedHosts has .*: name the hosts"),
    ({"mlflow": {"allowedHosts": ["https://mlflow.example.com"]}}, "at '/mlflow/allowedHosts/0': 'https://"),
    ({"mlflow": {"resources": {"limits": {"gpu": 1}}}}, "additional properties 'gpu' not allowed"),
    ({"image": {"tag": "latest"}}, "image.tag is latest.*: give the tag"),
    ({"image": {"repository": "photoshoot tools"}}, "at '/image/repository': 'photoshoot tools' does not match"),
    ({"image": {"digest": "sha256:abc"}}, "at '/image/digest': 'sha256:abc' does not match"),
    ({"networkPolicy": {"enabled": "yes"}}, "at '/networkPolicy/enabled': got string, want boolean"),
    ({"networkPolicy": {"allowFrom": [{}]}}, "at '/networkPolicy/allowFrom/0': minProperties: got 0, want 1"),
    ({"steps": {"serviceAccount": {"googleServiceAccount": "me"}}}, "googleServiceAccount': 'me' does not match"),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[str(values) for values, _ in WRONG])
def test_a_wrong_value_is_refused_by_name(chart: helm_python.Chart, values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        render(chart, values)


def _leaves(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        where = f"{path}.{key}".lstrip(".")
        inside = schema.get(key, {}).get("properties")
        if isinstance(value, dict) and inside and value:
            yield from _leaves(value, inside, where)
        else:
            yield where


def test_schema_values_and_readme_know_the_same_names() -> None:
    import json

    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    leaves = set(_leaves(values, schema))

    def declared(properties: dict[str, Any], path: str = "") -> Iterator[str]:
        for key, entry in properties.items():
            where = f"{path}.{key}".lstrip(".")
            yield from declared(entry["properties"], where) if "properties" in entry else [where]

    documented = {line.split("`")[1] for line in (CHART / "README.md").read_text().splitlines()
                  if line.startswith("| `")}
    # requests and limits are documented as a whole: their keys are Kubernetes' own.
    whole = "mlflow.resources"
    assert {whole if leaf.startswith(whole) else leaf for leaf in leaves} == documented
    assert {whole if name.startswith(whole) else name for name in declared(schema) if name != "global"} == documented
