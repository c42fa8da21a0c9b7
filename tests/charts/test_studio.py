"""The page of photoshoots in the chart: what its pod is given, and who reaches it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import helm_python
import pytest

GATEWAY = [{"podSelector": {"matchLabels": {"app": "gateway"}}}]


def test_it_is_off_until_somebody_wants_it(defaults: Any) -> None:
    assert not [d for d in defaults.documents if "studio" in d["metadata"]["name"]]
    assert "page of photoshoots" not in defaults.notes


def test_its_command_and_environment_are_those_of_the_page(render: Callable[..., Any], everything: Any) -> None:
    rendered = render({"studio": {"enabled": True}})
    studio = rendered.container("Deployment", "-studio")
    assert studio["command"] == ["photoshoot", "studio"]
    assert studio["args"] == ["--host=0.0.0.0", "--port=8080", "--model-name=photoshoot"]
    assert studio["ports"] == [{"name": "http", "containerPort": 8080}]
    environment = rendered.environment(studio)
    assert len(environment["PHOTOSHOOT_STUDIO_TOKEN"]) == 40
    assert environment["MLFLOW_TRACKING_URI"] == "http://photoshoot-mlflow.vision.svc:5000"
    assert environment["TMPDIR"] == environment["HOME"] == "/tmp" and "PHOTOSHOOT_WEIGHTS" not in environment
    # The user that it logs in as is made, with the password that it has.
    users = rendered.environment(rendered.container("Job", "-mlflow-users"))
    assert users["USERS"] == "steps,serving" and users["SERVING_PASSWORD"] == environment["MLFLOW_TRACKING_PASSWORD"]
    assert "--version=12" in everything.container("Deployment", "-studio")["args"]


def test_it_is_alive_before_it_is_ready(everything: Any) -> None:
    studio = everything.container("Deployment", "-studio")
    paths = {probe: studio[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    deployment = everything.one("Deployment", "-studio")["spec"]
    assert deployment["replicas"] == 1, "a visitor's pictures are in one process"
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_pictures_stay_in_memory_unless_the_disk_is_chosen(render: Callable[..., Any], everything: Any) -> None:
    def scratch(rendered: Any) -> Any:
        pod = rendered.templates()["Deployment/photoshoot-studio"]["spec"]
        return next(v["emptyDir"] for v in pod["volumes"] if v["name"] == "tmp")

    default = render({"studio": {"enabled": True}})
    assert scratch(default) == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert scratch(everything) == {"sizeLimit": "4Gi"}
    assert default.container("Deployment", "-studio")["resources"]["limits"]["memory"] == "5Gi"


def test_networks_come_from_the_image_a_claim_or_a_bucket(everything: Any, external: Any) -> None:
    studio = everything.container("Deployment", "-studio")
    environment = {e["name"]: e.get("value") for e in studio["env"]}
    (mount,) = [m for m in studio["volumeMounts"] if m["name"] == "weights"]
    assert environment["PHOTOSHOOT_WEIGHTS"] == mount["mountPath"] and mount["readOnly"]
    environment = {e["name"]: e.get("value") for e in external.container("Deployment", "-studio")["env"]}
    assert environment["PHOTOSHOOT_WEIGHTS"] == "gs://team-bucket/networks"


def test_a_token_that_is_there_is_used_and_none_is_made(external: Any) -> None:
    (token,) = [e for e in external.container("Deployment", "-studio")["env"] if e["name"] == "PHOTOSHOOT_STUDIO_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"] == {"name": "studio-token", "key": "token"}
    assert external.all("Secret") == [] and "get secret studio-token" in external.notes


def test_the_ingress_and_what_collects_metrics_lead_to_the_page(everything: Any, render: Callable[..., Any]) -> None:
    service = everything.one("Service", "-studio")
    (rule,) = everything.one("Ingress", "-studio")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    assert rule["host"] == "studio.example.com" and (path["path"], path["pathType"]) == ("/", "Prefix")
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in {p["name"] for p in service["spec"]["ports"]}
    assert "https://studio.example.com" in everything.notes and "WARNING" not in everything.notes
    monitor = everything.one("ServiceMonitor", "-studio")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "1m"}
    ingress = {"enabled": True, "host": "a.example"}
    plain = render({"studio": {"enabled": True, "allowFrom": GATEWAY, "ingress": ingress}})
    assert "http://a.example" in plain.notes and "WARNING: studio.ingress.tlsSecret is empty" in plain.notes
    assert plain.all("ServiceMonitor") == [] and "tls" not in plain.one("Ingress", "-studio")["spec"]


def test_only_peers_that_are_named_reach_it(render: Callable[..., Any], everything: Any) -> None:
    closed = render({"studio": {"enabled": True}})
    assert not [d for d in closed.all("NetworkPolicy") if d["metadata"]["name"].endswith("-studio")]
    policy = everything.one("NetworkPolicy", "-studio")["spec"]
    assert policy["ingress"][0]["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]
    labels = everything.templates()["Deployment/photoshoot-studio"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_a_token_that_the_chart_makes_outlives_the_release(render: Callable[..., Any]) -> None:
    # Without a cluster there is nothing to look up: two renderings make two tokens, which is why it is kept.
    first, second = (render({"studio": {"enabled": True}}).one("Secret", "-studio") for _ in range(2))
    assert first["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert len({base64.b64decode(s["data"]["token"]) for s in (first, second)}) == 2


def test_a_misspelt_value_is_refused(render: Callable[..., Any]) -> None:
    with pytest.raises(helm_python.HelmError, match="additional properties 'tokenSecrets' not allowed"):
        render({"studio": {"tokenSecrets": "a"}})
