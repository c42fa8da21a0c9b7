"""The networks in training, their optimisers, and one step of each."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from components.core.networks.discriminator import Discriminator
from components.core.networks.generator import Generator, Painting
from components.core.networks.patch import CROPS, REFERENCES, PatchDiscriminator, random_crops
from components.core.settings import TrainSettings
from components.train import losses
from components.train.augment import Batch
from components.train.losses import Distance, Embedder

Terms = dict[str, Tensor]
_BETAS = (0.0, 0.99)
_WARM_UP = 10  # Steps over which the average of the weights opens from nothing: min(ema, (1 + t) / (10 + t)).


class Trainer:
    """Generator, its moving average, both discriminators and their Adams.

    `perceptual` and `embedder` may be None where their loss has weight 0.
    """

    def __init__(self, settings: TrainSettings, resolution: int, texel: int, device: torch.device, *,
                 perceptual: Distance | None, embedder: Embedder | None) -> None:
        self.settings, self.device = settings, device
        self._perceptual, self._embedder = perceptual, embedder
        torch.manual_seed(settings.seed)
        # The judges are as deep as the painter and half as wide: at equal width they would take most of the time.
        size = (resolution, max(settings.width // 2, 4), settings.max_width)
        self.generator = Generator(settings, resolution, texel).to(device)
        self.averaged = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.discriminator = Discriminator(*size).to(device)
        self.patch = PatchDiscriminator(*size).to(device)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator, "averaged": self.averaged, "discriminator": self.discriminator,
            "patch": self.patch,
        }  # fmt: skip
        judges = [*self.discriminator.parameters(), *self.patch.parameters()]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(self.generator.parameters(), settings.learning_rate, _BETAS, eps=1e-8),
            "adam_judges": torch.optim.Adam(judges, settings.learning_rate, _BETAS, eps=1e-8),
        }

    def step(self, step: int, batch: Batch) -> Terms:
        """Train on one batch as step number `step` (from 0); the unweighted losses by name."""
        adversarial = self.adversarial(step)
        rate = self.settings.learning_rate * decay(step, self.settings)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        # The painter against fixed judges
        with self._mixed():
            painting = self.generator(batch.source, batch.poses)
        terms = self.reconstruction_terms(painting, batch)
        crops: Tensor | None = None
        if adversarial:
            fooled, crops = self._fooling_terms(painting, batch)
            terms |= fooled
        self._descend("adam", self.weighted(terms))
        self._average(step)
        # The judges against the fixed painter
        if adversarial:
            judged = self._judging_terms(step, painting, crops, batch)
            self._descend("adam_judges", torch.stack(list(judged.values())).sum())
            terms |= judged
        return {name: term.detach() for name, term in terms.items()}

    def adversarial(self, step: int) -> bool:
        """Have the GAN and patch losses begun, and is one of them on?"""
        weights = self.settings.weights
        return step >= self.settings.gan_start * self.settings.steps and (weights.gan > 0 or weights.patch > 0)

    def reconstruction_terms(self, painting: Painting, batch: Batch) -> Terms:
        """The losses that compare with the answer; those of weight 0 are left out."""
        weights = self.settings.weights
        painted, real = painting.over(batch.backgrounds), batch.real
        terms: Terms = {}
        if weights.l1:
            terms["l1"] = losses.l1(painting.person, batch.photos, batch.mattes)
        if weights.matte:
            terms["matte"] = losses.matte(painting.soft_matte, batch.mattes)
        if weights.perceptual and self._perceptual is not None:
            terms["perceptual"] = losses.perceptual(painted, real, batch.mattes, self._perceptual)
        if weights.face and self._embedder is not None:
            terms["face"] = losses.face(painted, real, batch.poses, self._embedder)
        return terms

    def weighted(self, terms: Terms) -> Tensor:
        """The sum that the painter descends."""
        weights = self.settings.weights
        return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()

    def _fooling_terms(self, painting: Painting, batch: Batch) -> tuple[Terms, Tensor | None]:
        weights, terms, crops = self.settings.weights, Terms(), None
        painted = painting.over(batch.backgrounds)
        for judge in (self.discriminator, self.patch):
            judge.requires_grad_(False)
        with self._mixed():
            if weights.gan:
                terms["gan"] = losses.gan_generator(self.discriminator(painted, batch.poses))
            if weights.patch:
                crops = random_crops(painted, batch.mattes, CROPS)
                terms["patch"] = losses.gan_generator(self.patch(crops, self._references(batch)))
        for judge in (self.discriminator, self.patch):
            judge.requires_grad_(True)
        return terms, crops

    def _judging_terms(self, step: int, painting: Painting, crops: Tensor | None, batch: Batch) -> Terms:
        weights, terms = self.settings.weights, Terms()
        penalise = weights.r1_gamma > 0 and step % weights.r1_every == 0
        penalty = weights.r1_gamma * weights.r1_every
        painted = painting.over(batch.backgrounds).detach()
        with self._mixed():
            if weights.gan:
                real = batch.real.requires_grad_(penalise)
                logits = self.discriminator(real, batch.poses)
                terms["discriminator"] = losses.gan_discriminator(logits, self.discriminator(painted, batch.poses))
                if penalise:
                    terms["r1"] = penalty * losses.r1(logits, real)
            if weights.patch and crops is not None:
                references = self._references(batch)
                real = random_crops(batch.real, batch.mattes, CROPS).requires_grad_(penalise)
                logits = self.patch(real, references)
                terms["patch_discriminator"] = losses.gan_discriminator(logits, self.patch(crops.detach(), references))
                if penalise:
                    terms["patch_r1"] = penalty * losses.r1(logits, real)
        return terms

    def _references(self, batch: Batch) -> Tensor:
        """Crops of the person's real photo [B, REFERENCES, 3, P, P]."""
        return random_crops(batch.real, batch.mattes, REFERENCES)

    def _descend(self, optimiser: str, loss: Tensor) -> None:
        self.optimisers[optimiser].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimisers[optimiser].step()

    @torch.no_grad()
    def _average(self, step: int) -> None:
        keep = min(self.settings.ema, (1 + step) / (_WARM_UP + step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), 1 - keep)

    def _mixed(self) -> AbstractContextManager[object]:
        """bf16 on a CUDA GPU; full precision on the CPU, where bf16 is slower."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


def decay(step: int, settings: TrainSettings) -> float:
    """Learning rate as a share of the first: cosine from 1 to `learning_rate_end` over the run."""
    end = settings.learning_rate_end
    return end + (1 - end) * (1 + math.cos(math.pi * step / max(settings.steps - 1, 1))) / 2
