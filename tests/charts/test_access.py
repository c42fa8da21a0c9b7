"""Who may do what in the cluster, and which pods reach which: roles and network policies."""

from __future__ import annotations

from typing import Any

from components.core.settings import TrainSettings
from components.train.processes.nodes import manifest
from components.train.processes.worker import Job


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and not selector.get("matchExpressions")


def test_roles_name_what_they_allow(rendered: Any) -> None:
    roles = rendered.all("Role", "ClusterRole")
    for role in roles:
        for rule in role["rules"]:
            assert not any("*" in rule[key] for key in ("apiGroups", "resources", "verbs")), role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                assert rule["resourceNames"] and rule["verbs"] == ["get"]
            if role["kind"] == "ClusterRole":
                assert set(rule["verbs"]) <= {"get", "list"}
    bound = {d["roleRef"]["name"]: d["subjects"] for d in rendered.all("RoleBinding", "ClusterRoleBinding")}
    assert bound.keys() == {role["metadata"]["name"] for role in roles}
    accounts = {d["metadata"]["name"] for d in rendered.all("ServiceAccount")}
    for subjects in bound.values():
        assert all(s["name"] in accounts for s in subjects if s["kind"] == "ServiceAccount")


def test_steps_may_do_what_kfp_needs_and_no_more(everything: Any, defaults: Any, bare: Any) -> None:
    account = everything.one("ServiceAccount", "trainer")["metadata"]
    assert account["annotations"] == {
        "iam.gke.io/gcp-service-account": "trainer@team-project.iam.gserviceaccount.com", "example.com/owner": "team",
    }
    rules = everything.one("Role", "trainer")["rules"]
    assert {(resource, *rule["verbs"]) for rule in rules for resource in rule["resources"]} == {
        ("workflowtaskresults", "create", "patch"), ("pods", "get"), ("configmaps", "get"), ("secrets", "get"),
        ("trainjobs", "get", "create", "delete"),
    }
    assert not any("trainjobs" in rule["resources"] for rule in defaults.one("Role", "-runner")["rules"])
    assert [r["resourceNames"] for r in rules if "secrets" in r["resources"]] == [["mlpipeline-minio-artifact"]]
    assert not any("secrets" in rule["resources"] for rule in defaults.one("Role", "-runner")["rules"])
    assert bare.all("Role", "RoleBinding", "NetworkPolicy") == []


def test_doctor_sees_the_steps_secrets_and_not_mlflows(everything: Any, defaults: Any) -> None:
    (secrets,) = [r for r in everything.one("Role", "-doctor")["rules"] if "secrets" in r["resources"]]
    assert set(secrets["resourceNames"]) == {
        "photoshoot-mlflow-client", "photoshoot-studies", "mlpipeline-minio-artifact", "registry", "weights"}
    (nodes, _) = everything.one("ClusterRole", "-doctor")["rules"]
    assert nodes["resources"] == ["nodes"]
    group = {"kind": "Group", "name": "team@example.com", "apiGroup": "rbac.authorization.k8s.io"}
    assert group in everything.one("RoleBinding", "-doctor")["subjects"]
    assert group in everything.one("ClusterRoleBinding", "-doctor")["subjects"]
    assert defaults.all("ClusterRole", "ClusterRoleBinding") == []


def test_each_role_has_its_own_google_identity(external: Any) -> None:
    key = "iam.gke.io/gcp-service-account"
    found = {d["metadata"]["name"]: d["metadata"]["annotations"][key] for d in external.all("ServiceAccount")
             if "annotations" in d["metadata"]}
    assert found == {"photoshoot-mlflow": "mlflow@team-project.iam.gserviceaccount.com",
                     "photoshoot-backup": "backup@team-project.iam.gserviceaccount.com",
                     "photoshoot-studio": "studio@team-project.iam.gserviceaccount.com"}


