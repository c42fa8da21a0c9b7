import pytest

from components.preprocess.bench import photos as bench


def test_the_benchmark_measures_against_its_own_floor(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "_PHOTOS", 1)
    figures = bench.bench()
    # The ratio is the median of paired runs, the speeds are of the fastest: near each other, not equal.
    assert figures["ratio_to_floor"] == pytest.approx(figures["floor_per_s"] / figures["photos_per_s"], rel=0.5)
    assert figures["with_grabcut_per_s"] > 0
    assert capsys.readouterr().out.count("preprocess ") == 4
