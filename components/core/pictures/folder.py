"""A folder of photos as people have it: which files are photos, whose pose map and matte lie where, who is in which
sub-folder. The one way to look into such a folder; only names are looked at, so that it works before files are fetched.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.core.artifacts.members import TABLE as MEMBERS
from components.core.artifacts.people import HEADER
from components.core.artifacts.photos import LABELS
from components.core.errors import InputError, machine_errors
from components.core.pictures.kinds import LISTED_ENDINGS, MARKS, PHOTO_ENDINGS, POSE_MAP_ENDINGS, POSE_MAPS, kind_of

_PHOTOS, _POSES, _MATTES = "photos", "iuv", "matte"
_NEVER = {"__macosx"}
_MADE_HERE = {HEADER, MEMBERS}
"""Files of artifacts: a folder that holds one was written by a step, and its pictures are no photos."""

_Key = tuple[tuple[str, ...], str]


@dataclass(frozen=True)
class PhotoFile:
    """A photo and what lies beside it."""

    path: Path
    name: str
    """Relative to the folder of photos, with forward slashes, in Unicode's composed form."""
    iuv: Path
    """Its pose map; where there is none, where it is missed first."""
    matte: Path | None

@dataclass(frozen=True)
class PhotoFiles:
    """A folder's photos in order of name."""

    folder: Path
    root: Path
    """Where the photos are: the folder, or its photos/."""
    photos: list[PhotoFile]
    labels: Path
    """Its labels.csv, which may be missing."""
    dumps: list[Path]
    """Files of DensePose detections, which are not read as they are."""

    def said(self) -> dict[str, str]:
        """`said_by` of the photos."""
        return said_by([photo.name for photo in self.photos])


def said_by(names: Sequence[str]) -> dict[str, str]:
    """Name -> the person whose sub-folder the photo is in, the first of several; photos in none are left out.

    `names` are relative to the photos' folder. {} where sub-folders cannot be people, being fewer than two.
    """
    folders = {name: PurePosixPath(name).parts[0] for name in names if "/" in name}
    return folders if len(set(folders.values())) > 1 else {}


def composed(text: str) -> str:
    """A name in Unicode's composed form (NFC), as Macs do not write it; bytes that are no UTF-8 become U+FFFD."""
    return unicodedata.normalize("NFC", os.fsencode(text).decode("utf-8", "replace"))


