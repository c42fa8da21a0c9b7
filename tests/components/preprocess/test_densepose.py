import hashlib
import http.server
import importlib.util
import io
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from gcp_storage_emulator.server import create_server
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.core import known_weights
from components.core.errors import DataError, InputError, MachineError, SettingsError
from components.core.images import Pixels, decode_png
from components.core.people import PeopleDataset
from components.core.settings import DensePoseSettings, PreprocessSettings
from components.core.storage import open_location
from components.preprocess import densepose, densepose_weights
from components.preprocess.densepose import Detection, PoseFinder, paste, person_ids, pose_maps
from components.preprocess.densepose_weights import weights_file
from components.preprocess.photos import PhotoFolder
from components.preprocess.run import preprocess

Drawn = Callable[[int], tuple[np.ndarray, np.ndarray]]
Bring = Callable[..., Path]
SMALL = PreprocessSettings(resolution=64, texel=16, matte="silhouette")


def recorded(iuv: Pixels, box: tuple[int, int, int, int], score: float = 0.95) -> Detection:
    """The part of a pose map inside `box` (x, y, w, h) as detectron2 gives it: long labels, float U and V per box,
    noise beyond [0, 1] on the background, where its networks say anything."""
    x, y, width, height = box
    dice = np.random.default_rng(1)
    labels = np.zeros((height, width), np.int64)
    uv = dice.normal(0.5, 1.0, (2, height, width)).astype(np.float32)
    ys, xs = np.mgrid[y : y + height, x : x + width]
    inside = (ys >= 0) & (xs >= 0) & (ys < iuv.shape[0]) & (xs < iuv.shape[1])
    part = iuv[ys[inside], xs[inside]]
    labels[inside] = part[:, 0]
    uv[:, inside] = np.where(part[:, 0] > 0, part[:, 1:].T / 255, uv[:, inside])
    # The corner lies somewhere inside its first pixel.
    return Detection(labels, uv, (x + 0.4 * (x >= 0), y + 0.7 * (y >= 0), width + 0.2, height + 0.3), score)


class Finder:
    """A detector that answers with what was recorded for each photo, in the order it is asked for them."""

    def __init__(self, answers: Sequence[Sequence[Detection]]) -> None:
        self.answers = list(answers)
        self.batches: list[int] = []

    def prepare(self, photo: Pixels) -> Any:
        return photo.shape[:2]

    def size(self, prepared: Any) -> tuple[int, int]:
        return prepared[0], prepared[1]

    def detect(self, prepared: Sequence[Any]) -> list[list[Detection]]:
        self.batches.append(len(prepared))
        return [list(self.answers.pop(0)) for _ in prepared]


def test_a_recorded_output_becomes_the_pose_map_of_the_photo(drawn: Drawn) -> None:
    _, iuv = drawn(0)
    for box in ((28, 10, 72, 140), (0, 0, 128, 160), (-20, -15, 170, 200)):
        assert np.array_equal(paste(recorded(iuv, box), (160, 128)), iuv)


