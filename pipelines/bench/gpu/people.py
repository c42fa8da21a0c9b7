"""People for the parts: drawn ones in memory or as a data set, and rendered ones that travel in one file."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch

from components.core.atomic import atomic_path
from components.core.errors import DataError, InputError, SettingsError, machine_errors
from components.core.pictures.texture import unwrap
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.train.bench import drawn_dataset, figure
from components.train.data.augment import Batch, prepare
from components.train.data.batches import Examples

PEOPLE, IDENTITIES = "people", "identities"
MOST_BYTES = 64 * 1024**2
"""What a pack may take: it travels with the tree to machines that take no more."""
_HELD_OUT = 0.15


def drawn_examples(count: int, side: int, texel: int, seed: int = 0) -> Examples:
    """Examples of a drawn figure in random colours."""
    draw = np.random.default_rng(seed)
    iuv = figure(side)
    matte = np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(0))
    photos = draw.integers(0, 256, (count, side // 8, side // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    atlases = [unwrap(photo, iuv, texel) for photo in photos]
    trio = (torch.from_numpy(photos), torch.from_numpy(matte).expand(count, -1, -1).contiguous(),
            torch.from_numpy(iuv).expand(count, -1, -1, -1).contiguous())
    return Examples(torch.from_numpy(np.stack([texture for texture, _ in atlases])),
                    torch.from_numpy(np.stack([seen for _, seen in atlases])), trio, trio, trio,
                    torch.zeros(count, 2, dtype=torch.bool))


def drawn_batch(count: int, side: int, texel: int, device: torch.device, seed: int = 0) -> Batch:
    """`drawn_examples` ready to train on; drawn and prepared on the CPU, so that it is the same on every device."""
    torch.manual_seed(seed)
    return on(prepare(drawn_examples(count, side, texel, seed), torch.device("cpu"), augment=True), device)


def on(batch: Batch, device: torch.device) -> Batch:
    """The batch on another device."""
    from components.core.networks.generator.warp import Source, SourceView

    face, clothes = (SourceView(view.images.to(device), view.mattes.to(device), view.poses.to(device))
                     for view in (batch.source.face, batch.source.clothes))
    source = Source(batch.source.textures.to(device), batch.source.seen.to(device), face, clothes)
    return Batch(source, *(plane.to(device) for plane in batch[1:]))


def drawn_folder(folder: Path, side: int, texel: int, people: int, photos: int) -> tuple[Path, Path]:
    """A data set of drawn people and its identities, in `folder`."""
    dataset = drawn_dataset(folder, side, texel, people, photos)
    return dataset.path, _identities(folder, {record.id: record.id[:-4] for record in dataset.records}, dataset.digest)


def _identities(folder: Path, names: dict[str, str], digest: str) -> Path:
    """Identities by person id, the last few of them for validation."""
    from components.core.people.identities import Assignment, Identities

    order = sorted(set(names.values()))
    aside = set(order[-max(1, round(_HELD_OUT * len(order))) :])
    rows = [Assignment(person, name, 1.0, "validation" if name in aside else "train")
            for person, name in names.items()]
    place = folder / IDENTITIES
    place.mkdir(exist_ok=True)
    Identities(rows, digest, {}).write(place)
    return place


def pack(file: Path, people: int, photos: int, side: int = 256, texel: int = 64) -> int:
    """Render people, preprocess them, and put the data set with its identities into `file`; its size in bytes.

    Raises `SettingsError` where it would take more than `MOST_BYTES`.
    """
    from components.core.people.dataset import PeopleDataset
    from components.preprocess import preprocess
    from components.synthesize import synthesize

    with tempfile.TemporaryDirectory() as folder:
        drawn, place = Path(folder) / "drawn", Path(folder) / PEOPLE
        synthesize(drawn, SynthesizeSettings(people=people, photos_per_person=photos, height=round(side * 1.5)))
        preprocess(drawn, place, PreprocessSettings(resolution=side, texel=texel))
        dataset = PeopleDataset.open(place)
        identities = _identities(Path(folder), dataset.labels, dataset.digest)
        with atomic_path(file) as partial:
            with tarfile.open(partial, "w") as tar:
                for path in (place, identities):
                    tar.add(path, path.name, filter=_anonymous)
            size = partial.stat().st_size
            if size > MOST_BYTES:
                raise SettingsError(f"{people} people of {photos} photos take {size / 1024**2:.0f} MiB, more than "
                                    f"{MOST_BYTES // 1024**2}", remedy="pack fewer (--people-count)")
    return size


def unpack(file: Path, folder: Path) -> Path:
    """The folder with a pack's `PEOPLE` and `IDENTITIES`. Raises `InputError`, or `DataError` for no such file."""
    try:
        with machine_errors(folder), tarfile.open(file) as tar:
            tar.extractall(folder, filter="data")
    except FileNotFoundError:
        raise InputError("no packed people here", path=file, remedy="make them with --pack") from None
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"damaged, or no packed people ({error})", path=file, remedy="pack them again") from None
    if not (folder / PEOPLE).is_dir() or not (folder / IDENTITIES).is_dir():
        raise DataError("no packed people", path=file, remedy="make them with --pack")
    return folder


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member
