"""What the camera saw, brought to the target pose: texture through the pose map, hair and skirts with head and torso.

Three warped inputs, each a picture with its validity, all differentiable with respect to the colours:

- the texture atlas, completed from the mirrored body half, sampled at the target's pose map;
- the source photo moved by the similarity that carries the source's head onto the target's (hair moves with the head),
  beside the head as in a mirror where the two are turned to different sides;
- the clothes' photo moved by the similarity that carries one torso onto the other (skirts, coat tails), used only
  where the photo shows the clothes that the atlas holds.

Colours are float32 in [-1, 1]; masks float32 in 0..1; pose maps uint8 [B, 3, S, S] as (I, U, V), background 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.networks.generator.alignment import (
    Frame,
    agreement,
    carried,
    head_frame,
    limbwise,
    shows,
    torso_frame,
    turned_apart,
)
from components.core.networks.layers import constant
from components.core.pictures.iuv import GARMENT_PARTS, HAND_PARTS, HEAD_PARTS
from components.core.pictures.texture import MIRROR

TILES = 24
_ROWS, _COLUMNS = 6, 4
_FACE_TILES, _HAND_TILES, _GARMENTS = (
    tuple(part - 1 for part in parts) for parts in (HEAD_PARTS, HAND_PARTS, GARMENT_PARTS))
# The other side of the same limb or of the torso: the nearest colour for a tile of which nothing was seen.
_OPPOSITE = (1, 0, 3, 2, 5, 4, 8, 9, 6, 7, 12, 13, 10, 11, 16, 17, 14, 15, 20, 21, 18, 19, 23, 22)
# The nearest part towards the torso, or the torso's nearest: the colour of a limb of which neither side was seen.
_NEIGHBOUR = (8, 9, 18, 19, 11, 10, 0, 0, 1, 1, 6, 7, 8, 9, 1, 1, 0, 0, 14, 15, 16, 17, 2, 3)
_ACROSS = tuple(_OPPOSITE[tile] for tile in _NEIGHBOUR)
_MIRRORS = ((0, False, False), *(MIRROR[part] for part in range(1, TILES + 1)))
_FACE_AROUND = 0.3  # Where a head tile shows bare face, from the middle, ...
_FACE_UP, _CHEEKS_UP = (0.25, 0.6), (0.43, 0.59)  # ... and up; what lies between beard and glasses.
_SKIN_HUE = 0.06  # How far channels, as shares of brightness, may be from the skin's to count as skin, and ...
_SKIN_LIGHT = 1.0  # ... the largest difference in log brightness that light can make.
_MIRRORED = 0.02  # What a texel's mirror image says about it off the head, against a texel that was seen beside it.
_HAND_SKIN = 0.1  # What skin elsewhere says about a texel of a hand, against the texels that were seen around it.
_SKIN_BESIDE = 0.05  # Tiles' worth of bare skin that say as much about a hand's colour as the cheeks do.
_VOID, _VOID_HAND = 0.02, 0.1  # What a texel filled from others says in a first guess, against pixels seen beside it.
_HEAD_REACH = 1.8  # How far from the head's middle the head-aligned photo speaks, in sides of a square of its area.
_SAME_CLOTHES = 20 / 127.5  # Median difference of texture and photo; the same garment measures about 7 grey levels.
_LEAST_PIXELS = 12
_LEAST_SHARE = 0.2  # Of a pixel that has to be body for the mean of its parts to be taken.


@dataclass(frozen=True)
class SourceView:
    """A photo of the person with what is known about it; a matte of zeros means that there is none."""

    images: Tensor
    """[B, 3, S, S] in [-1, 1]."""
    mattes: Tensor
    """[B, 1, S, S] in 0..1."""
    poses: Tensor
    """uint8 [B, 3, S, S]."""


@dataclass(frozen=True)
class Source:
    """Whom to paint."""

    textures: Tensor
    """Atlas tiles [B, 24, 3, N, N] in [-1, 1]; texel (y, x) is V = 1 - y/(N-1), U = x/(N-1)."""
    seen: Tensor
    """[B, 24, 1, N, N], 1 where the texel was seen."""
    face: SourceView
    """The photo that face and hair come from."""
    clothes: SourceView
    """The photo that the clothes come from."""
    one_light: bool = False
    """Whether face and clothes are known to have been seen in one light."""


@dataclass(frozen=True)
class WarpedInput:
    """A picture in the target's frame, where it means something, and where it had a say at all."""

    images: Tensor
    """[B, 3, S, S]; 0 where `valid` is 0."""
    valid: Tensor
    """[B, 1, S, S] in 0..1: there is a colour of the person here."""
    covered: Tensor
    """[B, 1, S, S] in 0..1. Atlas: the texel itself was seen (not mirrored); photo: inside what the photo shows, so
    that valid = 0 there means the photo has background."""
    charts: Tensor | None = None
    """Photo: its pose map, moved alike, [B, 3, S, S]."""


