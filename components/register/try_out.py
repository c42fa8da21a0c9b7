"""Try a registered version the way a stranger would: in a fresh process, through MLflow, with nothing but this package.

    python -m components.register.try_out models:/photoshoot/3 pictures.json image.png

`pictures.json` maps column names to image files. `try_version` starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from components.core import masking
from components.core.errors import DataError
from components.core.pictures.images import Pixels, decode_png

_LIMIT_S = 300


def try_version(uri: str, tracking_uri: str, pictures: Mapping[str, bytes]) -> Pixels:
    """Load the version `uri` in a fresh process and paint one picture from the given columns.

    Raises `DataError`, with the process's last line, when it does not load, does not run, or paints nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for column, data in pictures.items():
            (folder / column).write_bytes(data)
        (folder / "pictures.json").write_text(json.dumps({column: str(folder / column) for column in pictures}))
        command = [sys.executable, "-m", "components.register.try_out", uri, str(folder / "pictures.json"),
                   str(folder / "image.png")]
        package = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "PYTHONPATH": paths,
                       "MLFLOW_DISABLE_TELEMETRY": "true",
                       # Not from a version's own __pycache__, which nobody checks.
                       "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        # It must not write into the run that is registering it.
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_PARENT_RUN_ID", "PHOTOSHOOT_PROGRESS"):
            environment.pop(variable, None)
        remedy = "no alias has moved; fix the cause and try again"
        try:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True,
                                  timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise DataError(f"{uri} did not answer in {_LIMIT_S} s in a fresh process", remedy=remedy) from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise DataError(f"{uri} does not work in a fresh process: {last}", remedy=remedy)
        image = decode_png((folder / "image.png").read_bytes())
        if image.ndim != 3 or np.ptp(image) == 0:
            raise DataError(f"{uri} paints an empty picture in a fresh process", remedy=remedy)
        return image


def main(uri: str, pictures: str, image: str) -> None:
    """The fresh process."""
    import mlflow.pyfunc
    import pandas as pd

    columns = {column: [Path(path).read_bytes()] for column, path in json.loads(Path(pictures).read_text()).items()}
    answer = mlflow.pyfunc.load_model(uri).predict(pd.DataFrame(columns))
    Path(image).write_bytes(answer["image"][0])


if __name__ == "__main__":
    masking.install()
    main(*sys.argv[1:])
