"""Training of the perceptual and the feature network, on whole person crops.

Both see distorted pictures. The perceptual network must say at every place which body part is there, give the clean
picture back, and tell people apart, so its layers keep edges, texture and colour. The feature network must say how a
picture is distorted, which parts of a body it shows and where, and who it is, so its descriptor moves with all these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.core.networks.pretrained.builtin import FeatureNet, PerceptualNet
from components.core.networks.pretrained.features import unit_channels
from components.core.pictures.iuv import PARTS
from components.core.progress import task
from pipelines.pretraining.distort import DISTORTIONS, distorted, noise, nudged, swap
from pipelines.pretraining.identity import margin_loss
from pipelines.pretraining.optimise import Schedule
from pipelines.pretraining.photos import Population, pieces, to_float

_CROP = 96
_COARSE = 4


class _PerceptualTasks(nn.Module):
    """What PerceptualNet is trained through: parts at each 2 x 2 pixels, the clean picture, the person."""

    def __init__(self, channels: tuple[int, ...], people: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(c, 32, 1) for c in channels)
        self.parts = nn.Conv2d(32, PARTS + 1, 1)
        self.picture = nn.Conv2d(32, 3, 3, padding=1)
        self.centres = nn.Parameter(torch.randn(people, channels[-1]) * 0.1)

    def forward(self, layers: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Layers, finest first -> parts [B, 25, H/2, W/2], picture [B, 3, H, W], appearance [B, C]."""
        joined = self.narrow[3](layers[3])
        for index in (2, 1):
            joined = F.relu(_double(joined) + self.narrow[index](layers[index]))
        picture = self.picture(F.relu(_double(joined) + self.narrow[0](layers[0])))
        return self.parts(joined), picture, layers[3].mean((2, 3))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def train_perceptual(people: Population, steps: int, batch: int, seed: int) -> PerceptualNet:
    """PerceptualNet, in its trainable form; its layers' weights are set by `balance_layers` once it is folded."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = PerceptualNet(norm=True)
    tasks = _PerceptualTasks(network.channels, len(people.names))
    schedule = Schedule([*network.parameters(), *tasks.parameters()], steps)
    with task("perceptual network", steps) as progress:
        for _ in range(steps):
            clean, parts, who = _crops(people, batch, random)
            seen = _spoilt(clean, random)
            found, picture, appearance = tasks(network(seen))
            parts_loss = F.cross_entropy(found, parts[:, ::2, ::2])
            picture_loss = F.l1_loss(picture, clean)
            loss = parts_loss + 4 * picture_loss + 0.1 * margin_loss(appearance, tasks.centres, who, warm=0)
            schedule.step(loss)
            progress.advance(note=f"parts {parts_loss.item():.2f} picture {picture_loss.item():.3f}")
    return network


def balance_layers(network: PerceptualNet, people: Population, seed: int, pairs: int = 128) -> None:
    """Set `layer_weights` so that two photos of different people are 1 apart on average, each layer alike."""
    random = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(people.bodies), generator=random)[:pairs]
    totals = torch.zeros(len(network.channels))
    with torch.no_grad():
        for some in pieces(chosen, 16):
            layers = [unit_channels(layer) for layer in network(to_float(people.bodies[some]))]
            totals += torch.stack([(x - x.roll(1, 0)).square().sum(1).mean() for x in layers]) * len(some)
    network.layer_weights = 1 / (len(totals) * totals / len(chosen))


class _FeatureTasks(nn.Module):
    """What FeatureNet is trained through: body parts from its last layer, the rest from its descriptor."""

    def __init__(self, channels: int, features: int, people: int) -> None:
        super().__init__()
        self.parts = nn.Conv2d(channels, 4 * (PARTS + 1), 1)
        self.strengths = nn.Linear(features, len(DISTORTIONS))
        self.places = nn.Linear(features, PARTS * _COARSE * _COARSE)
        self.centres = nn.Parameter(torch.randn(people, features) * 0.1)

    def loss(self, layer: Tensor, features: Tensor, strengths: Tensor, parts: Tensor, who: Tensor) -> Tensor:
        """Sum of the tasks' losses. `parts` [B, 128, 128] are those of the picture before it was distorted."""
        found = F.pixel_shuffle(self.parts(layer), 2)
        return (
            F.cross_entropy(found, parts[:, 4::8, 4::8].long())
            + 40 * F.mse_loss(self.strengths(features), strengths)
            + 20 * F.mse_loss(self.places(features), part_places(parts).flatten(1))
            + 0.3 * margin_loss(features, self.centres, who, warm=0)
            + redundancy(features)
        )


