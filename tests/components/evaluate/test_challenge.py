"""The comparison with the champion: the same pairs, fresh outputs, nobody it was trained on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import DataError, InputError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.record.registry import CHAMPION
from components.core.settings import EvaluateSettings, RegisterSettings
from components.evaluate.challenge import GAINS, ChallengeSummary, challenge, compare_lines
from components.register.registry import Files, Registry

FEW = RegisterSettings.model_validate({"champion": {"min_pairs": 8}})
Challenge = Callable[..., tuple[ChallengeSummary, dict[str, Any]]]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Registry("photoshoot", f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def crown(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Registers a generator as the champion."""
    monkeypatch.chdir(tmp_path)

    def register(generator: Path, trained_on: list[str] | None, digest: str = "another") -> str:
        lineage = {} if trained_on is None else {"training_photos": trained_on}
        version = registry.log(Files(generator, {}, lineage, {"source_photo": b""}), None)
        registry.tag(version, {"digest.model": digest})
        registry.point(CHAMPION, version)
        return version

    return register


@pytest.fixture
def run(world, evaluated: Path, registry: Registry, tmp_path: Path) -> Challenge:
    def work(**more: Any) -> tuple[ChallengeSummary, dict[str, Any]]:
        summary = challenge(world.model, world.people, world.identities, evaluated, tmp_path / "comparison", FEW,
                            tracking_uri=registry.uri, **more)
        return summary, json.loads((tmp_path / "comparison" / "comparison.json").read_text())

    return work


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def held_out_photos(world) -> dict[str, list[str]]:
    people, identities = PeopleDataset.open(world.people), Identities.open(world.identities)
    digests = people.column("photo_digest")
    return {name: [digests[int(index)] for index in group]
            for name, group in identities.members(people, "test").items()}


def test_with_nobody_to_compare_with_it_says_so_at_once(world, evaluated: Path, run: Challenge,
                                                        crown: Callable[..., str]) -> None:
    summary, found = run()
    assert summary.status == found["status"] == "none" and found["champion"] is None
    digest = json.loads((evaluated / "metrics.json").read_text())["model"]["digest"]
    version = crown(world.model / "generator.safetensors", [], digest)
    summary, found = run()
    assert (summary.status, summary.champion, found["champion"]["version"]) == ("same", version, version)


def test_a_champion_that_paints_alike_gains_and_loses_nothing(world, evaluated: Path, run: Challenge,
                                                              crown: Callable[..., str], tmp_path: Path) -> None:
    """The same network under another name: what is measured today is what the evaluation measured."""
    crown(world.model / "generator.safetensors", [])
    summary, found = run(state=tmp_path / "state")
    assert summary.status == "compared" and not summary.reused
    shared = [line for line in lines_of(evaluated / "pairs.jsonl") if line["kind"] == "transfer"]
    champion = lines_of(tmp_path / "comparison" / "champion_pairs.jsonl")
    assert [(line["source"], line["target"]) for line in shared] == [
        (line["source"], line["target"]) for line in champion]
    for mine, theirs in zip(shared, champion, strict=True):
        for name in GAINS:
            assert theirs[name] == (None if mine[name] is None else pytest.approx(mine[name], abs=2e-4))
    assert set(found["metrics"]) == set(GAINS) and found["pairs"] == len(shared)
    assert all(abs(metric["gain"]["value"]) < 1e-3 for metric in found["metrics"].values()
               if metric["gain"]["value"] is not None)
    assert {"face", "upper_body", "lower_body"} <= set(found["parts"])
    assert any(name.startswith("view.") for name in found["slices"])
    again, same = run(state=tmp_path / "state")
    assert again.reused and same == found


