"""Stands in for `photoshoot run` where a test is about many of them: leaves in --home what the real one leaves there.

Arguments: the parent's process id, then those of `photoshoot`. Settings of it come from the environment: STAND_IN_WAIT
(the run with this seed waits, until it is ended), STAND_IN_FAIL (the run with this seed fails), and the metric
STAND_IN_SSIM_PER_SEED.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pandas as pd

from pipelines.home.folder import Home


def main(arguments: list[str]) -> None:
    options = dict(zip(arguments[1::2], arguments[2::2], strict=False))
    home, seed = Home.at(Path(options["--home"])), options["--set"].partition("=")[2]
    with home.lock():
        folder = home.new_run()
        (folder / "settings.yaml").write_text("")
        events = folder / "events.jsonl"
        events.write_text(json.dumps({"step": "train", "state": "started"}) + "\n")
        if os.environ.get("STAND_IN_WAIT") == seed:
            time.sleep(600)
        if os.environ.get("STAND_IN_FAIL") == seed:
            print("error: photos: no people", file=sys.stderr)
            sys.exit(2)
        identities = home.pipeline_root / "x" / "cluster" / "identities"
        identities.mkdir(parents=True, exist_ok=True)  # a killed run may have made it
        people = [f"person{k}" for k in range(6)]
        pd.DataFrame({"person_id": people, "identity": [*(f"{seed}-{k % 2}" for k in range(5)), None],
                      "confidence": [0.1 * int(os.environ["OMP_NUM_THREADS"])] * 6,
                      "split": [*["train"] * 5, None]}).to_parquet(identities / "identities.parquet")
        (folder / "outputs.json").write_text(json.dumps({"identities": str(identities)}))
        ssim = 0.8 + 0.01 * int(seed)
        gate = [
            {"name": "pairs", "value": 64.0, "bound": 24, "comparison": ">=", "passed": True, "reason": ""},
            {"name": "ssim", "value": ssim, "bound": 0.6, "comparison": ">=", "passed": True, "reason": "fine"},
            {"name": "over_warp", "value": 0.9 + 0.1 * int(seed), "bound": 1.0, "comparison": "<=",
             "passed": int(seed) < 2, "reason": ""},
        ]
        passed = all(line["passed"] for line in gate)
        result = {"verdict": "passed" if passed else "failed", "aliases": ["challenger", *["champion"] * passed],
                  "gate": gate, "seconds": 60.0}
        (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[2:])
