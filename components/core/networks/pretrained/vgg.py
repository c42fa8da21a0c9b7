"""VGG-16 and VGG-19 as layers for a perceptual distance, with torchvision's names, so that its published files load.

Source of the architecture: Simonyan and Zisserman, arXiv 1409.1556, table 1, columns D and E; of the parameters' names
and of the normalisation: the files vgg16-397923af.pth and vgg19-dcbb9e9d.pth, trained on ImageNet. What comes after the
last layer that is compared, the classifier first of all, is not built and not loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from components.core.errors import DataError
from components.core.stores.known_weights import KNOWN, known_weights

VggName = Literal["vgg16", "vgg19"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in 0..1, red, green, blue."""
_STAGES: dict[VggName, tuple[tuple[int, int], ...]] = {
    "vgg16": ((64, 2), (128, 2), (256, 3), (512, 3)),
    "vgg19": ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1)),
}
"""Channels and convolutions of each stage, up to the last layer that is compared; max pooling in between."""
_TAKEN: dict[VggName, tuple[int, ...]] = {"vgg16": (3, 8, 15, 22), "vgg19": (1, 6, 11, 20, 29)}
"""Places in torchvision's numbering. 16: relu1_2, 2_2, 3_3, 4_3 (Johnson et al., arXiv 1603.08155, supplement); 19:
relu1_1, 2_1, 3_1, 4_1, 5_1 (Wang et al., arXiv 1711.11585, whose VGG loss most re-posing networks use)."""


class Vgg(nn.Module):
    """``forward``: [B, 3, H, W] in [-1, 1], H and W at least 16 -> one tensor per layer.

    vgg16: [B, 64, H, W], [B, 128, H/2, W/2], [B, 256, H/4, W/4], [B, 512, H/8, W/8]; vgg19 the same and
    [B, 512, H/16, W/16]. `layer_weights` are equal and add up to 1.
    """

    layer_weights: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, name: VggName) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, count in _STAGES[name]:
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
        self.features, self._taken = nn.Sequential(*layers), _TAKEN[name]
        equal = torch.full((len(self._taken),), 1 / len(self._taken))
        self.register_buffer("layer_weights", equal, persistent=False)
        # Of pixels in -1..1.
        for what, values, shift in (("mean", _MEAN, 1.0), ("std", _STD, 0.0)):
            self.register_buffer(what, torch.tensor(values).reshape(1, 3, 1, 1) * 2 - shift, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, found = (images - self.mean) / self.std, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self._taken:
                found.append(x)
        return found


def load_vgg(name: VggName, path: Path | None = None) -> Vgg:
    """The network with the weights published under its name, or with those of the file `path`, which is not checked.

    Raises what `known_weights` raises, and `DataError` for a file of another layout. The file is read as plain
    tensors (no code in it is run). Frozen, in eval mode.
    """
    file = path or known_weights(name)
    network = Vgg(name)
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict({key: tensors[key] for key in network.state_dict()})
    except Exception as error:  # torch.load raises what it likes: UnpicklingError, RuntimeError, EOFError, ...
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"not the weights of {name} ({reason})", path=file,
                        remedy=f"bring {KNOWN[name].file} as torchvision publishes it") from None
    return network.eval().requires_grad_(False)
