"""Networks of the losses that are fetched by name: VGGFace2's and VGG's, here with random weights."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.core.errors import InputError, SettingsError
from components.core.networks.pretrained.inception_resnet import InceptionResnetV1
from components.core.networks.pretrained.vgg import Vgg
from components.core.settings import EvaluateSettings, Settings, TrainSettings
from components.core.stores import known_weights as room
from components.core.stores.known_weights import KNOWN
from components.evaluate.measuring.measure import judge_name
from components.train import losses, train
from components.train.loop import embedder_of

SHORT = {"steps": 1, "batch": 2, "width": 4, "max_width": 8, "latent": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    faces = InceptionResnetV1().eval()
    with torch.no_grad():
        # Untrained it gives nearly one vector for all faces: take that away, and what is left tells them apart.
        faces.last_bn.running_mean.copy_(faces(torch.rand(2, 3, 160, 160) * 2 - 1).mean(0))
    for name, network in (("vggface2", faces), ("vgg16", Vgg("vgg16"))):
        torch.save(network.state_dict(), folder / KNOWN[name].file)
    return folder


@pytest.fixture
def published(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files stand for the published ones."""
    for name in ("vggface2", "vgg16"):
        digest = hashlib.sha256((files / KNOWN[name].file).read_bytes()).hexdigest()
        monkeypatch.setitem(KNOWN, name, replace(KNOWN[name], sha256=digest))
    monkeypatch.setenv(room.PLACE, str(files))


def planes(*images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def test_vggface2_is_a_face_loss_where_a_face_is_seen_and_large_enough(
        published: None, draw_head: Callable[..., np.ndarray]) -> None:
    settings = TrainSettings.model_validate({"face": "vggface2"})
    embedder = embedder_of(settings, "photos", torch.device("cpu"))
    assert embedder is not None
    # Evaluation says that its judge was in the loss where the two have one name.
    assert embedder.name == settings.face == judge_name(EvaluateSettings(embedder="vggface2"), "photos")
    maps = planes(draw_head(height=40.0), draw_head(height=40.0, yaw=180), draw_head(height=10.0))
    draw = torch.Generator().manual_seed(0)
    real = nn.functional.interpolate(torch.rand(3, 3, 16, 16, generator=draw) * 2 - 1, (128, 128))
    painted = real.flip(1).requires_grad_()
    value = losses.face(painted, real, maps, embedder)
    assert value.item() > 1e-3 and losses.face(real, real, maps, embedder).item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(losses.face(painted[:1], real[:1], maps[:1], embedder), value)  # the only face counts
    (slope,) = torch.autograd.grad(value, painted)
    assert not slope[1:].any()  # seen from behind, too small
    reached = slope[0].abs().sum(0)
    assert reached[33:53, 54:74].count_nonzero() > 50 and not reached[90:].any()
    # It leads somewhere: a step against the gradient brings the faces nearer.
    nearer = painted.detach() - 0.05 * slope.sign()
    assert losses.face(nearer, real, maps, embedder) < value


def test_a_training_step_with_both(published: None, make_people: Callable[..., tuple[Path, Path]],
                                   tmp_path: Path) -> None:
    people, identities = make_people()
    settings = TrainSettings.model_validate(SHORT | {"perceptual": "vgg16", "face": "vggface2"})
    summary = train(people, identities, tmp_path / "model", settings)
    assert summary.losses["loss/perceptual"] > 0 and summary.losses["loss/face"] > 0


@pytest.mark.parametrize("choice", [{"perceptual": "vgg16"}, {"perceptual": "vgg19"}, {"face": "vggface2"}])
def test_missing_weights_are_said_before_the_first_step(
        choice: dict[str, str], make_people: Callable[..., tuple[Path, Path]], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    people, identities = make_people()
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv(room.PLACE, str(tmp_path / "weights"))
    (name,) = choice.values()
    settings = TrainSettings.model_validate(SHORT | choice)
    with pytest.raises(InputError, match=rf"{KNOWN[name].file}.*no such weights"):
        train(people, identities, tmp_path / "model", settings)
    assert not (tmp_path / "model").exists()
    assert not [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    # A loss that is off needs no network.
    term = {"perceptual": "perceptual", "face": "face"}[next(iter(choice))]
    assert train(people, identities, tmp_path / "model", TrainSettings.model_validate(
        SHORT | choice | {"weights": {term: 0.0}})).steps == 1


def test_unknown_networks_are_refused_with_the_settings() -> None:
    for change in ("train.perceptual=vgg11", "train.face=facenet"):
        with pytest.raises(SettingsError, match=change.split("=")[0]):
            Settings().with_changes([change])
