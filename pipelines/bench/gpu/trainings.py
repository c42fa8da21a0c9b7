"""Whole trainings: killed in the middle, with a batch that is too large, and one for as long as there is time."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from components.core.artifacts.model import CURVES, read_curves
from components.core.errors import MachineError
from components.core.people.dataset import PeopleDataset
from components.core.record.recorder import NoRecord
from components.core.settings import TrainSettings
from components.train.bench import finish
from components.train.checkpoint import Checkpoints
from components.train.loop import train
from components.train.memory import release
from components.train.place import place_of
from components.train.processes.launch import launch
from components.train.processes.worker import Job
from components.train.trainer import Terms, Trainer
from pipelines.bench.gpu.parts import SHEET, TRAINING, Bench, Row
from pipelines.bench.gpu.people import drawn_batch
from pipelines.bench.gpu.throughput import people_of

_SAME = 0.05
"""Largest difference of a loss, as a share, between a training that was killed and one that was not: on a GPU the
order of sums, and with it the last bits, is another each time."""
_LEAST = 0.02
_SPARE_S = 12.0
"""For the model, the last sample and the sheet."""


def preemption(bench: Bench) -> Iterator[Row]:
    """SIGTERM and SIGKILL in the middle of a training; the same command again; the same losses?"""
    people, identities = people_of(bench, bench.sizes.checked)
    settings = _small(bench, steps=bench.sizes.steps, gan_start=0.3, log_every=1, checkpoint_every=2)
    children = {ending: _child(bench, people, identities, settings, ending.name)
                for ending in (signal.SIGTERM, signal.SIGKILL)}
    places = {ending: Path(place_of(people, identities, settings, bench.folder / ending.name / "state"))
              for ending in children}
    try:
        _kill(children, places, bench)
        wanted = _trained(bench, people, identities, settings, "whole")
        for ending, child in children.items():
            at = _saved_steps(places[ending])
            got = _trained(bench, people, identities, settings, ending.name)
            apart = max(abs(a - b) / max(abs(b), _LEAST) for name in wanted
                        for a, b in zip(got[name], wanted[name], strict=True) if a is not None and b is not None)
            yield {"what": f"{ending.name} after step {at} of {settings.steps}, then the same command again",
                   "losses": apart, "tolerance": _SAME, "exit_code": child.returncode,
                   "holds": 0 < at < settings.steps and child.returncode == -ending and apart < _SAME}
    finally:
        for child in children.values():
            child.kill()
    if torch.cuda.device_count() > 1:
        yield _side_by_side(bench, people, identities)


def _side_by_side(bench: Bench, people: Path, identities: Path) -> Row:
    count = torch.cuda.device_count()
    settings = _small(bench, steps=8, batch=2 * count)
    summary = launch(people, identities, bench.folder / "several", settings, state=bench.folder / "several-state",
                     recorder=NoRecord(), processes=count)
    return {"what": f"a training of {count} processes, one per GPU", "images_per_s": summary.images_per_second,
            "holds": all(map(math.isfinite, summary.losses.values()))}


def _child(bench: Bench, people: Path, identities: Path, settings: TrainSettings,
           name: str) -> subprocess.Popen[bytes]:
    """A training in a process of its own, as a pipeline starts it."""
    folder = bench.folder / name
    (folder / "report").mkdir(parents=True)
    job = Job(str(people), str(identities), str(folder / "model"), settings.model_dump_json(), str(folder / "state"),
              str(folder / "report"))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "components.train.processes.worker", json.dumps(asdict(job))],
                                stdout=log, stderr=log)


def _kill(children: Mapping[signal.Signals, subprocess.Popen[bytes]], places: Mapping[signal.Signals, Path],
          bench: Bench) -> None:
    """End each child as soon as it has a checkpoint of a third of the way: the GAN has begun."""
    waiting, third = set(children), bench.sizes.steps // 3
    while waiting and bench.left > 0:
        for ending in [one for one in waiting if any(int(note.stem.removeprefix("step-")) >= third
                                                     for note in places[one].glob("step-*.json"))]:
            children[ending].send_signal(ending)
            waiting.remove(ending)
        if all(children[one].poll() is not None for one in waiting):
            break
        time.sleep(0.005)
    for child in children.values():
        child.wait(timeout=max(bench.left, 1))


def _saved_steps(place: Path) -> int:
    """Steps done at the newest checkpoint that a killed process left; 0 without one."""
    with Checkpoints(place, 2) as checkpoints:
        saved = checkpoints.load()
    return 0 if saved is None else saved.step


def _trained(bench: Bench, people: Path, identities: Path, settings: TrainSettings,
             name: str) -> dict[str, list[float | None]]:
    """Train to the end, from whatever checkpoint there is; the losses of each step by name."""
    folder = bench.folder / name
    train(people, identities, folder / "model", settings, state=folder / "state")
    curves = read_curves(folder / "model")
    assert curves is not None
    values: dict[str, list[float | None]] = curves["series"]
    return values


def memory(bench: Bench) -> Iterator[Row]:
    """A batch that does not fit into a limit that is set for the purpose, and the batch that is said to fit."""
    people, identities = people_of(bench, bench.sizes.checked)
    batch = 32 if bench.on_gpu else 8
    with _limited(bench) as limit:
        try:
            train(people, identities, bench.folder / "large", _small(bench, steps=2, batch=batch))
            yield {"what": f"a batch of {batch} under a limit of {limit}", "holds": False, "reason": "it fitted"}
            return
        except MachineError as error:
            said = str(error)
        found = re.search(r"train\.batch=(\d+)", said)
        yield {"what": f"a batch of {batch} under a limit of {limit}", "said": said,
               "holds": found is not None and "\n" not in said}
        if found is not None:
            train(people, identities, bench.folder / "fitting", _small(bench, steps=2, batch=int(found[1])))
            yield {"what": "the batch that it named", "batch": int(found[1]), "holds": True}


@contextmanager
def _limited(bench: Bench) -> Iterator[str]:
    """Room for a handful of examples; on a CPU, which has no such limit, a pass that says so itself."""
    if bench.on_gpu:
        took = []
        trainer = Trainer(_small(bench), bench.sizes.checked, bench.sizes.texel, bench.device, perceptual=None,
                          embedder=None)
        for size in (2, 4):
            torch.cuda.reset_peak_memory_stats()
            trainer.rehearse(drawn_batch(size, bench.sizes.checked, bench.sizes.texel, bench.device))
            took.append(torch.cuda.max_memory_allocated())
        del trainer
        release()
        most = took[1] + 2 * (took[1] - took[0])
        torch.cuda.set_per_process_memory_fraction(most / torch.cuda.get_device_properties(bench.device).total_memory)
        try:
            yield f"{most / 1e9:.1f} GB"
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    plain = Trainer.reconstruction_terms

    def cramped(self: Trainer, painting: Any, batch: Any) -> Terms:
        if len(batch.poses) > 3:
            raise torch.OutOfMemoryError("simulated")
        return plain(self, painting, batch)

    with mock.patch.object(Trainer, "reconstruction_terms", cramped):
        yield "3 examples (simulated)"


def training(bench: Bench) -> Iterator[Row]:
    """Train for as long as the time box allows; the curve and a sheet of what it paints are left in the folder."""
    people, identities = people_of(bench, bench.sizes.trained)
    dataset = PeopleDataset.open(people)
    settings = _recipe(bench)
    pace = _pace(bench, settings, dataset.texel)
    steps = max(int((bench.left - _SPARE_S) * 0.8 / pace), 4)
    if not bench.on_gpu:
        steps = min(steps, 4)
    settings = settings.model_copy(update={"steps": steps, "log_every": max(steps // 60, 1),
                                           "sample_every": max(steps // 4, 1), "checkpoint_every": steps})
    record = _Record(bench)
    folder = bench.folder / TRAINING
    folder.mkdir(exist_ok=True)
    with suppress(_Enough):
        train(people, identities, folder / "model", settings, recorder=record)
    done = max(record.points, default=0)
    names = sorted(name for name in record.points[done] if name.startswith("loss/"))
    curves = {name: [[step, values[name]] for step, values in record.points.items() if name in values]
              for name in names}
    (folder / CURVES).write_text(json.dumps(curves), encoding="utf-8")
    if record.sheet is not None:
        Image.fromarray(record.sheet).save(folder / SHEET, quality=88)
    first, last = (record.points[step]["loss/l1"] for step in (min(record.points), done))
    speeds = [values["speed/images_per_second"] for values in record.points.values()]
    waits = [values["speed/waiting_for_data"] for values in record.points.values()]
    whom = f"{len(dataset)} photos of {'rendered' if bench.people is not None else 'drawn'} people"
    yield {"what": f"{whom}, {settings.batch} a step, {bench.sizes.trained} px, width {settings.width}",
           "steps": done, "of": steps, "images": done * settings.batch, "l1_first": first, "l1_last": last,
           "images_per_s": float(np.median(speeds)), "waiting": float(np.median(waits)),
           "losses": {name: record.points[done][name] for name in names},
           "holds": all(math.isfinite(record.points[done][name]) for name in names)
                    and (last < first or not bench.on_gpu)}  # fmt: skip


class _Enough(Exception):
    """The time box is used up."""


class _Record(NoRecord):
    """Keeps metrics and the last samples, and ends the training in time."""

    def __init__(self, bench: Bench) -> None:
        self.points: dict[int, dict[str, float]] = {}
        self.sheet: np.ndarray | None = None
        self._bench = bench

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        self.points[step] = dict(values)
        if self._bench.left < _SPARE_S / 3:
            raise _Enough

    def image(self, key: str, image: np.ndarray, step: int | None = None) -> None:
        self.sheet = image


def _pace(bench: Bench, settings: TrainSettings, texel: int) -> float:
    """Seconds of a step, GAN and all."""
    from components.core.networks.pretrained.features import PerceptualDistance
    from components.train.loop import embedder_of, settle_device

    settle_device(bench.device)
    trainer = Trainer(settings, bench.sizes.trained, texel, bench.device,
                      perceptual=PerceptualDistance().to(bench.device),
                      embedder=embedder_of(settings, "synthetic", bench.device))
    batch = drawn_batch(settings.batch, bench.sizes.trained, texel, bench.device)
    for _ in range(min(bench.sizes.rounds, 2)):
        trainer.step(settings.steps, batch)
    finish(bench.device)
    began = time.perf_counter()
    for _ in range(rounds := bench.sizes.rounds):
        trainer.step(settings.steps, batch)
    finish(bench.device)
    seconds = (time.perf_counter() - began) / rounds
    del trainer
    release()
    return seconds


def _recipe(bench: Bench) -> TrainSettings:
    """The default recipe, wider, and with a GAN in its last third: what an evening on a GPU would be, in minutes."""
    if not bench.on_gpu or bench.sizes.name != "full":
        return _small(bench, gan_start=0.5)
    return TrainSettings(batch=16, width=32, max_width=512, gan_start=0.67, learning_rate=0.004)


def _small(bench: Bench, **changes: Any) -> TrainSettings:
    return TrainSettings.model_validate({
        "width": bench.sizes.checked_width, "max_width": min(bench.sizes.max_width, 256), "latent": bench.sizes.latent,
        "batch": 2, "gan_start": 0.0, "device": bench.device.type, "processes": 1,
        "weights": {"perceptual": 0, "face": 0, "r1_every": 4}} | changes)
