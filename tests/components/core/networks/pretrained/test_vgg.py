import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from components.core.errors import DataError, InputError
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.networks.pretrained.vgg import Vgg, VggName, load_vgg
from components.core.stores import known_weights as room
from components.core.stores.known_weights import KNOWN

LAYERS: dict[VggName, list[int]] = {"vgg16": [64, 128, 256, 512], "vgg19": [64, 128, 256, 512, 512]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights as torchvision published its own: in torch's older format, with layers that are not used."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(LAYERS):
        torch.manual_seed(seed)
        unused = {"features.40.weight": torch.zeros(2), "classifier.0.weight": torch.zeros(2)}
        torch.save(Vgg(name).state_dict() | unused, folder / KNOWN[name].file, _use_new_zipfile_serialization=False)
    return folder


@pytest.fixture
def published(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files stand for the published ones."""
    for name in LAYERS:
        digest = hashlib.sha256((files / KNOWN[name].file).read_bytes()).hexdigest()
        monkeypatch.setitem(KNOWN, name, replace(KNOWN[name], sha256=digest))
    monkeypatch.setenv(room.PLACE, str(files))
    return files


def pictures(seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 2, 3, 8, 8, generator=draw) * 2 - 1
    one, other = (functional.interpolate(part, (32, 32), mode="bilinear") for part in coarse)
    return one, other


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_those_of_the_published_architecture(name: VggName) -> None:
    network = Vgg(name)
    shapes = [list(layer.shape) for layer in network(torch.zeros(1, 3, 48, 32))]
    assert shapes == [[1, width, 48 >> at, 32 >> at] for at, width in enumerate(LAYERS[name])]
    assert network.layer_weights.sum().item() == pytest.approx(1)
    # torchvision's numbers of the convolutions, up to the last layer that is compared.
    numbers = [int(key.split(".")[1]) for key in network.state_dict() if key.endswith("weight")]
    assert numbers == ([0, 2, 5, 7, 10, 12, 14, 17, 19, 21] if name == "vgg16" else
                       [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28])


def test_relu1_and_relu2_of_pixels_that_are_normalised_as_imagenet_s(files: Path) -> None:
    tensors = torch.load(files / KNOWN["vgg16"].file, weights_only=True)
    images, _ = pictures()
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x, layers = ((images + 1) / 2 - mean) / std, []
    for number in (0, 2, 5, 7):
        x = functional.max_pool2d(x, 2) if number == 5 else x
        x = functional.conv2d(x, tensors[f"features.{number}.weight"], tensors[f"features.{number}.bias"], padding=1)
        layers.append(x := functional.relu(x))
    found = load_vgg("vgg16", files / KNOWN["vgg16"].file)(images)
    torch.testing.assert_close(found[0], layers[1])
    torch.testing.assert_close(found[1], layers[3])


@pytest.mark.parametrize("name", LAYERS)
def test_by_name_it_is_a_distance_with_a_gradient_inside_the_mask(published: Path, name: str) -> None:
    distance = PerceptualDistance(name)
    assert distance.name == name and not any(weight.requires_grad for weight in distance.parameters())
    one, other = pictures()
    assert distance(one, one).abs().max().item() == pytest.approx(0, abs=1e-6)
    apart = distance(one, other)
    assert apart.shape == (2,) and (apart > 1e-3).all() and (apart < 2).all()
    torch.testing.assert_close(distance(other, one), apart)
    torch.testing.assert_close(distance(one, other, of=torch.tensor([0, 1])), apart)
    assert (distance(one, one.lerp(other, 0.2)) < apart).all()

    # Only what lies near the mask counts: a place of the last layer looks at its surroundings.
    painted = torch.zeros(1, 3, 256, 32, requires_grad=True)
    mask = torch.zeros(1, 1, 256, 32)
    mask[..., :16, :] = 1
    distance(painted, torch.ones_like(painted), mask).sum().backward()
    assert painted.grad is not None
    assert painted.grad[..., :16, :].abs().max() > 0 and not painted.grad[..., 160:, :].any()
    assert distance(one, other, torch.zeros(2, 1, 32, 32)).tolist() == [0, 0]


def test_descending_it_leads_to_the_picture(published: Path) -> None:
    distance, (real, painted) = PerceptualDistance("vgg16"), pictures()
    painted = painted.requires_grad_()
    before = distance(painted, real).sum()
    (slope,) = torch.autograd.grad(before, painted)
    assert distance(painted - 0.05 * slope.sign(), real).sum() < before


@pytest.mark.parametrize("name", LAYERS)
def test_weights_that_are_not_there_or_not_the_published_ones_are_refused(files: Path, tmp_path: Path, name: str,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(room.PLACE, str(files))
    with pytest.raises(DataError, match=rf"{name}.*sha256 is .*, not|sha256 is .*{name}"):
        PerceptualDistance(name)
    monkeypatch.setenv(room.PLACE, str(tmp_path))
    with pytest.raises(InputError, match=rf"{KNOWN[name].file}.*no such weights.*{KNOWN[name].url}"):
        PerceptualDistance(name)


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


def test_files_of_another_kind_are_refused_and_nothing_in_them_runs(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "short.pth")
    with pytest.raises(DataError, match=r"short.pth.*not the weights of vgg16"):
        load_vgg("vgg16", tmp_path / "short.pth")
    (tmp_path / "hostile.pth").write_bytes(pickle.dumps(_Hostile(tmp_path / "ran"), protocol=2))
    with pytest.raises(DataError, match="not the weights of vgg19"):
        load_vgg("vgg19", tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()
