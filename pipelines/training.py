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
from components.preprocess.component import gather, preprocess, preprocess_part
from components.register.component import register
from components.synthesize.component import synthesize
from components.train.component import train
from components.tune.component import prepare_study, select_weights, tune_worker
from pipelines.placement import Profile, place
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
    model = steps.run(train, settings.train, people=people, identities=identities, **weights).outputs["model"]
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

    def people(self) -> tuple[Any, Any]:
        """Photos to people with identities."""
        people = self._preprocessed(self._photos())
        return people, self.run(cluster, self.settings.cluster, people=people).outputs["identities"]

    def tuned(self, people: Any, identities: Any) -> Any:
        """A study that several workers share, and its winner."""
        settings = self.settings.tune
        data = {"people": people, "identities": identities, "training": self.settings.train.model_dump_json()}
        study = self.run(prepare_study, settings, **data).outputs["study"]
        with dsl.ParallelFor(_shares(settings.workers), name="tune") as worker:
            work = self.run(tune_worker, settings, **data, study=study, worker=worker)
            if not self.profile:
                work.set_retry(_WORKER_RETRIES, backoff_max_duration=_WORKER_TIME)
        return self.run(select_weights, settings, study=study, begun=dsl.Collected(work.output)).outputs["weights"]

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
        with dsl.ParallelFor(_shares(settings.shards), name="preprocess") as share:
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
        return Signature(inputs, return_annotation=self.outputs)

    def __call__(self, *channels: Any) -> Any:
        return self.body(replace(self.steps, pools=dict(zip(self._inputs(), channels, strict=True))))

    def _inputs(self) -> dict[str, Any]:
        return self.steps.profile.inputs() if self.steps.profile else {}


def _shares(count: int) -> list[str]:
    """1/3, 2/3, 3/3; strings, because numbers in a loop's items arrive as floats."""
    return [f"{number}/{count}" for number in range(1, count + 1)]
