"""Methods that an experiment compares beside those of the evaluation: a copy-cat, an average, several photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.core.networks.generator.reposer import Reposer, SourceBatch
from components.core.people.dataset import Person
from components.core.people.sources import merged, stacked
from components.core.pictures import texture
from components.core.pictures.iuv import HEAD_PARTS
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.methods import Rendered, atlas_of, looked_up
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Images, over

_EVERY = 4  # Of pixels, where poses are compared.


class NearestPhoto:
    """What a model that only remembers would do: the photo, of all trained on, in the most alike clothes and pose.

    Of the training people the one whose texture differs least from the source's where both are seen; of that
    person's photos the one whose pose map shows the same parts at most pixels.
    """

    name = "nearest_training_photo"

    def __init__(self, trained: Sequence[npt.NDArray[np.int64]]) -> None:
        self._trained = [[int(index) for index in group] for group in trained]

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        chosen = [self._nearest(people, people[pair.source], people[pair.target].iuv) for pair in pairs]
        photos, mattes, poses = stacked(chosen)
        return Rendered(over(photos, mattes, background), mattes, poses)

    def _nearest(self, people: Album, source: Person, pose: Images) -> Person:
        group = min(self._trained, key=lambda members: min(_apart(source, people[index]) for index in members))
        thin = pose[::_EVERY, ::_EVERY, 0]
        return max((people[index] for index in group),
                   key=lambda person: float((person.iuv[::_EVERY, ::_EVERY, 0] == thin).mean()))


def _apart(one: Person, other: Person) -> float:
    both = one.seen & other.seen
    if both.mean() < 0.01:
        return float("inf")
    return float(np.abs(one.texture[both].astype(np.int16) - other.texture[both]).mean())


class MeanPhoto:
    """The mean of all training photos, whoever it should be."""

    name = "mean_image"

    def __init__(self, people: Album, trained: Sequence[npt.NDArray[np.int64]]) -> None:
        everybody = [people[int(index)] for group in trained for index in group]
        self._matte = np.mean([person.matte for person in everybody], axis=0)
        weighted = np.mean([person.photo * (person.matte[..., None] / 255) for person in everybody], axis=0)
        self._photo = np.rint(weighted / np.maximum(self._matte / 255, 1e-3)[..., None]).clip(0, 255).astype(np.uint8)

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        poses = np.stack([people[pair.target].iuv for pair in pairs])
        mattes = np.repeat(np.rint(self._matte).astype(np.uint8)[None], len(pairs), 0)
        return Rendered(over(np.repeat(self._photo[None], len(pairs), 0), mattes, background), mattes, poses)


class MirroredHeadWarp:
    """The mirrored-head warp: the texture map looked up through the target pose, unseen texels of the head
    from its other half, all others the mean of what was seen. `TextureWarp` guesses the rest better."""

    name = "mirrored_head_warp"

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        poses = np.stack([people[pair.target].iuv for pair in pairs])
        atlases = [_heads_mirrored(*atlas_of(pair, people[pair.source], people[pair.target])) for pair in pairs]
        return looked_up(atlases, poses, background)


def _heads_mirrored(colours: Images, seen: npt.NDArray[np.bool_]) -> Images:
    heads = np.zeros_like(seen)
    heads[[part - 1 for part in HEAD_PARTS]] = True
    take = heads & ~seen & texture.mirror(seen)
    filled = np.where(take[..., None], texture.mirror(colours), colours)
    mean = colours[seen].mean(0) if seen.any() else np.full(3, 128.0)
    return np.where((seen | take)[..., None], filled, np.rint(mean).astype(np.uint8))


class SeveralSources:
    """The face from `count` photos of the person: the pair's source first, then others, never the target.

    With a `Reposer` the model paints; without one the merged texture is looked up (`texture.complete`).
    """

    def __init__(self, count: int, members: Sequence[npt.NDArray[np.int64]], reposer: Reposer | None) -> None:
        self.name = f"{'model' if reposer else 'texture_warp'}_{count}"
        self._count, self._reposer = count, reposer
        self._group = {int(index): [int(other) for other in group] for group in members for index in group}

    def sources(self, pair: EvaluationPair) -> list[int]:
        """Data set indices of the photos for `pair`."""
        rest = [index for index in self._group[pair.source] if index not in (pair.source, pair.target)]
        return [pair.source, *rest][: self._count]

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        targets = [people[pair.target] for pair in pairs]
        sources = [[people[index] for index in self.sources(pair)] for pair in pairs]
        found = [merged(faces, target.iuv, [target] if pair.kind == "transfer" else None)
                 for pair, faces, target in zip(pairs, sources, targets, strict=True)]
        poses = np.stack([target.iuv for target in targets])
        if self._reposer is None:
            return looked_up([texture.complete(one.texture, one.seen)[0] for one in found], poses, background)
        views = [faces[one.view] for faces, one in zip(sources, found, strict=True)]
        batch = SourceBatch(np.stack([one.texture for one in found]), np.stack([one.seen for one in found]),
                            *stacked(views))
        backgrounds = np.ascontiguousarray(np.broadcast_to(np.asarray(background, np.uint8), poses.shape))
        output = self._reposer.repose(batch, poses, backgrounds)
        return Rendered(output.images, output.mattes, poses)