def to_picture(tiles: Tensor) -> Tensor:
    """Tiles [B, 24, C, N, N] -> the atlas as one picture [B, C, 6N, 4N], filled column by column."""
    batch, _, channels, texel, _ = tiles.shape
    grid = tiles.reshape(batch, _COLUMNS, _ROWS, channels, texel, texel)
    return grid.permute(0, 3, 2, 4, 1, 5).reshape(batch, channels, _ROWS * texel, _COLUMNS * texel)


def sample_atlas(tiles: Tensor, poses: Tensor) -> Tensor:
    """Look up [B, 24, C, N, N] at each pixel of the pose map -> [B, C, S, S], 0 off the body.

    Bilinear within a tile; a tile's edge never mixes with its neighbour in the picture.
    """
    texel = tiles.shape[-1]
    part, u, v = poses.float().unbind(1)
    on_body = part > 0
    index = (part - 1).clamp(min=0)
    column = torch.div(index, _ROWS, rounding_mode="floor")
    row = index - column * _ROWS
    x = column * texel + u / 255 * (texel - 1) + 0.5
    y = row * texel + (1 - v / 255) * (texel - 1) + 0.5
    grid = torch.stack((x / (_COLUMNS * texel), y / (_ROWS * texel)), -1) * 2 - 1
    sampled = F.grid_sample(to_picture(tiles).float(), grid, mode="bilinear", padding_mode="border",
                            align_corners=False)
    return sampled * on_body[:, None]


def mirrored(tiles: Tensor) -> Tensor:
    """Each texel's counterpart on the other half of the body: [B, 24, C, N, N] -> the same shape."""
    parts = []
    for part in range(1, TILES + 1):
        other, flip_u, flip_v = MIRROR[part]
        tile = tiles[:, other - 1]
        axes = [axis for axis, flip in ((-1, flip_u), (-2, flip_v)) if flip]
        parts.append(tile.flip(axes) if axes else tile)
    return torch.stack(parts, 1)


def mirrored_poses(poses: Tensor) -> Tensor:
    """The pose maps of the mirrored photos: uint8 [B, 3, S, S] -> the same shape.

    The other half's parts and their charts' directions, so that `mirrored` tiles looked up through it are the mirror
    image of the tiles looked up through `poses`.
    """
    table = constant(_MIRRORS, poses.device)
    part, u, v = poses.flip(-1).unbind(1)
    other, flip_u, flip_v = table[part.long()].unbind(-1)
    charts = (torch.where(flip > 0, 255 - chart, chart) for flip, chart in ((flip_u, u), (flip_v, v)))
    return torch.stack((other.to(torch.uint8), *charts), 1)


