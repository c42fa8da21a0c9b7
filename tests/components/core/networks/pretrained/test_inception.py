"""Inception's features: the published layout, clean resizing, weights by name."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from servers import http_server, url_of

from components.core.errors import DataError, InputError, MachineError, SettingsError
from components.core.networks.pretrained.features import INCEPTION, Features
from components.core.networks.pretrained.inception import Inception, resized_cleanly
from components.core.stores import known_weights as room
from components.core.stores.known_weights import KNOWN, KnownWeights, known_weights


def small(url: str = "", content: bytes = b"weights") -> KnownWeights:
    return KnownWeights("small.pth", hashlib.sha256(content).hexdigest(), url, "none")


@pytest.fixture
def server(tmp_path: Path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "small.pth").write_bytes(b"weights")
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http_server(partial(quiet, directory=str(folder))) as httpd:
        yield f"{url_of(httpd)}/small.pth", folder


def test_the_layout_is_the_published_one() -> None:
    network = Inception()
    state = network.state_dict()
    assert len(state) == 566 and sum(value.numel() for value in network.parameters()) == 23_850_960
    assert state["Mixed_6c.branch7x7dbl_4.conv.weight"].shape == (160, 160, 7, 1)
    assert state["Mixed_7c.branch3x3dbl_3b.bn.running_var"].shape == (384,)
    assert state["fc.weight"].shape == (1008, 2048)


def test_a_file_in_the_folder_becomes_features_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    path = tmp_path / KNOWN[INCEPTION].file
    torch.save(Inception().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(KNOWN, INCEPTION, KnownWeights(path.name, digest, "https://example.invalid", "none"))
    monkeypatch.setenv(room.PLACE, str(tmp_path))
    features = Features("inception")
    assert (features.name, features.dim, features.kernel_scale) == (INCEPTION, 2048, 1.0)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    together = features(pictures)
    assert together.shape == (2, 2048) and together.isfinite().all() and not together.requires_grad
    torch.testing.assert_close(features(pictures[1:]), together[1:], rtol=1e-3, atol=1e-5)


def test_resizing_agrees_with_pillows_in_float() -> None:
    picture = np.random.default_rng(0).uniform(-1, 1, (40, 40, 3)).astype(np.float32)
    for side in (40, 700):
        source = np.kron(picture, np.ones((side // 40, side // 40, 1), np.float32)) if side > 299 else picture
        theirs = np.stack([np.asarray(Image.fromarray(source[..., k]).resize((299, 299), Image.Resampling.BICUBIC))
                           for k in range(3)])
        ours = resized_cleanly(torch.from_numpy(source).permute(2, 0, 1)[None])[0].numpy()
        assert np.abs(ours - theirs.clip(-1, 1)).max() < 2e-3


def test_weights_are_fetched_once_and_kept(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    monkeypatch.delenv(room.PLACE, raising=False)
    monkeypatch.setenv(room.CACHE, str(tmp_path / "cache"))
    monkeypatch.setitem(KNOWN, "small", small(url))
    path = known_weights("small")
    assert path.read_bytes() == b"weights" and path.is_relative_to(tmp_path / "cache")
    (folder / "small.pth").unlink()
    assert known_weights("small") == path


def test_a_wrong_digest_is_refused_and_leaves_nothing(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    monkeypatch.delenv(room.PLACE, raising=False)
    monkeypatch.setenv(room.CACHE, str(tmp_path / "cache"))
    monkeypatch.setitem(KNOWN, "small", small(url, b"other weights"))
    with pytest.raises(DataError, match="sha256 is"):
        known_weights("small")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    (folder / "small.pth").unlink()
    with pytest.raises(MachineError, match="cannot be fetched"):
        known_weights("small")


def test_a_folder_without_the_file_and_an_unknown_name_are_refused(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(room.PLACE, str(tmp_path))
    with pytest.raises(InputError, match=r"pt_inception-2015-12-05-6726825d\.pth"):
        Features("inception")
    with pytest.raises(SettingsError, match="unknown weights inceptoin"):
        known_weights("inceptoin")
