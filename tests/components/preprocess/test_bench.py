import pytest

from components.preprocess import bench


def test_the_benchmark_measures_against_its_own_floor(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "_PHOTOS", 1)
    figures = bench.bench()
    assert figures["ratio_to_floor"] == pytest.approx(figures["floor_per_s"] / figures["photos_per_s"])
    assert figures["ratio_to_floor"] > 1 and figures["with_grabcut_per_s"] < figures["floor_per_s"]
    assert capsys.readouterr().out.count("preprocess ") == 4
