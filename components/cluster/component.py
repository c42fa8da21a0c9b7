"""KFP component: who is who, and who may be trained on."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def cluster(people: dsl.Input[dsl.Dataset], settings: str, identities: dsl.Output[dsl.Dataset]) -> None:
    """Sort people into identities by their faces and split the identities.

    Args:
        people: The people data set.
        settings: ClusterSettings as JSON.
        identities: identities.parquet, scores and a montage.
    """
    from pathlib import Path

    from components.core.record.step import step
    from components.core.settings import ClusterSettings

    with step("cluster", settings) as this:
        from components.cluster import cluster as run

        out = Path(identities.path)
        this.done(run(Path(people.path), out, ClusterSettings.model_validate_json(settings), this.recorder), out)
