from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from components.core.iuv import BODY_PARTS, GARMENT_PARTS
from components.core.networks.light import LIGHT_CUES, Relight, light_cues
from components.core.networks.warp import Source

MakeSource = Callable[..., Source]
_BODY, _GARMENT = ([part - 1 for part in parts] for parts in (BODY_PARTS, GARMENT_PARTS))


def dressed(source: MakeSource, light: float, skin: tuple[float, float, float] = (0.7, 0.5, 0.4)) -> Source:
    """Somebody with bare arms whose face was photographed in `light` times the light of the clothes."""
    mine = source(1)
    textures = torch.full_like(mine.textures, -0.6)
    bare = torch.tensor(skin)[:, None, None]
    textures[:, [14, 15, 16, 17]] = bare * 2 - 1
    textures[:, _BODY] = bare * 2 * light - 1
    return replace(mine, textures=textures)


def test_untrained_it_changes_nothing(source: MakeSource) -> None:
    mine = source(2)
    lit = Relight()(mine)
    assert torch.allclose(lit.textures, mine.textures, atol=1e-6)
    assert torch.allclose(lit.face.images, mine.face.images, atol=1e-6)


def test_it_changes_what_comes_from_the_faces_photo_and_nothing_else(source: MakeSource) -> None:
    mine, network = source(2), Relight()
    torch.nn.init.constant_(network.layers[-1].bias, 0.2 / 3)
    lit, factor = network(mine), torch.exp(torch.tanh(torch.tensor(0.2)))
    assert torch.allclose(lit.textures[:, _BODY] + 1, (mine.textures[:, _BODY] + 1) * factor, atol=1e-5)
    assert torch.equal(lit.textures[:, _GARMENT], mine.textures[:, _GARMENT])
    assert torch.allclose(lit.face.images + 1, (mine.face.images + 1) * factor, atol=1e-5)
    assert lit.clothes is mine.clothes


def test_unseen_texels_stay_empty(source: MakeSource) -> None:
    mine, network = source(1), Relight()
    torch.nn.init.constant_(network.layers[-1].bias, 0.5)
    hidden = replace(mine, textures=torch.zeros_like(mine.textures), seen=torch.zeros_like(mine.seen))
    assert not network(hidden).textures.any()


def test_the_cues_tell_the_lights_apart_whatever_the_skin(source: MakeSource) -> None:
    for skin in ((0.7, 0.5, 0.4), (0.35, 0.22, 0.16)):
        same, darker = (light_cues(one.textures, one.seen)[0] for one in
                        (dressed(source, 1.0, skin), dressed(source, 0.7, skin)))
        assert same.shape == (LIGHT_CUES,) and same.isfinite().all()
        arms = 2 * torch.tensor([14, 15, 16, 17])
        assert same[arms].abs().max() < 0.02
        assert torch.allclose(darker[arms], -torch.log(torch.tensor(0.7)).expand(4), atol=0.06)


def test_nobody_gives_no_cue(source: MakeSource) -> None:
    mine = source(1)
    assert not light_cues(mine.textures, torch.zeros_like(mine.seen)).any()


def test_it_learns_to_match_a_face_to_the_arms(source: MakeSource) -> None:
    torch.manual_seed(0)
    network = Relight()
    adam = torch.optim.Adam(network.parameters(), 0.004)
    draw = torch.rand(60) * 0.8 + 0.6

    def missed(light: float) -> Tensor:
        mine = dressed(source, light)
        return (torch.log(network.factors(mine.textures, mine.seen)) + torch.log(torch.tensor(light))).abs().mean()

    for light in draw.tolist():
        adam.zero_grad()
        missed(light).backward()
        adam.step()
    assert missed(0.75).item() < 0.1 < abs(torch.log(torch.tensor(0.75)).item())


@pytest.mark.parametrize("texel", [4, 32])
def test_any_texture_size_will_do(source: MakeSource, texel: int) -> None:
    mine = source(2, 64, texel)
    assert light_cues(mine.textures, mine.seen).shape == (2, LIGHT_CUES)
