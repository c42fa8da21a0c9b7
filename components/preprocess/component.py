"""KFP component: from photos with pose maps to the people data set."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def preprocess(photos: dsl.Input[dsl.Dataset], settings: str, people: dsl.Output[dsl.Dataset]) -> None:
    """Cut out every person with pose map, matte and texture map.

    Args:
        photos: Folder of photos with iuv/ and optional matte/ and labels.csv.
        settings: PreprocessSettings as JSON.
        people: The people data set: shards and manifest.
    """
    from pathlib import Path

    from components.core.settings import PreprocessSettings
    from components.core.step import step

    with step("preprocess", settings) as this:
        from components.preprocess import preprocess as run

        out = Path(people.path)
        this.done(run(Path(photos.path), out, PreprocessSettings.model_validate_json(settings), this.recorder), out)
