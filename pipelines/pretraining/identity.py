"""Training of the two face networks, by different objectives, on different people.

`train_face` classifies identities with a cosine margin (CosFace: Wang et al., arXiv 1801.09414, section 3.2).
`train_judge` pulls views of a person together within each batch (supervised contrastive loss: Khosla et al.,
arXiv 2004.11362, equation 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.core.networks.pretrained.builtin import FaceNet, JudgeNet
from components.core.progress import task
from pipelines.pretraining.distort import vary_faces
from pipelines.pretraining.optimise import Schedule
from pipelines.pretraining.photos import Population, pieces, to_float

_SCALE, _MARGIN = 20.0, 0.25
_TEMPERATURE = 0.1
_VIEWS = 4


def train_face(people: Population, steps: int, batch: int, seed: int) -> FaceNet:
    """FaceNet, in its trainable form, trained to classify the people of `people`."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = FaceNet(norm=True)
    centres = nn.Parameter(torch.randn(len(people.names), network.dim) * 0.1)
    schedule = Schedule([*network.parameters(), centres], steps)
    with task("face network", steps) as progress:
        for chosen in _epochs(len(people.faces), steps, batch, random):
            faces = vary_faces(to_float(people.faces[chosen]), network.size, random)
            loss = margin_loss(network(faces), centres, people.face_identity[chosen], warm=schedule.done)
            schedule.step(loss)
            progress.advance(note=f"loss {loss.item():.2f}")
    return network


def margin_loss(embeddings: Tensor, centres: Tensor, who: Tensor, warm: float = 1.0) -> Tensor:
    """Cross-entropy over cosines to class centres, the true class's cosine lowered by a margin.

    `warm` is the share of training done: the margin grows over its first fifth.
    """
    cosines = F.normalize(embeddings) @ F.normalize(centres).T
    margin = _MARGIN * min(1.0, 5 * warm)
    lowered = cosines - margin * F.one_hot(who, len(centres))
    return F.cross_entropy(_SCALE * lowered, who)


def train_judge(people: Population, steps: int, batch: int, seed: int) -> JudgeNet:
    """JudgeNet, in its trainable form, trained to tell the people of `people` apart within batches."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = JudgeNet(norm=True)
    schedule = Schedule(network.parameters(), steps)
    members = [torch.nonzero(people.face_identity == who)[:, 0] for who in range(len(people.names))]
    members = [group for group in members if len(group) >= 2]
    with task("judge network", steps) as progress:
        for _ in range(steps):
            chosen, who = _some_of_each(members, max(2, batch // _VIEWS), random)
            faces = vary_faces(to_float(people.faces[chosen]), network.size, random)
            loss = contrastive_loss(network(faces), who)
            schedule.step(loss)
            progress.advance(note=f"loss {loss.item():.2f}")
    return network


def contrastive_loss(embeddings: Tensor, who: Tensor) -> Tensor:
    """Mean over each picture and each other picture of its person: how much nearer that one is than all the rest."""
    unit = F.normalize(embeddings)
    alone = torch.eye(len(who), dtype=torch.bool)
    logits = (unit @ unit.T / _TEMPERATURE).masked_fill(alone, -1e4)
    same = (who[:, None] == who[None]) & ~alone
    log_share = logits.log_softmax(1)
    return -((log_share * same).sum(1) / same.sum(1).clamp(min=1)).mean()


def _epochs(count: int, steps: int, batch: int, random: torch.Generator) -> list[Tensor]:
    """`steps` batches of indices: shuffled passes over 0 .. count-1, joined."""
    passes = -(-steps * batch // count)
    order = torch.cat([torch.randperm(count, generator=random) for _ in range(passes)])
    return pieces(order[: steps * batch], batch)


def _some_of_each(members: list[Tensor], people: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of up to four pictures of each of `people` persons, and whose they are."""
    chosen, who = [], []
    for person in torch.randperm(len(members), generator=random)[:people].tolist():
        group = members[person]
        few = group[torch.randperm(len(group), generator=random)[:_VIEWS]]
        chosen.append(few)
        who.append(torch.full((len(few),), person))
    return torch.cat(chosen), torch.cat(who)
