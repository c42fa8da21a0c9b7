"""Training of the network that tells a face from what is none, where a pose map says that a face should be.

What is no face is made from faces and bodies (`NO_FACES`): it has a face's colours, or its parts in the wrong places,
or its shape without its features. What is still a face may be small, blurred, noisy, partly hidden, in any light.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from components.core.faces.nofaces import erased, shuffled, smeared
from components.core.networks.pretrained.builtin import FinderNet
from components.core.networks.pretrained.features import resized
from components.core.pictures.iuv import HEAD_PARTS
from components.core.progress import task
from pipelines.pretraining.distort import Random, down_up, vary_faces
from pipelines.pretraining.optimise import Schedule
from pipelines.pretraining.photos import FACE, Population, pieces, to_float

_GREY = 0.5
"""Share of the pictures with everything outside an ellipse turned to one grey: evaluation shows faces that way."""


def train_finder(people: Population, steps: int, batch: int, seed: int) -> FinderNet:
    """FinderNet, in its trainable form: as many faces as non-faces in each step, by binary cross-entropy."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = FinderNet(norm=True)
    schedule = Schedule(network.parameters(), steps)
    labels = torch.cat([torch.ones(batch), torch.zeros(batch)])
    with task("finder network", steps) as progress:
        for _ in range(steps):
            chosen = torch.randint(0, len(people.faces), (2, batch), generator=random)
            faces, spoilt = to_float(people.faces[chosen[0]]), no_faces(people, chosen[1], random)
            # Apart, so that no piece of the augmentation has faces and non-faces in it.
            pictures = torch.cat([_varied(faces, random), _varied(spoilt, random)])
            loss = F.binary_cross_entropy_with_logits(network(pictures), labels)
            schedule.step(loss)
            progress.advance(note=f"loss {loss.item():.3f}")
    return network


def finder_metrics(network: FinderNet, people: Population, seed: int) -> dict[str, float]:
    """Share of faces found, sharp and shrunk, and of each kind of non-face taken for one."""
    faces = to_float(people.faces)
    metrics = {"faces": float(len(faces)), "found": _share(network, faces)}
    for side in (24, 16, 12):
        metrics[f"found_{side}px"] = _share(network, down_up(faces, side))
    for name, make in NO_FACES.items():
        random = torch.Generator().manual_seed(seed)
        metrics[f"{name}_taken_for_a_face"] = _share(network, make(people, torch.arange(len(faces)), random))
    return metrics


def no_faces(people: Population, chosen: Tensor, random: Random) -> Tensor:
    """Non-faces [len(chosen), 3, 64, 64], an equal number of each kind, made from the chosen faces or from bodies."""
    parts = chosen.chunk(len(NO_FACES))
    return torch.cat([make(people, part, random) for make, part in zip(NO_FACES.values(), parts, strict=False)])


def _shuffled(people: Population, chosen: Tensor, random: Random) -> Tensor:
    grid = (2, 3, 4, 6)[int(torch.randint(0, 4, (), generator=random))]
    return shuffled(to_float(people.faces[chosen]), grid, random)


def _smeared(people: Population, chosen: Tensor, random: Random) -> Tensor:
    return smeared(to_float(people.faces[chosen]), int(torch.randint(2, 5, (), generator=random)))


def _erased(people: Population, chosen: Tensor, random: Random) -> Tensor:
    return erased(to_float(people.faces[chosen]))


def _turned(people: Population, chosen: Tensor, random: Random) -> Tensor:
    """Upside down or on the side."""
    return to_float(people.faces[chosen]).rot90(int(torch.randint(1, 4, (), generator=random)), (2, 3))


def _moved(people: Population, chosen: Tensor, random: Random) -> Tensor:
    """Half a face or less, at the picture's edge."""
    faces = to_float(people.faces[chosen])
    angle = 2 * torch.pi * torch.rand(len(faces), generator=random)
    far = 1.0 + 0.5 * torch.rand(len(faces), generator=random)
    still = torch.eye(2, 3).expand(len(faces), 2, 3).clone()
    still[:, :, 2] = far[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    grid = F.affine_grid(still, list(faces.shape), align_corners=False)
    return F.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _elsewhere(people: Population, chosen: Tensor, random: Random) -> Tensor:
    """Squares of bodies without a head in them: chests, hands, legs, and what is behind them."""
    found = [_square(people, random) for _ in range(len(chosen))]
    return torch.cat(found) if found else torch.zeros(0, 3, FACE, FACE)


def _square(people: Population, random: Random) -> Tensor:
    head = torch.tensor(HEAD_PARTS, dtype=torch.uint8)
    while True:
        body = int(torch.randint(0, len(people.bodies), (), generator=random))
        side = int(torch.randint(16, 56, (), generator=random))
        y, x = (int(torch.randint(0, 128 - side + 1, (), generator=random)) for _ in range(2))
        parts = people.parts[body, y : y + side, x : x + side]
        if not torch.isin(parts, head).any() and (parts > 0).float().mean() > 0.3:
            return resized(to_float(people.bodies[body : body + 1, :, y : y + side, x : x + side]), FACE)


def _plain(people: Population, chosen: Tensor, random: Random) -> Tensor:
    """One colour of a face, shaded from one side."""
    faces = to_float(people.faces[chosen])
    colour = faces[:, :, FACE // 4 : -FACE // 4, FACE // 4 : -FACE // 4].mean((2, 3), keepdim=True)
    slope = 0.6 * (torch.rand(len(faces), 1, 1, 1, generator=random) - 0.5) * torch.linspace(-1, 1, FACE)
    return (colour + slope).expand(-1, -1, FACE, -1).clamp(-1, 1)


NO_FACES: dict[str, Callable[[Population, Tensor, Random], Tensor]] = {
    "elsewhere": _elsewhere, "shuffled": _shuffled, "erased": _erased, "moved": _moved, "turned": _turned,
    "smeared": _smeared, "plain": _plain,
}
"""Kinds of non-faces: people, indices of faces, a generator -> pictures [n, 3, 64, 64]."""


def _varied(images: Tensor, random: Random) -> Tensor:
    count = len(images)
    order = torch.randperm(count, generator=random)  # the augmentation treats neighbours alike
    images = images[order]
    grey = 2 * torch.rand(count, 1, 1, 1, generator=random) - 1
    chosen = torch.rand(count, 1, 1, 1, generator=random) < _GREY
    wide = 0.75 + 0.4 * torch.rand(count, 1, 1, 1, generator=random)
    tall = wide * (1.0 + 0.3 * torch.rand(count, 1, 1, 1, generator=random))
    at = torch.linspace(-1, 1, images.shape[-1])
    outside = (at / wide) ** 2 + (at[:, None] / tall) ** 2 > 1
    images = torch.where(chosen & outside, grey, images)
    paler = torch.rand(count, 1, 1, 1, generator=random).square()
    images = images + paler * (images.mean(1, keepdim=True) - images)
    return vary_faces(images, FinderNet.size, random)


def _share(network: FinderNet, pictures: Tensor) -> float:
    with torch.no_grad():
        logits = torch.cat([network(resized(some, network.size)) for some in pieces(pictures, 128)])
    return float((logits > 0).float().mean())
