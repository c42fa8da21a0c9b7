"""KFP component: check the gate and register a version."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def register(
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    comparison: dsl.Input[dsl.Artifact],
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    version: dsl.Output[dsl.Artifact],
) -> None:
    """Hold the evaluation against the gate and register the model as a version with its card and aliases.

    Args:
        model: The model to register.
        evaluation: Its evaluation.
        comparison: Its comparison with the champion.
        people: The people data set, for the example the version is tried on.
        identities: Identities and their split: what the model was trained on is kept with the version.
        settings: RegisterSettings as JSON.
        version: The version's number, aliases and the gate's lines.
    """
    from pathlib import Path

    from components.core.record.step import step
    from components.core.settings import RegisterSettings

    with step("register", settings) as this:
        from components.register import register as run

        out = Path(version.path)
        summary = run(
            Path(model.path), Path(evaluation.path), Path(people.path), Path(identities.path), out,
            RegisterSettings.model_validate_json(settings), this.recorder, comparison=Path(comparison.path),
        )
        this.done(summary, out)
