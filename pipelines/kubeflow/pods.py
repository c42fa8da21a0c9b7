"""What Kubernetes knows of a run's pods and KFP's API does not say: no memory, a node taken back, an image not found.

Through the official client, with what the pod or the kubeconfig offers. Where there is no access to Kubernetes, there
is nothing to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.core.errors import MachineError
from pipelines.steps import STEPS, step_of

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api, V1Pod

RUN_LABEL = "pipeline/runid"
_NODE_NAME = "workflows.argoproj.io/node-name"
_TIMEOUT_S = (5, 15)
_LOG_LINES = 60
_ERROR = re.compile(r"^(?:[a-z_]\w*\.)*(?P<kind>[A-Z]\w*(?:Error|Exception|Interrupt)): (?P<text>.+)$")
_OURS = {"PhotoshootError", "InputError", "SettingsError", "MachineError", "DataError"}

_TAKEN = "the node was taken back (spot or maintenance); `photoshoot retry` resumes from the last checkpoint"
_ENDED = {
    "Evicted": "evicted: {message}",
    "Preempting": "made way for a more important pod",
    "Terminated": _TAKEN, "NodeShutdown": _TAKEN, "Shutdown": _TAKEN, "NodeLost": _TAKEN, "NodeAffinity": _TAKEN,
    "DeadlineExceeded": "took longer than the step's timeout in the profile",
    "UnexpectedAdmissionError": "the node refused the pod: {message}",
}
_DISRUPTED = {
    "PreemptionByScheduler": "made way for a more important pod",
    "DeletionByTaintManager": _TAKEN, "DeletionByPodGC": _TAKEN, "TerminationByKubelet": _TAKEN,
    "EvictionByEvictionAPI": "evicted because its node is being emptied",
}
TAKEN_AWAY = {*_DISRUPTED, "Preempting", "Terminated", "NodeShutdown", "Shutdown", "NodeLost", "NodeAffinity"}
"""Reasons of a pod's end that say nothing against the step: the same again, elsewhere, goes on."""
_WAITING = {
    "ErrImagePull": "cannot fetch the image {image}: {message}",
    "ImagePullBackOff": "cannot fetch the image {image}: {message}",
    "ErrImageNeverPull": "the image {image} is not on the node, and the profile says never to fetch it",
    "InvalidImageName": "{image} is no image name",
    "CreateContainerConfigError": "cannot start: {message}",
    "CreateContainerError": "cannot start: {message}",
    "CrashLoopBackOff": "fails as soon as it starts: {message}",
}
_TELLING_EVENTS = {"FailedScheduling", "FailedMount", "FailedAttachVolume", "NotTriggerScaleUp",
                   "FailedCreatePodSandBox"}


@dataclass(frozen=True)
class Trouble:
    """What is wrong with one pod, in plain words. `reason` is Kubernetes' own word; `final` when the pod has ended."""

    step: str
    pod: str
    reason: str
    text: str
    final: bool

    def __str__(self) -> str:
        return f"{self.step}: {self.text}"


def core_api(context: str | None = None) -> CoreV1Api | None:
    """A connection by a context of the kubeconfig; without one as this pod's account, else by the kubeconfig's current
    context; None where there is neither. Raises `MachineError` when the kubeconfig has no such context."""
    from kubernetes import client, config

    file = os.environ.get("KUBECONFIG")  # the library reads it when imported
    if context is not None:
        try:
            return client.CoreV1Api(config.new_client_from_config(file, context))
        except (config.ConfigException, OSError) as error:
            raise MachineError(f"no context {context}: {error}",
                               remedy="kubectl config get-contexts lists them") from None
    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config(file)
        except (config.ConfigException, OSError):
            return None
    return client.CoreV1Api()


