"""``python -m pipelines.doctor.torch_probe``: which torch is here, and are the networks that ship whole? As JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import torch

from components.core import masking
from components.core.errors import PhotoshootError
from components.core.networks.pretrained.starter import starter
from components.core.networks.pretrained.weights import NETWORKS, load_weights


def main() -> None:
    """Print one object: torch, gpus, networks, broken."""
    broken = []
    loads: list[Callable[[], object]] = [*(partial(load_weights, name) for name in NETWORKS), starter]
    for load in loads:
        try:
            load()
        except PhotoshootError as error:
            broken.append(str(error))
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    print(json.dumps({"torch": torch.__version__, "gpus": gpus, "networks": len(NETWORKS), "broken": broken}))


if __name__ == "__main__":
    masking.install()
    main()
