"""Deciding by hand who is who: each decision goes into the overrides file, which later clusterings respect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from components.cluster.byhand.overrides import Decision, check, read_overrides, write_overrides
from components.cluster.faces.montage import page
from components.cluster.faces.subjects import PeopleSubjects, PortraitSubjects, Subjects
from components.cluster.members import Member, read_members
from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset
from components.core.pictures.images import write_png


@dataclass(frozen=True)
class Identity:
    """An identity as it was found: photos by name, the least confident first."""

    name: str
    split: str
    photos: list[str]
    confidence: float
    """Mean over its photos."""
    doubtful: str
    """The photo that the clustering was least sure of."""


class ByHand:
    """The identities of a folder that `cluster` wrote, and what is decided about them in the file `overrides`."""

    def __init__(self, identities: Path, overrides: str | Path) -> None:
        self.folder, self.overrides = identities, overrides
        self._members = read_members(identities)
        self.decisions = read_overrides(overrides)

    def identities(self) -> list[Identity]:
        """All identities, those with most photos first."""
        groups: dict[str, list[Member]] = {}
        for member in self._members:
            if member.identity is not None:
                groups.setdefault(member.identity, []).append(member)
        found = []
        for name, members in groups.items():
            members = sorted(members, key=lambda member: (member.confidence, member.photo))
            found.append(Identity(name, str(members[0].split), [member.photo for member in members],
                                  sum(member.confidence for member in members) / len(members), members[0].photo))
        return sorted(found, key=lambda identity: (-len(identity.photos), identity.name))

    def set_aside(self) -> list[Member]:
        """Everybody without an identity."""
        return [member for member in self._members if member.identity is None]

    def members(self, name: str) -> list[Member]:
        """The members of one identity. Raises `InputError`, with the nearest name, for one that does not exist."""
        return _members_of(self._members, name, self.folder)

    def merge(self, names: Sequence[str], name: str | None = None) -> Decision:
        """These identities are one person, called `name` (default: the first of them)."""
        if len(set(names)) < 2:
            raise InputError("merging takes two identities or more", remedy="photoshoot identities merge NAME NAME")
        members = [member for one in dict.fromkeys(names) for member in self.members(one)]
        return self._add(Decision(f"merge {' '.join(names)}", _now(), together=_keys(members), name=name or names[0]))

    def split(self, name: str, photos: Sequence[str]) -> Decision:
        """These photos of an identity are one other person."""
        members = self.members(name)
        out = [self._find(photo, members) for photo in photos]
        rest = [member for member in members if member not in out]
        if not out or not rest:
            raise InputError(f"{name} has {len(members)} photos: name some of them, not all",
                             remedy=f"`photoshoot identities show {name}` shows them")
        return self._add(Decision(f"split {name} {' '.join(photos)}", _now(), apart=(_keys(rest), _keys(out))))

    def confirm(self, name: str, new_name: str | None = None) -> Decision:
        """This identity is one person, called `new_name` (default: as it is)."""
        what = f"confirm {name}" + (f" as {new_name}" if new_name else "")
        return self._add(Decision(what, _now(), together=_keys(self.members(name)), name=new_name or name))

    def leave_out(self, photos: Sequence[str]) -> Decision:
        """These photos tell nobody."""
        found = [self._find(photo, self._members) for photo in photos]
        return self._add(Decision(f"set-aside {' '.join(photos)}", _now(), aside=_keys(found)))

    def undo(self) -> Decision:
        """Take the latest decision back; returns it. Raises `InputError` where there is none."""
        if not self.decisions:
            raise InputError("nothing has been decided yet", path=self.overrides, remedy="there is nothing to undo")
        last = self.decisions.pop()
        write_overrides(self.overrides, self.decisions)
        return last

    def _add(self, decision: Decision) -> Decision:
        check([*self.decisions, decision], self.overrides)
        self.decisions.append(decision)
        write_overrides(self.overrides, self.decisions)
        return decision

    def _find(self, photo: str, members: Sequence[Member]) -> Member:
        found = [member for member in members if photo in (member.photo, member.person_id)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"{len(found)} people are in {photo}",
                             remedy=f"name the person: {', '.join(member.person_id for member in found)}")
        near = get_close_matches(photo, [member.photo for member in members], n=1, cutoff=0.4)
        raise InputError(f"no photo {photo} here", path=self.folder,
                         remedy=f"did you mean {near[0]}?" if near else "`photoshoot identities list` lists them")


def draw_identity(identities: Path, name: str, out: Path, people: Path | None, photos: Path | None) -> int:
    """Write a picture (PNG) of all faces of one identity, the most doubtful first; returns how many there are.

    Their pictures come from the data set `people` or the folder `photos` that the identities were made from. Raises
    `InputError` for an unknown name, for neither or both of the two, and for another data set or folder.
    """
    if (people is None) == (photos is None):
        raise InputError("--people or --photos is required",
                         remedy="give the one that `photoshoot cluster` was given")
    members = _members_of(read_members(identities), name, identities)
    subjects: Subjects = (PeopleSubjects(PeopleDataset.open(people)) if people is not None
                          else PortraitSubjects(Path(str(photos))))
    place = {person: index for index, person in enumerate(subjects.ids)}
    missing = next((member.person_id for member in members if member.person_id not in place), None)
    if missing is not None:
        raise InputError(f"{missing} is not there", path=people or photos,
                         remedy="give what these identities were made from")
    members.sort(key=lambda member: (member.confidence, member.photo))
    faces = [(subjects.picture(place[member.person_id]), f"{member.confidence:.2f}") for member in members]
    write_png(out, page(name, str(members[0].split), faces))
    return len(faces)


def _members_of(members: Sequence[Member], name: str, folder: Path) -> list[Member]:
    found = [member for member in members if member.identity == name]
    if not found:
        names = sorted({member.identity for member in members if member.identity is not None})
        near = get_close_matches(name, names, n=1, cutoff=0.4)
        raise InputError(f"no identity {name}", path=folder,
                         remedy=f"did you mean {near[0]}?" if near else "`photoshoot identities list` lists them")
    return found


def _keys(members: Sequence[Member]) -> tuple[str, ...]:
    return tuple(member.key for member in members)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
