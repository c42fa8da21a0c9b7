"""One light for all: head and hands brought into the light in which the clothes were photographed.

Face and clothes may come from two photos. How bright the clothes are tells little (they may be dark), but bare skin
beside them does: a neck or an arm in the clothes' photo, against the face's skin in the other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.core.iuv import BODY_PARTS
from components.core.networks.layers import Linear, activate
from components.core.networks.warp import TILES, Photo, Source, skin_colour

_TORSO_TILES = (0, 1)
_SKIN_HUE = 0.06
"""How far a texel's channels, as shares of its brightness, may be from the skin's to count as skin."""
_NECK = 8
"""The neck is the top eighth of the torso's charts, whose U runs downward."""
_LIKE_SKIN = 1.0
"""Largest difference in log brightness that a light can make."""
_PACE = 3.0
"""It learns faster than the rest: in a few hundred steps it would come to less than half of the right factors."""
LIGHT_CUES = 2 * 2 * (TILES + len(_TORSO_TILES)) + 5


class Relight(nn.Module):
    """Brings head and hands into the light of the clothes, which may come from another photo.

    A small network reads `light_cues` and predicts one factor per colour channel for all that comes from the face's
    photo; where face and clothes are of one photo the answer is 1, which it starts from.
    """

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        last = Linear(hidden, 3, pace=_PACE)
        nn.init.zeros_(last.weight)
        self.layers = nn.ModuleList((Linear(LIGHT_CUES, hidden, pace=_PACE), Linear(hidden, hidden, pace=_PACE), last))

    def factors(self, textures: Tensor, seen: Tensor) -> Tensor:
        """[B, 24, 3, N, N] and [B, 24, 1, N, N] -> [B, 3], within 0.37..2.7."""
        x = light_cues(textures, seen)
        for layer in self.layers[:-1]:
            x = activate(layer(x))
        return torch.exp(torch.tanh(self.layers[-1](x)))

    def forward(self, source: Source) -> Source:
        """The source in one light. No gradient runs from its colours to the factors: which are right is told by the
        light itself (`components.train.losses.light`), not by whatever a picture lacks."""
        factors = self.factors(source.textures, source.seen).detach()
        tiles = torch.zeros(TILES, device=factors.device)
        tiles[[part - 1 for part in BODY_PARTS]] = 1
        per_tile = 1 + tiles[:, None] * (factors[:, None] - 1)
        textures = ((source.textures + 1) * per_tile[..., None, None] - 1) * source.seen
        face = Photo((source.face.images + 1) * factors[..., None, None] - 1, source.face.mattes, source.face.poses)
        return Source(textures, source.seen, face, source.clothes)


def light_cues(textures: Tensor, seen: Tensor) -> Tensor:
    """What tells whether face and clothes were photographed in one light: [B, LIGHT_CUES].

    Per tile, and for the neck (the top of the torso's front and back): how much brighter than the face's skin its
    skin-like texels are (mean difference of log brightness) with the share of such texels, and brightness and share
    of all its seen texels; then colour and brightness of the skin.
    """
    skin, found = skin_colour(textures, seen)
    colours, skin = (textures + 1) / 2 + 0.02, (skin + 1) / 2 + 0.02
    bright, skin_bright = colours.mean(2, keepdim=True), skin.mean(1)
    over = torch.log(bright) - torch.log(skin_bright)[:, None, None, None, None]
    hue = colours / bright - (skin / skin_bright[:, None])[:, None, :, None, None]
    like = seen * torch.exp(-hue.square().sum(2, keepdim=True) / (2 * _SKIN_HUE**2)) * (over.abs() < _LIKE_SKIN)
    rows = []
    for weight in (like, seen):
        sums = torch.cat((weight * over, weight), 2).mean(-2)  # [B, 24, 2, N]: along V only, so that U can be cut
        neck = sums[:, list(_TORSO_TILES), :, : max(sums.shape[-1] // _NECK, 1)]
        for piece in (sums, neck):
            amount = piece.mean(-1)
            rows.append(torch.stack((amount[:, :, 0] / (amount[:, :, 1] + 0.01), amount[:, :, 1].sqrt()), 2).flatten(1))
    tint = torch.log(skin) - torch.log(skin_bright)[:, None]
    return torch.cat((*rows, 3 * tint, torch.log(skin_bright)[:, None], found[:, None]), 1) * found[:, None]
