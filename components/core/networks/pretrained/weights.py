"""Weights that ship with the package, by name, checked against their digests.

They lie in `components/core/data`: one safetensors file (float16) per network, `cards.json` with each one's digest,
training, licence and measured metrics, and `README.md`, the same to read. `make weights` makes them all anew.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from components.core.errors import DataError, SettingsError
from components.core.networks.pretrained.builtin import (
    FaceNet,
    FeatureNet,
    FinderNet,
    JudgeNet,
    PartsNet,
    PerceptualNet,
)

FORMAT = "photoshoot.weights/1"
CARDS, CARDS_FORMAT = "cards.json", "photoshoot.cards/1"
NETWORKS: dict[str, type[nn.Module]] = {
    "builtin-face": FaceNet,
    "builtin-judge": JudgeNet,
    "builtin-perceptual": PerceptualNet,
    "builtin-features": FeatureNet,
    "builtin-parts": PartsNet,
    "builtin-finder": FinderNet,
}
_REMEDY = "install the package anew, or make the weights with `make weights`"


def load_weights(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (float32) and metadata (format, architecture, trained_on, command) of a network that ships.

    Raises `SettingsError` for a name that does not exist (it names the nearest) and `DataError`, naming the file, for
    one whose file is missing, is not what its card's sha256 says, or has another format.
    """
    card = weights_card(name)
    file = folder() / str(card["file"])
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise DataError("weights are missing", path=str(file), remedy=_REMEDY) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["sha256"]:
        raise DataError(
            f"sha256 is {digest[:12]}..., the card says {str(card['sha256'])[:12]}...", path=str(file), remedy=_REMEDY
        )
    try:
        tensors = safetensors.torch.load(content)
        metadata = _metadata(content)
    except (safetensors.SafetensorError, ValueError) as error:
        raise DataError(f"not a safetensors file ({error})", path=str(file), remedy=_REMEDY) from None
    if metadata.get("format") != FORMAT:
        raise DataError(f"format {metadata.get('format')!r}, not {FORMAT}", path=str(file), remedy=_REMEDY)
    return {key: tensor.float() for key, tensor in tensors.items()}, metadata


def load_network(name: str) -> nn.Module:
    """A network that ships, frozen and in evaluation mode (float32, CPU). Raises as `load_weights`."""
    tensors, _ = load_weights(name)
    network = NETWORKS[name]()
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def weights_card(name: str) -> dict[str, Any]:
    """Card of a network that ships: file, sha256, architecture, trained_on, command, licence, limits, metrics.

    Raises `SettingsError` for an unknown name and `DataError` where the cards themselves cannot be read.
    """
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=1, cutoff=0.3)
        remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(NETWORKS)}"
        raise SettingsError(f"unknown weights {name}", remedy=remedy)
    card: dict[str, Any] | None = cards()["networks"].get(name)
    if card is None:
        raise DataError(f"no card for {name}", path=str(folder() / CARDS), remedy=_REMEDY)
    return card


def cards() -> dict[str, Any]:
    """The document of all cards. Raises `DataError` where it cannot be read."""
    file = folder() / CARDS
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise DataError("the weights' cards cannot be read", path=str(file), remedy=_REMEDY) from None
    if found.get("format") != CARDS_FORMAT:
        raise DataError(f"format {found.get('format')!r}, not {CARDS_FORMAT}", path=str(file), remedy=_REMEDY)
    return found


def folder() -> Traversable:
    """Where all that ships lies."""
    return resources.files("components.core") / "data"


def _metadata(content: bytes) -> dict[str, str]:
    """What `publish` put into the safetensors header (8 bytes of length, little-endian, then JSON)."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata: dict[str, str] = json.loads(header.get("__metadata__", {}).get("photoshoot", "{}"))
    return metadata
