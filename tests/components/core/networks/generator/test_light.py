from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from components.core.networks.generator.light import estimate_light, light_factors, relit, settled
from components.core.networks.generator.warp import Source
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS

MakeSource = Callable[..., Source]
_BODY, _GARMENT = ([part - 1 for part in parts] for parts in (BODY_PARTS, GARMENT_PARTS))
_SKINS = ((0.7, 0.5, 0.4), (0.35, 0.22, 0.16))


def dressed(source: MakeSource, light: float, skin: tuple[float, ...] = _SKINS[0], arms: bool = True) -> Source:
    """Somebody whose face was photographed in `light` times the light of the clothes, with bare arms or without; of the
    face's photo nothing else is seen."""
    mine = source(1)
    textures = torch.full_like(mine.textures, -0.6)
    bare = torch.tensor(skin)[:, None, None]
    if arms:
        textures[:, [14, 15, 16, 17]] = bare * 2 - 1
    textures[:, _BODY] = bare * 2 * light - 1
    return replace(mine, textures=textures, face=replace(mine.face, mattes=torch.zeros_like(mine.face.mattes)))


@pytest.mark.parametrize("skin", _SKINS)
@pytest.mark.parametrize("light", [0.7, 0.85, 1.2])
def test_bare_arms_tell_the_lights_apart_whatever_the_skin(source: MakeSource, skin: tuple[float, float, float],
                                                           light: float) -> None:
    mine = dressed(source, light, skin)
    estimated = estimate_light(mine.textures, mine.seen)
    assert torch.allclose(estimated, -torch.log(torch.tensor(light)).expand(1, 3), atol=0.08)
    before, after = ((each.textures[:, _BODY] + 1).mean() for each in (mine, relit(mine)))
    right = (torch.tensor(skin) * 2).mean()
    assert (after - right).abs() < 0.5 * (before - right).abs()


def test_without_bare_skin_nothing_changes(source: MakeSource) -> None:
    mine = dressed(source, 0.7, arms=False)
    assert torch.allclose(relit(mine).textures, mine.textures, atol=1e-4)


def test_where_the_faces_photo_shows_the_clothes_there_is_one_light(source: MakeSource) -> None:
    """A shadow on the arms is no reason to darken the face of the same photo."""
    mine = dressed(source, 1.3)
    poses = torch.zeros_like(mine.face.poses)
    poses[:, 0], poses[:, 1:] = 2, 128
    worn = replace(mine.face, images=torch.full_like(mine.face.images, -0.6), mattes=torch.ones_like(mine.face.mattes),
                   poses=poses)
    assert torch.equal(light_factors(replace(mine, face=worn)), torch.ones(1, 3))
    others = replace(worn, images=worn.images + 0.5)
    assert (light_factors(replace(mine, face=others)) < 0.9).all()


def test_what_is_known_to_be_in_one_light_is_left_alone(source: MakeSource) -> None:
    mine = dressed(source, 0.7)
    factors = light_factors(mine)
    assert torch.equal(settled(factors, replace(mine, one_light=True)), torch.ones(1, 3))
    assert torch.equal(settled(factors, mine), factors) and (factors > 1.1).all()


@pytest.mark.parametrize(("apart", "left"), [(10 / 127.5, 0.06), (30 / 127.5, 0.5)])
def test_what_the_faces_photo_says_of_itself_is_not_taken_for_light(source: MakeSource, apart: float,
                                                                    left: float) -> None:
    """Skin under sheer sleeves is dark in both photos: all of that is taken off where the photos show the same clothes,
    half of it where they show others."""
    mine = dressed(source, 1.3)
    torso, arm, photo = 2, 15, mine.face
    side = photo.poses.shape[-1]
    edge, along = 3 * side // 4, torch.linspace(0, 255, side).byte().expand(side, side)
    poses = torch.stack([torch.full_like(along, torso), along, along.T.flip(0)])
    poses[0, edge:] = arm
    images = torch.full_like(photo.images, -0.6 + apart)
    images[..., edge:, :] = mine.textures[:, arm - 1, :, :1, :1]
    face = replace(photo, images=images, mattes=torch.ones_like(photo.mattes), poses=poses[None])
    alone, found = (torch.atanh(torch.log(light_factors(one))) for one in (mine, replace(mine, face=face)))
    assert (alone < -0.15).all()
    assert torch.allclose(found / alone, torch.tensor(left), atol=0.06)


def test_it_changes_what_comes_from_the_faces_photo_and_nothing_else(source: MakeSource) -> None:
    mine = dressed(source, 0.7)
    lit, factors = relit(mine), light_factors(mine)[..., None, None]
    assert (factors > 1.1).all()
    assert torch.allclose(lit.textures[:, _BODY] + 1, (mine.textures[:, _BODY] + 1) * factors[:, None], atol=1e-5)
    assert torch.equal(lit.textures[:, _GARMENT], mine.textures[:, _GARMENT])
    assert torch.allclose(lit.face.images + 1, (mine.face.images + 1) * factors, atol=1e-5)
    assert lit.clothes is mine.clothes


def test_nobody_stays_nobody(source: MakeSource) -> None:
    mine = source(1)
    hidden = replace(mine, textures=torch.zeros_like(mine.textures), seen=torch.zeros_like(mine.seen))
    assert torch.equal(light_factors(hidden), torch.ones(1, 3)) and not relit(hidden).textures.any()


@pytest.mark.parametrize("texel", [4, 32])
def test_any_texture_size_will_do(source: MakeSource, texel: int) -> None:
    mine = source(2, 64, texel)
    assert light_factors(mine).shape == (2, 3)
