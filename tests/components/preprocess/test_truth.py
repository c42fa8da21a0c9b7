"""The truth about synthetic photos goes along with what preprocessing makes of them, and into nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.core.people.dataset import PeopleDataset
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess import preprocess
from components.synthesize import synthesize

_SETTINGS = PreprocessSettings(resolution=64, texel=16)


def test_truth_is_kept_beside_what_the_photo_shows(tmp_path: Path) -> None:
    camera = {"noise": 40, "blur": 0.004, "jpeg": 30}
    people = {}
    for truth in (True, False):
        drawn = SynthesizeSettings.model_validate({
            "people": 2, "photos_per_person": 2, "height": 128, "back_views": 0, "write_truth": truth,
            "camera": camera})
        synthesize(tmp_path / f"photos-{truth}", drawn, workers=1)
        preprocess(tmp_path / f"photos-{truth}", tmp_path / f"people-{truth}", _SETTINGS)
        people[truth] = PeopleDataset.open(tmp_path / f"people-{truth}")
    assert people[True].digest != people[False].digest and len(people[True]) == len(people[False]) == 4
    for known, unknown in zip(people[True], people[False], strict=True):
        assert unknown.truth is None and known.truth is not None
        for plane in ("photo", "iuv", "matte", "texture", "seen"):
            assert np.array_equal(getattr(known, plane), getattr(unknown, plane)), "sources know nothing of it"
        sure = (known.truth[..., 3] == 255) & (known.matte == 255)
        apart = np.abs(known.truth[sure][:, :3].astype(int) - known.photo[sure])
        assert 0.5 < apart.mean() < 20
        overlap = np.minimum(known.truth[..., 3], known.matte).sum() / np.maximum(known.truth[..., 3],
                                                                                  known.matte).sum(dtype=float)
        assert overlap > 0.8
