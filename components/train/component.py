"""KFP component: train the re-posing model."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def train(
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    model: dsl.Output[dsl.Model],
) -> None:
    """Train ANet, PNet and GNet on the training identities; go on from the last checkpoint if there is one.

    Args:
        people: The people data set.
        identities: Identities and their split.
        settings: TrainSettings as JSON.
        model: The averaged generator.
    """
    from pathlib import Path

    from components.core.settings import TrainSettings
    from components.core.step import state_folder, step

    with step("train", settings) as this:
        from components.train import train as run

        out = Path(model.path)
        summary = run(
            Path(people.path), Path(identities.path), out, TrainSettings.model_validate_json(settings),
            state=state_folder(), recorder=this.recorder,
        )
        this.done(summary, out)
