from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.core import presets
from components.core.errors import DataError, InputError
from components.core.networks.discriminator import Discriminator
from components.core.networks.generator.mixture import SHOWN, Painting, warped_inputs
from components.core.networks.generator.reposer import Generator, Reposer, SourceBatch
from components.core.networks.generator.warp import Source, sample_atlas
from components.core.networks.patch import CROPS, PatchDiscriminator, random_crops
from components.core.settings import TrainSettings

Figure = Callable[..., Tensor]
MakeSource = Callable[..., Source]


def tiny(generator: str, **changes: int) -> TrainSettings:
    return TrainSettings.model_validate({"generator": generator, "width": 4, "max_width": 16, "latent": 8, **changes})


@pytest.fixture
def reposer() -> Reposer:
    torch.manual_seed(0)
    settings = tiny("warp")
    return Reposer(Generator(settings, 64, 8), settings, 64, 8, "synthetic")


def arrays(figure: Figure, batch: int) -> tuple[SourceBatch, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    pose = figure(64)[0].permute(1, 2, 0).numpy()
    poses = np.repeat(pose[None], batch, 0)
    photos = draw.integers(0, 256, (batch, 64, 64, 3), np.uint8)
    mattes = (poses[..., 0] > 0).astype(np.uint8) * 255
    textures = draw.integers(0, 256, (batch, 24, 8, 8, 3), np.uint8)
    seen = draw.random((batch, 24, 8, 8)) < 0.7
    return SourceBatch(textures, seen, photos, mattes, poses), poses, draw.integers(0, 256, photos.shape, np.uint8)


@pytest.mark.parametrize("generator", ["paper", "warp"])
@pytest.mark.parametrize("side", [64, 128])
def test_both_generators_paint_a_person_and_a_matte(generator: str, side: int, source: MakeSource,
                                                    figure: Figure) -> None:
    network = Generator(tiny(generator), side, 8)
    painting = network(source(2, side), figure(side).repeat(2, 1, 1, 1))
    assert painting.person.shape == (2, 3, side, side)
    assert painting.matte.shape == (2, 1, side, side)
    assert torch.allclose(painting.shares.sum(1), torch.tensor(1.0), atol=1e-5)
    assert painting.shares.shape[1] == (5 if generator == "warp" else 1)
    assert painting.person.std() < 2


def test_void_inputs_have_no_share(source: MakeSource, figure: Figure) -> None:
    mine, poses = source(1), figure(64)
    painting = Generator(tiny("warp"), 64, 8)(mine, poses)
    assert (painting.shares[:, 0] > 0).all()
    for share, piece in zip(painting.shares[:, 1:].unbind(1), warped_inputs(mine, poses), strict=True):
        assert not share[piece.valid[:, 0] == 0].any()
    assert painting.shares[:, 1][poses[:, 0] > 0].min() > 0


def test_an_untrained_generator_paints_the_first_guess(source: MakeSource, figure: Figure) -> None:
    torch.manual_seed(0)
    mine, poses = source(1), figure(64)
    painting = Generator(tiny("warp", width=16), 64, 8).eval()(mine, poses)
    body = (poses[:, :1] > 0).expand(-1, 3, -1, -1)
    wanted = sample_atlas(mine.textures, poses)
    assert (painting.person - wanted).abs()[body].mean() < 0.25 * wanted.abs()[body].mean()
    assert painting.matte[poses[:, :1] > 0].min() > 0.8


@pytest.mark.parametrize("generator", ["paper", "warp"])
def test_every_network_of_the_generator_gets_a_gradient(generator: str, source: MakeSource, figure: Figure) -> None:
    network = Generator(tiny(generator), 64, 8)
    painting = network(source(2), figure(64).repeat(2, 1, 1, 1))
    (painting.person.square().mean() + painting.soft_matte.mean()).backward()
    for part in (network.anet, network.pnet, network.gnet):
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())


