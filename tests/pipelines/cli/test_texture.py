import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.pictures.iuv import write_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess import preprocess
from components.synthesize import photos_of
from pipelines.cli.app import app


def test_a_texture_is_written_and_says_what_is_paint(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    (tmp_path / "photos" / "iuv").mkdir(parents=True)
    _, _, photo = next(photos_of(SynthesizeSettings(people=1, photos_per_person=1), 0))
    Image.fromarray(photo.rgb).save(tmp_path / "photos" / "anna.png")
    write_iuv(tmp_path / "photos" / "iuv" / "anna.png", photo.iuv)
    settings = PreprocessSettings(resolution=64, texel=16, matte="silhouette")
    preprocess(tmp_path / "photos", tmp_path / "people", settings)
    common = ["texture", "--people", str(tmp_path / "people"), "--id", "anna", "--out", str(tmp_path / "a.png"),
              "--json"]
    shares = {}
    for more in ([], ["--complete"]):
        done = CliRunner().invoke(app, [*common, *more])
        assert done.exit_code == 0, done.output
        shares[bool(more)] = json.loads(done.stdout.splitlines()[-1])
        opacity = np.asarray(Image.open(tmp_path / "a.png"))[..., 3]
        assert opacity.shape == (96, 64)
        assert (opacity == 255).mean() == pytest.approx(shares[bool(more)]["seen"])
        assert (opacity == 64).mean() == pytest.approx(shares[bool(more)]["painted"])
    assert shares[False]["painted"] == shares[False]["mirrored"] == 0 < shares[False]["seen"] == shares[True]["seen"]
    assert shares[True]["painted"] > 0 and shares[True]["layout"] == "atlas"
    np.save(tmp_path / "lookup.npy", np.random.default_rng(0).random((24, 256, 256, 2)))
    done = CliRunner().invoke(app, [*common, "--smpl-lookup", str(tmp_path / "lookup.npy"), "--size", "64"])
    assert json.loads(done.stdout.splitlines()[-1])["layout"] == "smpl"
    assert Image.open(tmp_path / "a.png").size == (64, 64)
