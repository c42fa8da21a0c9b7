"""ANet, PNet and GNet as one generator, and the finished model behind one call.

    reposer = Reposer.load(Path("generator.safetensors"))
    output = reposer.repose(SourceBatch(textures, seen, photos, mattes, poses), target_poses, backgrounds)

A model is one safetensors file: weights, and in its metadata format version, settings, resolution, texel and origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from components.core.artifacts.model import FORMAT, GENERATOR
from components.core.atomic import atomic_path
from components.core.documents import json_object
from components.core.errors import DataError, InputError
from components.core.networks.generator.anet import ANet
from components.core.networks.generator.enlarge import enlarged
from components.core.networks.generator.gnet import GNet
from components.core.networks.generator.mixture import (
    MATTE,
    PAINTED,
    SHOWN,
    TOUCH,
    WARPED,
    Finer,
    Painting,
    mixed,
    mixed_larger,
    shown,
    soft_matte,
)  # fmt: skip
from components.core.networks.generator.pnet import LEVELS, PNet
from components.core.networks.generator.warp import Source, SourceView
from components.core.pictures.blending import symmetric_heads
from components.core.pictures.texture import smooth_charts
from components.core.settings import PreprocessSettings, TrainSettings
from components.core.tensors import tensor_bytes

Bytes = NDArray[np.uint8]

PERSONAL = "personal"
"""`Reposer.origin` of a model that was fitted to one person: it is not written as a model, so never registered."""
_BATCH = 8
_REASON = 200
_FOG = 0.04
"""A large picture's matte starts above this, and is whole at as much below 1."""


