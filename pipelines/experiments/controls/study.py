"""``photoshoot experiment controls``: is a control ever judged wrongly, and how far is each bound from chance?

Each draw deals the identities of a people set anew to training, validation and held-out people, as many to each as the
run had, and passes the three controls through the evaluation's own measurement and the gate's own bounds. That is what
another seed of the split would have given: no control is trained, so whom a draw calls training people is nothing but
whom the copy-cat copies and whose rooms are baked in. Draws share people, so their spread is that of the split, not of
the population; several people sets show that.

What is measured of a photo, or of an output made of two photos, is remembered: a hundred draws look at few new ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from components.core.atomic import atomic_path
from components.core.digest import code_digest, json_digest
from components.core.errors import InputError
from components.core.judging.gate import Line, Verdict, thresholds
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities, Split
from components.core.progress import task
from components.core.settings import Settings
from components.evaluate.controls import ByTarget, controls, verdict_on
from components.evaluate.evaluated import Ground
from components.evaluate.judge import measured_control, on_ground
from components.evaluate.measurer import Measurer
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.measure import Instruments, Measured, Reals, measure
from components.evaluate.measuring.methods import Method, TextureWarp
from components.evaluate.measuring.pairs import EvaluationPair, choose
from components.evaluate.measuring.quality import Floats
from components.evaluate.memorisation.backgrounds import Views
from components.evaluate.memorisation.probes import Seen

DRAWS = 100
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Outcome:
    """One control in one draw: its verdict, whether it behaved and why not, and the lines."""

    control: str
    people: str
    draw: int
    verdict: str
    behaved: bool
    reason: str
    lines: list[dict[str, Any]]


class Remembering(Measurer):
    """Measures each photo, and each output made of the same two photos, once."""

    def __init__(self, album: Album, instruments: Instruments, members: Mapping[str, npt.NDArray[np.int64]]) -> None:
        super().__init__(album, instruments, None)
        self._all = super().reals(members, "all photos")
        self._outputs: dict[tuple[str, int, int], Measured] = {}
        self._errors: dict[tuple[str, int, int], float] = {}
        self._seen: dict[tuple[str, int, int], Seen] = {}
        self._warped: dict[tuple[int, int], float] = {}

    def reals(self, members: Mapping[str, npt.NDArray[np.int64]], label: str) -> Reals:
        """Rows of what all photos measured."""
        owners = [(int(index), name) for name, group in members.items() for index in group]
        rows = self._all.rows([index for index, _ in owners])
        some = {field.name: getattr(self._all, field.name)[rows] for field in fields(Reals)
                if field.name != "identities"}
        return Reals(identities=[name for _, name in owners], **some)

    def outputs(self, pairs: Sequence[EvaluationPair], method: Method, label: str) -> Measured:
        """As `Measurer.outputs`; each once."""
        new = self._new(pairs, method, self._outputs)
        found = super().outputs(new, method, label) if new else None
        for row, pair in enumerate(new):
            assert found is not None
            self._outputs[_key(method, pair)] = found.take([row])
        return Measured.joined([self._outputs[_key(method, pair)] for pair in pairs])

    def errors(self, pairs: Sequence[EvaluationPair], method: Method, label: str) -> Floats:
        """As `Measurer.errors`; each once."""
        new = self._new(pairs, method, self._errors)
        values = super().errors(new, method, label)
        self._errors |= {_key(method, pair): float(value) for pair, value in zip(new, values, strict=True)}
        return np.asarray([self._errors[_key(method, pair)] for pair in pairs], np.float64)

    def look(self, method: Method, pairs: Sequence[EvaluationPair], label: str) -> Seen:
        """As `Measurer.look`; each once."""
        new = self._new(pairs, method, self._seen)
        if new:
            seen = super().look(method, new, label)
            self._seen |= {_key(method, pair): Seen([pair], seen.picture.take([row]), seen.layer.take([row]))
                           for row, pair in enumerate(new)}
        parts = [self._seen[_key(method, pair)] for pair in pairs]
        return Seen(list(pairs), _joined([part.picture for part in parts]), _joined([part.layer for part in parts]))

    def warped(self, pairs: Sequence[EvaluationPair]) -> Floats:
        """Perceptual distances of a texture warp's outputs; each once."""
        new = [pair for pair in pairs if (pair.source, pair.target) not in self._warped]
        if new:
            found = measure(self.album, new, TextureWarp(), self.instruments, "texture warp")["perceptual"]
            self._warped |= {(pair.source, pair.target): float(value) for pair, value in zip(new, found, strict=True)}
        return np.asarray([self._warped[pair.source, pair.target] for pair in pairs], np.float64)

    @staticmethod
    def _new(pairs: Sequence[EvaluationPair], method: Method,
             known: Mapping[tuple[str, int, int], Any]) -> list[EvaluationPair]:
        first = {_key(method, pair): pair for pair in pairs}
        return [pair for key, pair in first.items() if key not in known]


