"""Metrics for the cards, all on people that no network was trained on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional as F

from components.core.networks.pretrained.builtin import FaceNet, FeatureNet, JudgeNet, PerceptualNet
from components.core.networks.pretrained.features import layered_distance, resized
from pipelines.pretraining.distort import DISTORTIONS, down_up
from pipelines.pretraining.photos import Population, pieces, to_float

Array = NDArray[np.float64]
_STRENGTHS = (0.1, 0.25, 0.5, 1.0)


def face_metrics(network: FaceNet | JudgeNet, people: Population, seed: int) -> dict[str, float]:
    """Verification of same against other persons, sharp and blurred to 24 px, and clustering of 40 persons."""
    sharp = embeddings(network, people.faces)
    who = people.face_identity.numpy()
    metrics = {"people": len(people.names), "faces": len(sharp), **verification(sharp, who)}
    blurred = embeddings(network, people.faces, side=24)
    metrics |= {f"{name}_24px": value for name, value in verification(blurred, who).items()}
    cross = blurred @ sharp.T
    same = (who[:, None] == who[None]) & ~np.eye(len(who), dtype=bool)
    metrics["cosine_same_24px_to_sharp"] = float(cross[same].mean())
    few = who < 40
    metrics["bcubed_f_40_people"] = clustering(sharp[few], who[few], seed)
    return metrics


def embeddings(network: FaceNet | JudgeNet, faces: Tensor, side: int | None = None) -> Array:
    """Unit embeddings [N, dim] of uint8 faces, reduced to `side` pixels and enlarged again first if given."""
    with torch.no_grad():
        parts = []
        for some in pieces(faces, 64):
            pictures = resized(to_float(some), network.size)
            parts.append(F.normalize(network(pictures if side is None else down_up(pictures, side))))
    return torch.cat(parts).double().numpy()


def verification(unit: Array, who: NDArray[np.int64]) -> dict[str, float]:
    """Cosines of same and other persons, area under the ROC curve, true accept rate at 1 % and 0.1 % false."""
    upper = np.triu_indices(len(who), 1)
    cosines = (unit @ unit.T)[upper]
    same = (who[:, None] == who[None])[upper]
    genuine, other = cosines[same], cosines[~same]
    below = np.searchsorted(np.sort(other), genuine)
    return {
        "cosine_same": float(genuine.mean()),
        "cosine_same_p10": float(np.quantile(genuine, 0.1)),
        "cosine_other": float(other.mean()),
        "cosine_other_p99": float(np.quantile(other, 0.99)),
        "auc": float(below.mean() / len(other)),
        "tar_at_far_1e-2": float((genuine > np.quantile(other, 0.99)).mean()),
        "tar_at_far_1e-3": float((genuine > np.quantile(other, 0.999)).mean()),
    }


def clustering(unit: Array, who: NDArray[np.int64], seed: int) -> float:
    """BCubed F of K-means with the true number of people (Bagga and Baldwin 1998)."""
    found = KMeans(len(np.unique(who)), n_init=10, random_state=seed).fit_predict(unit)
    both = ((found[:, None] == found) & (who[:, None] == who)).sum(1)
    precision = float((both / (found[:, None] == found).sum(1)).mean())
    recall = float((both / (who[:, None] == who).sum(1)).mean())
    return 2 * precision * recall / (precision + recall)


def perceptual_metrics(network: PerceptualNet, people: Population, seed: int) -> dict[str, float]:
    """Mean distance of photos to themselves distorted, at four strengths, and share of photos for which it grows
    with each; mean distance of photos of different people."""
    clean = to_float(people.bodies[_spread(len(people.bodies), 96)])
    metrics = {"photos": float(len(clean)), "unrelated": float(_distances(network, clean, clean.roll(1, 0)).mean())}
    for name, distort in DISTORTIONS.items():
        curve = []
        for strength in _STRENGTHS:
            random = torch.Generator().manual_seed(seed)
            curve.append(_distances(network, clean, distort(clean, strength, random)))
            metrics[f"{name}_{strength}"] = float(curve[-1].mean())
        rising = torch.stack([after > before for before, after in pairwise(curve)]).all(0)
        metrics[f"{name}_grows"] = float(rising.float().mean())
    return metrics


def feature_metrics(network: FeatureNet, people: Population, seed: int) -> dict[str, float]:
    """Fréchet distance between two halves of the photos, and of distorted photos to the other half."""
    pictures = to_float(people.bodies)
    one, other = pictures[::2], pictures[1::2]
    reference = describe(network, one)
    metrics = {"photos": float(len(pictures)), "halves": frechet(reference, describe(network, other))}
    for name, distort in DISTORTIONS.items():
        for strength in _STRENGTHS:
            random = torch.Generator().manual_seed(seed)
            metrics[f"{name}_{strength}"] = frechet(reference, describe(network, distort(other, strength, random)))
    return metrics


def describe(network: FeatureNet, pictures: Tensor) -> Array:
    """Descriptors [N, dim] in float64."""
    with torch.no_grad():
        return torch.cat([network(some) for some in pieces(pictures, 32)]).double().numpy()


def frechet(one: Array, other: Array) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of descriptors (Dowson and Landau 1982)."""
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    apart = one.mean(0) - other.mean(0)
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * overlap)


def _distances(network: PerceptualNet, one: Tensor, other: Tensor) -> Tensor:
    with torch.no_grad():
        parts = [layered_distance(network, x, y) for x, y in zip(pieces(one, 16), pieces(other, 16), strict=True)]
    return torch.cat(parts)


def _spread(count: int, most: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most)).long()
