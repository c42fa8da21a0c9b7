"""What a version rests on: the artifacts that registration is given, checked against each other, and their digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.artifacts import comparison as comparisons
from components.core.artifacts import evaluation as evaluations
from components.core.artifacts import version
from components.core.artifacts.model import generator_of
from components.core.digest import code_digest, file_digest
from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.pictures.images import encode_png
from components.core.settings import PreprocessSettings, RegisterSettings
from components.register.registry import Files


@dataclass(frozen=True)
class VersionEvidence:
    """A model with its evaluation, the people it was made from, and its comparison with the champion, if one was
    made. All of one piece: made from each other."""

    generator: Path
    evaluation: Path
    metrics: dict[str, Any]
    metrics_digest: str
    people: PeopleDataset
    identities: Identities
    comparison: dict[str, Any] | None
    first_pair: tuple[str, str]
    """Source and target of the evaluation's first pair."""

    @staticmethod
    def open(model: Path, evaluation: Path, people: Path, identities: Path, comparison: Path | None) -> VersionEvidence:
        """Read and check. Raises `InputError` for what is missing or belongs to another model, `DataError` for torn
        files and other format versions."""
        generator, path = generator_of(model), evaluation / evaluations.METRICS
        metrics = evaluations.read_metrics(evaluation, whole=True)
        if file_digest(generator) != metrics["model"]["digest"]:
            raise InputError("this evaluation is of another model", path=path, remedy="evaluate this model")
        dataset, owners = PeopleDataset.open(people), Identities.open(identities)
        if dataset.digest != metrics["people"]["digest"]:
            raise InputError("this evaluation is of other people", path=path, remedy="give the people it was made with")
        if owners.digest != metrics["identities"]["digest"]:
            raise InputError("this evaluation is of other identities", path=path,
                             remedy="give the identities it was made with")
        found = None if comparison is None else comparisons.read_comparison(comparison)
        digest = file_digest(path)
        if found is not None and (found.get("model"), found.get("evaluation")) != (metrics["model"]["digest"], digest):
            raise InputError("this comparison is of another model or evaluation", path=comparison,
                             remedy="compare this one with `photoshoot challenge`")
        first = _first_pair(evaluation, dataset)
        return VersionEvidence(generator, evaluation, metrics, digest, dataset, owners, found, first)

    def digests(self, settings: RegisterSettings) -> dict[str, str]:
        """By what a version is known again: model, data, evaluation, thresholds."""
        return {
            "digest.model": self.metrics["model"]["digest"], "digest.people": self.metrics["people"]["digest"],
            "digest.identities": self.metrics["identities"]["digest"], "digest.evaluation": self.metrics_digest,
            "digest.gate": hashlib.sha256(settings.gate.model_dump_json().encode()).hexdigest(),
        }

    def files(self) -> Files:
        """What a version is made of."""
        return Files(self.generator, self._cut(), self.lineage(), self.example())

    def example(self) -> dict[str, bytes]:
        """The columns of one pair: the evaluation's first, or the first person in their own pose."""
        source, target = (self.people[self.people.index(name)] for name in self.first_pair)
        return {"source_photo": encode_png(source.photo), "source_pose": encode_png(source.iuv),
                "source_matte": encode_png(source.matte), "target_pose": encode_png(target.iuv)}

    def lineage(self) -> dict[str, Any]:
        """What the model was trained on: digests of its photos, so that a later comparison can tell whether it has
        seen the people it is asked about."""
        own = self.people.photo_digests(self.identities.members(self.people, "train").values())
        if (self.generator.parent / version.LINEAGE).is_file():  # with those of the model it started from
            own |= version.trained_on(self.generator.parent)
        return version.lineage(self.people.digest, self.identities.digest, own)

    def _cut(self) -> dict[str, Any]:
        """How the version cuts people out: as its data set did, but small people too: they are all a user may have."""
        settings = PreprocessSettings.model_validate(self.people.settings).model_dump(mode="json")
        return settings | {"min_person": 8, "min_coverage": 0.0}


def code() -> dict[str, str]:
    """Digest of the code that models are made and judged with."""
    return {"digest.code": code_digest("core", "preprocess", "cluster", "train", "evaluate")}


def _first_pair(evaluation: Path, people: PeopleDataset) -> tuple[str, str]:
    first = next(iter(evaluations.read_pairs(evaluation)), {})
    return str(first.get("source", people.ids[0])), str(first.get("target", people.ids[0]))
