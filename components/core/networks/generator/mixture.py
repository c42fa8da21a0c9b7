"""What GNet decides for each pixel, applied to what the source shows there.

At the network's own size S, or at another T: then the decisions are enlarged, and the warped inputs are made again of
the photo's own pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from components.core.networks.generator.alignment import shows, wide_legs, without_arms, without_strays
from components.core.networks.generator.enlarge import enlarged, plainly_enlarged
from components.core.networks.generator.light import light_factors, relit, settled
from components.core.networks.generator.seams import mended
from components.core.networks.generator.warp import (
    Source,
    WarpedInput,
    bare_skin,
    first_guess,
    plain_skin,
    warped_atlas,
    warped_clothes,
    warped_head,
    wears_atlas,
)  # fmt: skip
from components.core.networks.layers import as_they_are, dilated, softened
from components.core.pictures.iuv import HEAD_PARTS

TOUCH, MATTE, _LIGHT, _CRISP = 3, 1, 3, 1
PAINTED = TOUCH + MATTE + _LIGHT + _CRISP
WARPED = 4  # atlas, head photo, clothes photo, skin
SHOWN = 3 + 5 * WARPED
"""Channels that join the pose branch: the first guess, and per warped input its colours, where valid, where covered."""
_CHANGE = 0.3  # Scale of light and touching up: an untrained network leaves the mixture nearly as it is.
_MATTE_PRIOR = 3.0
_GAP, _AROUND_HEAD = 72, 16
"""Shares of a side: half the width of a gap between head and hair that is closed, and how far from the head."""
_UNDECIDED = 0.3, 0.8
"""Where a smooth step from 0 to 1 begins and ends: mattes of a larger picture that are above it are lowered to it."""
_MEND = 4
"""Of how many times larger a picture the seams are mended by a pixel more to each side."""


class Painting(NamedTuple):
    """The person and where they are; the background comes last."""

    person: Tensor
    """[B, 3, S, S], about [-1, 1]."""
    soft_matte: Tensor
    """[B, 1, S, S] in -0.01..1.01, for the loss: its gradient does not die at the ends."""
    shares: Tensor
    """[B, 1 + inputs, S, S]: the first guess's share in each pixel, and each warped input's. Sums to 1."""

    @property
    def matte(self) -> Tensor:
        """[B, 1, S, S] in 0..1, reaching both ends exactly."""
        return self.soft_matte.clamp(0, 1)

    def over(self, backgrounds: Tensor) -> Tensor:
        """The person over [B, 3, S, S]. Where the matte is 0 the result is the background, bit for bit."""
        return torch.lerp(backgrounds, self.person, self.matte)


class _Known(NamedTuple):
    """What is told from a source and a pose once, for all sizes."""

    light: Tensor
    """`light_factors` [B, 3]."""
    worn: Tensor
    """`wears_atlas` bool [B]."""
    no_arms: tuple[Tensor | None, Tensor | None] = (None, None)
    """`without_arms` of the head's photo and the clothes', or what takes its place."""
    times: float = 1
    """How many times larger the picture is than what was decided on."""
    legs: bool = True
    """Does the clothes' photo follow the legs?"""
    dense: Tensor | None = None
    """`Finer.dense`."""


class Finer(NamedTuple):
    """The same source and pose at another size T."""

    source: Source
    poses: Tensor
    """[B, 3, T, T]."""
    dense: Tensor | None = None
    """The pose map with several times as many pixels, where the atlas has texels for them."""


class Shown(NamedTuple):
    """The warped inputs in a pose, and the first guess made of them."""

    warped: list[WarpedInput]
    first: Tensor
    poses: Tensor
    known: _Known

    def planes(self) -> Tensor:
        """All of it as GNet is shown it: [B, `SHOWN`, S, S]."""
        pieces = [self.first, *(plane for one in self.warped for plane in (one.images, one.valid, one.covered))]
        return torch.cat(pieces, 1)


def shown(source: Source, poses: Tensor, evidence: int = 2) -> Shown:
    """What `source` shows in `poses` [B, 3, S, S]; `evidence` is `TrainSettings.evidence`."""
    with as_they_are(poses.device):
        worn = wears_atlas(source.textures, source.seen, source.clothes)
        return _shown(source, poses, _Known(light_factors(source, evidence > 1), worn, legs=evidence > 1))


