"""The people data set: person crops with pose map, matte and texture, in shards with random access.

A folder of

- ``people.json``: format version, resolution, texel, origin, counts, settings, digest;
- ``manifest.parquet``: a row per person, in order of the photos' names; photos left out are there too, with the
  reason;
- ``shards.parquet``: size and sha256 of each shard;
- ``shard-00000.tar`` ...: uncompressed tar files whose members ``<id>.photo.png``, ``<id>.iuv.png``,
  ``<id>.matte.png``, ``<id>.texture.png`` and ``<id>.seen.png`` lie together (and where there are
  such ``<id>.face.png``, ``<id>.truth.png`` and the larger crop's ``<id>.large-photo.png``, ``<id>.large-iuv.png`` and
  ``<id>.large-matte.png``), so that the manifest's offset and length fetch a person in one read.
  Any tar reader, and WebDataset, reads them too.

Bytes depend on the photos and the settings only: no times, users or paths.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.files import misfit
from components.core.artifacts.people import FORMAT, HEADER, MANIFEST, SHARDS
from components.core.documents import MOST_JSON, Unreadable, json_object, read_bytes, shown
from components.core.errors import DataError, machine_errors
from components.core.people.manifest import Manifest, Texts
from components.core.people.shard_cache import ShardCache, read_piece
from components.core.pictures.images import Pixels, decode_png
from components.core.pictures.texture import from_picture

MEMBERS = ("photo", "iuv", "matte", "texture", "seen")
FACE = "face"  # a member of those whose face is seen
TRUTH = "truth"  # a member of synthetic people where it is known
LARGE = ("large-photo", "large-iuv", "large-matte")  # where larger crops are kept; the matte where it is no silhouette
OPTIONAL = (FACE, TRUTH, *LARGE)
BLOCK = 512  # of a tar file

Origin = Literal["synthetic", "photos"]
PoseSource = Literal["given", "landmarks", "densepose"]
MatteSource = Literal["given", "landmarks", "grabcut", "silhouette"]
Box = tuple[int, int, int, int]
_HEADER = {"resolution": int, "texel": int, "origin": str, "digest": str, "settings": dict, "accepted": int,
           "large?": int}


@dataclass(frozen=True)
class PersonRecord:
    """A row of the manifest: one accepted person."""

    id: str
    photo: str
    """Name of the source photo, relative to the folder of photos."""
    photo_digest: str
    """sha256 of the photo's file."""
    inputs_digest: str
    """sha256 of the photo's, pose map's and user's matte's files together."""
    shard: int
    offset: int
    """First byte of the person's members in the shard."""
    length: int
    box: Box
    """Square crop (x0, y0, x1, y1) in photo pixels; it may reach beyond the photo."""
    scale: float
    """Crop pixels per photo pixel."""
    coverage: float
    """Share of the atlas's texels that the photo shows, 0..1."""
    head_box: Box | None
    """Around the head in crop pixels, or None where none shows."""
    face_seen: bool
    view: Literal["front", "side", "back"]
    channel_order: Literal["IUV", "VUI"]
    """Order that the pose map's file had; in the data set it is always IUV."""
    label: str | None
    """Identity from labels.csv or, where there is none, the sub-folder; scores a clustering."""
    perceptual_hash: str | None = None
    """What the picture looks like, hex: near-equal for near-equal pictures; None: never taken for a repetition."""
    pose_source: PoseSource = "given"
    """Where the pose map comes from."""
    matte_source: MatteSource = "grabcut"
    """Where the matte comes from."""
    confidence: float | None = None
    """How sure a pose map from landmarks is, 0..1; None for any other."""
    notes: str | None = None
    """What such a pose map lacks, e.g. "the legs are cut off: fine for portraits", with semicolons between."""


@dataclass(frozen=True)
class Person:
    """One person: crop of side S, texture tiles of side N."""

    id: str
    photo: Pixels
    """uint8 RGB [S, S, 3]."""
    iuv: Pixels
    """uint8 [S, S, 3] as (I, U, V)."""
    matte: Pixels
    """uint8 [S, S], 255 = person."""
    texture: Pixels
    """uint8 [24, N, N, 3]."""
    seen: NDArray[np.bool_]
    """bool [24, N, N]."""
    record: PersonRecord
    face: Pixels | None = None
    """uint8 RGB [150, 150, 3], aligned (`head.face_chip`), from the photo's own pixels; None where none is seen."""
    truth: Pixels | None = None
    """uint8 RGBA [S, S, 4] (`truth.true_crop`): what the photo should show of the person, for losses to compare with;
    None where only the photo is known."""


@dataclass(frozen=True)
class LargePerson:
    """The same crop in more of the photo's pixels, to be cut anew in other sizes."""

    photo: Pixels
    """uint8 RGB [s, s, 3], with the person's own colours along the outline where they are known."""
    iuv: Pixels
    """uint8 [s, s, 3]."""
    matte: Pixels | None
    """uint8 [m, m]; None: the pose map's outline."""