def list_photos(folder: str | Path) -> PhotoFiles:
    """Look into a folder of photos, which lie in it or in its photos/, and in sub-folders of that.

    Pose maps are found as iuv/<name>.png, beside the photo as <stem>_IUV.png (`kinds.MARKS`), in an iuv/ beside it, or
    as iuv/<stem>.png where no other photo has that stem; mattes likewise in matte/. Raises `InputError` for a folder
    that is missing or without photos, and for two photos of one name but for the ending.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, remedy="check --photos")
    inside = _child(folder, _PHOTOS)
    root = inside if inside is not None and inside.is_dir() else folder
    with machine_errors(folder):
        found = _Files(folder, root)
        for path in _walk(folder):
            found.sort_in(path)
    if not found.photos:
        raise InputError("no photos in this folder", path=root,
                         remedy=f"put images ({', '.join(PHOTO_ENDINGS)}) there or in its photos/")
    labels = _child(folder, LABELS) or _child(root, LABELS) or folder / LABELS
    return PhotoFiles(folder, root, found.with_companions(), labels, sorted(found.dumps))


def looked_at(name: str) -> bool:
    """Whether a file of that name, relative to a folder of photos, can matter to `list_photos`."""
    return PurePosixPath(name).suffix.lower() in {*LISTED_ENDINGS, *POSE_MAP_ENDINGS}


class _Files:
    """The files of a folder, each put where it belongs."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root
        self.photos: dict[_Key, list[Path]] = defaultdict(list)
        self._poses: dict[_Key, list[tuple[int, int, int, Path]]] = defaultdict(list)
        self._mattes: dict[_Key, list[Path]] = defaultdict(list)
        self.dumps: list[Path] = []

    def sort_in(self, path: Path) -> None:
        """Put a file where its name says that it belongs."""
        parts = path.relative_to(self._folder).parts[:-1]
        within = path.is_relative_to(self._root)
        if within:
            parts = path.relative_to(self._root).parts[:-1]
        stem, ending = composed(path.stem), path.suffix.lower()
        if ending in kind_of(POSE_MAPS, "DensePose dump").endings:
            self.dumps.append(path)
        kinds = [part.casefold() for part in parts]
        for kind in (_POSES, _MATTES):
            if kind in kinds:
                at = kinds.index(kind)
                parts = (*parts[:at], *parts[at + 1 :])
                self._companion(kind, tuple(map(composed, parts)), stem, ending, path)
                return
        place = tuple(map(composed, parts))
        if within and _unmarked(stem) != stem and ending in POSE_MAP_ENDINGS:
            self._companion(_POSES, place, stem, ending, path, beside=1)
        elif within and ending in LISTED_ENDINGS:
            self.photos[place, stem].append(path)

    def _companion(self, kind: str, place: tuple[str, ...], stem: str, ending: str, path: Path,
                   beside: int = 0) -> None:
        if kind == _MATTES:
            if ending in PHOTO_ENDINGS:
                self._mattes[place, stem].append(path)
        elif ending in POSE_MAP_ENDINGS:
            # Which comes first where a photo has several: those in iuv/, without a mark, of the kind named first.
            rank = beside, int(_unmarked(stem) != stem), POSE_MAP_ENDINGS.index(ending)
            self._poses[place, _unmarked(stem)].append((*rank, path))

    def with_companions(self) -> list[PhotoFile]:
        """The photos in order of name. Raises `InputError` for two of one name but for the ending."""
        twice = next((sorted(paths) for _, paths in sorted(self.photos.items()) if len(paths) > 1), None)
        if twice:
            names = " and ".join(path.relative_to(self._root).as_posix() for path in twice)
            raise InputError(f"{names} share one stem, and pose maps are found by stem", path=self._root,
                             remedy="rename or remove one of them")
        stems = Counter(stem for _, stem in self.photos)
        files = [self._photo(key, paths[0], stems[key[1]] == 1) for key, paths in self.photos.items()]
        return sorted(files, key=lambda photo: photo.name)

    def _photo(self, key: _Key, path: Path, alone: bool) -> PhotoFile:
        place, stem = key
        keys = [key, ((), stem)] if alone else [key]
        poses = next((sorted(self._poses[one]) for one in keys if one in self._poses), [])
        mattes = next((sorted(self._mattes[one]) for one in keys if one in self._mattes), [])
        missed = (_child(self._folder, _POSES) or self._folder / _POSES).joinpath(*place, f"{stem}.png")
        return PhotoFile(path=path, name=composed(path.relative_to(self._root).as_posix()),
                         iuv=poses[0][-1] if poses else missed, matte=mattes[0] if mattes else None)


def _unmarked(stem: str) -> str:
    """A pose map's stem without the mark that says what it is."""
    mark = next((mark for mark in MARKS if stem.lower().endswith(mark)), "")
    return stem[: len(stem) - len(mark)]


def _child(folder: Path, name: str) -> Path | None:
    """What is called so in a folder, in capitals or not."""
    exact = folder / name
    if exact.exists():
        return exact
    return next((path for path in sorted(_children(folder)) if path.name.casefold() == name), None)


def _children(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones and what steps wrote; links are followed, each folder once."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen or (here != str(folder) and _MADE_HERE & set(files)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.casefold() not in _NEVER)
        for name in sorted(files):
            path = Path(here, name)
            if not name.startswith(".") and path.is_file():
                yield path
