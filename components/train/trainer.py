"""The networks in training, their optimisers, and one step of each."""

from __future__ import annotations

import copy
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from components.core.errors import SettingsError
from components.core.networks.discriminator import Discriminator
from components.core.networks.generator.mixture import Painting
from components.core.networks.generator.reposer import Generator
from components.core.networks.layers import mixed_precision
from components.core.networks.patch import CROPS, REFERENCES, PatchDiscriminator, random_crops
from components.core.settings import TrainSettings
from components.train import losses
from components.train.data.augment import Batch
from components.train.data.diff_augment import diff_augment
from components.train.distributed import DISCRIMINATOR, GENERATOR, Group, seed_part
from components.train.losses import Distance, Embedder

Terms = dict[str, Tensor]
_DISCRIMINATORS_BETA1, _BETA2 = 0.0, 0.99
_PATH_SHRINK = 2  # Path length is measured on every second example: it costs a second painting.
_WARM_UP = 10  # Steps over which the average of the weights opens from nothing: min(ema, (1 + t) / (10 + t)).


class Trainer:
    """Generator, its moving average, both discriminators and their Adams.

    `perceptual` and `embedder` may be None where their loss has weight 0. `group`: the processes that train together.
    """

    def __init__(self, settings: TrainSettings, resolution: int, texel: int, device: torch.device, *,
                 perceptual: Distance | None, embedder: Embedder | None, group: Group = Group()) -> None:  # noqa: B008
        self.settings, self.device, self._group = settings, device, group
        self._perceptual, self._embedder = perceptual, embedder
        torch.manual_seed(settings.seed)
        # Discriminators are as deep as the generator and half as wide: at equal width they would take most of the time.
        size = (resolution, max(settings.width // 2, 4), settings.max_width)
        self.generator = Generator(settings, resolution, texel).to(device)
        self.averaged = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.discriminator = Discriminator(*size).to(device)
        self.patch = PatchDiscriminator(*size).to(device)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator, "averaged": self.averaged, "discriminator": self.discriminator,
            "patch": self.patch,
        }  # fmt: skip
        self._start: list[Tensor] = []
        self.path = losses.PathLength().to(device) if settings.weights.path else None
        if self.path is not None:
            self.networks["path_length"] = self.path
        if settings.compile:
            self._compile()
        discriminators = [*self.discriminator.parameters(), *self.patch.parameters()]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "generator_optimiser": _adam(self.generator.parameters(), settings.learning_rate, settings.beta1),
            "discriminator_optimiser": _adam(discriminators, settings.learning_rate, _DISCRIMINATORS_BETA1),
        }
        self._generator_objective = group.parallel(_Objective([self.generator], self._generator_terms))
        self._discriminator_objective = group.parallel(
            _Objective([self.discriminator, self.patch], self._discriminator_terms))

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with these weights of a generator of the same size, instead of random ones."""
        for network in (self.generator, self.averaged):
            network.load_state_dict(weights)
        self._start = [parameter.detach().clone() for parameter in self.generator.parameters()]

    def drift(self) -> Tensor:
        """Squared distance of the generator's weights from those that it started from (L2-SP, arXiv 1802.01483)."""
        apart = torch._foreach_sub(list(self.generator.parameters()), self._start)
        return torch.stack([each.square().sum() for each in apart]).sum()

    def step(self, step: int, batch: Batch | list[Batch]) -> Terms:
        """Train on one batch, or on this process' parts of it, as step number `step` (from 0).

        Returns the unweighted losses by name: their means over the parts of all processes.
        """
        rate = self.settings.learning_rate * decay(step, self.settings)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        parts = batch.parts(self.settings.accumulate) if isinstance(batch, Batch) else batch
        collected: list[Terms] = []
        # The generator against fixed discriminators
        outputs: list[_Output] = []
        with self._descending("generator_optimiser"):
            for number, part in enumerate(parts):
                with self._part(self._generator_objective, step, number, len(parts), GENERATOR):
                    terms, output = self._generator_objective(step, part)
                    (self.weighted(terms) / len(parts)).backward()  # type: ignore[no-untyped-call]  # untyped in torch
                collected.append(terms)
                outputs.append(output)
        self._average(step)
        if self.path is not None:
            self._group.average(self.path.mean)
        # The discriminators against the fixed generator
        if self.adversarial(step):
            with self._descending("discriminator_optimiser"):
                for number, (part, output) in enumerate(zip(parts, outputs, strict=True)):
                    with self._part(self._discriminator_objective, step, number, len(parts), DISCRIMINATOR):
                        terms = self._discriminator_objective(step, output, part)
                        total = torch.stack(list(terms.values())).sum() / len(parts)
                        total.backward()  # type: ignore[no-untyped-call]
                    collected.append(terms)
        return self._group.mean(_means(collected))

    def rehearse(self, batch: Batch) -> None:
        """Both passes of a step in which all comes that ever will, for the memory that they take: nothing is learnt.

        By this process alone, however many train together. Raises what a step would, `torch.OutOfMemoryError` above
        all.
        """
        moments = torch.empty(self._moments_to_come(), device=self.device)
        steps = self.settings.steps
        first = math.ceil(self.settings.gan_start * steps)
        every = math.lcm(self.settings.weights.r1_every, self.settings.weights.path_every)
        step = -(-first // every) * every if first < steps else 0  # it need not be one of this training's
        mean = None if self.path is None else self.path.mean.clone()
        try:
            terms, output = self._generator_terms(step, batch)
            self.weighted(terms).backward()  # type: ignore[no-untyped-call]
            if self.adversarial(step):
                judged = self._discriminator_terms(step, output, batch)
                torch.stack(list(judged.values())).sum().backward()  # type: ignore[no-untyped-call]
        finally:
            for optimiser in self.optimisers.values():
                optimiser.zero_grad(set_to_none=True)
            for network in (self.discriminator, self.patch):
                network.requires_grad_(True)  # where the passes broke off in the middle
            if self.path is not None and mean is not None:
                self.path.mean.copy_(mean)
            del moments

    def _moments_to_come(self) -> int:
        """How many numbers the optimisers will add in their first steps: two per parameter that has none yet."""
        return sum(2 * parameter.numel() for optimiser in self.optimisers.values()
                   for group in optimiser.param_groups for parameter in group["params"]
                   if parameter not in optimiser.state)

    @contextmanager
    def _part(self, objective: nn.Module, step: int, number: int, count: int, phase: int) -> Iterator[None]:
        """Around a part's two passes: its random numbers, and gradients exchanged after the last."""
        seed_part(self.settings.seed, step, self._group.rank * count + number, phase)
        with self._group.exchanging(objective, number == count - 1):
            yield

    def _generator_terms(self, step: int, batch: Batch) -> tuple[Terms, _Output]:
        with mixed_precision(self.device):
            painting = self.generator(batch.source, batch.poses)
        terms, crops = self.reconstruction_terms(painting, batch), None
        if self.adversarial(step):
            adversarial, crops = self._adversarial_terms(painting, batch)
            terms |= adversarial
        weights = self.settings.weights
        if self.path is not None and step % weights.path_every == 0:
            terms["path"] = weights.path_every * self._path_length(batch)
        return terms, _Output(painting.over(batch.backgrounds).detach(), None if crops is None else crops.detach())

    def _path_length(self, batch: Batch) -> Tensor:
        assert self.path is not None
        fewer = batch.parts(_PATH_SHRINK)[0]
        z = self.generator.appearance(fewer.source).detach().requires_grad_()
        value: Tensor = self.path(self.generator.paint(fewer.source, fewer.poses, z).person, z)
        return value

    def adversarial(self, step: int) -> bool:
        """Have the GAN and patch losses begun, and is one of them on?"""
        weights = self.settings.weights
        return step >= self.settings.gan_start * self.settings.steps and (weights.gan > 0 or weights.patch > 0)

    def reconstruction_terms(self, painting: Painting, batch: Batch) -> Terms:
        """The losses that compare with the real photo; those of weight 0 are left out."""
        weights = self.settings.weights
        compared = losses.Compared(
            painting, batch, painting.over(batch.backgrounds), batch.real,
            batch.mattes * losses.emphasis(batch.poses, weights.head), self._perceptual, self._embedder)
        return {name: loss(compared) for name, loss in losses.RECONSTRUCTION.items() if getattr(weights, name)}

    def weighted(self, terms: Terms) -> Tensor:
        """The sum that the generator minimises."""
        weights = self.settings.weights
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        return total + self.settings.from_pull * self.drift() if self._start and self.settings.from_pull else total

    def _adversarial_terms(self, painting: Painting, batch: Batch) -> tuple[Terms, Tensor | None]:
        weights, terms, crops = self.settings.weights, Terms(), None
        painted = painting.over(batch.backgrounds)
        for network in (self.discriminator, self.patch):
            network.requires_grad_(False)
        with mixed_precision(self.device):
            if weights.gan:
                terms["gan"] = losses.gan_generator(self._logits(painted, batch.poses))
            if weights.patch:
                crops = random_crops(painted, batch.mattes, CROPS)
                terms["patch"] = losses.gan_generator(self.patch(crops, self._references(batch)))
        for network in (self.discriminator, self.patch):
            network.requires_grad_(True)
        return terms, crops

    def _discriminator_terms(self, step: int, output: _Output, batch: Batch) -> Terms:
        weights, terms = self.settings.weights, Terms()
        penalise = weights.r1_gamma > 0 and step % weights.r1_every == 0
        penalty = weights.r1_gamma * weights.r1_every
        shown: dict[str, tuple[Tensor, Tensor]] = {}
        with mixed_precision(self.device):
            if weights.gan:
                real = batch.real.requires_grad_(penalise)
                logits = self._logits(real, batch.poses)
                terms["discriminator"] = losses.gan_discriminator(logits, self._logits(output.painted, batch.poses))
                shown["r1"] = logits, real
            if weights.patch and output.crops is not None:
                references = self._references(batch)
                real = random_crops(batch.real, batch.mattes, CROPS).requires_grad_(penalise)
                logits = self.patch(real, references)
                terms["patch_discriminator"] = losses.gan_discriminator(logits, self.patch(output.crops, references))
                shown["patch_r1"] = logits, real
        if penalise:  # outside of the block: gradients come in the formats that the passes above chose
            terms |= {name: penalty * losses.r1(*both) for name, both in shown.items()}
        return terms

    def _references(self, batch: Batch) -> Tensor:
        """Crops of the person's real photo [B, REFERENCES, 3, P, P]."""
        return random_crops(batch.real, batch.mattes, REFERENCES)

    def _logits(self, images: Tensor, poses: Tensor) -> Tensor:
        if self.settings.diff_augment:
            images, poses = diff_augment(images, poses)
        logits: Tensor = self.discriminator(images, poses)
        return logits

    @contextmanager
    def _descending(self, optimiser: str) -> Iterator[None]:
        self.optimisers[optimiser].zero_grad(set_to_none=True)
        yield
        self.optimisers[optimiser].step()

    @torch.no_grad()
    def _average(self, step: int) -> None:
        keep = min(self.settings.ema, (1 + step) / (_WARM_UP + step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), 1 - keep)

    def _compile(self) -> None:
        """Compile the generator's two convolutional networks; the rest is small, or differentiated twice."""
        if self.path is not None:
            raise SettingsError("train.compile and train.weights.path cannot be used together",
                                remedy="compiled networks cannot be differentiated twice: switch one off")
        if self.device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
            raise SettingsError("train.compile needs a C++ compiler, and there is none here",
                                remedy="install g++, or leave train.compile off")
        compiler = os.environ.get("CC") or any(map(shutil.which, ("cc", "gcc", "clang")))
        if self.device.type == "cuda" and not (find_spec("triton") and compiler):  # it builds what starts its kernels
            raise SettingsError("train.compile needs Triton and a C compiler on a GPU",
                                remedy="install triton and gcc, or leave train.compile off")
        self.generator.pnet.compile()
        self.generator.gnet.compile()


def _adam(parameters: Iterable[nn.Parameter], rate: float, beta1: float) -> torch.optim.Optimizer:
    given = list(parameters)
    fused = all(parameter.is_cuda for parameter in given)  # one kernel instead of a dozen per hundred tensors
    return torch.optim.Adam(given, rate, (beta1, _BETA2), eps=1e-8, fused=fused)


class _Objective(nn.Module):
    """What some networks are trained for, as a module: DistributedDataParallel wants the whole pass as one."""

    def __init__(self, networks: Sequence[nn.Module], terms: Callable[..., Any]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._terms = terms

    def forward(self, *args: Any) -> Any:
        return self._terms(*args)


class _Output(NamedTuple):
    """What the discriminators are shown of a painting."""

    painted: Tensor
    crops: Tensor | None


def _means(collected: Sequence[Terms]) -> Terms:
    """Mean of each term over the parts that have it, detached."""
    names = {name: None for terms in collected for name in terms}
    return {name: torch.stack([terms[name].detach() for terms in collected if name in terms]).mean() for name in names}


def decay(step: int, settings: TrainSettings) -> float:
    """Learning rate as a share of the first: cosine from 1 to `learning_rate_end` over the run."""
    end = settings.learning_rate_end
    return end + (1 - end) * (1 + math.cos(math.pi * step / max(settings.steps - 1, 1))) / 2
