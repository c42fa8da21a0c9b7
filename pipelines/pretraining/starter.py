"""`python -m pipelines.pretraining.starter`: export a finished run's champion as the starter model that ships.

The champion of the model `photoshoot` in a home folder (``--home``; default: one of its own, in which the default
pipeline is run first, minutes on two cores; the same command again reuses what it finished). Called by `make starter`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.version import PREPROCESS, trained_on
from components.core.errors import DataError, InputError, PhotoshootError
from components.core.networks.generator.reposer import Reposer
from components.core.networks.pretrained.starter import STARTER
from components.core.networks.pretrained.weights import folder
from components.core.presets import preset
from components.core.record.registry import CHAMPION, Version, Versions
from components.core.settings import PreprocessSettings
from components.core.tensors import tensor_bytes
from pipelines.home.folder import Home
from pipelines.pretraining.publish import LICENCE, publish_model

PRESET, MODEL_NAME = "demo", "photoshoot"
MOST_BYTES = 8_000_000
_OWN_HOME = Path("build/starter")
_DIGESTS = ("model", "people", "identities", "evaluation", "gate", "code")
_PURPOSE = "Takes pictures before anything was trained: `photoshoot shoot` falls back to it."
_LIMITS = ("Taught by synthetic people alone; its gate was judged on others of them, at {size} px. What it does to "
           "photos of real people is not in these metrics: look at the pictures. Not for pictures of people who did "
           "not agree.")


def export(home: Home, out: Path) -> dict[str, Any]:
    """Write the champion of `home` into the folder `out`, in half precision, with its card; what was written.

    The same version gives the same bytes. Raises `InputError` where there is no champion, one that did not pass its
    gate, was taught by photos, or is too large to ship; `DataError` for one that half precision cannot hold.
    """
    versions = Versions(MODEL_NAME, home.tracking_uri)
    version = versions.get(CHAMPION)
    with versions.files(version) as files:
        reposer = Reposer.load(files / GENERATOR)
        _check(reposer, version, home.root)
        content = _halved(files / GENERATOR, version)
        if len(content) > MOST_BYTES:
            raise InputError(f"{len(content):,} bytes in half precision, more than {MOST_BYTES:,}", path=home.root,
                             remedy="train a narrower one (train.width, train.max_width)")
        cut = PreprocessSettings.model_validate_json((files / PREPROCESS).read_text(encoding="utf-8"))
        photos = len(trained_on(files))
    card = _card(reposer, version, cut, photos)
    publish_model(STARTER, content, card, out)
    return {"model": str(out / f"{STARTER}.safetensors"), "bytes": len(content), "version": version.number,
            "command": card["command"]}


def _check(reposer: Reposer, version: Version, where: Path) -> None:
    if reposer.origin != "synthetic":
        raise InputError(f"version {version.number} was trained on {reposer.origin}", path=where,
                         remedy="what ships is taught by synthetic people only: `photoshoot run` without --photos")
    if version.tags.get("verdict") != "passed":
        raise InputError(f"version {version.number} did not pass its gate ({version.tags.get('verdict')})", path=where,
                         remedy="train one that does")


def _halved(generator: Path, version: Version) -> bytes:
    """The model file in half precision, whom it comes from in its metadata."""
    with safe_open(generator, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: _half(file.get_tensor(name), generator) for name in sorted(file.keys())}
    return tensor_bytes(tensors, metadata | {"lineage": json.dumps(_digests(version))})


def _half(tensor: Tensor, path: Path) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.to(torch.float16).contiguous()
    if not half.isfinite().all():
        raise DataError("weights that half precision cannot hold", path=path, remedy="train it again")
    return half


def _card(reposer: Reposer, version: Version, cut: PreprocessSettings, photos: int) -> dict[str, Any]:
    usual = preset(PRESET)
    default = reposer.settings == usual.train and reposer.resolution == usual.preprocess.resolution
    return {
        "architecture": "Generator",
        "parameters": sum(value.numel() for value in reposer.network.state_dict().values()),
        "resolution": reposer.resolution,
        "purpose": _PURPOSE,
        "trained_on": f"{photos} photos of synthetic people, {reposer.settings.steps} steps",
        "command": "make starter" if default else
        "photoshoot run with settings of its own, then python -m pipelines.pretraining.starter --home HOME",
        "licence": LICENCE,
        "limits": _LIMITS.format(size=reposer.resolution),
        "digests": _digests(version),
        "verdict": version.tags.get("verdict.summary", "passed"),
        "gate": _gate(version.tags),
        "preprocess": cut.model_dump(mode="json"),
    }


def _digests(version: Version) -> dict[str, str]:
    """What the run that made it knows of its parts."""
    tags = version.tags
    return {name: tags[f"digest.{name}"] for name in _DIGESTS if f"digest.{name}" in tags}


def _gate(tags: Mapping[str, str]) -> dict[str, str]:
    """Requirement -> what was measured, and the bound."""
    lines = {key.removeprefix("gate."): text for key, text in tags.items() if key.startswith("gate.")}
    return {name: lines[name].partition(f" {name} ")[2] for name in sorted(lines)}


def _finished(home: Path | None) -> Home:
    """A home with a run: the one that is named, or the own one after the default pipeline ran in it."""
    if home is not None:
        return Home.found(home)
    from pipelines.local.run import run_pipeline

    own = Home.at(_OWN_HOME)
    run_pipeline(preset(PRESET), None, own)
    return own


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments, export, print what was written as one JSON object. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pretraining.starter", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help=f"home folder of a finished run; default: run one in {_OWN_HOME}")
    parser.add_argument("--out", type=Path, default=Path(str(folder())),
                        help="where the model and its card go; default: where the package has them")
    given = parser.parse_args(arguments)
    try:
        written = export(_finished(given.home), given.out)
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
