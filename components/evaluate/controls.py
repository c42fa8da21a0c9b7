"""Controls: methods whose verdict is known beforehand. An evaluation that judges one of them wrongly judges nobody.

- **copy_cat** returns the training photo that is nearest by pose and appearance to the target, its person cut
  out: it looks perfect and knows nothing. Must fail, by `identity_capture` and `neighbour_test` at least, and by
  `training_gap`: on training people it is exact.
- **baked_background** returns the true photo's person, before the background of the training photo that is nearest
  by pose instead of the one it was given. Must fail, by `background_retrieval` at least.
- **real_photos** returns the true photo itself. Must pass.

All three go by the target alone, so each target is measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.core.judging.gate import Line, Outcome, Verdict, thresholds
from components.core.people.dataset import Person
from components.core.settings import GateSettings
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.methods import Method, Rendered, truth
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Images, over

_SIDE, _TEXELS = 32, 4
_LEAST_OVERLAP = 0.02


class Memory:
    """All training photos, to find the one nearest to another photo by pose, or by pose and appearance."""

    def __init__(self, people: Album, indices: Sequence[int]) -> None:
        self._people, self.indices = people, [int(index) for index in indices]
        looks = [_thin(people[index]) for index in self.indices]
        self._parts = np.stack([parts for parts, _, _ in looks])
        self._colours = np.stack([colours for _, colours, _ in looks])
        self._seen = np.stack([seen for _, _, seen in looks])
        self._found: dict[tuple[int, bool], int] = {}

    def nearest(self, index: int, *, by_appearance: bool) -> int:
        """Data set index of the training photo nearest to photo `index`; itself, if it is one of them."""
        key = index, by_appearance
        if key not in self._found:
            parts, colours, seen = _thin(self._people[index])
            union = ((self._parts > 0) | (parts > 0)).sum(axis=1)
            distance = 1 - ((self._parts == parts) & (parts > 0)).sum(axis=1) / np.maximum(union, 1)
            if by_appearance:
                both = self._seen & seen
                apart = (np.abs(self._colours - colours).mean(axis=2) * both).sum(axis=1)
                apart /= np.maximum(both.sum(axis=1), 1)
                distance = distance + np.where(both.mean(axis=1) < _LEAST_OVERLAP, 1.0, apart / 255)
            self._found[key] = self.indices[int(distance.argmin())]
        return self._found[key]


class ByTarget(Method, Protocol):
    """A method whose output depends on two photos alone: the target, and the one it has `shown` for it."""

    def shown(self, target: int) -> int:
        """Data set index of the photo that the output is made of, besides the target's own."""


class CopyCat:
    """Returns the nearest training photo's person."""

    name = "copy_cat"

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def shown(self, target: int) -> int:
        """The nearest training photo."""
        return self._memory.nearest(target, by_appearance=True)

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        copied = [self.shown(pair.target) for pair in pairs]
        return truth(people, [EvaluationPair(index, index, "", "reconstruction") for index in copied], background)


class BakedBackground:
    """Returns the true photo's person before the nearest training photo's background."""

    name = "baked_background"

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def shown(self, target: int) -> int:
        """The training photo nearest by pose, before whose background the person is set."""
        return self._memory.nearest(target, by_appearance=False)

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        real = truth(people, pairs, background)
        rooms = np.stack([people.picture(self.shown(pair.target)).photo for pair in pairs])
        return Rendered(over(real.images, real.mattes, rooms), real.mattes, real.poses)


class RealPhotos:
    """Returns the true photo's person."""

    name = "real_photos"

    def shown(self, target: int) -> int:
        """The target itself."""
        return target

    def render(self, people: Album, pairs: Sequence[EvaluationPair], background: Images | int) -> Rendered:
        return truth(people, pairs, background)


@dataclass(frozen=True)
class Control:
    """A method, and what the gate must say about it: `expected` "passed", or "failed" by `lines` at least."""

    method: ByTarget
    expected: Outcome
    lines: tuple[str, ...] = ()


def controls(people: Album, training: Sequence[int]) -> list[Control]:
    """The three controls; without a training photo only the one that needs none."""
    real = Control(RealPhotos(), "passed")
    if not len(training):
        return [real]
    memory = Memory(people, training)
    return [Control(CopyCat(memory), "failed", ("training_gap", "identity_capture", "neighbour_test")),
            Control(BakedBackground(memory), "failed", ("background_retrieval",)), real]


def judged(control: Control, measured: Mapping[str, Any], settings: GateSettings) -> dict[str, Any]:
    """What metrics.json says of a control that measured so: `verdict_on` it, and its tests of memorisation."""
    found = verdict_on(control, Verdict.of(thresholds(measured, settings)))
    return {**found, "memorisation": {name: metric["value"] for name, metric in measured["memorisation"].items()}}


def verdict_on(control: Control, verdict: Verdict) -> dict[str, Any]:
    """A control's verdict, the lines that failed, what was expected, whether it behaved.

    A line that could not be judged, for lack of a value or since its interval reaches across the bound, is no reason:
    a control that should have failed by it did not behave.
    """
    lines = {line.name: line for line in verdict.lines}
    said = verdict.outcome
    wanted = verdict.failed_lines if control.expected == "passed" else control.lines
    amiss = [_why(lines[name]) for name in wanted if lines[name].outcome != control.expected]
    behaved = said == control.expected and not amiss
    found = {"verdict": said, "failed_lines": list(verdict.failed_lines), "expected": control.expected,
             "expected_lines": list(control.lines), "behaved": behaved}
    return found if behaved else {**found, "reason": "; ".join(amiss) or _SAID[said]}


_SAID: dict[Outcome, str] = {"passed": "it passed the gate", "failed": "it failed the gate",
                             "not judged": "it was not judged"}


def _why(line: Line) -> str:
    if line.passed:
        return f"{line.name}: passed"
    if line.value is None:
        return f"{line.name}: no value, {line.reason}"
    why = "" if line.judged else f" ({line.reason})"
    return f"{line.name}: {line.value:.4g}, must be {line.comparison} {line.bound:g}{why}"


def _thin(person: Person) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Parts on a coarse grid [n], atlas colours on a coarse grid [m, 3], which of them were seen [m]."""
    side, texel = person.iuv.shape[0], person.texture.shape[1]
    places = (np.arange(_SIDE) * side + side // 2) // _SIDE
    texels = (np.arange(_TEXELS) * texel + texel // 2) // _TEXELS
    parts = person.iuv[..., 0][np.ix_(places, places)].ravel()
    colours = person.texture[:, texels][:, :, texels].reshape(-1, 3).astype(np.float32)
    return parts, colours, person.seen[:, texels][:, :, texels].ravel()
