"""Serving by KServe: what is rendered, and how it follows the aliases with a share for a canary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Handler, http_server, url_of

from components.register.promotion import CANARY, CANARY_PERCENT

FILES = Path(__file__).resolve().parents[2] / "charts" / "photoshoot" / "files"
SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "data" / "k8s"
sys.path.insert(0, str(FILES))
import kserve as script  # noqa: E402  the chart's own file


def strict(schema: Any) -> Any:
    """A structural schema as a strict API server reads it: a field that is not there is refused."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if found.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    loose = found.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in found and found.get("type") == "object" and not loose:
        found.setdefault("additionalProperties", False)
    return found


def test_it_fits_kserves_own_schema_where_that_is_there(kserve: Any) -> None:
    path = SCHEMAS / "serving.kserve.io_inferenceservices.yaml"
    if not path.is_file():
        pytest.skip(f"no {path.name}: KServe's config/crd/full has it; test_custom.py checks the documented fields")
    (version,) = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]["versions"]
    schema = strict(version["schema"]["openAPIV3Schema"]) | {"required": ["spec"]}
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(schema)
    document = kserve.one("InferenceService", "-serving")
    assert [error.message for error in validator.iter_errors(document)] == []
    document["spec"]["predictor"]["replicas"] = 2
    assert len(list(validator.iter_errors(document))) == 1


def test_it_is_instead_of_the_deployment_and_serves_the_same(kserve: Any, external: Any) -> None:
    assert not [d for d in kserve.all("Deployment", "Service") if d["metadata"]["name"].endswith("-serving")]
    assert external.all("InferenceService") == []
    service = kserve.one("InferenceService", "-serving")
    assert service["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Knative"}
    predictor = service["spec"]["predictor"]
    (container,) = predictor["containers"]
    plain = external.container("Deployment", "-serving")
    assert container["name"] == "kserve-container", "KServe knows a custom container by this name"
    assert (container["command"], container["args"]) == (plain["command"], plain["args"])
    assert predictor["serviceAccountName"] == "photoshoot-serving" and predictor["minReplicas"] == 0
    assert predictor["nodeSelector"] == {"pool": "gpu"} and predictor["imagePullSecrets"] == [{"name": "registry"}]
    assert "canaryTrafficPercent" not in predictor and script.version_of(predictor) is None


