"""KFP component: compare a model with the champion."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def challenge(
    model: dsl.Input[dsl.Model],
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    evaluation: dsl.Input[dsl.Artifact],
    settings: str,
    comparison: dsl.Output[dsl.Artifact],
) -> None:
    """Evaluate the champion on the model's pairs, and compare them pair by pair.

    Args:
        model: The new model.
        people: The people data set.
        identities: Identities and their split.
        evaluation: The new model's evaluation.
        settings: RegisterSettings as JSON.
        comparison: comparison.json, champion_pairs.jsonl.
    """
    from pathlib import Path

    from components.core.record.step import state_address, step
    from components.core.settings import RegisterSettings
    from components.core.stores.kept import kept_folder
    from components.evaluate.challenge import challenge as run

    with step("challenge", settings) as this, kept_folder(state_address(), "comparisons") as kept:
        out = Path(comparison.path)
        summary = run(
            Path(model.path), Path(people.path), Path(identities.path), Path(evaluation.path), out,
            RegisterSettings.model_validate_json(settings), this.recorder, state=kept.parent if kept else None,
        )
        this.done(summary, out)
