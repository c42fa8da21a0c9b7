"""Does the model give training data back? Five tests, each a number with an interval, a bound and a verdict.

(a) background retrieval: a training photo's own pose and texture, painted over a plain background. Share of the
    pictures whose surroundings look more like that photo's real background than like any of 99 other photos', beyond
    chance: 0 for the 1 in 100 that guessing scores, 1 for always.
(b) counterfactual swap: a training photo's pose with another training person's texture and photos. Share whose
    surroundings look most like one of the two photos' backgrounds, beyond the chance of 2 in 100.
(c) training gap: how much smaller the error inside the person is on training people than on held-out ones, as a
    share. 0 for no gap, 1 for training outputs without any error.
(d) identity capture: how much more often an output's face is nearest to a training person's than the real photo's is,
    among the source's face and all training faces.
(e) neighbour test: are outputs nearer to training photos than held-out real photos are? (`neighbours.py`)

The generator paints a person and a matte, and the background comes last. So (a) and (b) look twice: at the finished
picture, and at the painted layer before the background came in, where a memory would lie even if a matte hides it. The
larger of the two counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from components.core import progress
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import EvaluateSettings
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.intervals import Metric, Resampler, around, missing
from components.evaluate.measuring.measure import BATCH
from components.evaluate.measuring.methods import Method
from components.evaluate.measuring.pairs import EvaluationPair, batches
from components.evaluate.measuring.quality import PLAIN, Floats
from components.evaluate.memorisation import backgrounds
from components.evaluate.memorisation.backgrounds import Array, Views

MEANING = {
    "background_retrieval": "share of training photos whose own background is painted around the person, ranked first "
                            "among those of other photos, beyond chance (0: as by chance)",
    "counterfactual_swap": "share of training poses with another person's texture around which one of the two photos' "
                           "backgrounds is painted, beyond chance (0: as by chance)",
    "training_gap": "how much smaller the error inside the person is on training people than on held-out ones, as a "
                    "share",
    "identity_capture": "how much more often an output's nearest face is a training person's than a real held-out "
                        "photo's is",
    "neighbour_test": "whether outputs are nearer to training photos than held-out real photos are, in standard "
                      "deviations; far below 0 is copying",
}
LEAST_PROBES = 8
_MORE_BACKGROUNDS = 200
_ROUNDING = 1 / 510
"""Half a grey level: an error below it is none."""


@dataclass(frozen=True)
class Finding:
    """One test: its metric, more metrics beneath it, and its worst pairs as (score, rows of pictures to show)."""

    metric: Metric
    details: dict[str, Metric] = field(default_factory=dict)
    worst: list[EvaluationPair] = field(default_factory=list)
    matches: list[int] = field(default_factory=list)
    """Of each worst pair, the data set index of the photo that it gives back."""


@dataclass(frozen=True)
class Probes:
    """Pairs of training photos, and the real backgrounds that outputs for them are compared with."""

    own: list[EvaluationPair]
    """A photo in its own pose with its own texture."""
    swapped: list[EvaluationPair]
    """Another person's texture and photos (source) in a photo's pose (target)."""
    bank: list[int]
    """Data set indices of the backgrounds; training photos first."""
    owners: list[str]
    """Whose photos they are; photos that nobody trains on each have an owner of their own."""
    known: Views
    alike: Array
    """[m, n] differences in grey levels of the first m backgrounds, those of the pairs, from all of them."""
    distractors: int
    seed: int


def probes(people: PeopleDataset, album: Album, identities: Identities, settings: EvaluateSettings) -> Probes:
    """Choose training photos and backgrounds by seed."""
    draw = np.random.default_rng(settings.seed)
    members = identities.members(people, "train")
    owner = {int(index): name for name, group in members.items() for index in group}
    training = [int(index) for index in draw.permutation(sorted(owner))]
    probed = training[: settings.probes]
    own = [EvaluationPair(index, index, owner[index], "reconstruction") for index in probed]
    swapped = []
    for target in probed:
        strangers = [index for index in training if owner[index] != owner[target]]
        if strangers:
            swapped.append(EvaluationPair(int(draw.choice(strangers)), target, owner[target], "repose"))
    rest = [int(index) for index in draw.permutation(len(people)) if int(index) not in owner]
    first = list(dict.fromkeys([*probed, *(pair.source for pair in swapped)]))
    bank = list(dict.fromkeys([*first, *training, *rest]))[: len(first) + _MORE_BACKGROUNDS]
    known = backgrounds.photographed(album, bank)
    alike = backgrounds.apart(known.take(range(len(first))), known)
    owners = [owner.get(index, f"photo {index}") for index in bank]
    return Probes(own, swapped, bank, owners, known, alike, settings.distractors, settings.seed)


@dataclass(frozen=True)
class Seen:
    """What a method put around the people of some pairs: in the picture, and in the layer before the background."""

    pairs: list[EvaluationPair]
    picture: Views
    layer: Views


def look(people: Album, method: Method, pairs: Sequence[EvaluationPair], label: str) -> Seen:
    """Have `method` render `pairs` over a plain background and look outside the target's silhouette."""
    found: dict[str, list[Views]] = {"picture": [], "layer": []}
    with progress.task(label, len(pairs)) as shown:
        for batch in batches(pairs, BATCH):
            rendered = method.render(people, batch, PLAIN)
            clear = np.stack([backgrounds.surroundings(people[pair.target]) for pair in batch])
            found["picture"].append(backgrounds.views(rendered.images, clear))
            found["layer"].append(backgrounds.views(rendered.layer if rendered.layer is not None else rendered.images,
                                                    clear))
            shown.advance(len(batch))
    joined = {name: Views(np.concatenate([part.colours for part in parts]),
                          np.concatenate([part.clear for part in parts])) if parts
              else backgrounds.photographed(people, []) for name, parts in found.items()}
    return Seen(list(pairs), joined["picture"], joined["layer"])