def test_where_the_matte_is_zero_the_background_is_untouched() -> None:
    soft = torch.tensor([-0.01, 0.0, 0.5, 1.0, 1.01]).reshape(1, 1, 1, 5)
    person, behind = torch.randn(1, 3, 1, 5), torch.randn(1, 3, 1, 5)
    out = Painting(person, soft, torch.ones_like(soft)).over(behind)
    assert torch.equal(out[..., :2], behind[..., :2])
    assert torch.equal(out[..., 3:], person[..., 3:])
    assert torch.allclose(out[..., 2], (person + behind)[..., 2] / 2)


def test_a_finished_picture_equals_its_background_wherever_the_matte_is_zero(reposer: Reposer, figure: Figure) -> None:
    with torch.no_grad():
        reposer.network.gnet.bias[3] = -4.5  # most pixels of an untrained matte at 0
    source, poses, backgrounds = arrays(figure, 3)
    output = reposer.repose(source, poses, backgrounds)
    outside = output.mattes == 0
    assert 0.05 < outside.mean() < 1
    assert np.array_equal(output.images[outside], backgrounds[outside])
    assert not np.array_equal(output.images[~outside], backgrounds[~outside])


def test_reposing_is_deterministic_and_does_not_depend_on_the_batch(reposer: Reposer, figure: Figure) -> None:
    source, poses, backgrounds = arrays(figure, 10)
    whole = reposer.repose(source, poses, backgrounds)
    assert whole.images.shape == (10, 64, 64, 3) and whole.mattes.shape == (10, 64, 64)
    again = reposer.repose(source, poses, backgrounds)
    assert np.array_equal(whole.images, again.images)
    one = reposer.repose(SourceBatch(*(getattr(source, name)[9:] for name in (
        "textures", "seen", "photos", "mattes", "poses"))), poses[9:], backgrounds[9:])
    assert np.abs(one.images[0].astype(int) - whole.images[9]).max() <= 1


def test_photos_are_optional_and_matter(reposer: Reposer, figure: Figure) -> None:
    source, poses, backgrounds = arrays(figure, 1)
    without = reposer.repose(SourceBatch(source.textures, source.seen), poses, backgrounds)
    assert not np.array_equal(without.images, reposer.repose(source, poses, backgrounds).images)
    empty = reposer.repose(SourceBatch(source.textures[:0], source.seen[:0]), poses[:0], backgrounds[:0])
    assert empty.images.shape == (0, 64, 64, 3) and empty.mattes.shape == (0, 64, 64)


def test_arrays_of_another_size_are_refused(reposer: Reposer, figure: Figure) -> None:
    source, poses, backgrounds = arrays(figure, 1)
    with pytest.raises(InputError, match=r"textures.*resolution 64 and texel 8"):
        reposer.repose(SourceBatch(source.textures[:, :, :4, :4], source.seen), poses, backgrounds)
    with pytest.raises(InputError, match=r"mattes: \[1, 64, 64, 3\]"):
        reposer.repose(SourceBatch(source.textures, source.seen, source.photos, backgrounds, source.poses), poses,
                       backgrounds)
    with pytest.raises(InputError, match="go together"):
        reposer.repose(SourceBatch(source.textures, source.seen, source.photos), poses, backgrounds)


@pytest.mark.parametrize("generator", ["paper", "warp"])
def test_a_model_file_gives_the_same_pictures(generator: str, tmp_path: Path, figure: Figure) -> None:
    settings = tiny(generator)
    mine = Reposer(Generator(settings, 64, 8), settings, 64, 8, "synthetic")
    mine.save(tmp_path / "deep" / "generator.safetensors")
    loaded = Reposer.load(tmp_path / "deep" / "generator.safetensors")
    assert (loaded.settings, loaded.resolution, loaded.texel, loaded.origin) == (settings, 64, 8, "synthetic")
    source, poses, backgrounds = arrays(figure, 2)
    assert np.array_equal(loaded.repose(source, poses, backgrounds).images,
                          mine.repose(source, poses, backgrounds).images)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["generator.safetensors"]


