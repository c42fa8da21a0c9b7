"""The optimiser that all the networks train with."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Schedule:
    """AdamW whose rate rises over the first twentieth of the steps, then falls to zero on a cosine."""

    def __init__(self, parameters: Iterable[nn.Parameter], steps: int, rate: float = 2e-3) -> None:
        self._parameters = list(parameters)
        self._optimiser = torch.optim.AdamW(self._parameters, lr=rate, weight_decay=0.02)
        self._steps, self._rate, self._at = steps, rate, 0

    @property
    def done(self) -> float:
        """Share of the steps taken."""
        return self._at / self._steps

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`, clipped to norm 5."""
        rise = min(1.0, (self._at + 1) / max(1.0, 0.05 * self._steps))
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * rise * 0.5 * (1 + math.cos(math.pi * self.done))
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._parameters, 5.0)
        self._optimiser.step()
        self._at += 1
