import pytest
from networks import needs_weights

from components.core.stores.published import GROUPS
from pipelines.bench import estimation


def test_pose_maps_and_mattes_are_measured_beside_grabcut(monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    needs_weights(*GROUPS["landmarks"])
    monkeypatch.setattr(estimation, "_PEOPLE", 1)
    monkeypatch.setattr(estimation, "_HEIGHT", 384)
    figures = estimation.bench()
    assert {"map_ms", "matte_ms", "grabcut_ms"} <= figures.keys() and min(figures.values()) > 0
    assert capsys.readouterr().out.count("estimation ") == len(figures)