def _shown(source: Source, poses: Tensor, known: _Known) -> Shown:
    warped = warped_inputs(relit(source, known.light), poses, known)
    return Shown(warped, first_guess(warped[0], warped[1:3], poses), poses, known)


def warped_inputs(source: Source, poses: Tensor, known: _Known | None = None) -> list[WarpedInput]:
    """All that the source shows, brought to `poses`: atlas, head photo, clothes photo, skin."""
    worn, no_arms, times, legs, dense = (None, (None, None), 1.0, True, None) if known is None else known[1:]
    skin = bare_skin(source.textures, source.seen)
    return [warped_atlas(source.textures, source.seen, skin, poses, dense),
            warped_head(source.face, poses, no_arms[0], times),
            warped_clothes(source, poses, worn, no_arms[1], times, legs), plain_skin(skin, poses)]


def mixed(raw: Tensor, seen: Shown) -> Painting:
    """What GNet decided [B, `PAINTED` + `WARPED`, S, S], applied to what it was shown."""
    shares = _shares(raw[:, PAINTED:], seen)
    matte = soft_matte(raw[:, TOUCH : TOUCH + MATTE], _closed(_present(seen)))
    return Painting(_person(raw, shares, seen), matte, shares)


def mixed_larger(raw: Tensor, seen: Shown, finer: Finer) -> Painting:
    """The same decisions applied to source and pose of another size.

    Two inputs that differ by less than a pixel where they were mixed show everything double at T: the more the picture
    grows, the more the surest takes over.
    """
    source, poses, dense = finer
    side = poses.shape[-1]
    times = side / raw.shape[-1]
    with as_they_are(poses.device):
        head, clothes = (_settled(one.charts, seen.poses, side) for one in seen.warped[1:3])
        light = settled(seen.known.light, source)
        fine = _shown(source, poses, seen.known._replace(light=light, no_arms=(head, clothes), times=max(1.0, times),
                                                         dense=dense))
        raw = enlarged(raw, seen.poses, poses)
        shares = _shares(raw[:, PAINTED:], fine, max(1.0, 1 + math.log2(times)))
        # Gaps are closed as they were at S: so large a square's corners would show.
        present = _present(seen)
        closed = (_present(fine) + plainly_enlarged(_closed(present) - present, side)).clamp(max=1)
        person, logit = _person(raw, shares, fine), raw[:, TOUCH : TOUCH + MATTE]
        if times <= 1:
            return Painting(person, soft_matte(logit, closed), shares)
        head, narrow = _around_head(poses), 1 - wide_legs(source.clothes.poses, source.clothes.mattes)
        matte = _resolved(soft_matte(logit, _hair_closed(closed, head)), narrow * (1 - head))
        both = mended(torch.cat((person, matte), 1), poses, max(1, round(times / _MEND)))
        return Painting(both[:, :3], both[:, 3:], shares)


def _settled(charts: Tensor | None, poses: Tensor, side: int) -> Tensor | None:
    """Where a photo, moved, shows nothing that stands elsewhere in `poses` [B, 3, S, S]: [B, 1, side, side]."""
    if charts is None:
        return None
    return plainly_enlarged(without_arms(charts, poses) * without_strays(charts, poses), side)


def _person(raw: Tensor, shares: Tensor, seen: Shown) -> Tensor:
    touch, _, light, crisp, _ = torch.split(raw, [TOUCH, MATTE, _LIGHT, _CRISP, WARPED], 1)
    images = [seen.first, *(piece.images for piece in seen.warped)]
    if seen.known.times > 1:  # without a copy of all of them, which takes 250 MB at 2048 px
        mixture = shares[:, :1] * images[0]
        for number in range(1, len(images)):
            mixture.addcmul_(shares[:, number : number + 1], images[number])
    else:
        mixture = (shares[:, :, None] * torch.stack(images, 1)).sum(1)
    free = _free(seen)
    mixture = mixture + free * crisp * (mixture - softened(mixture))
    change = _CHANGE * free
    person: Tensor = (mixture + 1) * torch.exp(change * light.clamp(-5, 5)) - 1 + change * touch
    return person


