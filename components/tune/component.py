"""KFP components: a study for the loss weights, its workers, its winner."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def prepare_study(
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    training: str,
    study: dsl.Output[dsl.Artifact],
) -> None:
    """Make the study, or open it again.

    Args:
        people: The people data set.
        identities: Identities and their split.
        settings: TuneSettings as JSON.
        training: TrainSettings as JSON.
        study: The study's name. An artifact: KFP's local loops give every parameter that comes from another task the
            value of the loop's item.
    """
    from pathlib import Path

    from components.core.record.step import step
    from components.core.settings import TrainSettings, TuneSettings

    with step("prepare-study", settings, lambda: {"name": "tune"}) as this:
        from components.tune import prepare as run

        out = Path(study.path)
        this.done(run(Path(people.path), Path(identities.path), out, TrainSettings.model_validate_json(training),
                      TuneSettings.model_validate_json(settings), this.recorder), out)


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def tune_worker(
    people: dsl.Input[dsl.Dataset],
    identities: dsl.Input[dsl.Dataset],
    settings: str,
    training: str,
    study: dsl.Input[dsl.Artifact],
    worker: str,
) -> int:
    """Work on a study until it is done; several workers share it.

    Args:
        people: The people data set.
        identities: Identities and their split.
        settings: TuneSettings as JSON.
        training: TrainSettings as JSON.
        study: The study's name.
        worker: Which worker, 2/3 for the second of three.

    Returns:
        How many trials it began.
    """
    import tempfile
    from pathlib import Path

    from components.core.record.attempts import attempted
    from components.core.record.step import state_address, step
    from components.core.settings import TrainSettings, TuneSettings
    from components.tune import recorded_under
    from components.tune import work as run

    under = recorded_under(Path(study.path), worker)

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder, step("tune-worker", settings, under.as_child) as this:
            return run(
                Path(study.path), Path(people.path), Path(identities.path),
                TrainSettings.model_validate_json(training), TuneSettings.model_validate_json(settings),
                state_address() or folder, this.recorder,
            ).begun

    return attempted(work)


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def select_weights(
    study: dsl.Input[dsl.Artifact], begun: list[int], settings: str, weights: dsl.Output[dsl.Artifact]
) -> None:
    """Pick the winner of a study; write its weights, the table of trials and the plots.

    Args:
        study: The study's name.
        begun: How many trials each worker began: there to wait for them all.
        settings: TuneSettings as JSON.
        weights: The loss weights.
    """
    from pathlib import Path

    from components.core.record.step import step
    from components.core.settings import TuneSettings
    from components.tune import recorded_under
    from components.tune import select as run

    with step("select-weights", settings, recorded_under(Path(study.path)).as_itself) as this:
        out = Path(weights.path)
        this.done(run(Path(study.path), out, TuneSettings.model_validate_json(settings), this.recorder), out)
