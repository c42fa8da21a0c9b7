"""Let an InferenceService follow the aliases: the work of the CronJob follow where KServe serves.

Environment: as follow.py, with INFERENCE_SERVICE instead of DEPLOYMENT, and CANARY_ALIAS. The version that the alias
champion names gets all requests, but for the share that a version with the alias of canaries asks for in its tag
``canary.percent``. Two rules of KServe's decide the order of things: a canary shares with the revision that had all
requests last; and "all to the latest" means the latest that is ready, which after a canary is the canary. So a canary
starts only once the champion has settled, and is left by way of a share of 0. One step each time.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
from typing import Any, NamedTuple

import follow

WITHOUT_SHARES = ("Standard", "RawDeployment")
"""Modes of KServe, today's name and the one before, in which it splits no traffic."""


class Wanted(NamedTuple):
    """What the registry asks for: who is champion, and who gets how many per cent besides; None and 0: nobody."""

    champion: str
    canary: str | None = None
    percent: int = 0


class Step(NamedTuple):
    """What to do now: serve `version` as the latest revision, with `percent` of the requests (None: all).

    `rolled` is what all others then get. A `version` of None: nothing to do.
    """

    said: str
    version: str | None = None
    percent: int | None = None
    rolled: str = ""


def next_step(service: dict[str, Any], wanted: Wanted) -> Step:
    """The one step from how an InferenceService stands towards what is wanted."""
    predictor = service["spec"]["predictor"]
    rolled = service["metadata"].get("annotations", {}).get(follow.ANNOTATION)
    latest, percent = version_of(predictor), predictor.get("canaryTrafficPercent")
    champion, canary = wanted.champion, wanted.canary
    if latest == canary and rolled == champion and percent is not None:
        if percent == wanted.percent:
            return Step(f"version {canary} has its {percent} % beside version {champion}")
        return Step(f"version {canary}: {wanted.percent} % instead of {percent} %", canary, wanted.percent, champion)
    if latest != champion:
        # Whatever is latest may be a canary, and would have everything until the champion is ready.
        pinned = None if percent is None else 0
        return Step(f"version {champion} rolled out (before: {latest or 'whatever the alias named at the start'})",
                    champion, pinned, champion if pinned is None else rolled or "")
    if percent == 0 and rolled is not None and not is_ready(service):
        return Step(f"version {champion} is not ready yet: nothing to do")
    if percent is not None or rolled != champion:
        return Step(f"version {champion} has all requests", champion, None, champion)
    if canary is None:
        return Step(f"version {champion} is served")
    if not has_settled(service):
        return Step(f"version {canary} waits until version {champion} has settled")
    return Step(f"version {canary} gets {wanted.percent} % of the requests", canary, wanted.percent, champion)


def version_of(predictor: dict[str, Any]) -> str | None:
    """The version that the container is told to serve."""
    entries = {one["name"]: one.get("value") for one in predictor["containers"][0].get("env", [])}
    return entries.get("MODEL_VERSION") or None


def is_ready(service: dict[str, Any]) -> bool:
    """Whether the latest revision is what the spec asks for, and answers."""
    status = service.get("status", {})
    found = status.get("components", {}).get("predictor", {})
    seen = status.get("observedGeneration") == service["metadata"].get("generation")
    return seen and bool(found.get("latestReadyRevision")) and (
        found["latestReadyRevision"] == found.get("latestCreatedRevision"))


def has_settled(service: dict[str, Any]) -> bool:
    """Whether the latest revision also has had all requests: a canary would share with that one."""
    found = service.get("status", {}).get("components", {}).get("predictor", {})
    return is_ready(service) and found.get("latestRolledoutRevision") == found["latestReadyRevision"]


def patch(service: dict[str, Any], step: Step) -> dict[str, Any]:
    """The step as a JSON merge patch, which replaces lists whole; refused where somebody was faster."""
    container = dict(service["spec"]["predictor"]["containers"][0])
    others = [one for one in container.get("env", []) if one["name"] != "MODEL_VERSION"]
    container["env"] = [*others, {"name": "MODEL_VERSION", "value": step.version}]
    return {"metadata": {"resourceVersion": service["metadata"]["resourceVersion"],
                         "annotations": {follow.ANNOTATION: step.rolled}},
            "spec": {"predictor": {"containers": [container], "canaryTrafficPercent": step.percent}}}


def percent_of(version: str) -> int:
    """The share that a version asks for, 0 to 99; 0 where its tag says nothing that could be one."""
    query = urllib.parse.urlencode({"name": os.environ["MODEL_NAME"], "version": version})
    found = follow.mlflow(f"model-versions/get?{query}")["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    said = tags.get("canary.percent", "")
    return int(said) if said.isdecimal() and int(said) < 100 else 0


def main() -> None:
    name = f"{os.environ['MODEL_NAME']}@{os.environ['MODEL_ALIAS']}"
    aliases = follow.aliases()
    champion = aliases.get(os.environ["MODEL_ALIAS"])
    if champion is None:
        print(f"{name}: no such version that we may see; nothing to do")
        return
    kind = (f"{os.environ['KUBERNETES_API']}/apis/serving.kserve.io/v1beta1/namespaces/{os.environ['NAMESPACE']}"
            f"/inferenceservices/{os.environ['INFERENCE_SERVICE']}?fieldManager=photoshoot-follow")
    service = follow.kubernetes("GET", kind)
    canary = aliases.get(os.environ["CANARY_ALIAS"])
    percent = 0 if canary in (None, champion) else percent_of(str(canary))
    if percent and service.get("status", {}).get("deploymentMode") in WITHOUT_SHARES:
        print(f"version {canary} gets no share: KServe splits traffic in the mode Knative alone")
        percent = 0
    step = next_step(service, Wanted(champion, canary, percent) if percent else Wanted(champion))
    if step.version is not None:
        follow.kubernetes("PATCH", kind, patch(service, step), "application/merge-patch+json")
    print(f"{name}: {step.said}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, json.JSONDecodeError, KeyError) as problem:
        sys.exit(f"error: {problem!r}" if isinstance(problem, KeyError) else f"error: {problem}")
