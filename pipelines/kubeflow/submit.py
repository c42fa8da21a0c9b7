"""Send the pipeline to Kubeflow: as a run of its own, as a version that others can start too, or on a schedule."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml

from components.core.digest import json_digest
from components.core.documents import MOST_PIPELINE, Unreadable, read_text, yaml_value, yaml_values
from components.core.errors import InputError, MachineError
from components.core.record import tracking
from components.core.settings import Settings
from components.core.stores.storage import is_remote, open_location
from pipelines.kubeflow.compilation import compile_pipeline
from pipelines.kubeflow.server import Server, equals
from pipelines.profile import Profile

_TAG_LETTERS = 12


@dataclass(frozen=True)
class Order:
    """What to run, where, under which name."""

    settings: Settings
    profile: Profile
    photos: str | None = None
    """gs:// prefix; None synthesises people."""
    registry: str = ""
    """Prefix of the image names."""
    name: str = ""
    """Of the run; empty: the pipeline's, with the time."""
    experiment: str = ""
    """Kubeflow's experiment, which is made where there is none; empty: that of the settings."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Inputs of the pipeline that differ from the profile's."""
    root: str = ""
    """gs:// prefix for artifacts; empty: the server's."""
    upload: str = ""
    """Name of the pipeline to upload a version of; empty sends the pipeline with the run."""


@dataclass(frozen=True)
class Submitted:
    """A run that the server has taken."""

    run_id: str
    name: str
    experiment_id: str
    link: str
    version_id: str = ""


def submit(server: Server, order: Order, parent_run: str = "") -> Submitted:
    """Start a run. `parent_run` is the MLflow run that the steps become children of, if there is one.

    Should the connection break at the wrong moment, the server is asked whether it had taken the run: there are
    never two of it. Raises `PhotoshootError` subclasses: a wrong argument, a server that refuses or is gone.
    """
    documents = compiled(order, fingerprint(order.photos))
    arguments = typed_arguments(documents[0], order.arguments)
    if parent_run:
        _tell_steps(documents[0], {tracking.PARENT_RUN_ID: parent_run})
    name = named(order).name
    experiment = server.experiment(order.experiment or order.settings.experiment).experiment_id
    # Text that no other run has, by which this one is found again.
    description = f"submitted by photoshoot {secrets.token_hex(8)}"
    source, version = _source(server, order, documents)
    body = kfp_server_api.V2beta1Run(
        display_name=name, description=description, experiment_id=experiment, runtime_config=_config(order, arguments),
        service_account=order.profile.service_account, **source,
    )
    run_id = server.start(body)
    return Submitted(run_id, name, str(experiment), server.access.page(f"runs/details/{run_id}"), version)


def named(order: Order) -> Order:
    """The order, with a name for its run if it has none."""
    fresh = f"photoshoot-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    return replace(order, name=order.name or fresh)


def schedule(server: Server, order: Order, cron: str) -> str:
    """Start a run at every time that `cron` names (six fields, seconds first; UTC); returns the schedule's id.

    The pipeline and its settings are those of now, the photos those of then; a run that is still under way keeps the
    next from starting.
    """
    documents = compiled(order, None)
    arguments = typed_arguments(documents[0], order.arguments)
    experiment = server.experiment(order.experiment or order.settings.experiment).experiment_id
    source, _ = _source(server, order, documents)
    body = kfp_server_api.V2beta1RecurringRun(
        display_name=order.name or f"photoshoot {cron}", experiment_id=experiment, mode="ENABLE", max_concurrency="1",
        no_catchup=True, namespace=server.namespace, runtime_config=_config(order, arguments),
        service_account=order.profile.service_account,
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=six_fields(cron))),
        **source,
    )
    with server.errors("pipeline version"):
        return str(server.recurring.recurring_run_service_create_recurring_run(body).recurring_run_id)


def six_fields(cron: str) -> str:
    """A cron expression as KFP wants it, seconds first; five fields (as in crontab) start at second 0."""
    fields = cron.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6 and not cron.startswith("@"):
        raise InputError(f"--cron {cron!r} has {len(fields)} fields",
                         remedy="five as in crontab: '0 3 * * 1' is Mondays at 3")
    return " ".join(fields)


