"""Where DensePose's weights come from: published and checked by their name, or one's own."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from servers import Handler, gcs_emulator, http_server, url_of

from components.core.errors import DataError, InputError, MachineError, SettingsError
from components.core.settings import DensePoseSettings
from components.core.stores import fetching, known_weights
from components.core.stores.storage import open_location
from components.preprocess.densepose import weights as densepose_weights
from components.preprocess.densepose.weights import weights_file


class _Site(Handler):
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


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """A server that speaks as Google Cloud Storage does, with the bucket `networks`."""
    with gcs_emulator("networks") as url:
        yield url


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A web site that has one network's weights, under the name that their digest asks for."""
    monkeypatch.setenv("PHOTOSHOOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(known_weights.PLACE, raising=False)
    monkeypatch.setattr(fetching.time, "sleep", lambda _: None)
    digits = hashlib.md5(_Site.content).hexdigest()[:6]
    monkeypatch.setitem(densepose_weights.PUBLISHED, "densepose_test", f"123/model_final_{digits}.pkl")
    monkeypatch.setitem(densepose_weights.PUBLISHED, "densepose_wrong", "123/model_final_000000.pkl")
    _Site.faults, _Site.asked = [], []
    with http_server(_Site) as server:
        yield url_of(server)


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
