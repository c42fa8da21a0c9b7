"""Commands for the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import InputError
from components.core.stores.storage import is_remote
from pipelines.cli.app import (
    DEFAULT_HOME,
    PIPELINE,
    HomeOption,
    JsonOption,
    SettingsOptions,
    SourceOption,
    app,
)
from pipelines.cli.options import (
    BackendOption,
    CompileBackendOption,
    DetachOption,
    FollowOptions,
    OrderOptions,
    RegistryOption,
    ServerOptions,
    VertexOptions,
    start_on_cluster,
)
from pipelines.display import errors, output

if TYPE_CHECKING:
    from components.core.settings import Settings
    from pipelines.containers.execution import Limits


@app.command(rich_help_panel=PIPELINE)
def run(
    *,
    photos: SourceOption = None,
    asked: SettingsOptions,
    tune: Annotated[bool, typer.Option("--tune", help="First search for the loss weights (tune.enabled).")] = False,
    study: Annotated[
        str | None, typer.Option("--set-from", metavar="STUDY", help="Train with the best weights of a study.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    backend: BackendOption = "local",
    memory: Annotated[str, typer.Option("--memory", help="Memory limit of each container, such as 8g.")] = "",
    ordered: OrderOptions,
    detach: DetachOption = False,
    following: FollowOptions,
    access: ServerOptions,
    google: VertexOptions,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline: photos in, a registered version, a report and a contact sheet out.

    The same command again reuses every step whose code, settings and inputs are unchanged, and goes on with a
    training that was interrupted. On Kubeflow and Vertex AI (--backend kubeflow, vertex) photos come from gs://.
    """
    if memory and backend != "containers":
        raise InputError("--memory applies to containers only", remedy="--backend containers --memory 8g")
    settings = asked.settings(*(["tune.enabled=true"] if tune else []))
    if study:
        settings = _with_weights_of(study, settings, home)
    if backend == "kubeflow":
        from pipelines.cli.commands.kubeflow import run_on_kubeflow

        order = ordered.order(settings, photos)  # what cannot work is told before anybody is asked
        run_on_kubeflow(access.connect(following.patience), order, as_json, detach, following)
    elif backend == "vertex":
        from pipelines.cli.commands.vertex import run_on_vertex

        run_on_vertex(google, ordered.order_for_vertex(settings, photos), as_json, detach, following)
    elif backend == "containers":
        from pipelines.containers.execution import Limits

        _run_here(settings, photos, home, as_json, Limits(memory))
    else:
        _run_here(settings, photos, home, as_json)


def _with_weights_of(study: str, settings: Settings, home: Path) -> Settings:
    from pipelines.home.folder import Home
    from pipelines.results.studies import with_weights_of

    return with_weights_of(settings, Home.at(home), study)


def _run_here(
    settings: Settings, photos: Path | None, home: Path, as_json: bool, limits: Limits | None = None
) -> None:
    """Run on this machine: each step in a container with `limits`, if there are any."""
    from pipelines.cli.ending import show_result
    from pipelines.home.folder import Home
    from pipelines.local.run import run_pipeline

    if photos is not None and not is_remote(photos) and not photos.is_dir():
        raise InputError("no such folder", path=photos, remedy="give --photos a folder of photos")
    show_result(run_pipeline(settings, photos, Home.at(home), limits), settings, home, as_json)


@app.command("compile", rich_help_panel=PIPELINE)
def compile_(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML file to write.")] = Path("pipeline.yaml"),
    photos: Annotated[str | None, typer.Option("--photos", help="gs:// prefix or folder; else synthetic.")] = None,
    registry: RegistryOption = "",
    profile: Annotated[
        str | None, typer.Option("--profile",
                                 help="Place the steps: gke-ondemand, gke-spot, local, vertex or a YAML file.")
    ] = None,
    backend: CompileBackendOption = "kubeflow",
    asked: SettingsOptions,
) -> None:
    """Write the pipeline as KFP IR YAML, to upload to Kubeflow or Vertex AI."""
    from pipelines.profile import load_profile

    if backend == "vertex":
        from pipelines.cli.commands.vertex import compile_for_vertex

        bears = load_profile(profile or "vertex")
        compile_for_vertex(start_on_cluster(asked.settings(), bears), out, photos, registry, bears)
        return
    from pipelines.kubeflow.compilation import compile_pipeline

    placed = None if profile is None else load_profile(profile)
    compile_pipeline(start_on_cluster(asked.settings(), placed), out, photos, registry, placed)
    errors.print(f"wrote {out}")


@app.command("settings", rich_help_panel=PIPELINE)
def settings_(asked: SettingsOptions) -> None:
    """Print all settings as YAML, each with its meaning."""
    from components.core.settings.explained import explained_yaml

    output.file.write(explained_yaml(asked.settings()))
