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
        this.done(run(*here, out, wanted, state=state, recorder=this.recorder), out)
        if found:
            # Stays with the model, so that its version can say where the weights come from.
            write_weights(out, read_weights(found))


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def train_on_nodes(
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    machine: str,
    node_selector: dict,  # type: ignore[type-arg]  # KFP knows no other spelling
    tolerations: list,  # type: ignore[type-arg]
    accelerator: str,
    count: str,
    model: dsl.Output[dsl.Model],
    weights: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
) -> None:
    """Have several machines train (a TrainJob of Kubeflow Trainer) and wait for them; needs no accelerator itself.

    Args:
        people: The people data set, on gs://.
        identities: Identities and their split, on gs://.
        settings: TrainSettings as JSON.
        machine: What each machine needs as JSON: cpu, memory, shared_memory, scratch.
        node_selector: Labels of the machines' nodes.
        tolerations: Taints that the machines accept.
        accelerator: Resource name of the accelerator.
        count: Accelerators per machine.
        model: The averaged generator.
        weights: Loss weights that a study found; they come before those of the settings.
    """
    from pathlib import Path

    from components.core.artifacts.loss_weights import read_weights, write_weights
    from components.core.record.step import state_address, step
    from components.train.processes.nodes import Machine
    from components.train.processes.nodes import train_on_nodes as run
    from components.train.record import earlier_run, requested

    out, found = Path(model.path), Path(weights.path) if weights else None
    state = state_address()
    here = Path(people.path), Path(identities.path)
    earlier = lambda: earlier_run(*here, requested(settings, found)[0], state) if state else {}  # noqa: E731
    with step("train", settings, earlier) as this:
        wanted, tuned = requested(settings, found)
        this.recorder.params({"tuned": tuned} if tuned else {})
        wanted_machine = Machine.of(machine, node_selector, tolerations, accelerator, count)
        # The machines read what is on gs://, not this pod's copy.
        summary = run(people.uri, identities.uri, out, wanted, wanted_machine, state=state, recorder=this.recorder)
        this.done(summary, out)
        if found:
            write_weights(out, read_weights(found))
