"""Pose maps of real people from landmarks, against a detector's; skipped where photos or networks are absent."""

import numpy as np
import pytest
from networks import needs_weights

from components.core.estimation.estimate import estimate_people
from components.core.stores.published import GROUPS
from pipelines.experiments.maps import compared, medians


def test_pose_maps_agree_with_a_detectors(shared_data):
    pytest.importorskip("ai_edge_litert")
    needs_weights(*GROUPS["landmarks"])
    rows = list(compared(shared_data / "people", lambda photo: [one.iuv for one in estimate_people(photo)]))
    assert len(rows) == 20
    assert all(row.agreement is not None and row.agreement.same_side for row in rows)
    middle = medians(rows)
    # Measured: .903, .858, .038, .042, .818.
    assert middle["foreground"] > 0.89 and middle["parts"] > 0.845
    assert middle["u"] < 0.045 and middle["v"] < 0.047
    assert middle["heads"] > 0.79 and np.isfinite(list(middle.values())).all()
