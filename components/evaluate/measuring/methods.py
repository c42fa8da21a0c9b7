"""The methods that are compared: the model, and two baselines that need no network and show what the network adds.

A method takes pairs and a background and returns pictures. The controls of `controls.py` are methods too, so everything
is measured by the same code as the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core.networks.generator.reposer import Fine, Reposer, SourceBatch
from components.core.people.dataset import Person
from components.core.people.sources import stacked
from components.core.pictures import texture
from components.core.shooting.shots import densely, fine
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Images, over

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rendered:
    """Pictures [B, S, S, 3] over the background given, their mattes [B, S, S], the pose maps [B, S, S, 3] that say
    where in them the face is, and, of a generator, the layers [B, S, S, 3] painted before the background came in."""

    images: Images
    mattes: Images
    poses: Images
    layer: Images | None = None


class Method(Protocol):
    """Renders pairs of one data set."""

    name: str

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        """Paint the pairs over `background`: a grey level or uint8 [S, S, 3]."""


class ModelMethod:
    """The trained generator."""

    name = "model"

    def __init__(self, reposer: Reposer) -> None:
        self._reposer = reposer

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        if not people.is_larger:
            source, poses = _given(people, pairs)
            return self._painted(source, poses, background)
        # One at a time: a large picture takes some hundred megabytes.
        found = [self._large(people, pair, background) for pair in pairs]
        return Rendered(*(np.concatenate([getattr(one, name) for one in found])
                          for name in ("images", "mattes", "poses", "layer")))

    def _large(self, people: Album, pair: EvaluationPair, background: Images | int) -> Rendered:
        """In another size than the network's, as `shoot` makes it of one photo; what was spliced of two was seen in
        two lights."""
        (source, poses), (detail, large) = _given(people.own, [pair]), _given(people, [pair])
        detail = replace(detail, one_light=pair.kind != "transfer")
        given = fine(self._reposer, detail, large, densely(large, people.size))
        return self._painted(source, poses, background, given)

    def _painted(self, source: SourceBatch, poses: Images, background: Images | int, detail: Fine | None = None
                 ) -> Rendered:
        asked = poses if detail is None else detail.poses
        backgrounds = np.broadcast_to(np.asarray(background, np.uint8), asked.shape)
        layers: list[Images] = []
        hook = self._reposer.network.register_forward_hook(
            lambda _, __, painting: layers.append(_bytes(painting.person)))
        try:
            output = self._reposer.repose(source, poses, np.ascontiguousarray(backgrounds), detail)
        finally:
            hook.remove()
        return Rendered(output.images, output.mattes, asked, np.concatenate(layers))


class TextureWarp:
    """The texture map looked up through the target pose, texels nobody saw from the mirrored part: no network."""

    name = "texture_warp"

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        sources, targets = _people(people, pairs)
        textures, seen = _textures(pairs, sources, targets)
        poses = np.stack([person.iuv for person in targets])
        atlases = [texture.complete(*atlas)[0] for atlas in zip(textures, seen, strict=True)]
        return looked_up(atlases, poses, background, smooth=people.is_larger)


def looked_up(atlases: Sequence[Images], poses: Images, background: Images | int, *, smooth: bool = False) -> Rendered:
    """Atlases [24, N, N, 3] seen through pose maps [B, S, S, 3], and nothing but the body; `smooth` as fine atlases are
    made, between the maps' steps."""
    charts = [texture.smooth_charts(pose) for pose in poses] if smooth else poses
    found = [texture.sample(*each) for each in zip(atlases, charts, strict=True)]
    mattes = np.stack([valid for _, valid in found]).astype(np.uint8) * 255
    return Rendered(over(np.stack([image for image, _ in found]), mattes, background), mattes, poses)


class SourceCopy:
    """The source photo as it is, in its own pose."""

    name = "copy_source"

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        photos, mattes, poses = stacked([people.picture(pair.source) for pair in pairs])
        return Rendered(over(photos, mattes, background), mattes, poses)


def truth(people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
    """What the camera saw: the target photo's person over the background."""
    photos, mattes, poses = stacked([people.picture(pair.target) for pair in pairs])
    return Rendered(over(photos, mattes, background), mattes, poses)


def _bytes(colours: Tensor) -> Images:
    """[B, 3, S, S], about [-1, 1] -> uint8 [B, S, S, 3]."""
    picture = ((colours + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(picture.permute(0, 2, 3, 1).cpu().numpy(), np.uint8)


def _people(people: Album, pairs: Sequence[EvaluationPair]) -> tuple[list[Person], list[Person]]:
    """Sources and targets; of these the atlas counts in a transfer alone (`atlas_of`)."""
    return ([people[pair.source] for pair in pairs],
            [people[pair.target] if pair.kind == "transfer" else people.picture(pair.target) for pair in pairs])


def _given(people: Album, pairs: Sequence[EvaluationPair]) -> tuple[SourceBatch, Images]:
    """What there is to paint pairs from, and the pose maps [B, S, S, 3] to paint them in."""
    sources, targets = _people(people, pairs)
    return SourceBatch(*_textures(pairs, sources, targets), *stacked(sources)), stacked(targets)[2]


def atlas_of(pair: EvaluationPair, source: Person, target: Person) -> tuple[Images, Bools]:
    """What there is to render a pair from: texture [24, N, N, 3] and what of it was seen [24, N, N]."""
    atlas = (source.texture, source.seen)
    return texture.splice(atlas, (target.texture, target.seen)) if pair.kind == "transfer" else atlas


def _textures(pairs: Sequence[EvaluationPair], sources: Sequence[Person],
              targets: Sequence[Person]) -> tuple[Images, Bools]:
    found = [atlas_of(*each) for each in zip(pairs, sources, targets, strict=True)]
    return np.stack([atlas for atlas, _ in found]), np.stack([seen for _, seen in found])
