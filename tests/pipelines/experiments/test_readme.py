from pathlib import Path

from pipelines.experiments.readme import DOCS, pipeline_svg
from pipelines.steps import STEPS


def test_the_readmes_picture_shows_every_step_and_is_the_one_in_docs() -> None:
    picture = pipeline_svg(STEPS)
    assert all(f">{step}</text>" in picture for step in STEPS)
    assert Path(DOCS / "pipeline.svg").read_text(encoding="utf-8") == picture
