"""The table of a face's places, made from faces whose pose maps are known."""

from pathlib import Path

import numpy as np
import pytest

from components.core.body.charts import head_chart
from components.core.fitting.head_points import CHIN, NOSE_TIP, head_points
from pipelines.pretraining.tables.head_points import main, make_table, symmetric_face


def head_turned_by(degrees: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    return np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])


def photo(azimuth: float, elevation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A face of the shipped table, noisy, and a map that puts its points into places shifted by so many radians."""
    table, rng = head_points(), np.random.default_rng(seed)
    points = 900 * table.points @ head_turned_by(rng.uniform(-25, 25)).T + [200, -200, 0]
    face = points + rng.normal(0, 0.05, points.shape)
    outward = np.where(table.azimuth < 0, -1, 1)
    part, u, v = head_chart(table.azimuth + azimuth * outward, table.elevation + elevation)
    planes = np.zeros((400, 400, 3), np.uint8)
    planes[(-face[:, 1]).astype(int), face[:, 0].astype(int)] = np.stack([part, u * 255, v * 255], 1).round()
    return face, planes


def test_table_is_found_again_and_lies_between_the_two_kinds_of_maps():
    shipped = head_points()
    real, exact = ([photo(0, shift, seed) for seed in seeds] for shift, seeds in ((0, (1, 2, 3)), (-0.1, (4, 5, 6))))
    table = make_table(real, exact)
    assert (table.mirror == shipped.mirror).all()
    assert np.median(np.abs(table.azimuth - shipped.azimuth)) < 0.03
    lower = np.median(shipped.elevation - table.elevation)
    assert 0.01 < lower < 0.06
    size = [np.ptp(one.points[[CHIN, NOSE_TIP], 1]) for one in (table, shipped)]
    assert size[0] == pytest.approx(size[1], rel=0.08)


def test_crooked_face_becomes_symmetric_and_every_point_has_its_counterpart():
    shipped = head_points()
    crooked = shipped.points @ head_turned_by(20).T + np.random.default_rng(0).normal(0, 0.00003, (468, 3))
    face, mirror = symmetric_face(crooked.astype(np.float64))
    assert (mirror == shipped.mirror).all()
    assert np.allclose(face, face[mirror] * [-1, 1, 1])
    assert face[NOSE_TIP, 2] > face[CHIN, 2]


def test_folders_without_faces_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    where = str(tmp_path)
    assert main(["--real", where, where, "--synthetic", where, where, "--out", str(tmp_path / "t.npz")]) != 0
    assert "name other folders" in capsys.readouterr().err and not (tmp_path / "t.npz").exists()