def test_a_model_that_is_saved_again_has_the_same_bytes(reposer: Reposer, tmp_path: Path) -> None:
    """Its digest is its name in the registry. A hash map's order differs from one file to the next."""
    contents = set()
    for number in range(8):
        reposer.save(tmp_path / f"{number}.safetensors")
        contents.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(contents) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert list(file.metadata()) and set(file.keys()) == set(reposer.network.state_dict())


def test_other_files_are_refused_by_name(reposer: Reposer, tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    with pytest.raises(InputError, match="no model here"):
        Reposer.load(path)
    reposer.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        Reposer.load(path)
    weights = {name: value.contiguous() for name, value in reposer.network.state_dict().items()}
    save_file(weights, path, {"format": "photoshoot.model/0"})
    with pytest.raises(DataError, match=r"safetensors: format photoshoot.model/0, expected photoshoot.model/3"):
        Reposer.load(path)
    save_file({"x": torch.zeros(1)}, path, {"format": "photoshoot.model/3", "resolution": "64", "texel": "8",
                                            "settings": reposer.settings.model_dump_json()})
    with pytest.raises(DataError, match="not a complete model"):
        Reposer.load(path)


def test_a_hostile_pickle_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    marker = tmp_path / "ran"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    with pytest.raises(DataError):
        Reposer.load(path)
    assert not marker.exists()


def test_a_model_file_holds_weights_and_nothing_else(reposer: Reposer, tmp_path: Path) -> None:
    reposer.save(tmp_path / "m.safetensors")
    stored = load_file(tmp_path / "m.safetensors")
    assert stored.keys() == reposer.network.state_dict().keys()


@pytest.mark.parametrize("name", presets.names())
def test_every_presets_networks_fit_together(name: str) -> None:
    """Shapes at the preset's real widths, on the meta device: no memory, no arithmetic."""
    chosen = presets.preset(name)
    side, texel, train = chosen.preprocess.resolution, chosen.preprocess.texel, chosen.train
    with torch.device("meta"):
        network = Generator(train, side, texel)
        features = network.pnet(torch.zeros(2, 3, side, side, dtype=torch.uint8), torch.zeros(2, SHOWN, side, side))
        z = network.anet(torch.zeros(2, 24, 3, texel, texel), torch.zeros(2, 24, 1, texel, texel))
        assert z.shape == (2, train.latent)
        assert features[-1].shape[-2:] == (side // 16, side // 16)
        assert network.gnet(features, z).shape == (2, 12, side, side)
        judge = Discriminator(side, train.width, train.max_width)
        assert judge(torch.zeros(2, 3, side, side), torch.zeros(2, 3, side, side)).shape == (2,)


@pytest.mark.parametrize("side", [64, 128, 256, 512])
def test_discriminator_logits_depend_on_the_pose(side: int) -> None:
    judge = Discriminator(side, 4, 8)
    images = torch.randn(2, 3, side, side)
    poses = torch.randint(0, 25, (2, 3, side, side), dtype=torch.uint8)
    assert judge(images, poses).shape == (2,)
    assert not torch.allclose(judge(images, poses), judge(images, torch.zeros_like(poses)))


def test_crops_lie_inside_the_person_and_carry_the_gradient() -> None:
    torch.manual_seed(0)
    inside = torch.zeros(2, 1, 64, 64)
    inside[0, :, 10:40, 10:40] = 1
    inside[1, :, 30:60, 20:50] = 1
    images = inside.repeat(1, 3, 1, 1).requires_grad_()
    crops = random_crops(images, inside, CROPS)
    assert crops.shape == (2, CROPS, 3, 16, 16)
    assert crops.mean() > 0.85
    crops.sum().backward()
    assert images.grad is not None and images.grad[inside.expand(-1, 3, -1, -1) == 1].sum() > 0


def test_crops_of_nobody_are_still_crops() -> None:
    assert random_crops(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64), 2).shape == (1, 2, 3, 16, 16)


def test_patch_logits_depend_on_the_references() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(64, 4, 16)
    crops = torch.randn(2, CROPS, 3, 16, 16)
    one, other = (judge(crops, torch.randn(2, 4, 3, 16, 16)) for _ in range(2))
    assert one.shape == (2, CROPS)
    assert not torch.allclose(one, other)