@given(st.integers(-60, 160), st.integers(-60, 190), st.integers(1, 90), st.integers(1, 90))
def test_a_box_that_overhangs_is_cut_at_the_edges(x: int, y: int, width: int, height: int) -> None:
    labels = np.full((height, width), 7, np.int64)
    out = paste(Detection(labels, np.full((2, height, width), 0.5, np.float32), (x, y, width, height), 1.0), (160, 128))
    expected = np.zeros((160, 128), bool)
    expected[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True
    assert np.array_equal(out[..., 0] == 7, expected)
    assert (out[expected] == (7, 128, 128)).all() and not out[~expected].any()


def test_u_and_v_beyond_their_range_are_clamped() -> None:
    uv = np.array([[[-0.7, 0.0, 0.25, 1.0, 3.0, np.nan]], [[2.0, 1.004, 0.5, -0.001, np.inf, 0.1]]], np.float32)
    out = paste(Detection(np.array([[1, 2, 3, 4, 5, 0]]), uv, (0, 0, 6, 1), 1.0), (1, 6))
    assert out[0].tolist() == [[1, 0, 255], [2, 0, 255], [3, 64, 128], [4, 255, 0], [5, 255, 255], [0, 0, 0]]


def test_what_is_no_chart_output_is_refused() -> None:
    with pytest.raises(DataError, match="labels from 0 to 25"):
        paste(Detection(np.array([[0, 25]]), np.zeros((2, 1, 2)), (0, 0, 2, 1), 1.0), (4, 4))
    with pytest.raises(DataError, match=r"labels \[1, 2\] with U, V \[2, 2, 2\]"):
        paste(Detection(np.array([[0, 2]]), np.zeros((2, 2, 2)), (0, 0, 2, 1), 1.0), (4, 4))


def _block(x: int, y: int, side: int, part: int, score: float = 0.9) -> Detection:
    return Detection(np.full((side, side), part), np.full((2, side, side), 0.5), (x, y, side, side), score)


def test_whom_to_take_of_several_people() -> None:
    large, middle, small, doubtful = _block(0, 0, 30, 1), _block(45, 40, 12, 2), _block(80, 80, 8, 3), \
        _block(0, 50, 50, 4, score=0.5)
    beside, nobody = _block(-200, 10, 60, 5), _block(10, 10, 20, 0)
    people = [small, nobody, middle, doubtful, beside, large]

    def taken(**settings: Any) -> list[int]:
        return [int(one[..., 0].max()) for one in pose_maps(people, (100, 100), DensePoseSettings(**settings))]

    assert taken(person="largest") == [1]
    assert taken(person="centre") == [2]
    assert taken(person="all") == [1, 2, 3]
    assert taken(person="all", min_score=0.4) == [4, 1, 2, 3]
    assert taken(min_score=0.95) == []


def test_ids_of_one_photos_people_meet_no_other_photos() -> None:
    ids = person_ids("anna", {"anna", "anna-3"})
    assert [next(ids) for _ in range(4)] == ["anna", "anna-2", "anna-4", "anna-5"]


def test_only_photos_without_a_pose_map_are_looked_at_in_batches_and_in_order(bring: Bring, drawn: Drawn) -> None:
    folder = bring(9)
    lacking = (0, 3, 4, 6, 8)
    for number in lacking:
        (folder / "iuv" / f"p{number}.png").unlink()
    (folder / "p4.png").write_bytes(b"no photo")
    finder = Finder([[recorded(drawn(number)[1], (0, 0, 128, 160))] for number in lacking if number != 4])
    settings = SMALL.model_copy(update={"densepose": DensePoseSettings(batch=2)})
    opened = PhotoFolder.open(folder)
    photos = list(PoseFinder(opened, settings, finder)(opened.photos))
    assert [photo.id for photo in photos] == [f"p{number}" for number in range(9)]
    assert finder.batches == [2, 1, 1]  # p0 and p3; p4, which is no photo, and p6; p8
    for number, photo in enumerate(photos):
        if number not in lacking or number == 4:
            assert photo.detected is None
        else:
            assert photo.detected is not None
            assert np.array_equal(decode_png(photo.detected[0].iuv), drawn(number)[1])


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Sequence[Detection]]], Finder]:
    """Put a detector with recorded answers where preprocess would load detectron2."""

    def place(answers: Sequence[Sequence[Detection]]) -> Finder:
        finder = Finder(answers)
        monkeypatch.setattr(densepose, "installed", lambda: True)
        monkeypatch.setattr(PoseFinder, "_ready", lambda self: finder)
        return finder

    return place


def test_detected_people_are_as_good_as_brought_ones(
        bring: Bring, drawn: Drawn, tmp_path: Path, answering: Callable[..., Finder]) -> None:
    preprocess(bring(3), tmp_path / "brought", SMALL)
    bare = bring(3, "bare")
    for path in (bare / "iuv").iterdir():
        path.unlink()
    answering([[recorded(drawn(number)[1], (20, 5, 100, 150))] for number in range(3)])
    preprocess(bare, tmp_path / "detected", SMALL)
    brought, detected = PeopleDataset.open(tmp_path / "brought"), PeopleDataset.open(tmp_path / "detected")
    assert [person.id for person in brought.records] == [person.id for person in detected.records]
    for number in range(3):
        for kind in ("photo", "iuv", "matte", "texture", "seen"):
            assert np.array_equal(getattr(brought[number], kind), getattr(detected[number], kind)), kind


