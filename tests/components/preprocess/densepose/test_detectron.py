"""The real predictor on a small network of random weights; skipped without detectron2, but for what is said then."""

import importlib.util
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.core.errors import DataError, MachineError, SettingsError
from components.core.pictures.images import decode_png
from components.core.settings import DensePoseSettings, PreprocessSettings
from components.preprocess.densepose.maps import PoseFinder
from components.preprocess.photos import PhotoFolder
from components.preprocess.run import preprocess

Bring = Callable[..., Path]


@pytest.fixture(scope="module")
def random_network(tmp_path_factory: pytest.TempPathFactory) -> DensePoseSettings:
    """A small DensePose with random weights that finds "people" everywhere."""
    pytest.importorskip("detectron2", reason="detectron2 is not installed (docs/densepose.md)")
    pytest.importorskip("densepose")
    import torch
    from detectron2.modeling import build_model

    from components.preprocess.densepose.detectron import _configuration

    settings = DensePoseSettings(
        config="densepose_rcnn_R_50_FPN_s1x", device="cpu", batch=2, min_score=0.0,
        overrides=("MODEL.RESNETS.NORM", "GN", "INPUT.MIN_SIZE_TEST", 96, "INPUT.MAX_SIZE_TEST", 128,
                   "MODEL.RPN.PRE_NMS_TOPK_TEST", 50, "MODEL.RPN.POST_NMS_TOPK_TEST", 8, "TEST.DETECTIONS_PER_IMAGE", 3,
                   "MODEL.ROI_DENSEPOSE_HEAD.NUM_STACKED_CONVS", 2, "MODEL.ROI_DENSEPOSE_HEAD.CONV_HEAD_DIM", 64,
                   "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0))
    torch.manual_seed(0)
    model = build_model(_configuration(settings, "cpu")[0])
    file = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save({"model": model.state_dict()}, file)
    return settings.model_copy(update={"weights": str(file)})


def test_the_real_predictor_end_to_end(random_network: DensePoseSettings, bring: Bring, tmp_path: Path) -> None:
    folder = bring(3)
    (folder / "iuv" / "p0.png").unlink()
    (folder / "iuv" / "p2.png").unlink()
    settings = PreprocessSettings(resolution=64, texel=16, matte="silhouette", pose_maps="densepose",
                                  densepose=random_network, min_person=8, min_coverage=0.0, repeats=-1,
                                  min_sharpness=0.0)
    opened = PhotoFolder.open(folder)
    found = list(PoseFinder(opened, settings)(opened.photos))
    for number in (0, 2):
        maps = [decode_png(one.iuv) for one in found[number].detected or ()]
        assert len(maps) == 1 and maps[0].shape == (160, 128, 3)
        assert maps[0][..., 0].max() <= 24 and maps[0][..., 0].any()
        assert not maps[0][maps[0][..., 0] == 0].any()
    assert found[1].detected is None
    every = replace(opened, photos=opened.photos[:1])
    several = settings.model_copy(update={"person": "all"})
    (photo,) = PoseFinder(every, several)(every.photos)
    assert [one.id for one in photo.detected or ()][:2] == ["p0", "p0-2"]
    summary = preprocess(folder, tmp_path / "people", settings)
    assert summary.accepted + len(summary.rejected) == 3 and summary.accepted >= 1


def test_the_real_predictor_refuses_what_does_not_belong(random_network: DensePoseSettings, tmp_path: Path) -> None:
    import torch

    from components.preprocess.densepose.detectron import Detectron

    with pytest.raises(SettingsError, match="did you mean densepose_rcnn_R_50_FPN_s1x"):
        Detectron(random_network.model_copy(update={"config": "densepose_rcnn_R_50_FPN_s1"}))
    with pytest.raises(SettingsError, match="continuous surface embeddings"):
        Detectron(random_network.model_copy(update={"config": "densepose_rcnn_R_50_FPN_soft_s1x", "overrides": ()}))
    with pytest.raises(SettingsError, match="not a configuration"):
        Detectron(random_network.model_copy(update={"overrides": ("MODEL.NO_SUCH_KEY", 1)}))
    with pytest.raises(DataError, match="not the weights of this configuration"):
        Detectron(random_network.model_copy(update={"config": "densepose_rcnn_R_50_FPN_DL_s1x"}))
    (tmp_path / "torn.pth").write_bytes(Path(random_network.weights).read_bytes()[:5000])
    with pytest.raises(DataError, match="not weights of DensePose's"):
        Detectron(random_network.model_copy(update={"weights": str(tmp_path / "torn.pth")}))
    other = io.BytesIO()
    torch.save({"model": {"a": torch.zeros(1)}}, other)
    (tmp_path / "other.pth").write_bytes(other.getvalue())
    with pytest.raises(DataError, match="not the weights of this configuration"):
        Detectron(random_network.model_copy(update={"weights": str(tmp_path / "other.pth")}))


@pytest.mark.skipif(importlib.util.find_spec("detectron2") is not None, reason="detectron2 is installed")
def test_the_predictor_without_detectron2_is_a_clear_error() -> None:
    pytest.importorskip("torch")
    from components.preprocess.densepose.detectron import Detectron

    with pytest.raises(MachineError, match=r"detectron2 cannot be used .*iuv/<stem>\.png, or install detectron2"):
        Detectron(DensePoseSettings())
