"""A model fitted to one person on their own photos."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.core.digest import json_digest
from components.core.documents import MOST_LINE, json_value
from components.core.errors import InputError, MachineError
from components.core.faces.recognition import load_embedder
from components.core.networks.generator.reposer import PERSONAL, Generator, Reposer
from components.core.networks.pretrained.dlib_face import weights_path
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.people.person import PersonCrop
from components.core.pictures.iuv import HEAD_PARTS, person_box
from components.core.progress import task
from components.core.shooting.personal.lessons import Teachers, lessons, loss_of
from components.core.shooting.personal.store import Changes, Store, applied, changed

_MOST = 5
"""Photos that are used at most: those that show most."""
_LARGEST = 1024
_SMALL_HEAD = 0.25
"""Share of the crop's side below which a head is looked at larger."""


@dataclass(frozen=True)
class PersonalSettings:
    """How a model is fitted. Part of the key under which it is kept."""

    steps: int = 96
    every: int = 12
    """Steps after which it is looked whether it helps, and what was reached is kept."""
    rate: float = 1e-3
    least_gain: float = 0.01
    """Share of the loss in the photo that was kept back by which it has to fall, or nothing is changed."""
    patience: int = 3
    """Looks without a better one after which it ends."""
    warm_up: int = 6
    layers: tuple[str, ...] = ("anet.", "pnet.", "gnet.")
    """Beginnings of the names of the weights that may change."""
    face: bool = True
    """Whether dlib's network compares faces, where it is installed."""
    version: int = 2
    """Of the method."""


class Fitted(NamedTuple):
    """A model fitted to somebody."""

    model: Reposer
    """Its origin is `PERSONAL`; the one that was given where nothing helped."""
    photos: int
    before: float
    """The loss in the photo that was kept back, before ..."""
    after: float
    """... and after."""
    kept: bool
    """Whether it was found in the cache, not made now."""

    @property
    def helped(self) -> bool:
        """Whether anything was changed."""
        return self.after < self.before


def fitted_to(model: Reposer, photos: Sequence[PersonCrop], settings: PersonalSettings | None = None,
              store: Store | None = None) -> Fitted:
    """The model fitted to the person of `photos`, about a minute on two cores; the same photos again take no time.

    Each photo is painted from the others, but for one, which is kept back. Of `model` nothing changes. The weights that
    paint best what was kept back are returned; where none is better, or the face is less like theirs, the model stays
    as it is. An interrupted fit goes on where it was. Raises `InputError` for fewer than two photos, `MachineError`
    where the cache cannot be written.
    """
    if len(photos) < 2:
        raise InputError("a model is fitted to a person on two photos or more: each is painted from the others",
                         remedy="bring another photo of them, or leave the fitting out")
    settings = settings or PersonalSettings()
    settings = replace(settings, face=settings.face and _installed())
    photos = sorted(photos, key=lambda photo: (-int(photo.seen.sum()), _photo_digest(photo)))[:_MOST]
    store = store or Store()
    key = fit_key(model, photos, settings)
    start = model.network.state_dict()
    found = store.read(key)
    if found is not None:
        losses = json_value(found[1]["losses"], MOST_LINE)
        return _fitted(model, start, found[0], losses, len(photos), settings.least_gain, kept=True)
    fit = _Fit(model, photos, settings, store, key)
    losses = fit.run()
    store.write(key, fit.best, {"losses": json.dumps(losses)})
    store.remove(fit.unfinished)
    return _fitted(model, start, fit.best, losses, len(photos), settings.least_gain, kept=False)


def _installed() -> bool:
    """Whether dlib's network is here; it is not installed everywhere."""
    try:
        return weights_path().is_file()
    except MachineError:
        return False


def fit_key(model: Reposer, photos: Sequence[PersonCrop], settings: PersonalSettings) -> str:
    """Digest of the model's weights, the photos as they are cut out, in any order, and the settings."""
    weights = hashlib.sha256()
    for name, value in sorted(model.network.state_dict().items()):
        weights.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    seen = sorted(_photo_digest(photo) for photo in photos)
    return json_digest([weights.hexdigest(), seen, asdict(settings)])


def _photo_digest(photo: PersonCrop) -> str:
    digest = hashlib.sha256()
    for plane in (photo.native_photo, photo.native_iuv, photo.native_matte, photo.native_foreground):
        digest.update(b"-" if plane is None else str(plane.shape).encode() + plane.tobytes())
    return digest.hexdigest()


def _fitted(model: Reposer, start: dict[str, Tensor], best: Changes, losses: Sequence[float], photos: int,
            least_gain: float, *, kept: bool) -> Fitted:
    before, after = losses[0], min(losses)
    if not best or after > before * (1 - least_gain):
        return Fitted(model, photos, before, before, kept)
    network = copy.deepcopy(model.network)
    network.load_state_dict(applied(start, best))
    own = Reposer(network, model.settings, model.resolution, model.texel, PERSONAL, model.device)
    return Fitted(own, photos, before, after, kept)


