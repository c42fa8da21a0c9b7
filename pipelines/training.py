"""The pipeline: from photos to a registered version.

One definition for every place it runs. Locally a photo folder is imported by path, on Kubeflow by gs:// prefix;
without photos the people are synthesised.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import Parameter, Signature
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import graph_component

from components.cluster.component import cluster
from components.core.settings import Section, Settings
from components.evaluate.challenge_component import challenge
from components.evaluate.component import evaluate
from components.finish.component import finish
from components.preprocess.component import gather, preprocess, preprocess_part
from components.register.component import register
from components.synthesize.component import synthesize
from components.train.component import train, train_on_nodes
from components.tune.component import prepare_study, select_weights, tune_worker
from pipelines.placement import place
from pipelines.profile import Profile
from pipelines.steps import step_of

NAME = "photoshoot-training"
TUNING = "photoshoot-tuning"
_WORKER_RETRIES, _WORKER_TIME = 3, "604800s"
"""A worker that is lost costs nothing but its start: its trial goes on from the checkpoint. KFP would retry for an hour
only."""


class Artifacts(NamedTuple):
    """What a run leaves behind."""

    people: dsl.Dataset
    identities: dsl.Dataset
    model: dsl.Model
    evaluation: dsl.Artifact
    version: dsl.Artifact


class TuningArtifacts(NamedTuple):
    """What a search for loss weights leaves behind."""

    people: dsl.Dataset
    identities: dsl.Dataset
    weights: dsl.Artifact


def training_pipeline(
    settings: Settings, images: Mapping[str, str], photos: str | None = None, photos_digest: str = "",
    profile: Profile | None = None,
) -> graph_component.GraphComponent:
    """Build the pipeline that ends with a registered version: `_training`.

    Args:
        settings: What each step does. A step's section is one of its inputs, so a change of one section makes only
            that step and those after it run again.
        images: Container image of each step, changing whenever the step's code does: caches go by it.
        photos: Folder or gs:// prefix of photos; None synthesises people.
        photos_digest: Fingerprint of the folder's content, so that a cache notices new photos under the same path.
        profile: Where the steps run; its node pools become inputs of the pipeline. None places nothing (this machine).
    """
    steps = _Steps(settings, images, photos, photos_digest, profile)
    description = "Photos -> people -> identities -> model -> evaluation -> registered version"
    return dsl.pipeline(name=NAME, description=description)(_Definition(_training, steps, Artifacts))


def tuning_pipeline(
    settings: Settings, images: Mapping[str, str], photos: str | None = None, photos_digest: str = "",
    profile: Profile | None = None,
) -> graph_component.GraphComponent:
    """Build the pipeline that ends with the loss weights: `_tuning`. The arguments are those of `training_pipeline`."""
    steps = _Steps(settings, images, photos, photos_digest, profile)
    description = "Photos -> people -> identities -> loss weights"
    return dsl.pipeline(name=TUNING, description=description)(_Definition(_tuning, steps, TuningArtifacts))


def _training(steps: "_Steps") -> Artifacts:
    settings = steps.settings
    people, identities = steps.people()
    weights = {"weights": steps.tuned(people, identities)} if settings.tune.enabled else {}
    model = steps.trained(people=people, identities=identities, **weights)
    evaluation = steps.run(
        evaluate, settings.evaluate, model=model, people=people, identities=identities,
        gate=settings.register_.gate.model_dump_json(),
    ).outputs["evaluation"]
    compared = steps.run(
        challenge, settings.register_, model=model, people=people, identities=identities, evaluation=evaluation
    )
    version = steps.run(
        register, settings.register_, model=model, evaluation=evaluation, comparison=compared.outputs["comparison"],
        people=people, identities=identities,
    )  # fmt: skip
    # The registry, not the cache, knows who is champion and whether a version exists; comparing and registering
    # the same evidence twice is free.
    for task in (compared, version):
        task.set_caching_options(False)
    return Artifacts(people, identities, model, evaluation, version.outputs["version"])


def _tuning(steps: "_Steps") -> TuningArtifacts:
    people, identities = steps.people()
    return TuningArtifacts(people, identities, steps.tuned(people, identities))


@dataclass(frozen=True)
class _Steps:
    """The steps as KFP tasks; KFP has no types, so tasks and what flows between them are Any."""

    settings: Settings
    images: Mapping[str, str]
    photos: str | None
    photos_digest: str
    profile: Profile | None
    pools: Mapping[str, Any] = field(default_factory=dict)
    """The pipeline's inputs that name node pools, as KFP channels."""

    def run(self, component: Any, section: Section, **inputs: Any) -> Any:
        """A task of a step, with its section of the settings, its image and its place."""
        task = component(settings=section.model_dump_json(), **inputs)
        task.set_container_image(self.images[step_of(component.name)]).set_caching_options(True)
        if self.profile:
            place(task, component.name, self.profile, self.pools)
        return task

    def trained(self, **inputs: Any) -> Any:
        """The model, by this machine or by several, which a task without accelerators asks for and waits for."""
        settings, profile = self.settings.train, self.profile
        if settings.nodes == 1 or profile is None:
            return self.run(train, settings, **inputs).outputs["model"]
        machine = profile.step("train")
        if machine.pool == "cpu":
            accelerators: dict[str, Any] = {"accelerator": "", "count": "0"}
        else:
            accelerators = {key: self.pools[f"{machine.pool}_{key}"] for key in ("accelerator", "count")}
        return self.run(
            train_on_nodes, settings, **inputs, **accelerators,
            node_selector=self.pools[f"{machine.pool}_node_selector"],
            tolerations=self.pools[f"{machine.pool}_tolerations"],
            machine=machine.model_dump_json(include={"cpu", "memory", "shared_memory", "scratch"}),
        ).outputs["model"]

    @property
    def has_last_word(self) -> bool:
        """Whether a task is to run at the end, however the run ends: where there is somebody to tell."""
        return self.profile is not None and bool(self.profile.notify or self.profile.tracking_uri)

    def last_word(self) -> Any:
        """The context in which everything else of the pipeline is made."""
        last = finish(name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        last.set_container_image(self.images[step_of(finish.name)]).set_caching_options(False)
        if self.profile:
            place(last, finish.name, self.profile, self.pools)
        return dsl.ExitHandler(last, name="run")

    def people(self) -> tuple[Any, Any]:
        """Photos to people with identities."""
        people = self._preprocessed(self._photos())
        return people, self.run(cluster, self.settings.cluster, people=people).outputs["identities"]

    def tuned(self, people: Any, identities: Any) -> Any:
        """A study that several workers share, and its winner."""
        settings = self.settings.tune
        data = {"people": people, "identities": identities, "training": self.settings.train.model_dump_json()}
        study = self.run(prepare_study, settings, **data).outputs["study"]
        with dsl.ParallelFor(_shares(settings.workers), name="tune", parallelism=self._at_once) as worker:
            work = self.run(tune_worker, settings, **data, study=study, worker=worker)
            if not self.profile:
                work.set_retry(_WORKER_RETRIES, backoff_max_duration=_WORKER_TIME)
        return self.run(select_weights, settings, study=study, begun=dsl.Collected(work.output)).outputs["weights"]

    @property
    def _at_once(self) -> int | None:
        """How many tasks of a loop may run at the same time; None leaves it to KFP."""
        return self.profile.parallelism or None if self.profile else None

    def _photos(self) -> Any:
        if self.photos is None:
            return self.run(synthesize, self.settings.synthesize).outputs["photos"]
        return dsl.importer(
            artifact_uri=self.photos, artifact_class=dsl.Dataset, metadata={"digest": self.photos_digest}
        ).output

    def _preprocessed(self, photos: Any) -> Any:
        settings = self.settings.preprocess
        if settings.shards == 1:
            return self.run(preprocess, settings, photos=photos).outputs["people"]
        with dsl.ParallelFor(_shares(settings.shards), name="preprocess", parallelism=self._at_once) as share:
            part = self.run(preprocess_part, settings, photos=photos, share=share).outputs["part"]
        return self.run(gather, settings, parts=dsl.Collected(part)).outputs["people"]


@dataclass(frozen=True)
class _Definition:
    """A pipeline as KFP asks for it: a callable whose signature names the inputs, here the profile's node pools, and
    the outputs."""

    body: Callable[[_Steps], Any]
    steps: _Steps
    outputs: type

    @property
    def __signature__(self) -> Signature:
        inputs = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=value, annotation=type(value))
                  for name, value in self._inputs().items()]
        return Signature(inputs, return_annotation=None if self.steps.has_last_word else self.outputs)

    def __call__(self, *channels: Any) -> Any:
        steps = replace(self.steps, pools=dict(zip(self._inputs(), channels, strict=True)))
        if not steps.has_last_word:
            return self.body(steps)
        with steps.last_word():
            self.body(steps)
        return None  # KFP lets nothing out of an exit handler

    def _inputs(self) -> dict[str, Any]:
        return self.steps.profile.inputs() if self.steps.profile else {}


def _shares(count: int) -> list[str]:
    """1/3, 2/3, 3/3; strings, because numbers in a loop's items arrive as floats."""
    return [f"{number}/{count}" for number in range(1, count + 1)]
