"""The process in which KFP's local runner executes the pipeline: ``python -m pipelines.local.runner job.json``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from components.core import masking
from components.core.atomic import atomic_path
from components.core.settings import Settings
from pipelines.containers.execution import Setup, connected, end_all


def main(job_path: Path) -> None:
    """Run the job described in `job_path` and write the artifacts' paths to the file it names."""
    masking.install()
    job = json.loads(job_path.read_text(encoding="utf-8"))
    contained = Setup(**job["containers"]) if "containers" in job else None
    # First of all, and by the number it wrote down: it may be gone before this process has imported anything.
    threading.Thread(target=_end_with_parent, args=(job["parent"], contained), daemon=True).start()
    from pipelines.home.folder import Home

    with Home(Path(job["home"])).steps_alive():
        _run(job, contained)


def _run(job: dict[str, Any], contained: Setup | None) -> None:
    # KFP warns about image names (nothing is pulled here) and unused resources.
    warnings.filterwarnings("ignore", module="kfp")

    from kfp import local

    from pipelines.containers.images import LOCAL, images
    from pipelines.local.cached import call_home
    from pipelines.training import Artifacts, TuningArtifacts, training_pipeline, tuning_pipeline

    if contained:
        from pipelines.containers.runner import container_runner
    call_home(job["home"], job["cached_as"])
    local.init(
        container_runner(contained) if contained else local.SubprocessRunner(use_venv=False),
        pipeline_root=job["pipeline_root"], enable_caching=True, cache_root=job["cache"],
    )
    settings = Settings.from_tree(job["settings"])
    pipelines = {
        "training": (training_pipeline, Artifacts._fields), "tuning": (tuning_pipeline, TuningArtifacts._fields)
    }
    build, artifacts = pipelines[job["pipeline"]]
    run = build(settings, images(LOCAL if contained else ""), job["photos"], job["photos_digest"])()
    paths = {name: run.outputs[name].path for name in artifacts}
    with atomic_path(Path(job["outputs"])) as partial:
        partial.write_text(json.dumps(paths), encoding="utf-8")


def _end_with_parent(parent: int, contained: Setup | None) -> None:
    """End this session's processes and containers when the command that started them was killed (nobody follows)."""
    while os.getppid() == parent:
        time.sleep(1)
    if contained:
        with contextlib.suppress(Exception), connected(contained.address) as client:
            end_all(client, contained.owner)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
