"""The training loop. Its only state is the step: run the same command again and it goes on where it was."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from components.core import progress
from components.core.artifacts.model import GENERATOR, read_card, write_card
from components.core.atomic import sweep
from components.core.digest import file_digest
from components.core.errors import PhotoshootError, SettingsError
from components.core.faces.recognition import FaceEmbedder, load_embedder
from components.core.networks.generator.reposer import Reposer
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.record.recorder import NoRecord, Recorder
from components.core.settings import TrainSettings
from components.train.checkpoint import Checkpoints, set_state
from components.train.curves import Curves
from components.train.data.augment import Batch, prepare
from components.train.data.batches import Batches, Examples, Indices
from components.train.data.samples import Samples
from components.train.distributed import PREPARING, Group, Share, cut, joined, seed_part
from components.train.memory import Room, keep_freed_memory
from components.train.place import place_below, training_digest
from components.train.record import remember_run
from components.train.start import Weights, opened, with_digest, without_place, write_history
from components.train.trainer import Terms, Trainer

_WORKERS, _DECODERS = 4, 16
"""Processes that put batches together of photos in memory, and that decode photos all the time, at most."""
Look = Callable[[int, Reposer], None]


@dataclass(frozen=True)
class TrainSummary:
    """What a training did."""

    model: str
    """Path of the model file."""
    digest: str
    """Of the settings and the data: what names this training."""
    steps: int
    identities: int
    photos: int
    pairs: int
    """Ordered pairs that could be drawn."""
    parameters: int
    """Of the generator."""
    seconds: float
    """Of the last uninterrupted stretch; 0 where the model was there already."""
    images_per_second: float
    resumed_from: int
    """Step that the last stretch started from."""
    losses: dict[str, float]
    """The last logged ones, unweighted."""
    start: str = ""
    """sha256 of the model whose weights it started from; empty: at random."""


def train(people: Path | str, identities: Path, out: Path, settings: TrainSettings, *,
          state: Path | str | None = None, recorder: Recorder = NoRecord(),  # noqa: B008  # NoRecord has no state
          look: Look | None = None, look_every: int = 1) -> TrainSummary:
    """Train on the identities of the training split; write ``out/generator.safetensors`` and ``out/model.json``, and
    beside them what it was trained on and started from (`components.train.start.write_history`).

    Checkpoints go to ``state / <digest of settings, people and identities>`` (default: `state` beside `out`; a folder
    or a gs:// address). A run that was interrupted goes on from the newest whole one; a finished one returns at once.
    Under torchrun the processes share the work, and the first keeps all the records.
    `look` is shown the averaged generator every `look_every` steps and at the end; what it raises ends the training.
    Raises `InputError` when there is nobody to train on, `DataError` for artifacts that do not fit each other, what
    `components.train.start.opened` raises for a start that does not, `PhotoshootError` when a loss is no longer
    finite, `MachineError` for the disk.
    """
    # What to train on, and from what.
    settings = with_digest(settings)
    dataset, who = PeopleDataset.open(people), Identities.open(identities)
    groups = list(who.members(dataset, "train").values())
    batches = Batches(dataset, groups, batch=settings.batch, reconstruction=settings.reconstruction,
                      seed=settings.seed, sources=settings.sources)
    digest = training_digest(settings, dataset.digest, who.digest)
    place = place_below(state or out.parent / "state", digest)
    sweep(out)
    device = choose_device(settings.device)
    keep_freed_memory()
    with joined(device.type) as group, Checkpoints(place, settings.keep_checkpoints) as checkpoints:
        device = group.device(device)
        finished = group.agree(_finished(out, digest))
        if finished:
            return finished

        settle_device(device)
        weights = opened(settings, dataset, who)

        # Networks, losses, and where an earlier process left them.
        share = Share(batches, settings.batch, settings.accumulate, group)
        trainer = Trainer(settings, dataset.resolution, dataset.texel, device, perceptual=_perceptual(settings, device),
                          embedder=embedder_of(settings, dataset.origin, device), group=group)
        first, curves = _resume(trainer, weights, checkpoints, group)
        samples = Samples(dataset, who, device)
        reposer = Reposer(trainer.averaged, without_place(settings), dataset.resolution, dataset.texel, dataset.origin,
                          str(device))
        recorded = 0
        if group.main:
            remember_run(place, recorder)
            recorder.params(_facts(trainer, dataset, groups, batches, device, group) | _start_of(weights))
            recorder.dataset("people", str(people), dataset.digest, "training")
            recorded = _recorded_until(recorder, curves)

        # Step after step.
        room = Room(trainer, settings, group)
        window, logged, began = _Window(), dict[str, float](), time.monotonic()
        with progress.task("train", settings.steps, done=first) if group.main else nullcontext() as shown:
            examples = examples_of(share, batches.photos.in_memory, first, settings.steps, device)
            for step, mine in enumerate(examples, start=first):
                window.waited()
                if step == first and device.type == "cuda":
                    room.rehearse(mine)
                with room.for_step(mine):
                    terms = trainer.step(step, parts_of(mine, settings, group, step, device))
                window.add(_finite(terms, step, checkpoints, group), settings.batch)
                checkpoints.check()
                done = step + 1
                if shown is None:
                    continue  # the first process does the rest

                # Log, look, save.
                if done % settings.log_every == 0 or done == settings.steps:
                    logged = window.losses()
                    curves.add(done, logged)
                    if done > recorded:
                        recorder.metrics(logged | window.speed(), done)
                    window = _Window()
                if (done % settings.sample_every == 0 or done == settings.steps) and done > recorded:
                    recorder.image("samples", samples.grid(trainer.averaged), done)
                if done % settings.checkpoint_every == 0 or done == settings.steps:
                    checkpoints.save(done, trainer.networks, trainer.optimisers, curves.points)
                if look and (done % look_every == 0 or done == settings.steps):
                    look(done, reposer)
                shown.advance(note=f"l1 {float(terms['l1']):.3f}" if "l1" in terms else "")
        checkpoints.wait()

        # The averaged generator is the model.
        seconds = time.monotonic() - began
        trained = settings.steps - first
        summary = TrainSummary(
            model=str(out / GENERATOR), digest=digest, steps=settings.steps, identities=len(groups),
            photos=sum(map(len, groups)), pairs=batches.pairs, parameters=_size(trainer), seconds=seconds,
            images_per_second=trained * settings.batch / seconds if trained else 0.0, resumed_from=first, losses=logged,
            start=settings.from_digest or "",
        )  # fmt: skip
        if group.main:
            reposer.save(out / GENERATOR)
            curves.write(out)
            write_history(out, weights, dataset, who)
            write_card(out, asdict(summary) | {"sha256": file_digest(out / GENERATOR)})
        return group.agree(summary)


def choose_device(name: str) -> torch.device:
    """`auto`: the GPU where there is one. Raises `SettingsError` for a device that torch does not have here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "cuda" and torch.cuda.is_available():
            # Nothing is put there yet: with several processes it is not everybody's GPU.
            if (device.index or 0) >= torch.cuda.device_count():
                raise RuntimeError(f"there are {torch.cuda.device_count()} GPUs, the first is cuda:0")
        else:
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"train.device = {name}: {str(error).splitlines()[0]}", remedy="use auto or cpu") from None
    return device