def _key(method: Method, pair: EvaluationPair) -> tuple[str, int, int]:
    return method.name, pair.target, cast(ByTarget, method).shown(pair.target)


def _joined(parts: Sequence[Views]) -> Views:
    return Views(np.concatenate([part.colours for part in parts]), np.concatenate([part.clear for part in parts]))


def run(sets: Sequence[tuple[Path, Path]], work: Path, settings: Settings, draws: int = DRAWS) -> list[Outcome]:
    """Judge the controls in `draws` draws, shared evenly among the people sets (people, identities).

    Each draw is kept in `work` as soon as it is judged and not judged again, as long as people, settings and code are
    the same. Raises `InputError` for a set without held-out or training people.
    """
    found: list[Outcome] = []
    for number, (people, identities) in enumerate(sets):
        count = draws // len(sets) + (number < draws % len(sets))
        found += _of_set(people, identities, work, settings, count)
    return found


def _of_set(people: Path, identities: Path, work: Path, settings: Settings, draws: int) -> list[Outcome]:
    dataset, owners = PeopleDataset.open(people), Identities.open(identities)
    wanted: tuple[Split, ...] = ("train", settings.evaluate.split)
    for split in wanted:
        if not owners.members(dataset, split):
            raise InputError(f"the {split} split is empty", path=identities, remedy="give identities of more people")
    kept = work / json_digest([dataset.digest, owners.digest, settings.evaluate.model_dump(mode="json"),
                               settings.register_.gate.model_dump(mode="json"), code_digest("core", "evaluate")])[:16]
    measurer: list[Remembering] = []

    def remembering() -> Remembering:
        if not measurer:
            everybody = {name: group for split in SPLITS for name, group in owners.members(dataset, split).items()}
            measurer.append(Remembering(Album(dataset), Instruments(settings.evaluate, dataset.origin), everybody))
        return measurer[0]

    found: list[Outcome] = []
    with task(f"controls of {people.parent.name}", draws) as shown:
        for draw in range(draws):
            path = kept / f"{draw:03}.json"
            if (known := _read(path)) is None:
                ground = Ground(dataset, dealt(owners, draw), remembering(), settings.evaluate, settings.register_.gate)
                known = _judged(ground, dataset.digest[:12], draw)
                with atomic_path(path) as partial:
                    partial.write_text(json.dumps([asdict(one) for one in known]), encoding="utf-8")
            found += known
            shown.advance()
    return found


def _read(path: Path) -> list[Outcome] | None:
    """What a draw's file holds; None where there is none."""
    if not path.is_file():
        return None
    return [Outcome(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def dealt(identities: Identities, draw: int) -> Identities:
    """The same identities, dealt anew to the splits: as many to each as before. Draw 0 leaves them as they are."""
    split = {row.identity: row.split for row in identities.rows.values() if row.identity is not None}
    names = sorted(split)
    order = np.random.default_rng(draw).permutation(len(names)) if draw else np.arange(len(names))
    anew = {name: split[names[at]] for name, at in zip(names, order, strict=True)}
    rows = [row if row.identity is None else replace(row, split=anew[row.identity]) for row in identities.rows.values()]
    return Identities(rows, identities.people_digest, identities.scores)


def _judged(ground: Ground, people: str, draw: int) -> list[Outcome]:
    settings, measurer = ground.settings, cast(Remembering, ground.measurer)
    pair_set = choose(ground.people, ground.identities, settings.split, settings.pairs, settings.seed)
    training, against = on_ground(ground, pair_set)
    warped = measurer.warped(pair_set.transfer)
    found = []
    for control in controls(ground.album, training.reals.indices.tolist()):
        measured = measured_control(ground, control, pair_set.transfer, warped, training, against)
        verdict = Verdict.of(thresholds(measured, ground.gate))
        said = verdict_on(control, verdict)
        found.append(Outcome(control.method.name, people, draw, said["verdict"], said["behaved"],
                             said.get("reason", ""), [_plain(line) for line in verdict.lines]))
    trial = against.trial
    found.append(Outcome("the finder of faces", people, draw, "failed" if trial.reason else "passed", not trial.reason,
                         trial.reason, [_plain(line) for line in trial.lines()]))
    return found


def _plain(line: Line) -> dict[str, Any]:
    return {"name": line.name, "value": line.value, "bound": line.bound, "comparison": line.comparison,
            "outcome": line.outcome}
