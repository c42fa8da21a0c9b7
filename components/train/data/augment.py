"""From bytes to a training batch: mirror images, random colours, missing texels and photos, random backgrounds.

Everything is drawn from torch's generator, which the loop seeds per step. One mirror and one colour change hold for the
atlas, the photos and the answer of an example, so the answer stays exact while nobody's looks are learnt by heart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.networks.generator.reposer import source_tensors
from components.core.networks.generator.warp import TILES, Source, SourceView, mirrored, mirrored_poses
from components.train.data.batches import Examples, evenly

_PERMUTED = 0.2  # Share of examples whose colour channels change places.
_GAIN, _OFFSET = 0.15, 0.1  # Standard deviations, in units of [-1, 1].
_NO_PHOTO = 0.1  # Share of examples without a photo beside the atlas, ...
_NO_PHOTO_LEAK = 0.7  # ... and where the photo would be the answer itself.
_HOLES = (0.15, 0.5)  # Mean share of texels hidden, where the texels are not the answer's own and where they are.
_TILES = (0.03, 0.2)  # Share of whole tiles hidden.


class Batch(NamedTuple):
    """A training batch on the device."""

    source: Source
    poses: Tensor
    """uint8 [B, 3, S, S], of the answer."""
    photos: Tensor
    """The answer [B, 3, S, S] in [-1, 1]."""
    mattes: Tensor
    """Its matte [B, 1, S, S] in 0..1."""
    backgrounds: Tensor
    """[B, 3, S, S] in [-1, 1], for painted and real alike."""

    @property
    def real(self) -> Tensor:
        """The answer's person over the given background."""
        return torch.lerp(self.backgrounds, self.photos, self.mattes)

    def parts(self, count: int) -> list[Batch]:
        """The batch in `count` parts of (nearly) equal size, in order; fewer where there are fewer examples."""
        return [self._part(rows) for rows in evenly(len(self.poses), count)]

    def _part(self, rows: slice) -> Batch:
        face, clothes = (SourceView(photo.images[rows], photo.mattes[rows], photo.poses[rows])
                         for photo in (self.source.face, self.source.clothes))
        source = Source(self.source.textures[rows], self.source.seen[rows], face, clothes)
        return Batch(source, self.poses[rows], self.photos[rows], self.mattes[rows], self.backgrounds[rows])


def prepare(examples: Examples, device: torch.device, *, augment: bool) -> Batch:
    """Move a batch to the device and make it training material. With `augment` False nothing but backgrounds is random.
    """
    face, clothes = (_photo(shown, device) for shown in (examples.face, examples.clothes))
    target = _photo(examples.target, device)
    textures, seen, leaks = (plane.to(device, non_blocking=True)
                             for plane in (examples.textures, examples.seen, examples.leaks))
    source = source_tensors(textures, seen, face, clothes)
    batch, side = len(target.images), target.images.shape[-1]
    if augment:
        mirror, change = _mirror(batch, device), _colour_change(batch, device)
        source, target = mirror.source(source), mirror.photo(target)
        kept = source.seen * _kept_texels(source.seen, leaks[:, 0])
        shown = torch.rand(batch, device=device) >= torch.where(leaks[:, 1], _NO_PHOTO_LEAK, _NO_PHOTO)
        source = Source(change(source.textures) * kept, kept, _recoloured(source.face, change, shown),
                        _recoloured(source.clothes, change, shown))
        target = SourceView(change(target.images), target.mattes, target.poses)
    return Batch(source, target.poses, target.images, target.mattes, random_backgrounds(batch, side, device))


def random_backgrounds(batch: int, side: int, device: torch.device) -> Tensor:
    """Soft random colours [B, 3, S, S] in [-1, 1]: a background that nobody can remember."""
    coarse = torch.rand(batch, 3, 4, 4, device=device) * 2 - 1
    plain = coarse[:, :, :1, :1]
    mixed = plain + torch.rand(batch, 1, 1, 1, device=device) * (coarse - plain)
    return F.interpolate(mixed, (side, side), mode="bilinear", align_corners=False)


def _photo(shown: tuple[Tensor, Tensor, Tensor], device: torch.device) -> SourceView:
    photo, matte, poses = (plane.to(device, non_blocking=True) for plane in shown)
    return SourceView(photo.permute(0, 3, 1, 2).float() / 127.5 - 1, matte[:, None].float() / 255,
                      poses.permute(0, 3, 1, 2))


class _mirror:
    """Half of the examples as in a mirror: another person, with the parting on the other side."""

    def __init__(self, batch: int, device: torch.device) -> None:
        self._which = torch.rand(batch, device=device) < 0.5

    def source(self, source: Source) -> Source:
        """An atlas with its photos."""
        textures, seen = (self._some(mirrored(tiles), tiles) for tiles in (source.textures, source.seen))
        return Source(textures, seen, self.photo(source.face), self.photo(source.clothes))

    def photo(self, photo: SourceView) -> SourceView:
        """A photo with its matte and pose map."""
        return SourceView(self._some(photo.images.flip(-1), photo.images),
                          self._some(photo.mattes.flip(-1), photo.mattes),
                          self._some(mirrored_poses(photo.poses), photo.poses))

    def _some(self, turned: Tensor, as_is: Tensor) -> Tensor:
        return torch.where(self._which.reshape(-1, *(1,) * (as_is.ndim - 1)), turned, as_is)


class _colour_change:
    """A random permutation, gain and offset of the colour channels per example."""

    def __init__(self, batch: int, device: torch.device) -> None:
        order = torch.rand(batch, 3, device=device).argsort(1)
        permuted = torch.rand(batch, 1, device=device) < _PERMUTED
        self._order = torch.where(permuted, order, torch.arange(3, device=device))
        self._gain = torch.exp(_GAIN * torch.randn(batch, 3, device=device))
        self._offset = _OFFSET * torch.randn(batch, 3, device=device)

    def __call__(self, colours: Tensor) -> Tensor:
        """[B, ..., 3, H, W] in [-1, 1] -> the same shape, clamped to [-1, 1]."""
        shape = (len(colours), *(1,) * (colours.ndim - 4), 3, 1, 1)
        order = self._order.reshape(shape).expand(colours.shape)
        changed = colours.gather(-3, order) * self._gain.reshape(shape) + self._offset.reshape(shape)
        return changed.clamp(-1, 1)


def _recoloured(photo: SourceView, change: _colour_change, shown: Tensor) -> SourceView:
    return SourceView(change(photo.images), photo.mattes * shown[:, None, None, None], photo.poses)


def _kept_texels(seen: Tensor, leaks: Tensor) -> Tensor:
    """Mask [B, 24, 1, N, N] that hides soft-edged holes and whole tiles, more where the texels are the answer's own."""
    batch, texel = len(seen), seen.shape[-1]
    noise = F.interpolate(torch.rand(batch, TILES, 4, 4, device=seen.device), (texel, texel), mode="bilinear",
                          align_corners=False)
    # Half of the examples keep all they have; the others lose a share that varies from example to example.
    level = torch.rand(batch, device=seen.device) * 2 * torch.where(leaks, _HOLES[1], _HOLES[0])
    level = level * ((torch.rand(batch, device=seen.device) < 0.5) | leaks)
    holes = noise < level.clamp(max=0.8)[:, None, None, None]
    tiles = torch.rand(batch, TILES, 1, 1, device=seen.device)
    gone = tiles < torch.where(leaks, _TILES[1], _TILES[0])[:, None, None, None]
    return (~(holes | gone))[:, :, None].float()
