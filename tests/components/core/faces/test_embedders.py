import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.core.errors import DataError, InputError, MachineError, SettingsError
from components.core.faces.embedders import embedder_from_file
from components.core.faces.head import CANONICAL_FACE, CHIP
from components.core.faces.recognition import load_embedder
from components.core.networks.pretrained.inception_resnet import InceptionResnetV1, load_vggface2
from components.core.settings import ClusterSettings, Settings
from components.core.stores import known_weights as known_module


class Cells(nn.Module):
    """Mean colours of a grid of 4 x 4 cells."""

    def forward(self, faces: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(faces, 28).flatten(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as TorchScript and as ONNX, for 112 px faces."""
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("networks")
    torch.jit.trace(Cells(), torch.zeros(2, 3, 112, 112)).save(str(folder / "net.pt"))  # type: ignore[no-untyped-call]
    nodes = [helper.make_node("AveragePool", ["faces"], ["cells"], kernel_shape=[28, 28], strides=[28, 28]),
             helper.make_node("Flatten", ["cells"], ["vectors"], axis=1)]
    for name, batch in (("net.onnx", "n"), ("one.onnx", 1)):
        graph = helper.make_graph(
            nodes, "cells", [helper.make_tensor_value_info("faces", TensorProto.FLOAT, [batch, 3, 112, 112])],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [batch, 48])])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / name)
    return folder


def faces() -> Tensor:
    return torch.rand(3, 3, CHIP, CHIP, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", ["net.pt", "net.onnx", "one.onnx"])
def test_a_network_from_a_file(files: Path, name: str) -> None:
    embedder = load_embedder(str(files / name))
    assert embedder.dim == 48 and embedder.size == CHIP and embedder.name.startswith(f"{name}@")
    vectors = embedder(faces())
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors, load_embedder(str(files / "net.pt"))(faces()), atol=1e-5, rtol=1e-4)


def test_the_card_says_how_faces_are_given(files: Path, tmp_path: Path) -> None:
    for name in ("plain", "carded"):
        (tmp_path / f"{name}.pt").write_bytes((files / "net.pt").read_bytes())
    (tmp_path / "carded.json").write_text(json.dumps(
        {"channels": "BGR", "mean": [0, 0, 0], "std": 255, "same_person": 0.8, "strangers": 1.3}))
    plain, carded = (embedder_from_file(str(tmp_path / f"{name}.pt")) for name in ("plain", "carded"))
    assert (plain.same_person_distance, carded.same_person_distance, carded.strangers.mean) == (1.0, 0.8, 1.3)
    theirs, ours = plain.raw(faces()).reshape(3, 3, 16), carded.raw(faces()).reshape(3, 3, 16)
    torch.testing.assert_close(ours, theirs.flip(1) / 2 + 0.5, atol=1e-4, rtol=1e-4)


def test_arcface_alignment_puts_the_eyes_where_arcface_has_them(tmp_path: Path) -> None:
    class Whole(nn.Module):
        def forward(self, faces: Tensor) -> Tensor:
            return faces.flatten(1)

    torch.jit.trace(Whole(), torch.zeros(2, 3, 112, 112)).save(str(tmp_path / "whole.pt"))  # type: ignore[no-untyped-call]
    chip = torch.full((1, 3, CHIP, CHIP), -1.0)
    for x, y in CANONICAL_FACE * CHIP:  # a spot on each landmark
        chip[..., round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 1.0
    seen = embedder_from_file(str(tmp_path / "whole.pt")).raw(chip).reshape(3, 112, 112)[0]
    for x, y in ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)):
        assert seen[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].max() > 0.5, (x, y)


def test_files_that_are_no_networks(files: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_embedder(str(tmp_path / "nothing.onnx"))
    for name in ("bad.onnx", "bad.pt"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(DataError, match="not a"):
            load_embedder(str(tmp_path / name))
    (tmp_path / "net.onnx").write_bytes((files / "net.onnx").read_bytes())
    for card, reason in (('{"size": 96}', "not a 96 px face"), ('{"sizes": 96}', "sizes"), ("{", "not JSON")):
        (tmp_path / "net.json").write_text(card)
        with pytest.raises(DataError, match=reason):
            load_embedder(str(tmp_path / "net.onnx"))


def test_without_onnxruntime_the_error_says_what_to_install(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MachineError, match="onnx"):
        load_embedder(str(files / "net.onnx"))


def test_settings_know_names_and_files() -> None:
    assert ClusterSettings(embedder="some/net.onnx").embedder == "some/net.onnx"
    assert ClusterSettings(embedder="gs://bucket/net.pt").embedder == "gs://bucket/net.pt"
    with pytest.raises(SettingsError, match=r"cluster.embedder = 'facenet'.*vggface2.*\.onnx"):
        Settings().with_changes(["cluster.embedder=facenet"])


def test_vggface2_has_the_published_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = InceptionResnetV1()
    names = set(network.state_dict())
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_482_624
    assert {"conv2d_1a.conv.weight", "conv2d_4b.bn.running_var", "repeat_1.4.branch2.2.conv.weight",
            "repeat_2.9.conv2d.bias", "mixed_6a.branch1.2.bn.weight", "mixed_7a.branch2.2.conv.weight",
            "repeat_3.0.branch1.1.conv.weight", "block8.conv2d.weight", "last_linear.weight",
            "last_bn.running_mean"} <= names
    assert network.state_dict()["repeat_2.0.branch1.1.conv.weight"].shape == (128, 128, 1, 7)
    published = {**network.state_dict(), "logits.weight": torch.zeros(2, 512), "logits.bias": torch.zeros(2)}
    torch.save(published, tmp_path / "20180402-114759-vggface2.pt")
    loaded = load_vggface2(tmp_path / "20180402-114759-vggface2.pt")
    with torch.inference_mode():
        assert loaded(torch.zeros(1, 3, 160, 160)).shape == (1, 512)
    # By name it counts only with the published digest.
    monkeypatch.setenv(known_module.PLACE, str(tmp_path))
    with pytest.raises(DataError, match="sha256"):
        load_embedder("vggface2")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="InceptionResnetV1"):
        load_vggface2(tmp_path / "other.pt")


def test_the_two_builtin_networks_side_by_side() -> None:
    one, other, both = (load_embedder(name) for name in ("builtin", "builtin-judge", "builtin-both"))
    chips = torch.nn.functional.interpolate(faces()[:, :, ::10, ::10], (CHIP, CHIP), mode="bilinear")
    vectors = both(chips)
    assert vectors.shape == (3, one.dim + other.dim) == (3, both.dim)
    halves = vectors.split([one.dim, other.dim], dim=1)
    np.testing.assert_allclose(halves[0].norm(dim=1), np.sqrt(0.5), rtol=1e-5)