class _Fit:
    """The work itself, in rounds; what was reached is kept after each."""

    def __init__(self, model: Reposer, photos: Sequence[PersonCrop], settings: PersonalSettings, store: Store,
                 key: str) -> None:
        self._settings, self._store, self.unfinished = settings, store, f"{key}-unfinished"
        self._start = model.network.state_dict()
        self._first, self._network = model.network, copy.deepcopy(model.network)
        embedder = load_embedder("dlib", model.device) if settings.face else None
        self._teachers = Teachers(PerceptualDistance("builtin").to(model.device), embedder)
        ordered = sorted(photos, key=_photo_digest)
        self._lessons = lessons(model, ordered, lesson_size(model, photos), self._teachers)
        self.best: Changes = {}
        self._losses: list[float] = []
        self._face = math.inf

    def run(self) -> list[float]:
        """Fit; losses in what is kept back, before and after each round."""
        settings, weights = self._settings, self._loosened()
        done = self._resume() or 0
        optimiser = torch.optim.Adam(weights, settings.rate, (0.9, 0.99))
        with task("fit the model to the photos", settings.steps, done=done) as shown:
            first, self._face = self._kept_back(self._first)
            if not self._losses:
                self._losses.append(first)
            for step in range(done, settings.steps):
                if self._hopeless():
                    break
                self._step(step, step - done, optimiser)
                if (step + 1) % settings.every == 0 or step + 1 == settings.steps:
                    self._look(step + 1)
                shown.advance(1, f"{min(self._losses) / self._losses[0] - 1:+.1%}")
        return self._losses

    def _hopeless(self) -> bool:
        best = int(np.argmin(self._losses))
        return len(self._losses) - 1 - best >= self._settings.patience

    def _loosened(self) -> list[Tensor]:
        self._network.requires_grad_(False)
        chosen = [value for name, value in self._network.named_parameters() if name.startswith(self._settings.layers)]
        for value in chosen:
            value.requires_grad_(True)
        return list(chosen)

    def _step(self, step: int, since: int, optimiser: torch.optim.Optimizer) -> None:
        settings = self._settings
        share = (1 + math.cos(math.pi * step / settings.steps)) / 2 * min(1.0, (since + 1) / settings.warm_up)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * share
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(self._network, self._lessons.learnt[step % len(self._lessons.learnt)], self._teachers).total()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimiser.step()

    def _look(self, step: int) -> None:
        now = {name: value.detach() for name, value in self._network.state_dict().items()}
        loss, face = self._kept_back(self._network)
        # A picture may come nearer to the photo and the face go away from the person's, being blurred.
        self._losses.append(loss if face <= self._face else max(loss, self._losses[0]))
        if self._losses[-1] < min(self._losses[:-1]):
            self.best = changed(self._start, now)
        if step < self._settings.steps:
            both = {**{f"best.{name}": value for name, value in self.best.items()},
                    **{f"now.{name}": value for name, value in changed(self._start, now).items()}}
            self._store.write(self.unfinished, both, {"losses": json.dumps(self._losses), "step": str(step)})

    @torch.no_grad()
    def _kept_back(self, network: Generator) -> tuple[float, float]:
        """The loss in the photo that is kept back, and how far the face is from the person's."""
        loss = loss_of(network, self._lessons.kept_back, self._teachers)
        return float(loss.total()), float(loss.face)

    def _resume(self) -> int | None:
        found = self._store.read(self.unfinished)
        if found is None:
            return None
        changes = {kind: {name.removeprefix(f"{kind}."): value for name, value in found[0].items()
                          if name.startswith(f"{kind}.")} for kind in ("best", "now")}
        self._network.load_state_dict(applied(self._start, changes["now"]))
        self.best, self._losses = changes["best"], json_value(found[1]["losses"], MOST_LINE)
        return int(found[1]["step"])


def lesson_size(model: Reposer, photos: Sequence[PersonCrop]) -> int:
    """Side at which pictures are compared: twice the model's, four times where heads are small."""
    shares = [_head_share(photo) for photo in photos]
    wanted = model.resolution * (4 if min(shares) < _SMALL_HEAD else 2)
    return max(model.resolution, min(wanted, _LARGEST))


def _head_share(photo: PersonCrop) -> float:
    box = person_box(np.where(np.isin(photo.iuv[..., :1], HEAD_PARTS), photo.iuv, np.uint8(0)))
    return 1.0 if box is None else (box[3] - box[1]) / photo.iuv.shape[0]