def troubles(run_id: str, namespace: str, api: CoreV1Api | None = None) -> list[Trouble]:
    """What is wrong with the pods of a run, newest pod first; empty without access to Kubernetes."""
    import urllib3
    from kubernetes.client.exceptions import ApiException

    api = api or core_api()
    if api is None:
        return []
    try:
        pods = api.list_namespaced_pod(namespace, label_selector=f"{RUN_LABEL}={run_id}", _request_timeout=_TIMEOUT_S)
        newest_first = sorted(pods.items, key=lambda pod: str(pod.metadata.creation_timestamp), reverse=True)
        return [found for pod in newest_first if (found := _trouble(api, pod))]
    except (ApiException, urllib3.exceptions.HTTPError):
        return []  # not allowed to look, or not reachable: the run's own state is all there is


def _trouble(api: CoreV1Api, pod: V1Pod) -> Trouble | None:
    status = pod.status
    if status.phase == "Succeeded":
        return None
    final = status.phase == "Failed"
    found = _of_pod(status) if final else None
    found = found or _of_containers(pod, final) or (None if final else _of_waiting(api, pod))
    if found is None:
        return None
    reason, text = found
    if reason == "Error":
        text = _last_words(api, pod) or text
    return Trouble(_step(pod), pod.metadata.name, reason, _line(text), final)


def _of_pod(status: Any) -> tuple[str, str] | None:
    for condition in status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True" and condition.reason in _DISRUPTED:
            return condition.reason, _DISRUPTED[condition.reason]
    if status.reason in _ENDED:
        return status.reason, _ENDED[status.reason].format(message=status.message or "")
    return None


def _of_containers(pod: V1Pod, final: bool) -> tuple[str, str] | None:
    states = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
    for container in states:
        ended = container.state.terminated if container.state else None
        if ended and ended.reason == "OOMKilled":
            return "OOMKilled", f"ran out of memory{_limit(pod, container.name)}: give the step more in the profile"
    for container in states:
        waiting = container.state.waiting if container.state else None
        if waiting and waiting.reason in _WAITING:
            return waiting.reason, _WAITING[waiting.reason].format(image=container.image, message=waiting.message or "")
        ended = container.state.terminated if container.state else None
        if final and ended and ended.exit_code and container.name == "main":
            return "Error", f"exited with code {ended.exit_code}"
    return None


def _of_waiting(api: CoreV1Api, pod: V1Pod) -> tuple[str, str] | None:
    if pod.status.phase != "Pending":
        return None
    events = api.list_namespaced_event(
        pod.metadata.namespace, field_selector=f"involvedObject.name={pod.metadata.name}", _request_timeout=_TIMEOUT_S)
    if any(event.reason == "TriggeredScaleUp" for event in events.items):
        return "TriggeredScaleUp", "waits for a node that is being made"
    for event in reversed(events.items):
        if event.reason in _TELLING_EVENTS:
            return event.reason, f"waits: {event.message}"
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False" and condition.message:
            return condition.reason or "Unschedulable", f"waits for a node: {condition.message}"
    return None


def _last_words(api: CoreV1Api, pod: V1Pod) -> str:
    """The last error in the step's log; without the class where it is one of ours, which says what to do."""
    from kubernetes.client.exceptions import ApiException

    try:
        log = api.read_namespaced_pod_log(pod.metadata.name, pod.metadata.namespace, container="main",
                                          tail_lines=_LOG_LINES, _request_timeout=_TIMEOUT_S)
    except ApiException:
        return ""
    for line in reversed(log.splitlines()):
        found = _ERROR.match(line.strip())
        if found:
            return found["text"] if found["kind"] in _OURS else f"{found['kind']}: {found['text']}"
    return ""


def _step(pod: V1Pod) -> str:
    """The step whose pod it is, by the path that Argo annotates: ``<workflow>.root.<task>.executor(0)``."""
    path = (pod.metadata.annotations or {}).get(_NODE_NAME, "")
    return _known(part.removesuffix("-driver").partition("(")[0] for part in reversed(path.split(".")))


def _known(names: Iterable[str]) -> str:
    return next((step_of(name) for name in names if step_of(name) in STEPS), "pipeline")


def _limit(pod: V1Pod, container: str) -> str:
    for one in pod.spec.containers:
        limits = one.resources.limits if one.name == container and one.resources else None
        if limits and "memory" in limits:
            return f" ({limits['memory']})"
    return ""


def _line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(": ")
