"""Presets as a table: what differs from the defaults, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.core.errors import SettingsError

if TYPE_CHECKING:
    from components.core.settings import Settings

# What both sizes of the DeepFashion recipe share.
_DEEPFASHION: dict[str, Any] = {
    "max_width": 512, "latent": 2048, "learning_rate": 0.002, "learning_rate_end": 1.0, "beta1": 0.0,
    "gan_start": 0.0, "ema": 0.9995, "reconstruction": 0.5, "log_every": 100, "sample_every": 2000,
    "checkpoint_every": 2000, "keep_checkpoints": 3,
    "weights": {"l1": 5, "perceptual": 5, "face": 10, "gan": 1, "patch": 1, "r1_gamma": 10},
}

_PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "smoke": (
        "every step in seconds, for tests; the pictures are not worth looking at",
        {
            "synthesize": {"people": 12, "photos_per_person": 4, "height": 160},
            "preprocess": {"resolution": 64, "texel": 16, "shard_size": 16},
            "cluster": {"validation": 0.15, "test": 0.35},
            "train": {"steps": 12, "batch": 4, "width": 8, "max_width": 32, "latent": 32, "gan_start": 0.5,
                      "log_every": 2, "sample_every": 6, "checkpoint_every": 4},
            "evaluate": {"pairs": 24, "min_images": 16, "rows": 6, "bootstrap": 100, "probes": 16, "distractors": 19},
        },
    ),
    "demo": ("the default: synthetic people, minutes on two CPU cores", {}),
    "hour": (
        "four times the people and seven times the steps of the default: an hour on one CPU core",
        {
            "synthesize": {"people": 240},
            # Among so many there are look-alikes: rather one person twice than two people as one.
            "cluster": {"same_person": 0.55},
            "train": {"steps": 4200, "ema": 0.998, "weights": {"detail": 8}, "log_every": 100, "sample_every": 700},
        },
    ),
    "portrait-256": (
        "four times the pixels of the default, for your own photos: two hours on two CPU cores",
        {
            "synthesize": {"people": 120, "height": 384},
            "preprocess": {"resolution": 256, "texel": 64},
            # 1.4 to 1.6 s a step on one core of an EPYC (docs/benchmarks/training.md): an hour and a half, and as long
            # again to spare.
            "train": {"steps": 3600, "batch": 4, "learning_rate": 0.006, "ema": 0.998, "weights": {"detail": 8},
                      "log_every": 100, "sample_every": 800},
        },
    ),
    "portrait-512": (
        "sixteen times the pixels of the default, with a GAN, on a GPU; a recipe that nobody has trained through yet",
        {
            "synthesize": {"people": 120, "height": 768},
            "preprocess": {"resolution": 512, "texel": 128, "shard_size": 128},
            "train": {"steps": 40_000, "batch": 16, "width": 32, "max_width": 512, "latent": 512,
                      "learning_rate": 0.003, "gan_start": 0.4, "ema": 0.9995, "weights": {"detail": 8, "face": 2},
                      "log_every": 100, "sample_every": 1000, "checkpoint_every": 1000},
        },
    ),
    "deepfashion-256": (
        "a training recipe for a data set of DeepFashion's size at 256 px on a GPU",
        {
            "preprocess": {"resolution": 256, "texel": 128, "shard_size": 512},
            "train": {**_DEEPFASHION, "steps": 300_000, "batch": 16, "width": 64},
            "evaluate": {"pairs": 4096, "min_images": 1024},
        },
    ),
    "deepfashion-512": (
        "the same at 512 px",
        {
            "preprocess": {"resolution": 512, "texel": 200, "shard_size": 512},
            "train": {**_DEEPFASHION, "steps": 400_000, "batch": 8, "width": 32},
            "evaluate": {"pairs": 4096, "min_images": 1024},
        },
    ),
}


def names() -> dict[str, str]:
    """Preset names with what they are for."""
    return {name: purpose for name, (purpose, _) in _PRESETS.items()}


def preset(name: str) -> Settings:
    """Settings of a preset. Raises `SettingsError` for a name that does not exist."""
    if name not in _PRESETS:
        raise SettingsError(f"unknown preset {name}", remedy=f"choose one of {', '.join(_PRESETS)}")
    from components.core.settings import Settings  # here: `names` answers without building the models

    return Settings.from_tree({"preset": name, **_PRESETS[name][1]}, source=f"preset {name}")