def _resume(trainer: Trainer, weights: Weights | None, checkpoints: Checkpoints, group: Group) -> tuple[int, Curves]:
    """Put the newest checkpoint into the trainers of all processes, else the weights to start from; the steps done and
    what was logged in them."""
    if weights:
        trainer.start_from(weights.tensors)
    saved = checkpoints.load() if group.main else None
    step, points = group.agree((saved.step, saved.points) if saved else (0, []))
    if step:
        tensors = group.share(saved.tensors if saved else {}, trainer.device)
        set_state(tensors, trainer.networks, trainer.optimisers)
    return step, Curves(points)


def _recorded_until(recorder: Recorder, curves: Curves) -> int:
    """The step up to which the run has its metrics: it may be ahead of the checkpoint, or be another run, which then
    gets those of the steps before."""
    recorded = recorder.logged("loss/")
    for point in curves.points:
        if point["step"] > recorded:
            recorder.metrics(point["values"], point["step"])
            recorded = point["step"]
    return recorded


def examples_of(share: Share, in_memory: bool, first: int, steps: int, device: torch.device) -> Iterator[Examples]:
    """The batches of steps `first` to `steps`, by worker processes where photos must be decoded all the time, and where
    a GPU would wait."""
    workers = 0 if in_memory and device.type == "cpu" else workers_for(in_memory, device)
    return iter(DataLoader(share, batch_size=None, sampler=range(first, steps), num_workers=workers,
                           pin_memory=device.type == "cuda"))