def retrieval(seen: Seen, probing: Probes, settings: EvaluateSettings) -> Finding:
    """Tests (a), where pairs are `probing.own`, and (b), where they are `probing.swapped`."""
    if len(seen.pairs) < LEAST_PROBES:
        return Finding(missing(f"only {len(seen.pairs)} training photos can be probed, {LEAST_PROBES} are needed",
                               len(seen.pairs)))
    resampler = Resampler([pair.identity for pair in seen.pairs], settings.bootstrap, settings.seed)
    ranked = {name: _ranked(getattr(seen, name), seen.pairs, probing) for name in ("picture", "layer")}
    if np.isfinite(ranked["picture"][0]).sum() < LEAST_PROBES:
        return _against_the_given(seen, probing, resampler)
    details = {name: resampler.mean(first) for name, (first, _) in ranked.items()}
    counted = max(ranked, key=lambda name: float(np.nanmean(ranked[name][0])))
    first, best = ranked[counted]
    order = [int(k) for k in np.argsort(-np.nan_to_num(first, nan=-1.0), kind="stable")[:3]]
    return Finding(details[counted], details, [seen.pairs[k] for k in order], [int(best[k]) for k in order])


def _ranked(views: Views, pairs: Sequence[EvaluationPair], probing: Probes) -> tuple[Floats, np.ndarray]:
    """Of each pair: what share of the first place its own photos' backgrounds take beyond chance (NaN without enough
    others), and the data set index of the background that it resembles most."""
    at = {index: row for row, index in enumerate(probing.bank)}
    cosines, owners = backgrounds.likeness(views, probing.known), np.asarray(probing.owners)
    first, best = np.full(len(pairs), np.nan), np.zeros(len(pairs), np.int64)
    draw = np.random.default_rng(probing.seed)
    for k, pair in enumerate(pairs):
        own = list(dict.fromkeys([at[pair.target], at[pair.source]]))
        # Neither the same background elsewhere nor another photo of the same person, who may stand in the same room.
        distinct = np.asarray((probing.alike[own] > backgrounds.ALIKE).all(axis=0) & ~np.isin(owners, owners[own]))
        others = draw.permutation(np.flatnonzero(distinct))[: probing.distractors + 1 - len(own)]
        columns = np.concatenate([own, others])
        best[k] = probing.bank[int(columns[int(cosines[k][columns].argmax())])]
        if len(others) == probing.distractors + 1 - len(own):
            chance = len(own) / (probing.distractors + 1)
            first[k] = (backgrounds.first_share(cosines[k], own, others) - chance) / (1 - chance)
    return first, best


