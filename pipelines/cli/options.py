"""Options of the commands that talk to Kubeflow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import InputError
from components.core.stores.storage import address, is_remote
from pipelines.cli.table import KUBEFLOW as KUBEFLOW

if TYPE_CHECKING:
    from components.core.settings import Settings
    from pipelines.kubeflow.access import Access
    from pipelines.kubeflow.server import Server
    from pipelines.kubeflow.submit import Order
    from pipelines.profile import Profile
    from pipelines.vertex.server import Place, Vertex

QUICK_PATIENCE = 30.0
"""Patience of commands that ask the server one thing."""

RegistryOption = Annotated[str, typer.Option("--registry", rich_help_panel=KUBEFLOW, help="Prefix of the image names.")]
RootOption = Annotated[
    str, typer.Option("--root", rich_help_panel=KUBEFLOW,
                      help="gs:// prefix for artifacts; else the server's or, on Vertex AI, the profile's.")
]
DetachOption = Annotated[bool, typer.Option("--detach", rich_help_panel=KUBEFLOW, help="Do not follow the run.")]
BACKENDS = ("local", "containers", "kubeflow", "vertex")
CLUSTERS = ("kubeflow", "vertex")
"""Those that take the pipeline as a file."""


def _backend(given: str) -> str:
    if given == "cluster":
        old_name("--backend cluster", "--backend kubeflow")
        return "kubeflow"
    if given not in BACKENDS:
        raise InputError(f"no backend {given}", remedy=f"--backend {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}")
    return given


BackendOption = Annotated[
    str,
    typer.Option("--backend", callback=_backend,
                 help="Where: local, containers (local, each step in its image), kubeflow or vertex (Vertex AI)."),
]


def _compile_backend(given: str) -> str:
    if given not in CLUSTERS:
        raise InputError(f"nothing to compile for {given}", remedy=f"--backend {' or '.join(CLUSTERS)}")
    return given


CompileBackendOption = Annotated[
    str, typer.Option("--backend", callback=_compile_backend, help="What takes it: kubeflow or vertex (Vertex AI).")
]


def old_name(old: str, new: str) -> None:
    """Say that an option goes by another name now; the old one is still taken."""
    from pipelines.display import say

    say(f"{old} is the old name of {new}")


@dataclass(frozen=True)
class ServerOptions:
    """The options that name a server."""

    host: Annotated[
        str | None, typer.Option("--host", envvar="KF_PIPELINES_ENDPOINT", rich_help_panel=KUBEFLOW,
                                 help="URL of Kubeflow Pipelines; in a pod, that of its namespace."),
    ] = None
    namespace: Annotated[
        str | None, typer.Option("--namespace", envvar="PHOTOSHOOT_NAMESPACE", rich_help_panel=KUBEFLOW,
                                 help="Your namespace, where the pods run."),
    ] = None
    auth: Annotated[
        str | None,
        typer.Option("--auth", envvar="PHOTOSHOOT_AUTH", rich_help_panel=KUBEFLOW,
                     help="token:FILE, cookies:FILE (Dex and other login pages) or iap:CLIENT_ID (Google)."),
    ] = None

    def access(self) -> Access:
        """The way to the server."""
        from pipelines.kubeflow.access import Access

        return Access(self.host, self.namespace, self.auth)

    def connect(self, patience: float | None = None) -> Server:
        """A connection to the server, given up after `patience` seconds without an answer (`QUICK_PATIENCE`)."""
        from pipelines.display import say
        from pipelines.kubeflow.server import Server

        return Server(self.access(), patience=QUICK_PATIENCE if patience is None else patience,
                      note=say)


@dataclass(frozen=True)
class OrderOptions:
    """The options that say what Kubeflow is to run."""

    profile: Annotated[
        str | None, typer.Option("--profile", rich_help_panel=KUBEFLOW,
                                 help="Which steps run on which nodes: gke-ondemand, gke-spot, local, vertex or a YAML "
                                      "file; else gke-ondemand, or vertex on Vertex AI."),
    ] = None
    registry: RegistryOption = ""
    experiment: Annotated[
        str, typer.Option("--experiment", rich_help_panel=KUBEFLOW, help="Kubeflow's experiment; else the settings'."),
    ] = ""
    name: Annotated[str, typer.Option("--run-name", rich_help_panel=KUBEFLOW, help="Name of the run.")] = ""
    args: Annotated[
        list[str] | None, typer.Option("--arg", metavar="KEY=VALUE", rich_help_panel=KUBEFLOW,
                                       help="Another node pool than the profile's: --arg gpu_count=2."),
    ] = None
    root: RootOption = ""
    upload: Annotated[
        str, typer.Option("--upload", metavar="NAME", rich_help_panel=KUBEFLOW,
                          help="Upload a version of the pipeline NAME and run that."),
    ] = ""

    def order(self, settings: Settings, photos: str | Path | None) -> Order:
        """The run with these settings and photos. Raises `SettingsError` where it cannot work on such nodes."""
        from pipelines.kubeflow.feasible import refuse_impossible
        from pipelines.profile import load_profile

        profile = load_profile(self.profile or "gke-ondemand")
        settings = start_on_cluster(settings, profile, self.root)
        refuse_impossible(settings, profile, self.root)
        return self._order(settings, profile, photos)

    def order_for_vertex(self, settings: Settings, photos: str | Path | None) -> Order:
        """The run with these settings and photos. What Vertex AI does not bear, `pipelines.vertex.bearing` tells."""
        from pipelines.profile import load_profile

        for option, given in (("--upload", self.upload), ("--experiment", self.experiment)):
            if given:
                raise InputError(f"{option} applies to Kubeflow only", remedy=f"leave {option} out")
        profile = load_profile(self.profile or "vertex")
        return self._order(start_on_cluster(settings, profile, self.root), profile, photos)

    def _order(self, settings: Settings, profile: Profile, photos: str | Path | None) -> Order:
        from pipelines.kubeflow.submit import Order

        return Order(settings, profile, None if photos is None else address(photos), self.registry, self.name,
                     self.experiment, pairs(self.args), self.root, self.upload)


def start_on_cluster(settings: Settings, profile: Profile | None, root: str = "") -> Settings:
    """The settings with the model that training starts from where pods can read it."""
    from pipelines.home.starting import with_start

    registry = os.environ.get("MLFLOW_TRACKING_URI") or (profile.tracking_uri if profile else None)
    own = (profile.state, profile.vertex and profile.vertex.root) if profile else ()
    bucket = next((place for place in (*own, root) if place and is_remote(place)), None)
    return with_start(settings, registry, f"{bucket.rstrip('/')}/starts" if bucket else None)


@dataclass(frozen=True)
class VertexOptions:
    """The options that name a place on Vertex AI."""

    project: Annotated[
        str | None, typer.Option("--project", envvar="GOOGLE_CLOUD_PROJECT", rich_help_panel=KUBEFLOW,
                                 help="Vertex AI: the Google Cloud project; else the profile's."),
    ] = None
    region: Annotated[
        str | None, typer.Option("--region", envvar="GOOGLE_CLOUD_REGION", rich_help_panel=KUBEFLOW,
                                 help="Vertex AI: the region, such as us-central1; else the profile's."),
    ] = None

    def connect(self, profile: Profile | None = None, patience: float | None = None) -> Vertex:
        """A connection to the place that the options, else the profile or the environment name."""
        from pipelines.vertex.server import place

        own = profile and profile.vertex
        project, region = (own.project, own.region) if own else (None, None)
        return vertex_at(place(self.project or project, self.region or region), patience)


def vertex_at(where: Place, patience: float | None = None) -> Vertex:
    """A connection to Vertex AI, given up after `patience` seconds without an answer (`QUICK_PATIENCE`)."""
    from pipelines.display import say
    from pipelines.vertex.server import Vertex

    return Vertex(where, patience=QUICK_PATIENCE if patience is None else patience,
                  note=say)


@dataclass(frozen=True)
class FollowOptions:
    """The options that say how a run is followed."""

    wait: Annotated[
        str | None, typer.Option("--wait", metavar="TIME", rich_help_panel=KUBEFLOW,
                                 help="Stop following after 90s, 30m, 12h or 2d; the run goes on."),
    ] = None
    poll: Annotated[
        float, typer.Option("--poll", min=0.05, rich_help_panel=KUBEFLOW,
                            help="Seconds between requests for its state."),
    ] = 5.0
    patience: Annotated[
        float, typer.Option("--patience", min=0, rich_help_panel=KUBEFLOW,
                            help="Seconds to keep trying a server that does not answer."),
    ] = 600.0

    retries: Annotated[
        int, typer.Option("--retries", min=0, rich_help_panel=KUBEFLOW,
                          help="Times that a run whose pods were taken away with their nodes is continued."),
    ] = 20

    def limit(self) -> float | None:
        """Seconds after which following stops; None: at the run's end."""
        from pipelines.profile import seconds

        try:
            return None if self.wait is None else float(seconds(self.wait))
        except ValueError as error:
            raise InputError(f"--wait: {error}", remedy="--wait 12h") from None


def pairs(given: list[str] | None) -> dict[str, str]:
    """``KEY=VALUE`` options as a mapping."""
    found = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--arg {text}: not KEY=VALUE", remedy="--arg gpu_count=2")
        found[key] = value
    return found
