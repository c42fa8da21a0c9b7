"""What counts as a difference between two runs, on made-up evaluations whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.results.differences import Judged, difference, differences, part_differences

PEOPLE, PHOTOS = 12, 20


def judged(shift: float = 0.0, seed: int = 0, *, people: str = "p", features: str = "builtin-features",
           noise: float = 0.004) -> Judged:
    """A run whose SSIM per pair is the pair's own difficulty (shared by all runs), plus `shift` and a little noise."""
    difficulty = np.random.default_rng(7).normal(0.7, 0.1, PEOPLE * PHOTOS)
    ssim = difficulty + shift + np.random.default_rng(seed).normal(0, noise, difficulty.shape)
    lines = [{"kind": "transfer", "identity": f"i{k % PEOPLE}", "source": f"s{k}", "target": f"t{k}",
              "ssim": round(float(value), 6)} for k, value in enumerate(ssim)]
    middle = float(ssim.mean())
    metrics = {"ssim": {"value": middle, "low": middle - 0.03, "high": middle + 0.03, "n": len(lines)},
               "frechet": {"value": 1.0 - shift, "low": 0.99 - shift, "high": 1.01 - shift, "n": 64},
               "psnr": {"value": None, "reason": "nobody"}}
    evaluation = {"people": {"digest": people}, "identities": {"digest": "i"}, "settings": {"split": "test"},
                  "networks": {"features": features, "perceptual": "builtin"}, "judge": {"embedder": "builtin-judge"},
                  "metrics": metrics, "baselines": {}}
    return Judged(evaluation, metrics, lines)


def test_pairs_show_what_intervals_cannot() -> None:
    found = difference("ssim", judged(0.02, seed=1), judged(0.0, seed=2))
    assert (found.verdict, found.method, found.same_data) == ("better", "paired", True)
    assert found.low < 0.02 < found.high and found.n == PEOPLE * PHOTOS
    assert difference("ssim", judged(-0.02, seed=1), judged(0.0, seed=2)).verdict == "worse"


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_no_difference(seed: int) -> None:
    found = difference("ssim", judged(0.0, seed=10 + seed), judged(0.0, seed=20 + seed, noise=0.02))
    assert found.verdict == "same" and found.low <= 0 <= found.high


def test_lower_is_better_where_it_is() -> None:
    found = difference("frechet", judged(0.1), judged(0.0))
    assert (found.verdict, found.method) == ("better", "intervals")


def test_other_people_are_never_compared_pair_by_pair_and_it_is_said() -> None:
    found = difference("ssim", judged(0.02), judged(0.0, people="others"))
    assert (found.verdict, found.method, found.same_data) == ("same", "intervals", False)
    assert "other people" in found.why


def test_figures_of_other_networks_are_not_compared() -> None:
    found = difference("frechet", judged(0.5), judged(0.0, features="inception"))
    assert (found.verdict, found.method, found.value) == ("unknown", "none", None)
    assert found.other_network and "inception" in found.why
    assert difference("ssim", judged(0.02), judged(0.0, features="inception")).method == "paired"


def test_pictures_of_other_sizes_are_not_compared_and_old_ones_had_the_models_own() -> None:
    def at(shift: float, **said: Any) -> Judged:
        run = judged(shift)
        return replace(run, evaluation={**run.evaluation, "parts": {"face": {"l1": run.metrics["ssim"]}}, **said})

    old, same, larger = at(0.0, model={"resolution": 128}), at(0.02, size=128), at(0.02, size=512)
    found = difference("ssim", larger, old)
    assert (found.verdict, found.method, found.value) == ("unknown", "none", None)
    assert found.other_size and "512 px, not 128" in found.why
    assert part_differences(larger, old)["face"].other_size
    assert difference("ssim", same, old).verdict == "better"


def test_a_run_that_kept_no_evaluation_is_not_compared() -> None:
    old = Judged({}, judged().metrics, [])
    assert {found.verdict for found in differences(judged(0.5), old).values()} == {"unknown"}


def test_a_figure_that_is_missing_is_no_difference() -> None:
    assert difference("psnr", judged(0.5), judged()).verdict == "unknown"


def test_ratios_follow_the_pairs_they_are_made_of() -> None:
    """Identity recovered and the multiple of the texture warp's distance share their lower halves between models."""
    def with_faces(run: Judged, name: str, ratio: str, shift: float) -> Judged:
        lines = [line | {name: 0.5 + shift + 0.001 * (k % 7)} for k, line in enumerate(run.pairs)]
        metric = {"value": 0.5 + shift, "low": 0.0, "high": 1.0, "n": len(lines)}
        metrics: dict[str, Any] = dict(run.metrics) | {
            ratio: metric, "another_photo_similarity": {"value": 0.9}, "stranger_similarity": {"value": 0.1}}
        evaluation = dict(run.evaluation) | {"metrics": metrics,
                                             "baselines": {"texture_warp": {"perceptual": {"value": 0.25}}}}
        return Judged(evaluation, metrics, lines)

    for name, ratio, lower, verdict in (("face_similarity", "identity_recovered", 0.8, "better"),
                                        ("perceptual", "over_warp", 0.25, "worse")):
        found = difference(ratio, with_faces(judged(), name, ratio, 0.04), with_faces(judged(), name, ratio, 0.0))
        assert (found.verdict, found.method) == (verdict, "paired")
        assert found.value == pytest.approx(0.04 / lower, abs=1e-6)


def test_body_parts_are_compared_pair_by_pair_too() -> None:
    def with_parts(shift: float, seed: int) -> Judged:
        run = judged(seed=seed)
        noise = np.random.default_rng(seed).normal(0, 0.002, len(run.pairs))
        lines = [line | {"parts": {"face": 0.1 + 0.001 * (k % 9) + shift + noise[k], "hands": None}}
                 for k, line in enumerate(run.pairs)]
        metric = {"l1": {"value": 0.1 + shift, "low": 0.05, "high": 0.15}}
        parts = {"face": metric, "hands": {"l1": {"value": None, "reason": "nobody shows them"}}}
        return Judged(dict(run.evaluation) | {"parts": parts}, run.metrics, lines)

    found = part_differences(with_parts(-0.005, 1), with_parts(0.0, 2))
    assert (found["face"].verdict, found["face"].method) == ("better", "paired")
    assert found["hands"].verdict == "unknown"
    assert part_differences(judged(), with_parts(0.0, 1)) == {}
