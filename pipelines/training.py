"""The pipeline: from photos to a registered version.

One definition for every place it runs. Locally a photo folder is imported by path, on a cluster by gs:// prefix;
without photos the people are synthesised.
"""

from collections.abc import Mapping
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import graph_component

from components.cluster.component import cluster
from components.core.settings import Section, Settings
from components.evaluate.component import evaluate
from components.preprocess.component import preprocess
from components.register.component import register
from components.synthesize.component import synthesize
from components.train.component import train

NAME = "photoshoot-training"


class Artifacts(NamedTuple):
    """What a run leaves behind."""

    people: dsl.Dataset
    identities: dsl.Dataset
    model: dsl.Model
    evaluation: dsl.Artifact
    version: dsl.Artifact


def training_pipeline(
    settings: Settings, images: Mapping[str, str], photos: str | None = None, photos_digest: str = ""
) -> graph_component.GraphComponent:
    """Build the pipeline.

    Args:
        settings: What each step does. A step's section is one of its inputs, so a change of one section makes only
            that step and those after it run again.
        images: Container image of each step, changing whenever the step's code does: caches go by it.
        photos: Folder or gs:// prefix of photos; None synthesises people.
        photos_digest: Fingerprint of the folder's content, so that a cache notices new photos under the same path.
    """

    def run(component, section: Section, **inputs):  # type: ignore[no-untyped-def]  # KFP tasks have no usable types
        task = component(settings=section.model_dump_json(), **inputs)
        return task.set_container_image(images[component.name]).set_caching_options(True)

    @dsl.pipeline(name=NAME, description="Photos -> people -> identities -> model -> evaluation -> registered version")
    def pipeline() -> Artifacts:
        if photos is None:
            source = run(synthesize, settings.synthesize).outputs["photos"]
        else:
            source = dsl.importer(
                artifact_uri=photos, artifact_class=dsl.Dataset, metadata={"digest": photos_digest}
            ).output
        people = run(preprocess, settings.preprocess, photos=source).outputs["people"]
        identities = run(cluster, settings.cluster, people=people).outputs["identities"]
        model = run(train, settings.train, people=people, identities=identities).outputs["model"]
        evaluation = run(
            evaluate, settings.evaluate, model=model, people=people, identities=identities
        ).outputs["evaluation"]
        version = run(register, settings.register_, model=model, evaluation=evaluation, people=people)
        # The registry, not the cache, knows whether a version exists; registering the same evidence twice is free.
        version.set_caching_options(False)
        return Artifacts(people, identities, model, evaluation, version.outputs["version"])

    return pipeline
