"""Writing the trained networks where the package ships them: safetensors, cards, and the cards to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.core.atomic import atomic_path
from components.core.networks.pretrained.starter import MODELS
from components.core.networks.pretrained.weights import CARDS, CARDS_FORMAT, FORMAT, NETWORKS
from components.core.tensors import tensor_bytes

LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Trained:
    """A network ready to ship: its state, how it came about, and what was measured on people it never saw."""

    name: str
    state: Mapping[str, Tensor]
    trained_on: str
    command: str
    metrics: Mapping[str, float]


_WHAT = {
    "builtin-face": (
        "Embeds an aligned face for the face loss and for clustering.",
        "Knows only this project's synthetic faces; it cannot tell real people apart. Use dlib for photos.",
    ),
    "builtin-judge": (
        "Embeds an aligned face to score faces in evaluation; another architecture, objective and training "
        "population than builtin-face, because what is in the loss must not be the judge.",
        "Knows only this project's synthetic faces; it cannot tell real people apart. Use dlib for photos.",
    ),
    "builtin-perceptual": (
        "Layers for a perceptual distance; 1 is the mean distance of two unrelated synthetic photos.",
        "Not VGG and not LPIPS: metrics compare only with its own. Never checked against human judgement.",
    ),
    "builtin-features": (
        "A 64-dimensional descriptor for Fréchet and kernel distances; the variances over synthetic photos sum to 1.",
        "Not Inception: metrics compare only with its own. Pictures are judged at 128 px; finer detail is not seen. "
        "It answers to sharpness, noise and colour; hardly to small shifts, smooth deformation or a pasted patch.",
    ),
    "builtin-parts": (
        "Says which body part is where in a picture, to judge whether an output has the pose it was asked for.",
        "Learnt from synthetic people at 128 px. On photos it is worth what it reads from real ones: evaluation "
        "measures that beside every metric, and gives none where it is too little. Not DensePose.",
    ),
    "builtin-finder": (
        "Says whether there is a face where a pose map says there should be one.",
        "Learnt from synthetic faces and from what is made of them. On photos it is worth what it finds on real ones: "
        "evaluation measures that first, and gives no value where it is too little. Finds no faces by itself.",
    ),
}


def publish(network: Trained, folder: Path) -> None:
    """Write a network's float16 safetensors file, then cards.json and README.md, which keep the other networks' cards.

    Raises `MachineError` where the folder cannot be written.
    """
    card = _write(network, folder)
    document = _document(folder)
    cards = document["networks"] | {network.name: card}
    _write_cards(folder, document | {"networks": {name: cards[name] for name in NETWORKS if name in cards}})


def publish_model(name: str, content: bytes, card: Mapping[str, Any], folder: Path) -> None:
    """Write a whole model's file, then cards.json and README.md, which keep the other cards. File, size and digest come
    into the card here.

    Raises `MachineError` where the folder cannot be written.
    """
    file = f"{name}.safetensors"
    with atomic_path(folder / file) as path:
        path.write_bytes(content)
    whole = {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), **card}
    document = _document(folder)
    _write_cards(folder, document | {MODELS: document.get(MODELS, {}) | {name: whole}})


def _document(folder: Path) -> dict[str, Any]:
    file = folder / CARDS
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {"networks": {}, **found, "format": CARDS_FORMAT}


def _write_cards(folder: Path, document: Mapping[str, Any]) -> None:
    ordered = {key: document[key] for key in ("format", "networks", MODELS) if key in document}
    with atomic_path(folder / CARDS) as path:
        path.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_path(folder / "README.md") as path:
        path.write_text(readable(ordered), encoding="utf-8")


def _write(network: Trained, folder: Path) -> dict[str, Any]:
    architecture = NETWORKS[network.name].__name__
    metadata = {
        "format": FORMAT,
        "architecture": architecture,
        "trained_on": network.trained_on,
        "command": network.command,
        "licence": LICENCE,
    }
    tensors = {key: tensor.to(torch.float16).contiguous() for key, tensor in network.state.items()}
    content = tensor_bytes(tensors, {"photoshoot": json.dumps(metadata)})
    file = f"{network.name}.safetensors"
    with atomic_path(folder / file) as path:
        path.write_bytes(content)
    purpose, limits = _WHAT[network.name]
    return {
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "architecture": architecture,
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "purpose": purpose,
        "trained_on": network.trained_on,
        "command": network.command,
        "licence": LICENCE,
        "limits": limits,
        "metrics": {key: round(value, 4) for key, value in network.metrics.items()},
    }


def readable(document: Mapping[str, Any]) -> str:
    """The cards as Markdown. `document` is what cards.json holds."""
    lines = [
        "# Weights that ship with the package",
        "",
        "Written by `make weights` and `make starter` from cards.json; do not edit. All were trained from random",
        "initialisation on people who do not exist (`photoshoot synthesize`), and measured on people that none was",
        "trained on.",
    ]
    for name, card in document["networks"].items():
        lines += [
            "",
            f"## {name}",
            "",
            card["purpose"],
            "",
            f"- **File:** {card['file']}, {card['bytes']:,} bytes, sha256 `{card['sha256']}`",
            f"- **Architecture:** `{card['architecture']}` in components/core/networks/pretrained/builtin.py, "
            f"{card['parameters']:,} parameters, float16",
            f"- **Trained on:** {card['trained_on']}",
            f"- **Command:** `{card['command']}`",
            f"- **Licence:** {card['licence']}",
            f"- **Limits:** {card['limits']}",
            "",
            "| measured on held-out synthetic people | |",
            "|---|---|",
            *(f"| {key} | {value:g} |" for key, value in card["metrics"].items()),
        ]
    for name, card in document.get(MODELS, {}).items():
        lines += _readable_model(name, card)
    return "\n".join(lines) + "\n"


def _readable_model(name: str, card: Mapping[str, Any]) -> list[str]:
    digests = ", ".join(f"{what} `{digest[:12]}`" for what, digest in card["digests"].items())
    return [
        "",
        f"## {name}",
        "",
        card["purpose"],
        "",
        f"- **File:** {card['file']}, {card['bytes']:,} bytes, sha256 `{card['sha256']}`",
        f"- **Architecture:** `{card['architecture']}` in components/core/networks/generator/reposer.py, "
        f"{card['parameters']:,} parameters, float16, {card['resolution']} px",
        f"- **Trained on:** {card['trained_on']}",
        f"- **Made from:** {digests}",
        f"- **Command:** `{card['command']}`",
        f"- **Licence:** {card['licence']}",
        f"- **Limits:** {card['limits']}",
        f"- **Gate:** {card['verdict']}",
        "",
        "| requirement of the gate | measured before rounding to float16, bound |",
        "|---|---|",
        *(f"| {key} | {text} |" for key, text in card["gate"].items()),
    ]
