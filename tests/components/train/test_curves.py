import json
from pathlib import Path

from components.train.curves import FILE, FORMAT, Curves


def _written(curves: Curves, folder: Path) -> dict:
    curves.write(folder)
    return json.loads((folder / FILE).read_text())


def test_curves_have_a_value_or_a_gap_for_every_step(tmp_path: Path) -> None:
    curves = Curves(tmp_path, 0)
    curves.add(20, {"loss/l1": 0.5})
    curves.add(40, {"loss/l1": 0.25, "loss/gan": 1.0})
    found = _written(curves, tmp_path / "model")
    assert found == {"format": FORMAT, "steps": [20, 40], "series": {"loss/l1": [0.5, 0.25], "loss/gan": [None, 1.0]}}


def test_an_interrupted_training_keeps_its_curves_but_not_the_steps_it_makes_again(tmp_path: Path) -> None:
    before = Curves(tmp_path, 0)
    for step in (10, 20, 30):
        before.add(step, {"loss/l1": float(step)})
    resumed = Curves(tmp_path, 20)  # the last checkpoint was after step 20
    resumed.add(30, {"loss/l1": 7.0})
    assert _written(resumed, tmp_path / "model")["series"] == {"loss/l1": [10.0, 20.0, 7.0]}
    again = Curves(tmp_path, 30)
    assert _written(again, tmp_path / "model")["steps"] == [10, 20, 30]


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    Curves(tmp_path, 0).add(10, {"loss/l1": 1.0})
    notes = next(tmp_path.glob("*.jsonl"))
    notes.write_text(notes.read_text() + '{"step": 20, "val')
    assert _written(Curves(tmp_path, 20), tmp_path / "model")["steps"] == [10]
