from pathlib import Path

import pytest

from components.core.artifacts.loss_weights import FILE, TunedWeights, read_weights, write_weights
from components.core.errors import DataError, InputError
from components.core.settings import LossWeights
from components.register.run import study_tags

FOUND = TunedWeights({"l1": 2.0, "face": 3.0}, "weights-1", 7, 0.5, "run")


def test_found_weights_come_back_and_go_over_the_settings(tmp_path: Path) -> None:
    write_weights(tmp_path, FOUND)
    assert read_weights(tmp_path) == FOUND
    over = FOUND.over(LossWeights(matte=9.0))
    assert (over.l1, over.face, over.matte) == (2.0, 3.0, 9.0)


def test_a_version_says_which_study_its_weights_come_from(tmp_path: Path) -> None:
    assert study_tags(tmp_path) == {}
    write_weights(tmp_path, FOUND)
    assert study_tags(tmp_path) == {"study": "weights-1", "study.trial": "7"}


def test_weights_that_are_missing_torn_or_of_another_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no loss weights here"):
        read_weights(tmp_path)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_weights(tmp_path)
    (tmp_path / FILE).write_text('{"format": "photoshoot.loss-weights/0"}')
    with pytest.raises(DataError, match=r"format photoshoot\.loss-weights/0"):
        read_weights(tmp_path)