class Generator(nn.Module):
    """ANet, PNet and GNet of one size.

    `paper`: z = ANet(atlas), PNet's last tensor, four residual blocks: as published, with a matte beside the colours.
    `warp`: the warped inputs of `warp.py`, in one light (`light.py`), join the pose branch at full resolution and
    PNet's features join GNet at every scale. Each pixel is a mixture of a first guess (`warp.first_guess`) and these,
    in shares that GNet decides and that are 0 where they are void; GNet then sharpens it (an atlas is never as crisp
    as the photo), changes its light and touches it up.
    Untrained, it paints about the first guess.
    """

    def __init__(self, settings: TrainSettings, resolution: int, texel: int) -> None:
        super().__init__()
        self.warps, self._evidence = settings.generator == "warp", settings.evidence
        if resolution % 2**LEVELS:
            raise InputError(f"resolution {resolution} is not a multiple of {2**LEVELS}",
                             remedy="preprocess at 64, 128, 256 or 512")
        width, most, latent = settings.width, settings.max_width, settings.latent
        self.anet = ANet(texel, max(width // 2, 4) if self.warps else width, most, latent)
        if not self.warps:
            self.pnet = PNet(width, most)
            self.gnet = GNet(width, most, latent, painted=TOUCH + MATTE, blocks=4, skips=False)
            return
        self.pnet = PNet(width, most, warped=SHOWN)
        self.gnet = GNet(width, most, latent, painted=PAINTED + WARPED, blocks=1, skips=True)
        self.gnet.start_quietly()

    def forward(self, source: Source, poses: Tensor, fine: Finer | None = None) -> Painting:
        """Paint `source` in `poses` (uint8 [B, 3, S, S]); `fine` as in `paint`."""
        return self.paint(source, poses, self.appearance(source), fine)

    def appearance(self, source: Source) -> Tensor:
        """ANet's vector z [B, latent]."""
        z: Tensor = self.anet(source.textures, source.seen)
        return z

    def paint(self, source: Source, poses: Tensor, z: Tensor, fine: Finer | None = None) -> Painting:
        """`forward` with an appearance vector at hand.

        `fine` is source and pose at another size T: what the network decides at its own size is enlarged along
        the edges of that pose map, and the mixture made there, of the photo's own pixels: a painting [B, ., T, T].
        """
        if not self.warps:
            raw = self.gnet(self.pnet(poses), z)
            raw = raw if fine is None else enlarged(raw, poses, fine.poses)
            return Painting(raw[:, :TOUCH], soft_matte(raw[:, TOUCH:]), torch.ones_like(raw[:, :1]))
        seen = shown(source, poses, self._evidence)
        raw = self.gnet(self.pnet(poses, seen.planes()), z)
        return mixed(raw, seen) if fine is None else mixed_larger(raw, seen, fine)


@dataclass(frozen=True)
class SourceBatch:
    """Whom to re-pose, as arrays. What is None is not known: then hair and skirts are painted from experience."""

    textures: Bytes
    """uint8 [B, 24, N, N, 3]; spliced or merged from several photos, or a photo's own."""
    seen: NDArray[np.bool_]
    """bool [B, 24, N, N]."""
    photos: Bytes | None = None
    """uint8 [B, S, S, 3]: the photo that face and hair come from."""
    mattes: Bytes | None = None
    """uint8 [B, S, S]: its matte."""
    poses: Bytes | None = None
    """uint8 [B, S, S, 3]: its pose map."""
    clothes_photos: Bytes | None = None
    """uint8 [B, S, S, 3]: the photo that the clothes come from; None: `photos`, where it shows the atlas' clothes."""
    clothes_mattes: Bytes | None = None
    """uint8 [B, S, S]."""
    clothes_poses: Bytes | None = None
    """uint8 [B, S, S, 3]."""
    one_light: bool = False
    """Whether face and clothes are known to have been seen in one light, as in one photo. Else it is estimated, and so
    it is for what the network decides at its own size."""


@dataclass(frozen=True)
class Fine:
    """The same sources and target poses at another size T than the network's, for pictures of that size."""

    source: SourceBatch
    """Photos, mattes and pose maps of side T; an atlas of as many texels as the photos are worth."""
    poses: Bytes
    """uint8 [B, T, T, 3]."""
    dense: Bytes | None = None
    """uint8 [B, D, D, 3]: the pose maps with more pixels, as the atlas has texels for them; each pixel of the picture
    is then the mean of several looked up in the atlas."""

    @property
    def size(self) -> int:
        """T."""
        return int(self.poses.shape[1])


@dataclass(frozen=True)
class Output:
    """Finished pictures."""

    images: Bytes
    """uint8 [B, S, S, 3]: the person over the background; equal to it wherever the matte is 0."""
    mattes: Bytes
    """uint8 [B, S, S], 255 = person."""


class Reposer:
    """A trained generator (EMA weights) that takes and gives numpy arrays."""

    def __init__(self, network: Generator, settings: TrainSettings, resolution: int, texel: int, origin: str,
                 device: str = "cpu") -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.settings, self.resolution, self.texel, self.origin = settings, resolution, texel, origin
        self.device = device

    @staticmethod
    def load(path: Path, device: str = "cpu") -> Reposer:
        """Read a model file. Weights in half precision are computed with in float32.

        Raises `InputError` when there is none, `DataError` for a file that is no safetensors, is torn, has another
        format version or weights that do not fit its settings.
        """
        metadata, weights = _read(Path(path))
        found = metadata.get("format", "none")
        if found != FORMAT:
            raise DataError(f"format {found}, expected {FORMAT}", path=path, remedy="train it with this version")
        try:
            settings = TrainSettings.model_validate({"evidence": 1} | json_object(metadata["settings"]))
            resolution, texel = _sides(metadata)
            with torch.device("meta"):  # takes no memory: what the header says has to fit before any is asked for
                _check_fit(Generator(settings, resolution, texel).state_dict(), weights)
            network = Generator(settings, resolution, texel)
            network.load_state_dict(weights)
        except (KeyError, ValueError, RuntimeError, OverflowError, InputError) as error:
            reason = " ".join(str(error).split())[:_REASON]
            raise DataError(f"not a complete model ({reason})", path=path, remedy="train it again") from None
        return Reposer(network, settings, resolution, texel, metadata.get("origin", "photos"), device)

    def save(self, path: Path) -> None:
        """Write the model file atomically, equal models as equal bytes. Raises `MachineError` for a full disk or one
        that cannot be written, `InputError` for a model that was fitted to one person."""
        if self.origin == PERSONAL:
            raise InputError("a model that was fitted to one person is nobody else's, and is not written as a model",
                             path=path, remedy="save the model that it was fitted from")
        metadata = {
            "format": FORMAT, "settings": self.settings.model_dump_json(), "resolution": str(self.resolution),
            "texel": str(self.texel), "origin": self.origin,
        }  # fmt: skip
        weights = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        with atomic_path(path) as partial:
            partial.write_bytes(tensor_bytes(weights, metadata))

    def repose(self, source: SourceBatch, poses: Bytes, backgrounds: Bytes, fine: Fine | None = None) -> Output:
        """Paint each source in the pose of `poses` uint8 [B, S, S, 3] over `backgrounds` uint8 [B, S, S, 3].

        With `fine` the pictures have its size T, and so have `backgrounds`. Deterministic. Works in slices of 8, fine
        ones one by one. Raises `InputError` for arrays of other sizes than the model's.
        """
        self._check(source, poses, backgrounds, fine)
        images, mattes = [], []
        for start in range(0, len(poses), size := _BATCH if fine is None else 1):
            part = slice(start, start + size)
            with torch.inference_mode():
                coarse, torch_poses, at = self.tensors(source, poses, fine, part)
                painting = self.network(coarse, torch_poses, at)
                if at is not None:
                    painting = painting._replace(soft_matte=self._without_specks(painting.matte, at.poses))
                # Rounded first, so that the matte handed out is the one that was used.
                matte = (painting.matte * 255).round()
                picture = torch.lerp(self._colours(backgrounds[part]), painting.person, matte / 255)
                picture = ((picture + 1) * 127.5).round().clamp(0, 255)
            images.append(picture.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
            mattes.append(matte[:, 0].to(torch.uint8).cpu().numpy())
        if not images:
            return Output(np.empty_like(backgrounds), np.empty(backgrounds.shape[:3], np.uint8))
        return Output(np.concatenate(images), np.concatenate(mattes))

    def tensors(self, source: SourceBatch, poses: Bytes, fine: Fine | None = None, part: slice = slice(None)
                ) -> tuple[Source, Tensor, Finer | None]:
        """What `Generator.forward` takes, of the pictures `part` of those that `repose` takes."""
        at = None if fine is None else Finer(self._source(_even(fine.source, part), slice(None), fine.size),
                                             self._charts(fine.poses[part]),
                                             None if fine.dense is None else self._charts(fine.dense[part]))
        return self._source(source, part, self.resolution), self._planes(poses[part]), at

    def _source(self, source: SourceBatch, part: slice, side: int) -> Source:
        count = len(source.textures[part])
        face = self._photo(source.photos, source.mattes, source.poses, part, count, side)
        given = source.clothes_photos is not None
        clothes = face if not given else self._photo(source.clothes_photos, source.clothes_mattes,
                                                     source.clothes_poses, part, count, side)
        tensors = source_tensors(self._tensor(source.textures[part]), self._tensor(source.seen[part]), face, clothes)
        return replace(tensors, one_light=source.one_light)

    def _photo(self, photos: Bytes | None, mattes: Bytes | None, poses: Bytes | None, part: slice,
               count: int, side: int) -> SourceView:
        if photos is None or mattes is None or poses is None:
            nothing = torch.zeros(count, 3, side, side, device=self.device)
            return SourceView(nothing, nothing[:, :1], nothing.to(torch.uint8))
        return SourceView(self._colours(photos[part]), self._tensor(mattes[part])[:, None].float() / 255,
                          self._planes(poses[part]))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)

    def _planes(self, array: Bytes) -> Tensor:
        return self._tensor(array).permute(0, 3, 1, 2)

    @staticmethod
    def _without_specks(matte: Tensor, poses: Tensor) -> Tensor:
        """A matte [1, 1, T, T] without its fog, and without pieces that do not hang together with the body."""
        clear = ((matte - _FOG) / (1 - 2 * _FOG)).clamp(0, 1)
        _, pieces = cv2.connectedComponents((clear[0, 0] > 0).to(torch.uint8).cpu().numpy())
        body = (poses[0, 0] > 0).cpu().numpy()
        kept = np.isin(pieces, np.unique(pieces[body & (pieces > 0)]))
        return clear * torch.from_numpy(kept).to(clear.device)

    def _charts(self, poses: Bytes) -> Tensor:
        """Pose maps float32 [B, 3, T, T], without the steps of bytes."""
        smooth = np.stack([smooth_charts(pose) for pose in poses])
        return torch.from_numpy(smooth).to(self.device).permute(0, 3, 1, 2)

    def _colours(self, array: Bytes) -> Tensor:
        return self._planes(array).float() / 127.5 - 1

    def _check(self, source: SourceBatch, poses: Bytes, backgrounds: Bytes, fine: Fine | None) -> None:
        side = self.resolution
        remedy = f"preprocess with resolution {side} and texel {self.texel}"
        _check_shapes(source, poses, side, self.texel, remedy)
        if fine is not None:
            _check_shapes(fine.source, fine.poses, fine.size, fine.source.textures.shape[2], "cut all out at one size")
        final = side if fine is None else fine.size
        wanted = (len(poses), final, final, 3)
        if backgrounds.shape != wanted or (fine is not None and len(fine.poses) != len(poses)):
            raise InputError(f"backgrounds: {list(backgrounds.shape)}, this model takes {list(wanted)}", remedy=remedy)


def _even(source: SourceBatch, part: slice) -> SourceBatch:
    """A slice of a source whose heads' halves complete each other in one light: in a large picture a patch of another
    light shows."""
    heads = [symmetric_heads(*atlas) for atlas in zip(source.textures[part], source.seen[part], strict=True)]
    textures, seen = (np.stack(each) for each in zip(*heads, strict=True))
    planes = {name: array[part] for name, array in vars(source).items() if isinstance(array, np.ndarray)}
    return replace(source, **planes | {"textures": textures, "seen": seen})


def _check_shapes(source: SourceBatch, poses: Bytes, side: int, texel: int, remedy: str) -> None:
    for trio in ((source.photos, source.mattes, source.poses),
                 (source.clothes_photos, source.clothes_mattes, source.clothes_poses)):
        if len({plane is None for plane in trio}) > 1:
            raise InputError("a source photo, its matte and its pose map go together",
                             remedy="give all three, or none")
    batch = len(poses)
    square = (batch, side, side)
    for name, array, shape in (
        ("poses", poses, (*square, 3)),
        ("textures", source.textures, (batch, 24, texel, texel, 3)),
        ("seen", source.seen, (batch, 24, texel, texel)),
        ("photos", source.photos, (*square, 3)), ("mattes", source.mattes, square),
        ("poses of the source", source.poses, (*square, 3)),
        ("clothes_photos", source.clothes_photos, (*square, 3)), ("clothes_mattes", source.clothes_mattes, square),
        ("clothes_poses", source.clothes_poses, (*square, 3)),
    ):  # fmt: skip
        if array is not None and array.shape != shape:
            raise InputError(f"{name}: {list(array.shape)}, this model takes {list(shape)}", remedy=remedy)


def source_tensors(textures: Tensor, seen: Tensor, face: SourceView, clothes: SourceView) -> Source:
    """A `Source` from atlas bytes uint8 [B, 24, N, N, 3] and seen bool [B, 24, N, N]."""
    mask = seen[:, :, None].float()
    colours = textures.permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    return Source(colours * mask, mask, face, clothes)


def _check_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raises `ValueError` for weights that are not those of the network."""
    for name in sorted(wanted.keys() | found.keys()):
        if name not in wanted or name not in found:
            raise ValueError(f"{name[:80]} is {'missing' if name in wanted else 'unknown'}")
        if wanted[name].shape != found[name].shape:
            raise ValueError(f"{name} has the shape {list(found[name].shape)}, not {list(wanted[name].shape)}")


def _sides(metadata: Mapping[str, str]) -> tuple[int, int]:
    """Resolution and texel. Raises `ValueError` for what no settings can ask for."""
    sides = PreprocessSettings.model_validate({name: int(metadata[name][:9]) for name in ("resolution", "texel")})
    return sides.resolution, sides.texel


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError("no model here", path=path, remedy=f"train one, or give the path of {GENERATOR}")
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, {name: value.float() if value.dtype == torch.float16 else value
                                           for name, value in weights.items()}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:_REASON]
        raise DataError(f"damaged or not a model file ({reason})", path=path,
                        remedy="train it again, or copy it again") from None