def fingerprint(photos: str | None) -> str | None:
    """Digest of the photos under a gs:// prefix, by which KFP's cache notices new ones; None where they cannot be seen
    from here, and are to be taken for new. Raises `InputError` when there are none."""
    if photos is None or not is_remote(photos):
        return ""
    try:
        stamps = open_location(photos).stamps()
    except MachineError:
        return None  # the steps' account may read what this one may not
    if not stamps:
        raise InputError(f"{photos}: no files there", remedy="give --photos a gs:// prefix of photos")
    return json_digest(stamps)


def compiled(order: Order, digest: str | None) -> list[dict[str, Any]]:
    """The pipeline's documents: its specification and what belongs to Kubernetes.

    `digest` is the fingerprint of the photos; None has them looked at anew in every run.
    """
    if order.photos is not None and not is_remote(order.photos):
        raise InputError("Kubeflow cannot read this folder", path=order.photos,
                         remedy="copy the photos to a bucket and give --photos gs://...")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(order.settings, path, order.photos, order.registry, order.profile, digest or "")
        documents = yaml_values(read_text(path, MOST_PIPELINE))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        if digest is None and "importer" in executor:
            executor["importer"]["reimport"] = True  # a new artifact each time: nothing is reused for it
    return documents


def typed_arguments(spec: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Arguments as the pipeline's inputs want them: text as it is, mappings and lists from YAML or JSON.

    Raises `InputError` for an input that the pipeline lacks or a value of another kind.
    """
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in inputs:
            raise InputError(f"the pipeline has no input {name}", remedy=f"--arg takes {', '.join(sorted(inputs))}")
        kind = inputs[name]["parameterType"]
        values[name] = text if kind == "STRING" else _parsed(name, text, {"STRUCT": dict, "LIST": list}[kind])
    return values


def _parsed(name: str, text: str, kind: type) -> Any:
    words = "a mapping such as {label: value}" if kind is dict else "a list such as [{key: taint, operator: Exists}]"
    try:
        value = yaml_value(text)
    except Unreadable:
        value = None
    if not isinstance(value, kind):
        raise InputError(f"--arg {name}={text}: not {words}", remedy="quote it: --arg 'name={key: value}'")
    return value


def _config(order: Order, arguments: dict[str, Any]) -> kfp_server_api.V2beta1RuntimeConfig:
    return kfp_server_api.V2beta1RuntimeConfig(parameters=arguments, pipeline_root=order.root or None)


def _tell_steps(spec: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Add environment variables to every step. They are no part of KFP's cache keys, unlike inputs."""
    for executor in spec["deploymentSpec"]["executors"].values():
        if "container" in executor:
            executor["container"].setdefault("env", []).extend(
                {"name": name, "value": value} for name, value in environment.items())


def _source(server: Server, order: Order, documents: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The pipeline itself, or a reference to the uploaded version with the same content."""
    if not order.upload:
        spec, platform = documents
        return {"pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform}}, ""
    pipeline, version = _uploaded(server, order.upload, documents)
    reference = kfp_server_api.V2beta1PipelineVersionReference(pipeline_id=pipeline, pipeline_version_id=version)
    return {"pipeline_version_reference": reference}, version


def _uploaded(server: Server, name: str, documents: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Ids of the pipeline and of its version with this content, uploaded unless it is there."""
    tag = json_digest(documents)[:_TAG_LETTERS]
    with tempfile.TemporaryDirectory() as folder, server.errors(f"pipeline {name}"):
        path = Path(folder) / f"{tag}.yaml"
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
        known = server.pipelines.pipeline_service_list_pipelines(namespace=server.namespace,
                                                                 filter=equals("display_name", name)).pipelines
        if known:
            pipeline = str(known[0].pipeline_id)
        else:
            pipeline = str(server.pipelines.pipeline_service_create_pipeline(
                kfp_server_api.V2beta1Pipeline(display_name=name, namespace=server.namespace)).pipeline_id)
        versions = server.pipelines.pipeline_service_list_pipeline_versions(
            pipeline, filter=equals("display_name", tag)).pipeline_versions
        if versions:
            return pipeline, str(versions[0].pipeline_version_id)
        uploaded = server.uploads.upload_pipeline_version(str(path), name=tag, pipelineid=pipeline)
        return pipeline, str(uploaded.pipeline_version_id)
