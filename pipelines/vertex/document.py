"""The pipeline as Vertex AI takes it: KFP's IR without what belongs to Kubernetes, and with limits in its terms."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from components.core.atomic import atomic_path
from components.core.documents import MOST_PIPELINE, read_text, yaml_values
from components.core.errors import InputError
from components.core.settings import Settings
from components.core.stores.storage import is_remote
from pipelines.kubeflow.compilation import check_pipeline_yaml, compile_pipeline
from pipelines.kubeflow.submit import fingerprint
from pipelines.vertex.bearing import Borne

_PLACING = re.compile(
    r"(pipelinechannel--)?(cpu|gpu)_(node_selector|tolerations|accelerator|count)|accelerator_(type|count)")
"""Inputs by which a submission to Kubeflow chooses nodes, as they are passed on from task to task."""
_REGISTRY = re.compile(r"[^/]+\.[^/]+/.+")


def pipeline_spec(settings: Settings, borne: Borne, photos: str | None, registry: str) -> dict[str, Any]:
    """The pipeline's specification (KFP IR 2.1), checked against KFP's protobufs.

    Args:
        settings: What each step does.
        borne: Where the steps run.
        photos: gs:// prefix; None synthesises people.
        registry: Prefix of the image names; empty: the one that was pushed to.

    Raises:
        InputError: Photos that are not on gs://, or images that no registry has.
    """
    if photos is not None and not is_remote(photos):
        raise InputError("Vertex AI cannot read this folder", path=photos,
                         remedy="copy the photos to a bucket and give --photos gs://...")
    digest = fingerprint(photos)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(settings, path, photos, registry, borne.profile, digest or "")
        spec: dict[str, Any] = yaml_values(read_text(path, MOST_PIPELINE))[0]
    for executor in spec["deploymentSpec"]["executors"].values():
        if "container" in executor:
            _limits(executor["container"], borne)
        elif digest is None:
            executor["importer"]["reimport"] = True  # photos that cannot be seen from here are taken for new
    _without_placing(spec)
    check_pipeline_yaml(yaml.safe_dump(spec))
    return spec


def write_spec(spec: dict[str, Any], out: Path) -> None:
    """Write a specification as YAML; the same one gives the same bytes."""
    if out.suffix not in (".yaml", ".yml"):
        raise InputError("not a YAML file name", path=out, remedy="choose a name that ends in .yaml")
    with atomic_path(out) as partial:
        partial.write_text(yaml.safe_dump(spec, sort_keys=True), encoding="utf-8")


def refuse_unpushed(spec: dict[str, Any]) -> None:
    """Return where every image's name says in which registry it is. Raises `InputError`."""
    for executor in spec["deploymentSpec"]["executors"].values():
        image = executor.get("container", {}).get("image", "")
        if image and not _REGISTRY.fullmatch(image):
            raise InputError(f"Vertex AI cannot fetch the image {image}: its name has no registry",
                             remedy="make push REGISTRY=..., or --registry REGION-docker.pkg.dev/PROJECT/REPOSITORY")


def _limits(container: dict[str, Any], borne: Borne) -> None:
    """Requests become limits: from these Vertex AI chooses the machine."""
    asked = container.get("resources", {})
    limits: dict[str, Any] = {}
    if "cpuRequest" in asked:
        limits |= {"cpuLimit": asked["cpuRequest"], "resourceCpuLimit": asked["resourceCpuRequest"]}
    if "memoryLimit" in asked:
        limits |= {"memoryLimit": asked["memoryLimit"], "resourceMemoryLimit": asked["resourceMemoryLimit"]}
    if "accelerator" in asked and borne.count:
        count = str(borne.count)
        limits["accelerator"] = {"type": borne.accelerator, "count": count,
                                 "resourceType": borne.accelerator, "resourceCount": count}
    if limits:
        container["resources"] = limits


def _without_placing(tree: Any) -> None:
    """Remove the inputs that choose nodes, wherever they are declared or passed on."""
    if isinstance(tree, list):
        for part in tree:
            _without_placing(part)
    if not isinstance(tree, dict):
        return
    for key, part in list(tree.items()):
        if key == "parameters" and isinstance(part, dict):
            for name in [name for name in part if _PLACING.fullmatch(name)]:
                del part[name]
            if not part:
                del tree[key]
                continue
        _without_placing(part)
        if part == {} and key in ("inputs", "inputDefinitions"):
            del tree[key]
