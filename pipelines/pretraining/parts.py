"""Training of the network that finds body parts, on whole person crops, sharp and spoilt, before any background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from components.core.networks.pretrained.builtin import PartsNet
from components.core.networks.pretrained.features import part_agreement
from components.core.progress import task
from pipelines.pretraining.distort import blur, coarse, colour, noise, nudged
from pipelines.pretraining.optimise import Schedule
from pipelines.pretraining.photos import Population, pieces, to_float

_GREY = 0.5
"""Share of a batch before a plain background: evaluation shows pictures that way."""
_SPOILT = (blur, coarse, colour, noise)


def train_parts(people: Population, steps: int, batch: int, seed: int) -> PartsNet:
    """PartsNet, in its trainable form, by cross-entropy at every second pixel; rarer parts weigh a little more."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = PartsNet(norm=True)
    schedule = Schedule(network.parameters(), steps)
    weights = _weights(people.parts)
    with task("parts network", steps) as progress:
        for _ in range(steps):
            chosen = torch.randint(0, len(people.bodies), (batch,), generator=random)
            wanted = people.parts[chosen][:, ::2, ::2].long()
            seen = _spoilt(_before_grey(to_float(people.bodies[chosen]), people.parts[chosen], random), random)
            loss = F.cross_entropy(network(seen), wanted, weights)
            schedule.step(loss)
            progress.advance(note=f"loss {loss.item():.2f}")
    return network


def part_metrics(network: PartsNet, people: Population, seed: int) -> dict[str, float]:
    """Agreement with the true parts: of photos as they are, blurred and shrunk ones, and with another photo's parts."""
    pictures, wanted = people.bodies[::2], people.parts[::2, ::2, ::2].long()
    metrics = {"photos": float(len(pictures))}
    for name, strength, spoil in (("sharp", 0.0, blur), ("blur_0.25", 0.25, blur), ("coarse_0.25", 0.25, coarse)):
        random = torch.Generator().manual_seed(seed)
        found = _read(network, [some if strength == 0 else spoil(some, strength, random)
                                for some in (to_float(piece) for piece in pieces(pictures, 32))])
        metrics[name] = float(part_agreement(found, wanted).mean())
        if name == "sharp":
            metrics["another_pose"] = float(part_agreement(found, wanted.roll(1, 0)).mean())
    return metrics


def _read(network: PartsNet, batches: list[Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(some).argmax(1) for some in batches])


def _weights(parts: Tensor) -> Tensor:
    """One over the fourth root of each part's share, mean 1: hands and feet are few pixels."""
    shares = torch.bincount(parts.flatten().long(), minlength=PartsNet.parts).float().clamp(min=1) / parts.numel()
    weights = shares.pow(-0.25)
    return weights / weights.mean()


def _before_grey(images: Tensor, parts: Tensor, random: torch.Generator) -> Tensor:
    """Some of the pictures with everything but the body, and a rim for hair, turned to one grey each."""
    count = len(images)
    body = F.max_pool2d((parts > 0).float()[:, None], 9, stride=1, padding=4)
    grey = 2 * torch.rand(count, 1, 1, 1, generator=random) - 1
    chosen = torch.rand(count, 1, 1, 1, generator=random) < _GREY
    return torch.where(chosen & (body == 0), grey, images)


def _spoilt(images: Tensor, random: torch.Generator) -> Tensor:
    """The first quarter as it is, softly moved; each other quarter distorted in one way that keeps parts in place."""
    changed = []
    for index, piece in enumerate(nudged(images, random).chunk(4)):
        if index:
            spoil = _SPOILT[int(torch.randint(0, len(_SPOILT), (), generator=random))]
            piece = spoil(piece, 0.5 * float(torch.rand((), generator=random)), random)
        changed.append(piece)
    return torch.cat(changed)
