"""What a writer of an artifact wrote its reader reads; what is missing, torn or of another format is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.core.artifacts import comparison, evaluation, model, study, version
from components.core.errors import DataError, InputError

PAIRED = {who: {"value": 0.5} for who in ("champion", "challenger", "gain")}
Case = tuple[Callable[[Path, Any], None], Callable[[Path], Any], Any, str]
CASES: dict[str, Case] = {
    "evaluation": (evaluation.write_metrics, evaluation.read_metrics, {"metrics": {}}, evaluation.METRICS),
    "comparison": (comparison.write_comparison, comparison.read_comparison, {"status": "none"},
                   comparison.COMPARISON),
    "study": (study.write_study, study.read_study, "weights-1", study.CARD),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_what_was_written_is_read(case: Case, tmp_path: Path) -> None:
    write, read, content, _ = case
    write(tmp_path, content)
    found = read(tmp_path)
    assert found == content or found.items() > content.items()


def test_what_is_missing_torn_or_of_another_format_is_named(case: Case, tmp_path: Path) -> None:
    write, read, content, name = case
    with pytest.raises(InputError, match="no ") as missing:
        read(tmp_path)
    assert name in str(missing.value)
    write(tmp_path, content)
    whole = (tmp_path / name).read_text()
    for harm in (whole[: len(whole) // 2], "[]", "7"):
        (tmp_path / name).write_text(harm)
        with pytest.raises(DataError, match=r"damaged|format") as torn:
            read(tmp_path)
        assert name in str(torn.value)
    (tmp_path / name).write_text(json.dumps(json.loads(whole) | {"format": "photoshoot.other/9"}))
    with pytest.raises(DataError, match=r"photoshoot\.other/9, expected photoshoot"):
        read(tmp_path)


def test_figures_that_json_does_not_have_are_refused(tmp_path: Path) -> None:
    for write in (evaluation.write_metrics, comparison.write_comparison):
        with pytest.raises(ValueError, match="JSON"):
            write(tmp_path, {"value": float("nan")})


def test_a_comparison_of_version_0_1_is_read_and_written_anew(tmp_path: Path) -> None:
    former = {"format": "photoshoot.duel/1", "status": "compared", "figures": {"ssim": PAIRED}}
    (tmp_path / "duel.json").write_text(json.dumps(former))
    found = comparison.read_comparison(tmp_path)
    assert found == {"format": comparison.FORMAT, "status": "compared", "metrics": {"ssim": PAIRED}}
    comparison.write_comparison(tmp_path, found | {"status": "none"})
    assert comparison.read_comparison(tmp_path)["status"] == "none"
    (tmp_path / comparison.COMPARISON).unlink()
    (tmp_path / "duel.json").write_text('{"format": "photoshoot.duel/2"}')
    with pytest.raises(DataError, match=r"format photoshoot\.duel/2"):
        comparison.read_comparison(tmp_path)


def test_columns_of_pictures_of_version_0_1_have_their_names_of_today(tmp_path: Path) -> None:
    (tmp_path / evaluation.SAMPLES).mkdir()
    rows = [{"file": "a.png", "caption": "a"}]
    evaluation.write_samples(tmp_path / evaluation.SAMPLES, ("output", "plain warp"), 2, rows)
    assert evaluation.read_samples(tmp_path) == {
        "columns": ["output", "texture warp"], "gap": 2, "rows": rows}


def test_pairs_are_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no evaluation here"):
        evaluation.read_pairs(tmp_path)
    pair = {"kind": "transfer", "identity": "anna", "target": "c"}
    lines: list[dict[str, Any]] = [{**pair, "source": "a", "ssim": 0.5}, {**pair, "source": "b", "ssim": None}]
    evaluation.write_pairs(tmp_path, lines)
    assert evaluation.read_pairs(tmp_path) == lines
    path = tmp_path / evaluation.PAIRS
    path.write_text(path.read_text()[:-5])
    with pytest.raises(DataError, match="damaged evaluation"):
        evaluation.read_pairs(tmp_path)


def test_curves_and_card_of_a_model_that_has_none_or_torn_ones_are_none(tmp_path: Path) -> None:
    for name, read in ((model.CURVES, model.read_curves), (model.CARD, model.read_card)):
        assert read(tmp_path) is None
        (tmp_path / name).write_text('{"format": "photo')
        assert read(tmp_path) is None
    model.write_curves(tmp_path, [10, 20], {"loss/l1": [0.5, None]})
    assert model.read_curves(tmp_path) == {"format": model.CURVES_FORMAT, "steps": [10, 20],
                                           "series": {"loss/l1": [0.5, None]}}


def test_a_version_says_what_it_was_trained_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not say"):
        version.trained_on(tmp_path)
    files = version.write_files(tmp_path, {}, version.lineage("p", "i", {"b", "a"}), {"source_photo": b"png"})
    assert set(files) == {"preprocess", "lineage", "example"} and version.trained_on(tmp_path) == {"a", "b"}
    assert (Path(files["example"]) / "source_photo.png").read_bytes() == b"png"
