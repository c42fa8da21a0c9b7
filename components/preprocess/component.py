"""KFP components: from photos with pose maps to the people data set, by one task or by several."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def preprocess(photos: dsl.Input[dsl.Dataset], settings: str, people: dsl.Output[dsl.Dataset]) -> None:
    """Cut out every person with pose map, matte and texture map.

    Args:
        photos: Folder of photos with optional iuv/, matte/ and labels.csv.
        settings: PreprocessSettings as JSON.
        people: The people data set: shards and manifest.
    """
    from pathlib import Path

    from components.core.record.step import state_address, step
    from components.core.settings import PreprocessSettings

    with step("preprocess", settings) as this:
        from components.preprocess import preprocess as run

        out = Path(people.path)
        this.done(run(Path(photos.path), out, PreprocessSettings.model_validate_json(settings), this.recorder,
                      state=state_address()), out)


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def preprocess_part(
    photos: dsl.Input[dsl.Dataset], settings: str, share: str, part: dsl.Output[dsl.Dataset]
) -> None:
    """Do one task's share of preprocessing.

    Args:
        photos: Folder of photos with optional iuv/, matte/ and labels.csv.
        settings: PreprocessSettings as JSON.
        share: Which share, 2/3 for the second of three.
        part: Some of the shards, for `gather`.
    """
    from pathlib import Path

    from components.core.record.attempts import attempted
    from components.core.record.step import state_address, step, tasks_at_once
    from components.core.settings import PreprocessSettings

    def work() -> None:
        with step("preprocess-part", settings) as this:
            from components.preprocess import preprocess_part as run

            out = Path(part.path)
            this.done(run(Path(photos.path), out, PreprocessSettings.model_validate_json(settings), share,
                          state=state_address(), at_once=tasks_at_once()), out)

    attempted(work)


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def gather(parts: dsl.Input[list[dsl.Dataset]], settings: str, people: dsl.Output[dsl.Dataset]) -> None:
    """Make one people data set of what several preprocessing tasks did.

    Args:
        parts: All parts.
        settings: PreprocessSettings as JSON.
        people: The people data set: shards and manifest.
    """
    from pathlib import Path

    from components.core.record.step import step
    from components.core.settings import PreprocessSettings

    with step("gather", settings) as this:
        from components.preprocess import gather as run

        out = Path(people.path)
        this.done(run([Path(part.path) for part in parts], out, PreprocessSettings.model_validate_json(settings),
                      this.recorder), out)
