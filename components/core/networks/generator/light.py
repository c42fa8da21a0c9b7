"""One light for all: head and hands brought into the light in which the clothes were photographed.

Face and clothes may come from two photos. How bright the clothes are tells little (they may be dark), but bare skin
beside them does: a neck, arms or legs in the clothes' photo, against the cheeks in the other. Over held-out synthetic
people this gives the right brightness of the head with a correlation of .85 and leaves half of its spread; a network
trained on the same cues left more, for there are never many people to learn from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from components.core.networks.generator.warp import (
    Source,
    SourceView,
    apart_in_clothes,
    of_tiles,
    skin_beside,
    skin_colour,
)
from components.core.pictures.iuv import BODY_PARTS

_BODY = [part - 1 for part in BODY_PARTS]
_TRUST = 0.75
"""How far bare skin is believed: what looks like skin may be a beige shirt, and limbs are lit from other sides."""
_LEAST_SKIN = 0.003
"""Share of a tile's area of skin-like texels at which half of what they say is believed."""
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


def light_factors(source: Source) -> Tensor:
    """By how much head and hands must be multiplied to be in the light of the clothes: [B, 3], within 0.37..2.7.

    1 where face and clothes are in one light, because that is known or because the face's photo shows the clothes as
    they are in the atlas, and where no bare skin can be compared.
    """
    if source.one_light:
        return torch.ones_like(source.textures[:, 0, :, 0, 0])
    estimated = _TRUST * estimate_light(source.textures, source.seen)
    near, far = _ONE_LIGHT
    apart = torch.nan_to_num(apart_in_clothes(source.textures, source.seen, source.face), nan=far)
    return torch.exp(torch.tanh(estimated * ((apart - near) / (far - near)).clamp(0, 1)[:, None]))


def estimate_light(textures: Tensor, seen: Tensor) -> Tensor:
    """How much brighter bare skin is beside the clothes than on the cheeks: mean difference of log colours.

    [B, 24, 3, N, N], [B, 24, 1, N, N] -> [B, 3].
    """
    skin, found = skin_colour(textures, seen)
    beside = skin_beside(textures, seen, skin)
    apart, much = beside.sums(torch.log(beside.brighter))
    return apart / (much + _LEAST_SKIN) * found[:, None]