def test_several_people_of_one_photo_are_several_rows(
        tmp_path: Path, drawn: Drawn, answering: Callable[..., Finder]) -> None:
    photo, iuv = drawn(0)
    folder = tmp_path / "group"
    folder.mkdir()
    Image.fromarray(np.concatenate([photo, drawn(5)[0]], axis=1)).save(folder / "two.png")
    Image.fromarray(photo).save(folder / "two-2.png")
    Image.fromarray(np.full_like(photo, 90)).save(folder / "wall.png")
    (folder / "labels.csv").write_text("photo,identity\ntwo.png,anna\ntwo-2.png,bea\n")
    wide = np.concatenate([iuv, np.zeros_like(iuv)], axis=1), np.concatenate([np.zeros_like(iuv), iuv], axis=1)
    second = wide[1].copy()
    second[150:] = 0
    second[90:, 128:] = 0  # the second shows less of the body
    # In order of name: two-2.png, two.png, wall.png.
    answering([[recorded(iuv, (0, 0, 128, 160))],
               [recorded(second, (150, 0, 110, 170)), recorded(wide[0], (0, 0, 130, 160)), _block(250, 150, 6, 2)],
               []])
    settings = SMALL.model_copy(update={"densepose": DensePoseSettings(person="all"), "repeats": -1})
    summary = preprocess(folder, tmp_path / "people", settings)
    people = PeopleDataset.open(tmp_path / "people")
    assert [(record.id, record.photo, record.label) for record in people.records] == [
        ("two-2", "two-2.png", "bea"), ("two", "two.png", None), ("two-3", "two.png", None)]
    assert people.records[1].photo_digest == people.records[2].photo_digest
    assert people.records[1].inputs_digest != people.records[2].inputs_digest
    assert people.records[1].coverage > people.records[2].coverage > 0
    reasons = [(one["photo"], one["reason"].partition(" --")[0]) for one in summary.rejected]
    assert reasons == [("two.png", "two-4: the person is only 6 pixels at the smaller side"),
                       ("wall.png", "DensePose found nobody with a score of at least 0.8")]


def test_without_detectron2_both_ways_out_are_named(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densepose, "installed", lambda: False)
    folder = bring(2)
    (folder / "iuv" / "p0.png").unlink()
    opened = PhotoFolder.open(folder)
    assert list(PoseFinder(opened, SMALL)(opened.photos)) == opened.photos
    (folder / "iuv" / "p1.png").unlink()
    with pytest.raises(InputError, match=r"detectron2 is not installed -- bring pose maps as iuv/.*docs/densepose\.md"):
        PoseFinder(PhotoFolder.open(folder), SMALL)


def test_photos_that_all_have_pose_maps_never_need_it(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densepose, "installed", lambda: True)
    opened = PhotoFolder.open(bring(3))
    assert list(PoseFinder(opened, SMALL)(opened.photos)) == opened.photos  # loading would fail without detectron2


# Weights.


