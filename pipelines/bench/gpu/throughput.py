"""Does the data keep up with the GPU, and how fast are finished pictures painted?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from components.core.networks.generator.reposer import Fine, Generator, Output, Reposer, SourceBatch
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.pictures.texture import unwrap
from components.train.bench import figure, finish
from components.train.data.augment import prepare
from components.train.data.batches import Batches
from pipelines.bench.gpu.parts import Bench, Row
from pipelines.bench.gpu.people import IDENTITIES, PEOPLE, drawn_folder
from pipelines.bench.gpu.speed import settings_at

_SOURCES = 4
_ONE_LEVEL = 1.0
"""Mean difference in grey levels up to which a picture counts as the same on two devices."""


def people_of(bench: Bench, side: int) -> tuple[Path, Path]:
    """The people that were brought, if their side is the one wanted, else drawn ones, made once."""
    if bench.people is not None and PeopleDataset.open(bench.people / PEOPLE).resolution == side:
        return bench.people / PEOPLE, bench.people / IDENTITIES
    folder = bench.folder / f"drawn-{side}"
    if not (folder / IDENTITIES).exists():
        folder.mkdir(exist_ok=True)
        drawn_folder(folder, side, bench.sizes.texel, bench.sizes.people, bench.sizes.photos)
    return folder / PEOPLE, folder / IDENTITIES


def data(bench: Bench) -> Iterator[Row]:
    """Images/s decoded by one process, put together by all cores, and made ready on the device."""
    side = bench.sizes.trained
    dataset, identities = (PeopleDataset.open(people_of(bench, side)[0]), Identities.open(people_of(bench, side)[1]))
    source = "rendered people" if bench.people is not None else "drawn people (random pixels: the slowest PNG there is)"
    began, count = time.perf_counter(), 0
    while count < len(dataset) and time.perf_counter() - began < bench.left / 6:
        _, count = dataset[count], count + 1
    yield {"what": "decoded from shards by one process", "side": side, "source": source,
           "images_per_s": count / (time.perf_counter() - began)}

    size = bench.sizes.batches[-1]
    groups = list(identities.members(dataset, "train").values())
    batches = Batches(dataset, groups, batch=size, reconstruction=0.1, seed=0, sources=_SOURCES)
    batches.photos.in_memory = False  # as with a data set that memory does not hold
    workers = (os.cpu_count() or 1) if bench.on_gpu else 1
    loader = iter(DataLoader(batches, batch_size=None, sampler=range(10_000), num_workers=workers,
                             pin_memory=bench.on_gpu))
    examples = next(loader)  # the workers are there
    began, count, until = time.perf_counter(), 0, bench.left / 3
    while count == 0 or time.perf_counter() - began < min(until, 8.0 if bench.on_gpu else 0.1):
        examples, count = next(loader), count + size
    delivered = count / (time.perf_counter() - began)
    yield {"what": f"examples put together from shards by {workers} processes", "side": side, "images_per_s": delivered,
           "photos_read_each": "2 to 6"}
    del loader

    prepare(examples, bench.device, augment=True)
    finish(bench.device)
    began = time.perf_counter()
    for _ in range(rounds := bench.sizes.rounds):
        prepare(examples, bench.device, augment=True)
    finish(bench.device)
    yield {"what": f"examples made ready on {bench.device.type}", "side": side,
           "images_per_s": rounds * size / (time.perf_counter() - began)}
    eaten = max([row["images_per_s"] for row in bench.known if row.get("what") == "step" and row.get("side") == side
                 and "images_per_s" in row], default=None)
    if eaten is not None:
        yield {"what": "delivered for each image that a step eats", "side": side, "ratio": delivered / eaten}


def painting(bench: Bench) -> Iterator[Row]:
    """Pictures/s of an untrained model of full width at its own size and at larger ones; are they the CPU's?"""
    side, texel = bench.sizes.trained, bench.sizes.texel
    torch.manual_seed(0)
    settings = settings_at(bench, side, 1)
    network = Generator(settings, side, texel)
    on_cpu = Reposer(network, settings, side, texel, "synthetic")
    source, poses, backgrounds = _sitters(2, side, texel)
    wanted = on_cpu.repose(source, poses, backgrounds)
    reposer = Reposer(network, settings, side, texel, "synthetic", str(bench.device))
    apart = _levels(reposer.repose(source, poses, backgrounds), wanted)
    yield {"what": f"a picture of {side} px on {bench.device.type} against the CPU's", "grey_levels": apart,
           "tolerance": _ONE_LEVEL, "holds": apart < _ONE_LEVEL}
    count = 8 if bench.on_gpu else 1
    source, poses, backgrounds = _sitters(count, side, texel)
    yield {"what": f"pictures of {side} px, the network's own size", "side": side,
           "pictures_per_s": _pace(bench, lambda: reposer.repose(source, poses, backgrounds), count)}
    for size in bench.sizes.pictures:
        if size == side:
            continue
        large, large_poses, large_backgrounds = _sitters(count, size, 2 * texel)
        fine = Fine(large, large_poses)
        yield {"what": f"pictures of {size} px by a network of {side} px", "side": size,
               "pictures_per_s": _pace(bench, lambda fine=fine, behind=large_backgrounds:
                                       reposer.repose(source, poses, behind, fine), count)}


def _pace(bench: Bench, work: object, count: int) -> float:
    assert callable(work)
    work()
    finish(bench.device)
    began = time.perf_counter()
    for _ in range(rounds := max(bench.sizes.rounds // 4, 1)):
        work()
    finish(bench.device)
    return rounds * count / (time.perf_counter() - began)


def _levels(one: Output, other: Output) -> float:
    return float(np.abs(one.images.astype(np.int16) - other.images.astype(np.int16)).mean())


def _sitters(count: int, side: int, texel: int) -> tuple[SourceBatch, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(side)
    iuv = figure(side)
    photo = draw.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    texture, seen = unwrap(photo, iuv, texel)
    matte = np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(0))
    textures, masks, photos, mattes, poses = (np.broadcast_to(one, (count, *one.shape)).copy()
                                              for one in (texture, seen, photo, matte, iuv))
    return SourceBatch(textures, masks, photos, mattes, poses), poses, np.full_like(photos, 200)
