"""KFP component: people who do not exist."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def synthesize(settings: str, photos: dsl.Output[dsl.Dataset]) -> None:
    """Render photos of people who do not exist, with exact pose maps.

    Args:
        settings: SynthesizeSettings as JSON.
        photos: Folder of photos, pose maps and labels.csv.
    """
    from pathlib import Path

    from components.core.record.step import step
    from components.core.settings import SynthesizeSettings

    with step("synthesize", settings) as this:
        from components.synthesize import synthesize as run

        out = Path(photos.path)
        this.done(run(out, SynthesizeSettings.model_validate_json(settings)), out)