def workers_for(in_memory: bool, device: torch.device) -> int:
    """Processes that read for each training process of this machine; every one keeps photos in memory, if any do."""
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores, _WORKERS if in_memory or device.type == "cpu" else _DECODERS))


def parts_of(examples: Examples, settings: TrainSettings, group: Group, step: int, device: torch.device) -> list[Batch]:
    """The parts of this process' share of a batch, ready to train on."""
    parts, pieces = [], cut(examples, settings.accumulate)
    for number, piece in enumerate(pieces):
        seed_part(settings.seed, step, group.rank * len(pieces) + number, PREPARING)
        parts.append(prepare(piece, device, augment=settings.augment))
    return parts


def settle_device(device: torch.device) -> None:
    """On a GPU, look for the fastest convolutions once: the shapes of a training stay what they are."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def _perceptual(settings: TrainSettings, device: torch.device) -> PerceptualDistance | None:
    return PerceptualDistance(settings.perceptual).to(device) if settings.weights.perceptual else None


def embedder_of(settings: TrainSettings, origin: str, device: torch.device) -> FaceEmbedder | None:
    if not settings.weights.face:
        return None
    name = {"synthetic": "builtin", "photos": "dlib"}[origin] if settings.face == "auto" else settings.face
    return load_embedder(name, device)


def _finite(terms: Terms, step: int, checkpoints: Checkpoints, group: Group) -> dict[str, float]:
    """The terms as numbers. Raises `PhotoshootError` naming the first that is none, and what can still be used."""
    values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            good = group.agree(checkpoints.last_good() if group.main else None)
            raise PhotoshootError(
                f"step {step}: the loss {name} is {value}; last good checkpoint: {good or 'none'}",
                remedy="lower train.learning_rate, or the weight of that loss, and train again")
    return values


class _Window:
    """Mean losses and speed since the last log."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}
        self._images, self._began, self._waited = 0, time.monotonic(), 0.0
        self._since = self._began

    def waited(self) -> None:
        """Data has arrived: what passed since the last step was waiting."""
        self._waited += time.monotonic() - self._since

    def add(self, values: dict[str, float], images: int) -> None:
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)
        self._images += images
        self._since = time.monotonic()

    def losses(self) -> dict[str, float]:
        return {f"loss/{name}": total / count for name, (total, count) in self._sums.items()}

    def speed(self) -> dict[str, float]:
        passed = max(time.monotonic() - self._began, 1e-9)
        return {"speed/images_per_second": self._images / passed, "speed/waiting_for_data": self._waited / passed}


def _finished(out: Path, digest: str) -> TrainSummary | None:
    """The summary in `out`, when this very training is done and its model whole."""
    card = read_card(out) or {}
    try:
        whole = card.pop("sha256") == file_digest(out / GENERATOR)
        summary = TrainSummary(**(card | {"seconds": 0.0, "model": str(out / GENERATOR)}))
    except (FileNotFoundError, KeyError, TypeError):
        return None
    return summary if whole and summary.digest == digest else None


def _size(trainer: Trainer) -> int:
    return sum(parameter.numel() for parameter in trainer.generator.parameters())


def _start_of(weights: Weights | None) -> dict[str, object]:
    return {"start": {"digest": weights.start.digest}} if weights else {}


def _facts(trainer: Trainer, dataset: PeopleDataset, groups: list[Indices], batches: Batches,
           device: torch.device, group: Group) -> dict[str, object]:
    return {"data": {"identities": len(groups), "photos": sum(map(len, groups)), "pairs": batches.pairs,
                     "resolution": dataset.resolution, "texel": dataset.texel, "origin": dataset.origin},
            "device": str(device), "processes": group.size, "generator_parameters": _size(trainer)}
