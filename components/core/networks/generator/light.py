"""One light for all: head and hands brought into the light in which the clothes were photographed.

Face and clothes may come from two photos. How bright the clothes are tells little (they may be dark), but bare skin
beside them does: a neck, arms or legs in the clothes' photo, against the cheeks in the other. Over held-out synthetic
people this gives the right brightness of the head with a correlation of .85 and leaves half of its spread; a network
trained on the same cues left more, for there are never many people to learn from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from components.core.networks.generator.alignment import shows
from components.core.networks.generator.warp import (
    Source,
    SourceView,
    apart_in_clothes,
    of_tiles,
    skin_beside,
    skin_colour,
)
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS

_BODY = [part - 1 for part in BODY_PARTS]
_TRUST = 0.75
"""How far bare skin is believed: what looks like skin may be a beige shirt, and limbs are lit from other sides."""
_LEAST_SKIN = 0.003
"""Share of a tile's area of skin-like texels at which half of what they say is believed."""
_OWN = 0.5
"""How much of what the face's photo says of itself is taken off where it shows other clothes; all where it shows these.
On synthetic people in other clothes .25 to .5 leave least, .154 of .206 in log brightness instead of .159, on those in
the same .133 instead of .226; a real person in sheer sleeves, whose face was painted a third too dark, needs all."""
_SAME_CLOTHES = (8 / 127.5, 24 / 127.5)
"""Median differences of the clothes below which they surely are the same, in whatever light, and above which they are
not: real photos of one outfit differ by 6.9 grey levels (at most 22.6), of others by 26.9 and more."""
_ONE_LIGHT = (4 / 127.5, 8 / 127.5)
"""Median differences of the clothes in atlas and face photo below which they were in one light, and above which it
is left to the skin. A photo and its own atlas differ by about 2 grey levels."""


def relit(source: Source, factors: Tensor | None = None) -> Source:
    """The source in one light: all that comes from the face's photo multiplied by one factor per colour channel.

    `factors` [B, 3] are `light_factors` where they are known already.
    """
    factors = (light_factors(source) if factors is None else factors)[..., None, None]
    per_tile = 1 + of_tiles(_BODY, factors) * (factors[:, None] - 1)
    textures = ((source.textures + 1) * per_tile - 1) * source.seen
    face = SourceView((source.face.images + 1) * factors - 1, source.face.mattes, source.face.poses)
    return Source(textures, source.seen, face, source.clothes)


def light_factors(source: Source, less_own: bool = True) -> Tensor:
    """By how much head and hands must be multiplied to be in the light of the clothes: [B, 3], within 0.37..2.7.

    1 where the face's photo shows the clothes as they are in the atlas, and where no bare skin can be compared.
    """
    apart = torch.nan_to_num(apart_in_clothes(source.textures, source.seen, source.face), nan=_SAME_CLOTHES[1])
    estimated = estimate_light(source.textures, source.seen)
    if less_own:
        own = estimate_light(*_own_clothes(source))
        estimated = estimated - own * (1 - (1 - _OWN) * _rising(apart, _SAME_CLOTHES))[:, None]
    estimated = _TRUST * estimated
    return torch.exp(torch.tanh(estimated * _rising(apart, _ONE_LIGHT)[:, None]))


def settled(factors: Tensor, source: Source) -> Tensor:
    """Those factors [B, 3], or 1 where face and clothes are known to be in one light."""
    return torch.ones_like(factors) if source.one_light else factors


def _rising(values: Tensor, ends: tuple[float, float]) -> Tensor:
    """0 below both ends, 1 above, linear between."""
    return ((values - ends[0]) / (ends[1] - ends[0])).clamp(0, 1)


@torch.no_grad()
def _own_clothes(source: Source) -> tuple[Tensor, Tensor]:
    """An atlas (textures and seen as in `Source`) of the head and hands that there are, with the garments that the
    face's photo itself shows."""
    textures, seen, photo = source.textures, source.seen, source.face
    batch, tiles, _, texel, _ = textures.shape
    parts, u, v = photo.poses.float().unbind(1)
    row, column = ((255 - v) * (texel - 1) / 255).round(), (u * (texel - 1) / 255).round()
    here = torch.arange(batch, device=parts.device)[:, None, None] * tiles + (parts - 1).clamp(min=0)
    place = ((here * texel + row) * texel + column).long().flatten()
    shown = (shows(photo.poses, GARMENT_PARTS) * (photo.mattes > 0.5)).flatten()
    values = torch.cat((photo.images, torch.ones_like(photo.mattes)), 1).movedim(1, -1).reshape(-1, 4)
    sums = values.new_zeros(batch * tiles * texel**2, 4).index_add(0, place, values * shown[:, None])
    sums = sums.reshape(batch, tiles, texel, texel, 4).movedim(-1, 2)
    garments = of_tiles([part - 1 for part in GARMENT_PARTS], seen)
    counts = sums[:, :, 3:]
    return (torch.where(garments > 0, sums[:, :, :3] / counts.clamp(min=1), textures),
            torch.where(garments > 0, (counts > 0).to(seen), seen))


def estimate_light(textures: Tensor, seen: Tensor) -> Tensor:
    """How much brighter bare skin is beside the clothes than on the cheeks: mean difference of log colours.

    [B, 24, 3, N, N], [B, 24, 1, N, N] -> [B, 3].
    """
    skin, found = skin_colour(textures, seen)
    beside = skin_beside(textures, seen, skin)
    apart, much = beside.sums(torch.log(beside.brighter))
    return apart / (much + _LEAST_SKIN) * found[:, None]
