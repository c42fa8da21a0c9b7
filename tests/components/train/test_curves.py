import json
from pathlib import Path

from components.core.artifacts.model import CURVES as FILE
from components.core.artifacts.model import CURVES_FORMAT as FORMAT
from components.train.curves import Curves


def _written(curves: Curves, folder: Path) -> dict:
    curves.write(folder)
    return json.loads((folder / FILE).read_text())


def test_curves_have_a_value_or_a_gap_for_every_step(tmp_path: Path) -> None:
    curves = Curves()
    curves.add(20, {"loss/l1": 0.5})
    curves.add(40, {"loss/l1": 0.25, "loss/gan": 1.0})
    found = _written(curves, tmp_path / "model")
    assert found == {"format": FORMAT, "steps": [20, 40], "series": {"loss/l1": [0.5, 0.25], "loss/gan": [None, 1.0]}}


def test_an_interrupted_training_goes_on_with_the_curves_of_its_checkpoint(tmp_path: Path) -> None:
    before = Curves()
    for step in (10, 20):
        before.add(step, {"loss/l1": float(step)})
    kept = json.loads(json.dumps(before.points))
    before.add(30, {"loss/l1": 30.0})  # after the checkpoint: made again
    resumed = Curves(kept)
    resumed.add(30, {"loss/l1": 7.0})
    assert _written(resumed, tmp_path / "model")["series"] == {"loss/l1": [10.0, 20.0, 7.0]}