def train_features(people: Population, steps: int, batch: int, seed: int) -> FeatureNet:
    """FeatureNet, in its trainable form; `standardise` brings the folded one to its scale."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = FeatureNet(norm=True)
    tasks = _FeatureTasks(network.channels, network.dim, len(people.names))
    schedule = Schedule([*network.parameters(), *tasks.parameters()], steps)
    with task("feature network", steps) as progress:
        for _ in range(steps):
            chosen = torch.randint(0, len(people.bodies), (batch,), generator=random)
            clean = nudged(to_float(people.bodies[chosen]), random)
            seen, strengths = distorted(clean, random)
            layer = network.body(seen)
            features = network.describe(layer)
            loss = tasks.loss(layer, features, strengths, people.parts[chosen], people.body_identity[chosen])
            schedule.step(loss)
            progress.advance(note=f"loss {loss.item():.2f}")
    return network


def redundancy(features: Tensor) -> Tensor:
    """Mean squared correlation between different features of a batch [B, C]: 0 where each says something else, 1
    where all say the same (Bardes et al., arXiv 2105.04906, section 4.1, on correlations)."""
    centred = features - features.mean(0)
    unit = centred / (centred.square().sum(0, keepdim=True) + 1e-6).sqrt()
    correlations = unit.T @ unit
    count = len(correlations)
    return (correlations.square().sum() - correlations.diagonal().square().sum()) / (count * (count - 1))


def part_places(parts: Tensor) -> Tensor:
    """Body parts [B, H, W] 0..24 -> square roots of each part's share of each of 4 x 4 fields [B, 24, 4, 4]."""
    each = F.one_hot(parts[:, ::2, ::2].long(), PARTS + 1)[..., 1:].permute(0, 3, 1, 2).float()
    return F.adaptive_avg_pool2d(each, _COARSE).sqrt()


def standardise(network: FeatureNet, people: Population) -> None:
    """Change the last layer so that over `people` the features have mean 0, are uncorrelated, and their variances sum
    to 1: nearly alike, but directions that hardly vary (under a tenth of the mean variance) are not blown up."""
    with torch.no_grad():
        features = torch.cat([network(to_float(some)) for some in pieces(people.bodies, 32)]).double()
        variances, directions = torch.linalg.eigh(features.T.cov())
        floored = variances + 0.1 * variances.mean()
        turn = directions / floored.sqrt() / (variances / floored).sum().sqrt()
        linear = network.embed.linear
        linear.bias.copy_(turn.T @ (linear.bias.double() - features.mean(0)))
        linear.weight.copy_(turn.T @ linear.weight.double())


def _crops(people: Population, batch: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random 96 px windows: pictures [B, 3, 96, 96], parts [B, 96, 96] int64, who [B]."""
    chosen = torch.randint(0, len(people.bodies), (batch,), generator=random)
    room = people.bodies.shape[-1] - _CROP + 1
    y, x = (int(torch.randint(0, room, (), generator=random)) for _ in range(2))
    window = (..., slice(y, y + _CROP), slice(x, x + _CROP))
    return to_float(people.bodies[chosen][window]), people.parts[chosen][window].long(), people.body_identity[chosen]


def _spoilt(images: Tensor, random: torch.Generator) -> Tensor:
    """Distortions that keep every pixel in its place, so that parts and picture remain the task."""
    kinds = [DISTORTIONS[name] for name in ("blur", "coarse", "colour")]
    changed = []
    for index, piece in enumerate(images.chunk(4)):
        strength = float(torch.rand((), generator=random))
        if index == 1:
            piece = noise(piece, 0.6 * strength, random)
        elif index == 2:
            piece = kinds[int(torch.randint(0, 3, (), generator=random))](piece, 0.6 * strength, random)
        elif index == 3:
            piece = swap(piece, 0.4 * strength, random)
        changed.append(piece)
    return torch.cat(changed)