def _free(seen: Shown) -> Tensor | float:
    """How far light, colours and crispness are the network's to change: everywhere at its own size; in a larger picture
    not where the atlas knows them. A patch of another light that 128 px hide is seen there, and the atlas is fine."""
    if seen.known.times <= 1:
        return 1.0
    known = seen.warped[0].valid
    for _ in range(int(2 * seen.known.times)):
        known = softened(known)
    return 1 - known


def _surely(seen: Shown) -> Tensor:
    """Where the atlas knows a pixel and those beside it: [B, 1, T, T] in 0..1, rising from its edge inwards."""
    return (2 * softened(softened(seen.warped[0].valid)) - 1).clamp(0, 1)


def _present(seen: Shown) -> Tensor:
    """Where there is a body or a photo shows the person: [B, 1, S, S] in 0..1."""
    on_body = (seen.poses[:, :1] > 0).float()
    for _ in range(int(seen.known.times / 2)):
        on_body = softened(on_body)  # a mask's stairs, which are far below a pixel of what was decided
    return torch.stack([on_body, *(photo.valid for photo in seen.warped[1:3])]).amax(0)


def _closed(mask: Tensor) -> Tensor:
    """Close gaps of a few pixels, as between a head's outline and the hair around it: [B, 1, S, S] in 0..1."""
    radius = max(mask.shape[-1] // 64, 1)
    return -dilated(-dilated(mask, radius), radius)


def _around_head(poses: Tensor) -> Tensor:
    """Where the head and its hair are, for poses [B, 3, T, T]: [B, 1, T, T] in 0..1."""
    return softened(dilated(shows(poses, HEAD_PARTS), max(poses.shape[-1] // _AROUND_HEAD, 1)))


def _hair_closed(mask: Tensor, head: Tensor) -> Tensor:
    """Close what is open between a head and the hair around it: both [B, 1, T, T] in 0..1.

    The photo's head, moved, is never as wide as the target's; where it is wider, neither says what is there.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (mask.shape[-1] // _GAP) + 1,) * 2)
    closed = np.stack([cv2.morphologyEx(one, cv2.MORPH_CLOSE, disc) for one in mask[:, 0].cpu().numpy()])
    return torch.lerp(mask, torch.from_numpy(closed)[:, None].to(mask.device), head)


def _resolved(matte: Tensor, where: Tensor) -> Tensor:
    """A matte [B, 1, T, T] in which less than half is hardly anything, as far as `where` [B, 1, T, T] in 0..1 goes.

    Where the network could not tell, as in a gap of few pixels between two legs, its matte is a middle one. In a larger
    picture that is fog; hair is as fine as that, and what may be cloth is better half there than not.
    """
    lowest, highest = _UNDECIDED
    steep = ((matte - lowest) / (highest - lowest)).clamp(0, 1)
    return torch.lerp(matte, torch.minimum(matte, steep * steep * (3 - 2 * steep)), where)


def soft_matte(logit: Tensor, likely: Tensor | None = None) -> Tensor:
    """`Painting.soft_matte` of GNet's logit [B, 1, S, S]; it starts from where a person is `likely`, 0..1."""
    logit = logit if likely is None else logit + _MATTE_PRIOR * (2 * likely - 1)
    return 1.02 * torch.sigmoid(logit) - 0.01


def _shares(logits: Tensor, seen: Shown, decided: float = 1.0) -> Tensor:
    """Softmax over the first guess (logit 0) and each warped input times its validity; logits times `decided`.

    In a larger picture the atlas is alone where it knows: a guess would blur it, and the photo, moved as a whole, shows
    mouth and chin a few pixels beside it.

    The atlas starts ahead by 1; the photos do off the body, and start behind on it, where the atlas knows better.
    Plain skin starts behind everywhere.
    """
    valid = torch.cat([piece.valid for piece in seen.warped], 1)
    on_body = (seen.poses[:, :1] > 0).float()
    photos = 1 - 2 * on_body
    ones = torch.ones_like(on_body)
    lead = torch.cat((ones, photos, photos, -2 * ones), 1)
    weights = valid * torch.exp((decided * (logits + lead)).clamp(-15, 15))
    weights = torch.cat((ones, weights), 1)
    shares = weights / weights.sum(1, keepdim=True)
    if seen.known.times > 1:
        surely = _surely(seen)
        shares = shares * (1 - surely)
        shares[:, 1:2] += surely
    return shares