def test_people_whom_the_champion_was_trained_on_are_left_out(world, run: Challenge, crown: Callable[..., str]) -> None:
    photos = held_out_photos(world)
    known = next(name for name, group in photos.items() if len(group) > 1)
    crown(world.model / "generator.safetensors", [photos[known][-1]])  # one photo of theirs is enough
    summary, found = run()
    assert summary.status == "compared"
    assert found["left_out"]["identities"] == 1 and found["left_out"]["pairs"] > 0
    crown(world.model / "generator.safetensors", [digest for group in photos.values() for digest in group])
    summary, found = run()
    assert summary.status == "refused" and "trained on" in summary.reason and "metrics" not in found


def test_a_champion_that_cannot_be_compared_with_is_refused_with_the_reason(
        world, run: Challenge, crown: Callable[..., str], untrained: Callable[..., Path], tmp_path: Path) -> None:
    crown(world.model / "generator.safetensors", None)
    assert "does not say what it was trained on" in run()[0].reason
    crown(untrained(tmp_path, 128), [])
    summary, _ = run()
    assert summary.status == "refused" and "128 px" in summary.reason


def test_evidence_about_something_else_is_refused(world, evaluated: Path, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no evaluation here"):
        challenge(world.model, world.people, world.identities, tmp_path, tmp_path / "out", FEW,
                  tracking_uri=registry.uri)
    other = tmp_path / "generator.safetensors"
    other.write_bytes(b"another")
    with pytest.raises(InputError, match="of another model"):
        challenge(tmp_path, world.people, world.identities, evaluated, tmp_path / "out", FEW,
                  tracking_uri=registry.uri)


def made(values: list[float], names: list[str], shift: float = 0.0) -> list[dict[str, Any]]:
    return [{"source": f"s{k}", "target": f"t{k}", "identity": name, **{metric: value + shift for metric in GAINS},
             "parts": {"face": value + shift}, "slices": {"view": "front" if k % 2 else "back", "arms": "unseen"}}
            for k, (value, name) in enumerate(zip(values, names, strict=True))]


@given(st.lists(st.floats(0, 1), min_size=6, max_size=30), st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_a_shift_of_every_pair_is_the_gain_turned_so_that_more_is_better(values: list[float], shift: float) -> None:
    names = [f"person {k % 6}" for k in range(len(values))]
    found = compare_lines(made(values, names, shift), made(values, names), EvaluateSettings(bootstrap=100))
    for name, sign in GAINS.items():
        metric = found["metrics"][name]["gain"]
        assert metric["value"] == pytest.approx(sign * shift, abs=2e-6)
        assert metric["high"] - metric["low"] == pytest.approx(0, abs=2e-6)  # no doubt: all pairs agree
        assert metric["by"] == "identity"
    assert found["parts"]["face"]["gain"]["value"] == pytest.approx(-shift, abs=2e-6)
    assert set(found["slices"]) == {"view.back", "view.front"}
    assert sum(part["gain"]["n"] for part in found["slices"].values()) == len(values)


def test_a_gain_of_one_person_leaves_a_doubt_about_the_others() -> None:
    """Whole people are resampled: twenty pairs of the one who gains are not twenty witnesses."""
    names = ["winner"] * 20 + [f"person {k}" for k in range(6)]
    values = np.zeros(26)
    better = made((values + np.where(np.asarray(names) == "winner", 1, 0)).tolist(), names)
    gain = compare_lines(better, made(values.tolist(), names), EvaluateSettings())["metrics"]["ssim"]["gain"]
    assert gain["low"] == 0 and gain["value"] > 0.7


def test_figures_that_only_one_has_are_not_compared() -> None:
    one, other = made([0.5] * 4, ["a", "b", "c", "d"]), made([0.5] * 4, ["a", "b", "c", "d"])
    one[0]["face_similarity"] = other[1]["face_similarity"] = None
    assert compare_lines(one, other, EvaluateSettings())["metrics"]["face_similarity"]["gain"]["n"] == 2
    for line in one:
        line["face_similarity"] = None
    missing = compare_lines(one, other, EvaluateSettings())["metrics"]["face_similarity"]["gain"]
    assert missing["value"] is None and missing["reason"]
    with pytest.raises(DataError, match="not evaluated on the same pairs"):
        compare_lines(one, other[::-1], EvaluateSettings())