class _Site(http.server.BaseHTTPRequestHandler):
    content = b"weights " * 1000
    faults: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        fault = self.faults.pop(0) if self.faults else ""
        self.send_response(int(fault) if fault.isdigit() else 200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: 100 if fault == "cut" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """A server that speaks as Google Cloud Storage does, with the bucket `networks`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="networks")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A web site that has one network's weights, under the name that their digest asks for."""
    monkeypatch.setenv("PHOTOSHOOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(known_weights.PLACE, raising=False)
    monkeypatch.setattr(known_weights.time, "sleep", lambda _: None)
    digits = hashlib.md5(_Site.content).hexdigest()[:6]
    monkeypatch.setitem(densepose_weights.PUBLISHED, "densepose_test", f"123/model_final_{digits}.pkl")
    monkeypatch.setitem(densepose_weights.PUBLISHED, "densepose_wrong", "123/model_final_000000.pkl")
    _Site.faults, _Site.asked = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_published_weights_are_fetched_once_and_checked(site: str, tmp_path: Path) -> None:
    config = Path("configs/densepose_test.yaml")
    path = weights_file(DensePoseSettings(), config, site)
    assert path.read_bytes() == _Site.content and tmp_path in path.parents
    assert weights_file(DensePoseSettings(weights="densepose_test"), Path("other.yaml"), site) == path
    assert len(_Site.asked) == 1 and _Site.asked[0].startswith("/densepose_test/123/model_final_")
    whole = hashlib.sha256(_Site.content).hexdigest()
    assert weights_file(DensePoseSettings(sha256=whole), config, site) == path
    with pytest.raises(DataError, match="sha256"):
        weights_file(DensePoseSettings(sha256="0" * 64), config, site)
    with pytest.raises(DataError, match=r"MD5 is .* model_final_000000\.pkl has 000000"):
        weights_file(DensePoseSettings(weights="densepose_wrong"), config, site)
    assert [one.name for one in path.parent.iterdir()] == [path.name]  # the wrong ones left nothing


def test_a_fetch_that_fails_is_tried_again_and_leaves_nothing_half(site: str, tmp_path: Path) -> None:
    _Site.faults = ["503", "cut"]
    path = weights_file(DensePoseSettings(weights="densepose_test"), Path("a.yaml"), site)
    assert path.read_bytes() == _Site.content and len(_Site.asked) == 3
    path.unlink()
    for faults in (["404"], ["cut", "cut", "cut"]):
        _Site.faults = list(faults)
        with pytest.raises(MachineError, match=r"cannot be fetched .*into a folder"):
            weights_file(DensePoseSettings(weights="densepose_test"), Path("a.yaml"), site)
        assert not list(path.parent.iterdir())


def test_published_weights_lie_in_a_folder_or_bucket_of_ones_own(site: str, tmp_path: Path, emulator: str,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    name = Path(densepose_weights.PUBLISHED["densepose_test"]).name
    settings, config = DensePoseSettings(weights="densepose_test"), Path("a.yaml")
    monkeypatch.setenv(known_weights.PLACE, str(tmp_path))
    with pytest.raises(InputError, match=f"no such weights.*unset {known_weights.PLACE}"):
        weights_file(settings, config, site)
    (tmp_path / name).write_bytes(_Site.content)
    assert weights_file(settings, config, site) == tmp_path / name
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    monkeypatch.setenv(known_weights.PLACE, "gs://networks/densepose")
    there = open_location("gs://networks/densepose")
    there.write_bytes(name, b"others")
    with pytest.raises(DataError, match="MD5"):
        weights_file(settings, config, site)
    there.write_bytes(name, _Site.content)
    path = weights_file(settings, config, site)
    assert path.read_bytes() == _Site.content and tmp_path / "cache" in path.parents
    assert not _Site.asked


def test_weights_by_address(tmp_path: Path, emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    monkeypatch.setenv(known_weights.CACHE, str(tmp_path))
    settings = DensePoseSettings(weights="gs://networks/mine/a.pkl")
    there = open_location("gs://networks/mine")
    with pytest.raises(InputError, match=r"no file a\.pkl"):
        weights_file(settings, Path("a.yaml"))
    for content in (b"first", b"replaced"):
        there.write_bytes("a.pkl", content)
        assert weights_file(settings, Path("a.yaml")).read_bytes() == content


def test_weights_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    with pytest.raises(InputError, match="no such weights"):
        weights_file(DensePoseSettings(weights=str(file)), Path("a.yaml"))
    file.write_bytes(b"1")
    assert weights_file(DensePoseSettings(weights=str(file)), Path("a.yaml")) == file
    with pytest.raises(SettingsError, match="no published weights for the configuration mine"):
        weights_file(DensePoseSettings(), Path("mine.yaml"))


# The real thing.


@pytest.fixture(scope="module")
def random_network(tmp_path_factory: pytest.TempPathFactory) -> DensePoseSettings:
    """A small DensePose with random weights that finds "people" everywhere."""
    pytest.importorskip("detectron2", reason="detectron2 is not installed (docs/densepose.md)")
    pytest.importorskip("densepose")
    import torch
    from detectron2.modeling import build_model

    from components.preprocess.detectron import _configuration

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
    settings = SMALL.model_copy(update={"densepose": random_network, "min_person": 8, "min_coverage": 0.0,
                                        "repeats": -1, "min_sharpness": 0.0})
    opened = PhotoFolder.open(folder)
    found = list(PoseFinder(opened, settings)(opened.photos))
    for number in (0, 2):
        maps = [decode_png(one.iuv) for one in found[number].detected or ()]
        assert len(maps) == 1 and maps[0].shape == (160, 128, 3)
        assert maps[0][..., 0].max() <= 24 and maps[0][..., 0].any()
        assert not maps[0][maps[0][..., 0] == 0].any()
    assert found[1].detected is None
    every = replace(opened, photos=opened.photos[:1])
    several = settings.model_copy(update={"densepose": random_network.model_copy(update={"person": "all"})})
    (photo,) = PoseFinder(every, several)(every.photos)
    assert [one.id for one in photo.detected or ()][:2] == ["p0", "p0-2"]
    summary = preprocess(folder, tmp_path / "people", settings)
    assert summary.accepted + len(summary.rejected) == 3 and summary.accepted >= 1


def test_the_real_predictor_refuses_what_does_not_belong(random_network: DensePoseSettings, tmp_path: Path) -> None:
    import torch

    from components.preprocess.detectron import Detectron

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
    from components.preprocess.detectron import Detectron

    with pytest.raises(MachineError, match=r"detectron2 cannot be used .*iuv/<stem>\.png, or install detectron2"):
        Detectron(DensePoseSettings())
