"""Names of the container images, changing with the code inside them.

KFP's cache keys hold a step's image but not what an imported package does. So the tag is a digest of the code the
step can reach: `components/core`, its own folder, and the versions of the libraries that compute.
"""

from __future__ import annotations

from functools import cache

from components.core import digest
from pipelines.steps import STEP_IMAGE, STEP_ROOMS


def images(registry: str = "") -> dict[str, str]:
    """Image reference per step, ``[registry/]photoshoot-<image>:<code digest>``."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return {step: f"{prefix}photoshoot-{image}:{code_digest(step)}" for step, image in STEP_IMAGE.items()}


@cache
def code_digest(step: str) -> str:
    """Digest (16 hex digits) of all code that `step` can reach."""
    return digest.code_digest("core", *STEP_ROOMS.get(step, (step,)))
