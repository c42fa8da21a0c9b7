"""The whole look: which checks there are for somebody's run, and all of them at once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from components.core.record.step import STUDIES
from components.core.record.tracking import TRACKING_URI
from components.core.settings import Settings
from pipelines.doctor.checks import Check, run_checks
from pipelines.doctor.finding import Finding, Level, problem
from pipelines.home.folder import Home
from pipelines.kubeflow.access import Access
from pipelines.profile import Profile


@dataclass(frozen=True)
class Patient:
    """What somebody is about to run."""

    settings: Settings
    home: Path
    photos: str | None = None
    """Folder or gs:// prefix; None: people are synthesised."""
    profile: Profile | None = None
    """The nodes and objects wanted; None where nothing is to be asked of Kubernetes."""
    access: Access = field(default_factory=Access)
    """Kubeflow Pipelines, asked where it has a host, and the namespace."""
    context: str | None = None
    """Of the kubeconfig; None: the pod's account or the current context."""
    registry: str = ""
    """Prefix of the image names."""
    root: str = ""
    """gs:// prefix for artifacts."""

    @property
    def on_kubeflow(self) -> bool:
        """Whether the run is for Kubeflow."""
        return self.profile is not None or self.access.host is not None


def diagnose(patient: Patient, patience: float = 20.0) -> list[Finding]:
    """Everything that is looked at, in order of area. Raises nothing of what is wrong with the machine or the servers.

    `patience` (seconds): how long any one look may take.
    """
    checks = [*_local(patient), *(_kubeflow(patient, patience) if patient.on_kubeflow else [])]
    _import_first([name for name, wanted in _HEAVY.items() if wanted(patient)])
    return run_checks(checks, patience)


_HEAVY: Mapping[str, Callable[[Patient], bool]] = {
    "mlflow.tracking": lambda patient: True,
    "components.preprocess.photos": lambda patient: patient.photos is not None,
    "components.tune.study": lambda patient: patient.settings.tune.enabled,
    "google.cloud.storage": lambda patient: "gs://" in f"{patient.photos} {patient.root}",
    "kubernetes.client": lambda patient: patient.profile is not None,
    "kfp_server_api": lambda patient: patient.access.host is not None,
}


def _import_first(names: list[str]) -> None:
    """Import in one thread: packages that import each other in circles do not bear two at once. One that cannot be
    imported is the business of the check that needs it."""
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)


def _local(patient: Patient) -> list[Check]:
    from pipelines.doctor import machine, packages, stores

    # Not `Home.at`: looking does not make the folder.
    home, settings = Home(Home.place(patient.home)), patient.settings
    checks = [
        Check("machine", partial(machine.machine, home.root)),
        Check("torch and weights that ship", machine.torch_and_weights, "pip install torch again",
              machine.TORCH_S),
        Check("packages", partial(packages.packages, on_kubeflow=patient.on_kubeflow)),
        Check("shared memory", machine.shared_memory),
        Check("weights by name", partial(_weights, patient)),
        Check("MLflow", partial(stores.mlflow_store, home.tracking_uri, settings.experiment),
              f"is its server up, is {TRACKING_URI} right?"),
        Check("champion", partial(stores.champion, home.tracking_uri, settings.register_.model_name)),
        Check("studies", partial(stores.studies, home.studies_url, settings.tune.enabled),
              f"is the database up, is {STUDIES} right?"),
    ]
    if patient.photos is not None:
        checks.append(Check("photos", partial(_photos, patient), "check --photos"))
    if patient.root:
        checks.append(Check("artifacts", partial(_root, patient.root), "check --root"))
    if not patient.on_kubeflow and settings.train.nodes > 1:
        checks.append(Check("several machines", partial(_several_machines, settings.train.nodes)))
    return [*checks, Check("cache safety", partial(_images, patient))]


def _kubeflow(patient: Patient, patience: float) -> list[Check]:
    checks = []
    if patient.access.host is not None:
        from pipelines.doctor.kubernetes.kubeflow import kubeflow

        checks.append(Check("Kubeflow Pipelines", partial(kubeflow, patient.access), "is it up, is --host right?"))
    if patient.profile is not None:
        from pipelines.doctor.kubernetes.access import kubernetes
        from pipelines.doctor.kubernetes.profile import combination

        checks.append(Check("settings and profile", partial(combination, patient.settings, patient.profile,
                                                            patient.root)))
        if patient.profile.state:
            checks.append(Check("state", partial(_state, patient.profile.state), "check `state` of the profile"))
        checks.append(Check("Kubernetes", partial(
            kubernetes, patient.profile, patient.access.pods_namespace(), patient.context, patient.settings,
            patient.photos, patience), "kubectl version; is the context right (--context)?"))
    return checks


def _several_machines(nodes: int) -> list[Finding]:
    return [problem("several machines", f"train.nodes={nodes} and no profile", "one machine, or a cluster",
                    "--profile of a cluster, or train.nodes=1")]


def _photos(patient: Patient) -> list[Finding]:
    from pipelines.doctor.photos import Maker, photos

    return photos(str(patient.photos), Maker(patient.settings.preprocess.pose_maps, patient.on_kubeflow))


def _weights(patient: Patient) -> list[Finding]:
    from pipelines.doctor.photos import lacking
    from pipelines.doctor.weights import weights

    brought = patient.photos is not None
    return weights(patient.settings, brought, lacking(str(patient.photos)) if brought else True)


def _root(root: str) -> list[Finding]:
    from pipelines.doctor.photos import writable

    return writable(root)


def _state(state: str) -> list[Finding]:
    """The pods' account may have other rights, so that it cannot be written from here is a warning."""
    from pipelines.doctor.photos import writable

    return [replace(one, level=Level.WARNING) if one.level == Level.PROBLEM else one
            for one in writable(state, "state of interrupted steps")]


def _images(patient: Patient) -> list[Finding]:
    from pipelines.containers.images import images, pushed_images
    from pipelines.doctor import registry

    if not patient.on_kubeflow:
        return registry.cache_safety(images())
    names = pushed_images(patient.registry)
    return [*registry.cache_safety(names), *registry.present(names)]