def complete(textures: Tensor, seen: Tensor, skin: Skin) -> tuple[Tensor, Tensor]:
    """Fill what was not seen: from the mirrored half, from texels nearby, and from the limb's other side.

    A head's mirrored half is taken as it is: a face is worth its details. Elsewhere it counts for little against texels
    that were seen nearby, which lie in the same light and are not mistaken about a pattern.

    [B, 24, 3, N, N], [B, 24, 1, N, N] -> (completed [B, 24, 3, N, N], known [B, 24, 1, N, N]: seen or, on the head,
    mirrored).
    """
    shown = torch.maximum(seen, mirrored(seen))
    colours = torch.where(seen > 0, textures, mirrored(textures)) * shown
    batch, _, _, texel, _ = textures.shape
    heads = of_tiles(_FACE_TILES, textures)
    known = torch.maximum(seen, shown * heads)
    weight = known + (shown - known) * _MIRRORED
    weighted = torch.cat((colours * weight, weight), 2)
    mean = weighted.mean((3, 4))
    # Nothing known in a tile: a little of the opposite side's mean, then of a neighbour's, then of everything.
    opposite, neighbour, across = (constant(tiles, mean.device) for tiles in (_OPPOSITE, _NEIGHBOUR, _ACROSS))
    prior = mean + 1e-3 * mean[:, opposite] + 1e-9 * mean.mean(1, keepdim=True)
    prior = prior + 1e-5 * mean[:, neighbour] + 1e-7 * mean[:, across]
    bare = torch.cat((skin.colour, torch.ones_like(skin.colour[:, :1])), 1) * skin.found[:, None]
    bare = bare[:, None, :, None, None]
    weighted = weighted + _HAND_SKIN * of_tiles(_HAND_TILES, textures) * (1 - shown) * bare
    flat = weighted.reshape(batch * TILES, 4, texel, texel)
    filled = _spread(flat, prior.reshape(-1, 4, 1, 1)).reshape(batch, TILES, 3, texel, texel)
    return torch.where(known > 0, colours, filled), known


def of_tiles(tiles: Sequence[int], like: Tensor) -> Tensor:
    """1 for these tiles, 0 for the others: [24, 1, 1, 1]."""
    return constant(tuple(float(tile in tiles) for tile in range(TILES)), like.device).reshape(TILES, 1, 1, 1)