def _against_the_given(seen: Seen, probing: Probes, resampler: Resampler) -> Finding:
    """Too few different backgrounds to rank: is the picture around the person nearer to a photo's background than to
    the plain one that it was given? Needs no other photo; sees strong memories only."""
    at = {index: row for row, index in enumerate(probing.bank)}
    grey = Views(np.full_like(probing.known.colours[:1], PLAIN), np.ones_like(probing.known.clear[:1]))
    nearer, best = [], []
    for k, pair in enumerate(seen.pairs):
        mine = seen.picture.take([k])
        photos = [pair.target, pair.source]
        distances = [float(backgrounds.apart(mine, probing.known.take([at[index]]))[0, 0]) for index in photos]
        given = float(backgrounds.apart(mine, grey)[0, 0])
        nearer.append(float(min(distances) < given) if np.isfinite(given) else np.nan)
        best.append(photos[int(np.argmin(distances))])
    metric = resampler.mean(nearer, nobody="no picture shows anything around the person")
    order = [int(k) for k in np.argsort(-np.nan_to_num(np.asarray(nearer), nan=-1.0), kind="stable")[:3]]
    return Finding(metric, {"against_the_given": metric}, [seen.pairs[k] for k in order], [best[k] for k in order])


def training_gap(held: tuple[Resampler, Floats], trained: tuple[Resampler, Floats]) -> Finding:
    """Test (c), from the errors of held-out and of training pairs."""
    means, draws, counts = [], [], []
    for shift, (resampler, values) in enumerate((held, trained)):
        valid = np.isfinite(values)
        if not valid.any():
            return Finding(missing("needs pairs of training and of held-out people"))
        weights = resampler.weights()[:, valid]
        with np.errstate(divide="ignore", invalid="ignore"):
            # Rolled by `shift`, so that the two sides' resamples are not the same draws.
            draws.append(np.roll(weights @ values[valid] / weights.sum(axis=1), shift))
        means.append(float(values[valid].mean()))
        counts.append(int(valid.sum()))
    drawn = 1 - (draws[1] + _ROUNDING) / (draws[0] + _ROUNDING)
    value = 1 - (means[1] + _ROUNDING) / (means[0] + _ROUNDING)
    by = "identity" if held[0].by == trained[0].by == "identity" else "pair"
    details = {"held_out": held[0].mean(held[1]), "training": trained[0].mean(trained[1])}
    return Finding(around(value, drawn[np.isfinite(drawn)], min(counts), by), details)


def to_json(findings: Mapping[str, Finding], lines: Mapping[str, tuple[float, str, bool]],
            pictures: Mapping[str, list[dict[str, str]]]) -> dict[str, dict[str, object]]:
    """What metrics.json says: of each test the metric, its bound and verdict (`lines`: bound, comparison, passed), what
    it means, the metrics beneath it, pictures."""
    content: dict[str, dict[str, object]] = {}
    for name, finding in findings.items():
        bound, comparison, passed = lines[name]
        content[name] = {**finding.metric.to_json(), "bound": bound, "comparison": comparison, "passed": passed,
                         "meaning": MEANING[name],
                         "details": {key: metric.to_json() for key, metric in finding.details.items()},
                         "pictures": pictures.get(name, [])}
    return content
