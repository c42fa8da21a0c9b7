"""Do these crops come from the same person's photo? The co-occurrence patch discriminator of the Swapping Autoencoder
(Park et al., arXiv 2007.00653, section 3.2): 8 crops of 1/8 to 1/4 of the side, judged beside reference crops.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.core.networks.layers import Conv, DownBlock, Linear, activate, as_they_are, channels_at

CROPS = 8
REFERENCES = 4
_SMALLEST, _LARGEST = 1 / 8, 1 / 4
_LAST_SIDE = 4


class PatchDiscriminator(nn.Module):
    """Each crop and the mean description of the references -> one logit.

    crops [B, CROPS, 3, P, P] and references [B, REFERENCES, 3, P, P] in [-1, 1], P = S/4 -> logits [B, CROPS];
    positive means that the crop is real and belongs to the references' person.
    """

    def __init__(self, resolution: int, width: int, max_width: int) -> None:
        super().__init__()
        self.side = patch_side(resolution)
        halvings = (self.side // _LAST_SIDE).bit_length() - 1
        channels = [channels_at(level, width, max_width) for level in range(halvings + 1)]
        self.stem = Conv(3, channels[0], 3)
        self.blocks = nn.ModuleList(DownBlock(channels[k], channels[k + 1]) for k in range(halvings))
        described = min(4 * channels[-1], max_width)
        self.describe = Linear(channels[-1] * _LAST_SIDE**2, described)
        self.judge = nn.ModuleList((Linear(2 * described, described), Linear(described, 1)))

    def forward(self, crops: Tensor, references: Tensor) -> Tensor:
        batch, count = crops.shape[:2]
        both = self._described(torch.cat((crops, references), 1))
        mine, theirs = both[:, :count], both[:, count:].mean(1, keepdim=True).expand(-1, count, -1)
        hidden = activate(self.judge[0](torch.cat((mine, theirs), 2).flatten(0, 1)))
        logits: Tensor = self.judge[1](hidden)
        return logits.reshape(batch, count).float()

    def _described(self, patches: Tensor) -> Tensor:
        x = activate(self.stem(patches.flatten(0, 1)))
        for block in self.blocks:
            x = block(x)
        return activate(self.describe(x.flatten(1))).reshape(*patches.shape[:2], -1)


def patch_side(resolution: int) -> int:
    """Side in pixels of the crops of an image of side `resolution`."""
    return resolution // 4


def random_crops(images: Tensor, inside: Tensor, count: int) -> Tensor:
    """Square crops of 1/8 to 1/4 of the side, at places drawn where `inside` [B, 1, S, S] is high all around.

    images [B, 3, S, S] -> [B, count, 3, S/4, S/4], bilinear, differentiable. Drawn from torch's generator.
    """
    batch, _, side, _ = images.shape
    cell = max(side // 16, 1)
    around = F.avg_pool2d(F.avg_pool2d(inside.float(), cell), 3, stride=1, padding=1).flatten(1)
    cells = side // cell
    chosen = torch.multinomial(around**8 + 1e-8, count, replacement=True)
    jitter = torch.rand(2, batch, count, device=images.device)
    # In coordinates of [-1, 1] half a crop's side is its share of the image's side.
    half = _SMALLEST + (_LARGEST - _SMALLEST) * torch.rand(batch, count, device=images.device)
    x = ((chosen % cells + jitter[0]) / cells * 2 - 1).clamp(-1 + half, 1 - half)
    y = (torch.div(chosen, cells, rounding_mode="floor") + jitter[1]) / cells * 2 - 1
    y = y.clamp(-1 + half, 1 - half)
    zero = torch.zeros_like(half)
    theta = torch.stack((torch.stack((half, zero, x), -1), torch.stack((zero, half, y), -1)), -2)
    out = patch_side(side)
    with as_they_are(images.device):  # places in bf16 are whole pixels apart
        # One grid per image, its crops below each other: the image is read in place, not copied per crop.
        grid = F.affine_grid(theta.flatten(0, 1), [batch * count, 3, out, out], align_corners=False)
        crops = F.grid_sample(images.float(), grid.reshape(batch, count * out, out, 2), align_corners=False)
    return crops.reshape(batch, 3, count, out, out).transpose(1, 2)
