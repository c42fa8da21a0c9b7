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

    from components.core.artifacts.loss_weights import read_weights, write_weights
    from components.core.record.step import state_address, step
    from components.train import train as run
    from components.train.record import earlier_run, requested

    out, found = Path(model.path), Path(weights.path) if weights else None
    state = state_address() or out.parent / "state"
    here = Path(people.path), Path(identities.path)
    with step("train", settings, lambda: earlier_run(*here, requested(settings, found)[0], state)) as this:
        wanted, tuned = requested(settings, found)
        this.recorder.params({"tuned": tuned} if tuned else {})
        # Other machines read what is on gs://, not this pod's copy.
        shown = here if wanted.nodes == 1 else (people.uri, identities.uri)
        this.done(run(shown[0], shown[1], out, wanted, state=state, recorder=this.recorder), out)
        if found:
            # Stays with the model, so that its version can say where the weights come from.
            write_weights(out, read_weights(found))
