"""KFP component: train the re-posing model."""

from typing import Optional

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def train(
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    model: dsl.Output[dsl.Model],
    weights: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045  # KFP knows no other spelling
) -> None:
    """Train ANet, PNet and GNet on the training identities; go on from the last checkpoint if there is one.

    Args:
        people: The people data set.
        identities: Identities and their split.
        settings: TrainSettings as JSON.
        model: The averaged generator.
        weights: Loss weights that a study found; they come before those of the settings.
    """
    from pathlib import Path

    from components.core.loss_weights import read_weights
    from components.core.settings import TrainSettings
    from components.core.step import state_folder, step

    with step("train", settings) as this:
        from components.train import train as run

        out, asked = Path(model.path), TrainSettings.model_validate_json(settings)
        if weights is not None:
            found = read_weights(Path(weights.path))
            asked = asked.model_copy(update={"weights": found.over(asked.weights)})
            this.recorder.params({"tuned": {"study": found.study, "trial": found.trial, **found.weights}})
        summary = run(
            Path(people.path), Path(identities.path), out, asked, state=state_folder(), recorder=this.recorder,
        )
        this.done(summary, out)