class Records(Sequence[PersonRecord]):
    """The accepted rows, each read and built when it is asked for."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def __len__(self) -> int:
        return len(self._manifest)

    @overload
    def __getitem__(self, index: int) -> PersonRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PersonRecord]: ...
    def __getitem__(self, index: int | slice) -> PersonRecord | Sequence[PersonRecord]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self._manifest.row(_position(index, len(self)))
        row["box"] = tuple(row["box"])
        row["head_box"] = tuple(row["head_box"]) if row["head_box"] is not None else None
        # Columns that came later are missing in data sets of before; their defaults hold there.
        return PersonRecord(**{field.name: row[field.name] for field in fields(PersonRecord) if field.name in row})


class PeopleDataset:
    """Random access to people by index. Safe to pickle, to fork and to share between threads: no open files kept.

    Opening reads where each person lies (20 bytes a row); every other column is read when it is asked for.
    """

    def __init__(self, path: Path, header: dict[str, Any], manifest: Manifest, cache: ShardCache | None = None) -> None:
        self.path = path
        """The folder; of a data set on gs:// its local cache."""
        self.resolution = int(header["resolution"])
        """Side of the person crops in pixels."""
        self.texel = int(header["texel"])
        """Side of a texture tile."""
        self.large = int(header.get("large", 0))
        """Most pixels along the side of the larger crops that are kept; 0: none are."""
        self.origin: Origin = header["origin"]
        """synthetic: rendered people; photos: real ones."""
        self.digest = str(header["digest"])
        """sha256 over what went in: the files' digests and the settings."""
        self.settings: dict[str, Any] = header["settings"]
        """PreprocessSettings that made it."""
        self.records = Records(manifest)
        """Accepted rows of the manifest, read on access."""
        self._manifest, self._cache = manifest, cache

    @staticmethod
    def open(path: str | Path) -> PeopleDataset:
        """Open a data set's folder, or one on gs:// whose shards are fetched into a local cache when they are used.

        Raises `DataError` for a folder that is no people data set, another format version, or a torn manifest, and
        what `storage` raises where gs:// does not answer.
        """
        cache = ShardCache.of(path, HEADER, (MANIFEST, SHARDS))
        path = cache.folder if cache else Path(path)
        header = _header(path)
        try:
            manifest = Manifest(path / MANIFEST)
            people = PeopleDataset(path, header, manifest, cache)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors, OSErrors and KeyErrors
            raise DataError(f"damaged manifest ({str(error).splitlines()[0]})", path=path / MANIFEST,
                            remedy="run preprocess again") from error
        if len(people) != header["accepted"]:
            raise DataError(f"{len(people)} people in the manifest, {HEADER} has {header['accepted']}", path=path,
                            remedy="run preprocess again")
        return people

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, index: int) -> Person:
        """Read one person. Raises `DataError` for a torn shard, IndexError beyond the end."""
        index = _position(index, len(self))
        record = self.records[index]
        members = self._members(index, MEMBERS, (FACE, TRUTH))
        try:
            planes = {name: decode_png(data) for name, data in members.items()}
            self._check(planes)
            return Person(id=record.id, photo=planes["photo"], iuv=planes["iuv"], matte=planes["matte"],
                          texture=from_picture(planes["texture"], self.texel),
                          seen=from_picture(planes["seen"], self.texel) > 0, face=planes.get(FACE),
                          truth=planes.get(TRUTH), record=record)
        except (OSError, ValueError, SyntaxError, OverflowError, MemoryError) as error:
            raise self._torn(index) from error

    def larger(self, index: int) -> LargePerson:
        """Read one person's larger crop. Raises `DataError` for a torn shard, and where no larger crops are kept;
        IndexError beyond the end."""
        index = _position(index, len(self))
        if not self.large:
            raise DataError("no larger crops are kept here", path=self.path,
                            remedy="preprocess with preprocess.large=512")
        members = self._members(index, LARGE[:2], LARGE[2:])
        try:
            photo, iuv, matte = (decode_png(members[name]) if name in members else None for name in LARGE)
            if photo is None or iuv is None or not _is_square(photo, self.large, 3) or photo.shape != iuv.shape or (
                    matte is not None and not _is_square(matte, self.large)):
                raise ValueError("pictures of another size")
            return LargePerson(photo, iuv, matte)
        except (OSError, ValueError, SyntaxError, OverflowError, MemoryError) as error:
            raise self._torn(index) from error

    def _check(self, planes: Mapping[str, Pixels]) -> None:
        """Raises `ValueError` for pictures of other sizes than the header says."""
        side = self.resolution
        shapes = {"photo": (side, side, 3), "iuv": (side, side, 3), "matte": (side, side), TRUTH: (side, side, 4)}
        if any(planes[name].shape != shape for name, shape in shapes.items() if name in planes):
            raise ValueError("pictures of another size")

    def _torn(self, index: int) -> DataError:
        return DataError("damaged or missing shard", path=self.path / shard_name(self._manifest.place(index)[0]),
                         remedy="run preprocess again")

    def __iter__(self) -> Iterator[Person]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def ids(self) -> Texts:
        """Ids of the accepted people, in order."""
        return Texts(self._manifest.values("id"))

    def index(self, id: str) -> int:
        """Index of the person with this id. Raises `DataError`."""
        try:
            return self.ids.index(id)
        except ValueError:
            raise DataError(f"there is no person {id}", path=self.path,
                            remedy="look at the manifest's column id") from None

    def column(self, name: str) -> list[Any]:
        """One manifest column of the accepted people, in order, without building records."""
        return list(self._manifest.values(name).to_pylist())

    def photo_digests(self, groups: Iterable[NDArray[np.int64]]) -> set[str]:
        """sha256 of the photos of people, given as groups of their indices, hex."""
        digests = self.column("photo_digest")
        return {str(digests[int(index)]) for group in groups for index in group}

    def counted(self, name: str) -> dict[str, int]:
        """How many accepted people have each value of a column, the most frequent first; {} for a column that the
        data set is too old to have."""
        return dict(Counter(self.column(name)).most_common()) if name in self._manifest.names else {}

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """(photo, reason) of every photo that was left out, in order of name."""
        return self._manifest.rejected()

    @cached_property
    def labels(self) -> dict[str, str]:
        """Id -> identity of the people that labels.csv or sub-folders name; empty where there were none."""
        pairs = zip(self.ids, self._manifest.values("label").to_pylist(), strict=True)
        return {name: label for name, label in pairs if label is not None}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._cache.uri if self._cache else self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(PeopleDataset.open(state["path"]).__dict__)

    def _members(self, index: int, wanted: Sequence[str], optional: Sequence[str]) -> dict[str, bytes]:
        """The bytes of a person's files by kind."""
        number, offset, length = self._manifest.place(index)
        shard = self.path / shard_name(number)
        try:
            with machine_errors(shard):
                data = (self._cache.read(number, shard.name, offset, length) if self._cache
                        else read_piece(shard, offset, length))
            members = parse_members(data)
            return {name: members[name] for name in (*wanted, *(kind for kind in optional if kind in members))}
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise self._torn(index) from error


