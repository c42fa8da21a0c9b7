"""KFP component: the last word of a run, however it ended."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", packages_to_install=[], install_kfp_package=False)
def finish(status: dsl.PipelineTaskFinalStatus, name: str, run: str) -> None:
    """Close the MLflow run and tell the webhook, where the environment names them.

    Args:
        status: How what came before ended.
        name: The run's name.
        run: The run's id.
    """
    from components.finish import finish as last_word

    last_word({"state": status.state, "error_message": status.error_message}, name, run)
