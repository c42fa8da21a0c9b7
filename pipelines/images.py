"""Names of the container images, changing with the code inside them.

KFP's cache keys hold a step's image but not what an imported package does. So the tag is a digest of the code the
step can reach: `components/core`, its own folder, and the versions of the libraries that compute.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import components
from pipelines.steps import STEP_IMAGE

_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "scikit-learn", "mlflow", "kfp")
_CODE = {".py", ".json", ".html", ".css", ".safetensors"}


def images(registry: str = "") -> dict[str, str]:
    """Image reference per step, ``[registry/]photoshoot-<image>:<code digest>``."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return {step: f"{prefix}photoshoot-{image}:{code_digest(step)}" for step, image in STEP_IMAGE.items()}


@cache
def code_digest(step: str) -> str:
    """Digest (16 hex digits) of all code that `step` can reach."""
    root = Path(components.__file__).parent
    digest = hashlib.sha256()
    for folder in ("core", step):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in _CODE:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library}={_version(library)}\n".encode())
    return digest.hexdigest()[:16]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