def test_its_container_is_locked_down_with_what_knative_takes(kserve: Any) -> None:
    predictor = kserve.one("InferenceService", "-serving")["spec"]["predictor"]
    assert predictor["automountServiceAccountToken"] is False
    assert not predictor.keys() & {"securityContext", "topologySpreadConstraints", "terminationGracePeriodSeconds"}
    (container,) = predictor["containers"]
    assert container["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
    assert not [one for one in container["env"] if "fieldRef" in one.get("valueFrom", {})]
    assert all(one["httpGet"]["port"] == 8080 for key, one in container.items() if key.endswith("Probe"))


def test_the_job_may_patch_this_service_and_nothing_else(kserve: Any) -> None:
    (rule,) = kserve.one("Role", "-follow")["rules"]
    assert rule == {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"],
                    "resourceNames": ["photoshoot-serving"], "verbs": ["get", "patch"]}
    job = kserve.container("CronJob", "-follow")
    names = {one["name"]: one.get("value") for one in job["env"]}
    assert job["command"] == ["python3", "/scripts/kserve.py"] and "DEPLOYMENT" not in names
    assert (names["INFERENCE_SERVICE"], names["CANARY_ALIAS"]) == ("photoshoot-serving", CANARY)
    policy = kserve.one("NetworkPolicy", "-serving")["spec"]
    assert {8080, 8012} <= {one["port"] for one in policy["ingress"][0]["ports"]}


class KServe:
    """What KServe 0.20 with Knative does with an InferenceService: revisions, and which gets which requests.

    After ksvc_reconciler.go and inference_service_status.go: a change of the container is another revision; the share
    is for the latest that is ready, the rest for the one that had all requests last.
    """

    def __init__(self, rendered: Any) -> None:
        self.service = json.loads(json.dumps(rendered.one("InferenceService", "-serving")))
        self.service["metadata"] |= {"generation": 1, "resourceVersion": "1"}
        self.revisions: list[str | None] = [None]
        self.ready = [False]
        self.rolled: int | None = None
        self.broken: set[str] = set()

    def patch(self, change: dict[str, Any]) -> int:
        """Apply a merge patch; the HTTP status."""
        metadata, predictor = self.service["metadata"], self.service["spec"]["predictor"]
        if change["metadata"].pop("resourceVersion") != metadata["resourceVersion"]:
            return 409
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata["generation"] += 1
        metadata.setdefault("annotations", {}).update(change["metadata"]["annotations"])
        given = change["spec"]["predictor"]
        if given["containers"] != predictor["containers"]:
            predictor["containers"] = given["containers"]
            self.revisions.append(script.version_of(predictor))
            self.ready.append(False)
        predictor["canaryTrafficPercent"] = given["canaryTrafficPercent"]
        if predictor["canaryTrafficPercent"] is None:
            del predictor["canaryTrafficPercent"]
        return 200

    def start(self) -> None:
        """The newest revision comes up, unless its version is broken."""
        self.ready[-1] = self.revisions[-1] not in self.broken

    def reconcile(self) -> None:
        """The controller's turn: traffic and status."""
        traffic = self.traffic()
        latest = self._latest()
        if latest is not None and traffic and traffic[-1] == (latest, 100):
            self.rolled = latest
        name = [f"serving-{number:05}" for number in range(len(self.revisions))]
        found = {"latestCreatedRevision": name[-1]}
        if latest is not None:
            found["latestReadyRevision"] = name[latest]
        if self.rolled is not None:
            found["latestRolledoutRevision"] = name[self.rolled]
        self.service["status"] = {"observedGeneration": self.service["metadata"]["generation"],
                                  "deploymentMode": "Knative", "components": {"predictor": found}}

    def _latest(self) -> int | None:
        return next((number for number in reversed(range(len(self.ready))) if self.ready[number]), None)

    def traffic(self) -> list[tuple[int, int]]:
        """Number of a revision and its per cent."""
        latest, percent = self._latest(), self.service["spec"]["predictor"].get("canaryTrafficPercent")
        if latest is None:
            return []
        if percent is None or self.rolled is None:
            return [(latest, 100)]
        return [(self.rolled, 100 - percent), (latest, percent)]

    def shares(self) -> dict[str | None, int]:
        """Per cent by version."""
        found: dict[str | None, int] = {}
        for number, percent in self.traffic():
            found[self.revisions[number]] = found.get(self.revisions[number], 0) + percent
        return {version: percent for version, percent in found.items() if percent}

    def follow(self, wanted: script.Wanted) -> script.Step:
        """One run of the job."""
        self.reconcile()
        step = script.next_step(self.service, wanted)
        if step.version is not None:
            assert self.patch(script.patch(self.service, step)) == 200
        return step

    def settle(self, wanted: script.Wanted) -> None:
        """As many runs as it takes, everything that is not broken coming up between them."""
        for _ in range(8):
            self.follow(wanted)
            self.start()
            self.reconcile()


def test_a_canary_gets_its_share_is_promoted_or_given_up(kserve: Any) -> None:
    cluster = KServe(kserve)
    cluster.settle(script.Wanted("1"))
    assert cluster.shares() == {"1": 100}
    cluster.settle(script.Wanted("1", "2", 10))
    assert cluster.shares() == {"1": 90, "2": 10}
    cluster.settle(script.Wanted("1", "2", 50))
    assert cluster.shares() == {"1": 50, "2": 50}
    revisions = len(cluster.revisions)
    cluster.settle(script.Wanted("2"))
    assert cluster.shares() == {"2": 100} and len(cluster.revisions) == revisions, "a promoted canary starts once"
    cluster.settle(script.Wanted("2", "3", 5))
    assert cluster.shares() == {"2": 95, "3": 5}
    cluster.follow(script.Wanted("2"))
    assert cluster.shares() == {"2": 100}, "one that is given up has nothing from then on, whatever starts"
    cluster.settle(script.Wanted("2"))
    assert cluster.shares() == {"2": 100}
    assert cluster.follow(script.Wanted("2")).version is None, "nothing to do is nothing done"
    cluster.broken.add("4")
    cluster.settle(script.Wanted("2", "4", 20))
    assert cluster.shares() == {"2": 100}, "a canary that does not come up takes nothing"


EVENTS = st.lists(st.one_of(
    st.tuples(st.just("champion"), st.sampled_from("123")),
    st.tuples(st.just("canary"), st.sampled_from("1234"), st.integers(1, 99)),
    st.tuples(st.just("end")), st.tuples(st.just("break"), st.sampled_from("34")),
    st.tuples(st.sampled_from(["follow", "follow", "start", "reconcile", "turn", "turn", "turn", "turn"])),
), max_size=40)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_nothing_but_champions_ever_gets_more_than_a_share_that_was_asked_for(kserve: Any, events: list[Any]) -> None:
    cluster, wanted = KServe(kserve), script.Wanted("1")
    cluster.settle(wanted)
    champions, most = {"1"}, {}
    for event, *what in events:
        if event == "champion":
            wanted = script.Wanted(what[0])
            champions.add(what[0])
        elif event == "canary" and what[0] != wanted.champion:
            wanted = wanted._replace(canary=what[0], percent=what[1])
            most[what[0]] = max(most.get(what[0], 0), what[1])
        elif event == "end":
            wanted = script.Wanted(wanted.champion)
        elif event == "break":
            cluster.broken.add(what[0])
        elif event in ("follow", "turn"):
            cluster.follow(wanted)
        elif event in ("start", "reconcile"):
            getattr(cluster, event)()
        if event == "turn":
            cluster.start()
            cluster.reconcile()
        shares = cluster.shares()
        assert sum(shares.values()) == 100
        for version, percent in shares.items():
            assert version in champions or percent <= most.get(str(version), 0), (event, what, shares)
    cluster.broken.clear()
    cluster.settle(wanted)
    expected = {wanted.champion: 100 - wanted.percent, wanted.canary: wanted.percent}
    assert cluster.shares() == {version: percent for version, percent in expected.items() if percent}


def test_the_script_asks_mlflow_and_patches_the_service(kserve: Any, tmp_path: Path) -> None:
    cluster = KServe(kserve)
    cluster.reconcile()
    registry: dict[str, Any] = {"aliases": [], "tags": [{"key": CANARY_PERCENT, "value": "10"}]}
    (tmp_path / "token").write_text("a-token")

    class Both(Handler):
        def do_GET(self) -> None:
            if self.path.startswith("/api/2.0/mlflow/registered-models/search?"):
                return self.reply_json(200, {"registered_models": [{"aliases": registry["aliases"]}]})
            if self.path == "/api/2.0/mlflow/model-versions/get?name=photoshoot&version=2":
                return self.reply_json(200, {"model_version": {"tags": registry["tags"]}})
            return self._service(cluster.service)

        def do_PATCH(self) -> None:
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._service({}, cluster.patch(change))

        def _service(self, body: dict[str, Any], status: int = 200) -> None:
            assert self.path == ("/apis/serving.kserve.io/v1beta1/namespaces/vision/inferenceservices/"
                                 "photoshoot-serving?fieldManager=photoshoot-follow")
            self.reply_json(status if self.headers["Authorization"] == "Bearer a-token" else 403, body)

    with http_server(Both) as server:
        job = kserve.environment(kserve.container("CronJob", "-follow"))
        environment = {"PATH": os.environ["PATH"]} | job | {
            "MLFLOW_TRACKING_URI": url_of(server), "KUBERNETES_API": url_of(server),
            "KUBERNETES_ACCOUNT": str(tmp_path)}

        def follow() -> str:
            done = subprocess.run([sys.executable, FILES / "kserve.py"], env=environment, capture_output=True,
                                  text=True, timeout=60)
            cluster.start()
            cluster.reconcile()
            return done.stdout + done.stderr

        assert follow() == "photoshoot@champion: no such version that we may see; nothing to do\n"
        registry["aliases"] = [{"alias": "champion", "version": "1"}, {"alias": CANARY, "version": "2"}]
        assert follow().startswith("photoshoot@champion: version 1 rolled out")
        assert follow() == "photoshoot@champion: version 2 gets 10 % of the requests\n"
        assert cluster.shares() == {"1": 90, "2": 10}
        assert follow() == "photoshoot@champion: version 2 has its 10 % beside version 1\n"
        registry["tags"] = [{"key": CANARY_PERCENT, "value": "much"}]
        assert "version 1 rolled out" in follow() and "version 1 has all requests" in follow()
        assert cluster.shares() == {"1": 100}
        registry["tags"] = [{"key": CANARY_PERCENT, "value": "10"}]
        cluster.service["status"]["deploymentMode"] = "Standard"
        assert "version 2 gets no share" in follow()
        (tmp_path / "token").write_text("no-token")
        assert "error: HTTP Error 403" in follow()
