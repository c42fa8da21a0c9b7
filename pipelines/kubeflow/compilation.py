"""The verb `compile`: the pipeline as KFP IR YAML, checked against KFP's own protobufs before it is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.atomic import atomic_path
from components.core.documents import yaml_values
from components.core.errors import InputError
from components.core.settings import Settings
from pipelines.containers.images import pushed_images
from pipelines.home.photos import folder_digest
from pipelines.kubeflow.feasible import refuse_impossible
from pipelines.profile import Profile
from pipelines.training import training_pipeline

_DEFAULT = re.compile(r"^(?P<head>#    (?P<name>\w+): \w+ )\[Default: .*\]$", re.MULTILINE)


def compile_pipeline(
    settings: Settings, out: Path, photos: str | None = None, registry: str = "", profile: Profile | None = None,
    photos_digest: str = "",
) -> None:
    """Write the IR YAML to `out`.

    Args:
        settings: What each step does.
        out: A ``.yaml`` file.
        photos: gs:// prefix or folder; None synthesises people.
        registry: Prefix of the image names: by digest what was pushed there, else by content. Empty: the one that was
            pushed to, if there is one.
        profile: Where the steps run; None places no step.
        photos_digest: Fingerprint of photos at a gs:// prefix; a folder's is taken here.

    Raises `SettingsError` for what cannot work on such nodes (`pipelines.kubeflow.feasible`).
    """
    if out.suffix not in (".yaml", ".yml"):
        raise InputError("not a YAML file name", path=out, remedy="choose a name that ends in .yaml")
    digest = photos_digest
    if photos is not None and "://" not in photos:
        digest = folder_digest(Path(photos))
        photos = str(Path(photos).absolute())
    refuse_impossible(settings, profile)
    from kfp import compiler

    pipeline = training_pipeline(settings, pushed_images(registry), photos, digest, profile)
    with atomic_path(out) as partial:
        compiler.Compiler().compile(pipeline, str(partial))
        text = partial.read_text(encoding="utf-8")
        partial.write_text(stable_header(text, check_pipeline_yaml(text)[0]), encoding="utf-8")


def stable_header(text: str, spec: Mapping[str, Any]) -> str:
    """IR YAML whose comments say the inputs' defaults in one order, so that the same input gives the same bytes.

    KFP writes mappings in its header in the order of a protobuf map, which differs from one process to the next.
    """
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})

    def ordered(found: re.Match[str]) -> str:
        default = json.dumps(inputs[found["name"]].get("defaultValue"), sort_keys=True)
        return f"{found['head']}[Default: {default}]"

    header, start, body = text.partition("\ncomponents:")
    return _DEFAULT.sub(ordered, header) + start + body


def check_pipeline_yaml(text: str) -> list[dict[str, Any]]:
    """The documents of IR YAML, parsed with KFP's protobufs, which refuse unknown fields.

    Raises `google.protobuf` ParseError.
    """
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec, *platforms = yaml_values(text)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    for platform in platforms:
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    return [spec, *platforms]