def _header(path: Path) -> dict[str, Any]:
    try:
        header = json_object(read_bytes(path / HEADER, MOST_JSON))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"no people data set ({HEADER} is missing)", path=path,
                        remedy="`photoshoot preprocess --photos DIR --out DIR` makes one") from None
    except Unreadable as error:
        raise DataError(f"damaged {HEADER} ({error})", path=path, remedy="run preprocess again") from None
    if header.get("format") != FORMAT:
        raise DataError(f"format {shown(header.get('format'))}, this version reads {FORMAT!r}", path=path / HEADER,
                        remedy="run preprocess again with this version")
    reason = misfit(header, _HEADER) or (None if header["origin"] in get_args(Origin) else "origin is of another kind")
    if reason:
        raise DataError(f"damaged {HEADER} ({reason})", path=path, remedy="run preprocess again")
    return header


def _is_square(picture: Pixels, most: int, *channels: int) -> bool:
    """Whether a picture is [s, s, *channels] with s up to `most`."""
    side = picture.shape[0]
    return side <= most and picture.shape == (side, side, *channels)


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:05d}.tar"


def parse_members(data: bytes) -> dict[str, bytes]:
    """Files of one person in a piece of a tar file, by kind (photo, iuv, ...). Raises ValueError when it is torn."""
    members = {}
    position = 0
    while position < len(data):
        header = data[position : position + BLOCK]
        if len(header) < BLOCK:
            raise ValueError("cut short")
        name = header[:100].rstrip(b"\0").decode("ascii")
        size = int(header[124:136].rstrip(b"\0 "), 8)
        position += BLOCK
        content = data[position : position + size]
        if len(content) < size or not name.endswith(".png"):
            raise ValueError("cut short")
        members[name.split(".")[-2]] = content
        position += -(-size // BLOCK) * BLOCK
    return members


def content_digest(inputs: Sequence[str], settings: dict[str, Any]) -> str:
    """Digest of a data set: over the accepted people's `inputs_digest` in sorted order, and the settings."""
    digest = hashlib.sha256(json.dumps([FORMAT, settings], sort_keys=True).encode())
    for one in sorted(inputs):
        digest.update(one.encode())
    return digest.hexdigest()


def _position(index: int, length: int) -> int:
    if not -length <= index < length:
        raise IndexError(f"person {index} of {length}")
    return index % length