def test_everything_is_denied_first(defaults: Any, everything: Any, external: Any) -> None:
    for rendered in (defaults, everything, external):
        deny = rendered.one("NetworkPolicy", "-deny")["spec"]
        assert deny["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in deny
        assert {p["port"] for rule in deny["egress"] for p in rule["ports"]} == {53}
        for where, template in rendered.templates().items():
            assert _selects(deny["podSelector"], template["metadata"]["labels"]), where


KNATIVE = {8012, 8013, 8112, 9090, 9091}
"""Ports of Knative's queue-proxy, which it adds to each of its pods: https://github.com/knative/serving, networking."""


def _ports(pods: list[dict[str, Any]]) -> set[int]:
    containers = [c for p in pods for c in p["spec"]["containers"]]
    found = {port["containerPort"] for c in containers for port in c.get("ports", [])}
    return found | KNATIVE if any(c["name"] == "kserve-container" for c in containers) else found


def test_each_policy_opens_ports_that_are_listened_on(rendered: Any) -> None:
    pods = list(rendered.templates().values())
    for policy in rendered.all("NetworkPolicy"):
        spec = policy["spec"]
        chosen = [p for p in pods if _selects(spec["podSelector"], p["metadata"]["labels"])]
        assert chosen, f"{policy['metadata']['name']} is about no pod"
        listening = _ports(chosen)
        for rule in spec.get("ingress", []):
            assert {p["port"] for p in rule["ports"]} <= listening, policy["metadata"]["name"]
            assert rule["from"], "an empty peer list means everybody"
        for rule in spec.get("egress", []):
            for peer in [peer["podSelector"] for peer in rule.get("to", []) if "podSelector" in peer]:
                goals = [p for p in pods if _selects(peer, p["metadata"]["labels"])]
                assert {p["port"] for p in rule["ports"]} <= _ports(goals), policy["metadata"]["name"]


def _reaches(rendered: Any, source: str, goal: str) -> bool:
    """Whether the policies let pods of `source` into pods of `goal` on the port it listens on."""
    pods = rendered.templates()
    outgoing, incoming = pods[source]["metadata"]["labels"], pods[goal]["metadata"]["labels"]
    port = pods[goal]["spec"]["containers"][0]["ports"][0]["containerPort"]

    def allows(direction: str, peers: str, own: dict[str, str], other: dict[str, str]) -> bool:
        rules = [r for p in rendered.all("NetworkPolicy") if _selects(p["spec"]["podSelector"], own)
                 for r in p["spec"].get(direction, [])]
        return any(port in {p["port"] for p in rule["ports"]}
                   and (peers not in rule or any(_selects(peer["podSelector"], other) for peer in rule[peers]
                                                 if "podSelector" in peer)) for rule in rules)

    return allows("egress", "to", outgoing, incoming) and allows("ingress", "from", incoming, outgoing)


def test_who_reaches_whom(everything: Any) -> None:
    mlflow, database = "Deployment/photoshoot-mlflow", "StatefulSet/photoshoot-database"
    serving, dashboard = "Deployment/photoshoot-serving", "Deployment/photoshoot-dashboard"
    studio = "Deployment/photoshoot-studio"
    rest = ["CronJob/photoshoot-follow", "CronJob/photoshoot-backup", "Job/photoshoot-mlflow-users",
            "Pod/photoshoot-test-mlflow"]
    everybody = [mlflow, database, serving, dashboard, studio, *rest]
    assert set(everybody) == set(everything.templates())
    servers = (mlflow, database, serving, dashboard, studio)
    assert {(a, b) for a in everybody for b in servers if _reaches(everything, a, b)} == {
        (mlflow, database), (dashboard, database), ("CronJob/photoshoot-backup", database),
        (serving, mlflow), (studio, mlflow), ("CronJob/photoshoot-follow", mlflow),
        ("Job/photoshoot-mlflow-users", mlflow), ("Pod/photoshoot-test-mlflow", mlflow),
    }


def test_pipeline_pods_reach_mlflow_and_the_studies(everything: Any, defaults: Any) -> None:
    steps = {"podSelector": {"matchExpressions": [{"key": "pipeline/runid", "operator": "Exists"}]}}
    for rendered, names in ((everything, ("-mlflow", "-database")), (defaults, ("-mlflow",))):
        for name in names:
            (rule,) = rendered.one("NetworkPolicy", name)["spec"]["ingress"]
            assert steps in rule["from"]
    (rule,) = everything.one("NetworkPolicy", "-mlflow")["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"team": "vision"}}} in rule["from"]


def _exists(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchExpressions", [])
    return bool(wanted) and all(one["operator"] == "Exists" and one["key"] in labels for one in wanted)


def test_every_pod_that_a_training_makes_reaches_mlflow_and_no_other_pod_does(everything: Any, defaults: Any) -> None:
    """The selectors against labels as the code makes them, not as somebody wrote them down twice."""
    from kubernetes.client import V1Container, V1ObjectMeta, V1Pod, V1PodSpec

    asking = V1Pod(metadata=V1ObjectMeta(name="asking", namespace="vision", uid="1"),
                   spec=V1PodSpec(containers=[V1Container(name="main", image="team/photoshoot-train:1")]))
    job = Job("gs://a/p", "gs://a/i", "gs://a/m", "{}", "gs://a/s", "gs://a/r", "run")
    made = manifest("photoshoot-train-1", job, TrainSettings(nodes=2), asking)
    (patch,) = made["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    node = replicated["template"]["spec"]["template"]["metadata"]["labels"]
    assert node
    # What Kubeflow Trainer adds by itself does not matter; what another release's pods carry does not let them in.
    step = {"pipeline/runid": "r"}
    stranger = {"app.kubernetes.io/name": "photoshoot", "photoshoot/mlflow-client": "true"}
    for rendered in (defaults, everything):
        (rule,) = rendered.one("NetworkPolicy", "-mlflow")["spec"]["ingress"]
        peers = [peer["podSelector"] for peer in rule["from"] if "podSelector" in peer]

        def let_in(labels: dict[str, str], peers: list[dict[str, Any]] = peers) -> bool:
            return any(_selects(peer, labels) or _exists(peer, labels) for peer in peers)

        assert let_in(node | {"jobset.sigs.k8s.io/jobset-name": "photoshoot-train-1"}) and let_in(step)
        assert not let_in(stranger) and not let_in({}) and not let_in({"photoshoot.dev/pod": "other"})


def test_the_way_out_is_open_only_for_what_needs_it(defaults: Any, external: Any) -> None:
    def outgoing(rendered: Any) -> set[int]:
        return {p["port"] for d in rendered.all("NetworkPolicy") for rule in d["spec"].get("egress", [])
                for p in rule["ports"]}

    assert outgoing(defaults) == {53, 5000}
    assert outgoing(external) == {53, 5000, 6432, 443, 6443, 80, 987, 988}