def skin_colour(textures: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour of cheeks and nose; of the face between chin and eyes, or the hands, where those were not seen.

    [B, 24, 3, N, N], [B, 24, 1, N, N] -> ([B, 3], found [B] in {0, 1}).
    """
    texel = textures.shape[-1]
    places = torch.linspace(0, 1, texel, device=textures.device)
    face, cheeks = (((1 - places > low) & (1 - places < high)).float()[:, None] for low, high in (_FACE_UP, _CHEEKS_UP))
    low = cheeks + 0.02 * face
    weights = torch.zeros(TILES, 1, texel, texel, device=textures.device)
    weights[_FACE_TILES[0]] = low * (places > 1 - _FACE_AROUND)
    weights[_FACE_TILES[1]] = low * (places < _FACE_AROUND)
    for tile in _HAND_TILES:
        weights[tile] = 1e-3
    shown = seen * weights
    total = shown.sum((1, 3, 4))
    colour = (textures * shown).sum((1, 3, 4)) / total.clamp(min=1e-6)
    return colour, (total[:, 0] > 1e-4).float()


class SkinBeside(NamedTuple):
    """The texels of garments, K tiles of them, against the skin of the face: some are bare skin."""

    textures: Tensor
    """[B, K, 3, N, N] in [-1, 1]."""
    brighter: Tensor
    """[B, K, 3, N, N]: how many times brighter each channel is than the skin's."""
    like: Tensor
    """[B, K, 1, N, N] in 0..1: how far it looks like skin, which is a matter of hue in whatever light."""

    def sums(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over what looks like skin of values [B, K, 3, N, N], and how much there is of it, both in tiles."""
        return (self.like * values).mean((3, 4)).sum(1), self.like.mean((3, 4)).sum(1)


def skin_beside(textures: Tensor, seen: Tensor, skin: Tensor) -> SkinBeside:
    """Look for skin of a colour [B, 3] beside the clothes of [B, 24, 3, N, N], [B, 24, 1, N, N]."""
    which = constant(_GARMENTS, textures.device)
    garments = textures[:, which]
    colours, skin = (garments + 1) / 2 + 0.02, (skin + 1)[:, None, :, None, None] / 2 + 0.02
    bright, skin_bright = colours.mean(2, keepdim=True), skin.mean(2, keepdim=True)
    hue = (colours / bright - skin / skin_bright).square().sum(2, keepdim=True)
    light = torch.log(bright / skin_bright).abs() < _SKIN_LIGHT
    return SkinBeside(garments, colours / skin, seen[:, which] * torch.exp(-hue / (2 * _SKIN_HUE**2)) * light)


class Skin(NamedTuple):
    """What somebody's skin looks like."""

    colour: Tensor
    """[B, 3] in [-1, 1]."""
    found: Tensor
    """[B] in {0, 1}: was any seen?"""


def bare_skin(textures: Tensor, seen: Tensor) -> Skin:
    """Skin away from the face: the cheeks' colour and that of all skin beside the clothes, by how much there is."""
    skin, found = skin_colour(textures, seen)
    beside = skin_beside(textures, seen, skin)
    colours, much = beside.sums(beside.textures)
    return Skin((skin * _SKIN_BESIDE + colours) / (much + _SKIN_BESIDE), found)


def plain_skin(skin: Skin, poses: Tensor) -> WarpedInput:
    """The person's skin colour all over the body: what bare arms and legs look like that no photo shows."""
    valid = (poses[:, :1] > 0).float() * skin.found[:, None, None, None]
    return WarpedInput(skin.colour[:, :, None, None] * valid, valid, torch.zeros_like(valid))


def first_guess(atlas: WarpedInput, photos: list[WarpedInput], poses: Tensor) -> Tensor:
    """A first guess of every pixel [B, 3, S, S]: the atlas on the body, the photos beside it, and what is near.

    Where the atlas is void, seen pixels nearby say more than texels far away: least for hands, which are skin.
    """
    body = (poses[:, :1] > 0).float()
    weight = body * (atlas.valid + _VOID) + shows(poses, HAND_PARTS) * (_VOID_HAND - _VOID)
    total = atlas.images * weight
    for photo in photos:
        more = photo.valid * (1 - 0.9 * body)
        total, weight = total + photo.images * more, weight + more
    weighted = torch.cat((total, weight), 1)
    return _spread(weighted, weighted.mean((2, 3), keepdim=True) + 1e-6)


def _spread(weighted: Tensor, prior: Tensor) -> Tensor:
    """Colours times weight, with the weight as 4th channel [K, 4, H, W] -> colours [K, 3, H, W] everywhere.

    Each pixel takes the nearest scale's weighted mean that is not empty (a pull-push pyramid).
    """
    side = weighted.shape[-1]
    if side > 2:
        half = F.interpolate(weighted, ((side + 1) // 2,) * 2, mode="area")
        below = _spread(half, prior)
        coarse = F.interpolate(below, (side, side), mode="bilinear", align_corners=False)
    else:
        coarse = (prior[:, :3] / prior[:, 3:].clamp(min=1e-12)).expand(-1, -1, side, side)
    weight = weighted[:, 3:]
    return (weighted[:, :3] + 0.05 * coarse) / (weight + 0.05)


def warped_atlas(textures: Tensor, seen: Tensor, skin: Skin, poses: Tensor, dense: Tensor | None = None) -> WarpedInput:
    """The completed atlas at the target's pose map. `valid` is 1 where texels are seen or, on the head, mirrored.

    With `dense`, the pose map with several times as many pixels, each pixel is the mean of what its own show of the
    body, as a camera's is.
    """
    completed, known = complete(textures, seen, skin)
    tiles = torch.cat((completed, known, seen), 2)
    looked_up = sample_atlas(tiles, poses)
    if dense is not None:
        side = poses.shape[-2:]
        share = F.interpolate((dense[:, :1] > 0).float(), side, mode="area")
        mean = F.interpolate(sample_atlas(tiles, dense), side, mode="area") / share.clamp(min=_LEAST_SHARE)
        looked_up = torch.where((poses[:, :1] > 0) & (share > _LEAST_SHARE), mean, looked_up)
    return WarpedInput(looked_up[:, :3], looked_up[:, 3:4], looked_up[:, 4:5])


def aligned_photo(photo: SourceView, poses: Tensor, source: Frame, target: Frame, *, reach: float | None = None,
                  mirror: Tensor | None = None, no_arms: Tensor | None = None, times: float = 1,
                  limbs: bool = False) -> WarpedInput:
    """Move the photo by the similarity (shift, turn, scale within 0.4..2.5) that carries one frame onto the other.

    With `limbs` the frames are the torso's, and the legs, and what is beside them, follow the target's (`limbwise`).
    `reach` limits it to that many lengths of the frame's axis around the centre; None: the whole photo. Pixels of
    `mirror`, bool [B, S, S], come from the other side of the axis. `valid` is the photo's matte times `agreement` of
    the photo's pose map, moved alike, with `poses`: a face says nothing about the back of a head. `no_arms` is
    `without_arms` of the two where that is known already, `times` as for `agreement`.
    """
    distance, places = carried(source, target, photo.images.shape[-1], mirror)
    if limbs:
        places = limbwise(photo.poses, poses, photo.images.shape[-1], places)
    grid = torch.view_as_real(places)
    colours = torch.cat((photo.images * photo.mattes, photo.mattes, torch.ones_like(photo.mattes)), 1)
    moved = F.grid_sample(colours.float(), grid, align_corners=False)
    charts = F.grid_sample(photo.poses.float(), grid, mode="nearest", align_corners=False)
    if reach is not None:
        moved = moved * ((reach - distance) * 4).clamp(0, 1)[:, None]
    moved = moved * (source.found & target.found)[:, None, None, None]
    images = moved[:, :3] / moved[:, 3:4].clamp(min=0.02)
    return WarpedInput(images, moved[:, 3:4] * agreement(charts, poses, no_arms, times), moved[:, 4:5], charts)


def warped_head(face: SourceView, poses: Tensor, no_arms: Tensor | None = None, times: float = 1) -> WarpedInput:
    """The photo's head and hair where the target's head is; invalid where either shows no head.

    Where the heads are turned to different sides, what is beside the target's head comes from the other side of the
    photo's: a knot of hair stands out behind a head, whichever way it looks.
    """
    mirror = turned_apart(face.poses, poses)[:, None, None] & (poses[:, 0] == 0)
    return aligned_photo(face, poses, head_frame(face.poses), head_frame(poses), reach=_HEAD_REACH, mirror=mirror,
                         no_arms=no_arms, times=times)


def warped_clothes(source: Source, poses: Tensor, worn: Tensor | None = None,
                   no_arms: Tensor | None = None, times: float = 1, legs: bool = True) -> WarpedInput:
    """The clothes' photo where the target's torso and legs are; invalid unless it shows the clothes of the atlas.

    `worn`, bool [B], is `wears_atlas` where that is known already.
    """
    photo = source.clothes
    moved = aligned_photo(photo, poses, torso_frame(photo.poses), torso_frame(poses), no_arms=no_arms,
                          times=times, limbs=legs)
    worn = wears_atlas(source.textures, source.seen, photo) if worn is None else worn
    same = worn[:, None, None, None].float()
    return WarpedInput(moved.images * same, moved.valid * same, moved.covered * same, moved.charts)


@torch.no_grad()
def wears_atlas(textures: Tensor, seen: Tensor, photo: SourceView) -> Tensor:
    """Does the photo show the clothes that the atlas holds? bool [B]; false where that cannot be told."""
    return apart_in_clothes(textures, seen, photo) < _SAME_CLOTHES


@torch.no_grad()
def apart_in_clothes(textures: Tensor, seen: Tensor, photo: SourceView) -> Tensor:
    """Median absolute difference between garment pixels of the photo and the texels seen for them: [B], NaN where
    fewer than a handful of pixels can be compared."""
    looked_up = sample_atlas(torch.cat((textures, seen), 2), photo.poses)
    garments = shows(photo.poses, GARMENT_PARTS)[:, 0] > 0
    comparable = garments & (looked_up[:, 3] > 0.99) & (photo.mattes[:, 0] > 0.5)
    apart = (looked_up[:, :3] - photo.images).abs().mean(1)
    median = torch.where(comparable, apart, torch.nan).flatten(1).nanmedian(1).values
    return torch.where(comparable.flatten(1).sum(1) >= _LEAST_PIXELS, median, torch.nan)
