"""KFP component: judge a model on people it was never trained on."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def evaluate(
    model: dsl.Input[dsl.Model],
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    gate: str,
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure quality and identity on held-out people; write the report and the contact sheet.

    Args:
        model: The model to judge.
        people: The people data set.
        identities: Identities and their split.
        settings: EvaluateSettings as JSON.
        gate: GateSettings as JSON: the thresholds that the controls are judged by.
        evaluation: metrics.json, report.html, contact_sheet.png.
    """
    from pathlib import Path

    from components.core.record.step import state_address, step
    from components.core.settings import EvaluateSettings, GateSettings
    from components.core.stores.kept import kept_folder

    with step("evaluate", settings) as this, kept_folder(state_address(), "reference") as kept:
        from components.evaluate import evaluate as run

        out = Path(evaluation.path)
        summary = run(
            Path(model.path), Path(people.path), Path(identities.path), out,
            EvaluateSettings.model_validate_json(settings), this.recorder, GateSettings.model_validate_json(gate),
            kept,
        )
        this.done(summary, out)
