"""What came of one run of `photoshoot experiment repeat`: taken from its home when it is finished, kept beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.atomic import atomic_path
from components.core.errors import DataError
from components.core.people.identities import TABLE
from pipelines.home.folder import Home
from pipelines.local.execution import EVENTS_FILE, OUTPUTS_FILE
from pipelines.results.files import RESULT_FILE, SETTINGS_FILE
from pipelines.steps import step_of

if TYPE_CHECKING:
    import pandas as pd

JOB_FILE, OUTCOME_FILE = "job.json", "outcome.json"
_COLUMNS = ("person_id", "identity", "split")
_MINUTES = {"synthesize": 0.5, "preprocess": 0.2, "cluster": 0.1, "train": 5.7, "evaluate": 2.0, "challenge": 0.1,
            "register": 0.4}
"""Of the default run's steps, on two cores: how far a run is. Other settings only make the bar uneven."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: what it was asked for (seed, kind of machine and what that sets, what the libraries chose, digest
    of the code), the gate's verdict line by line, and its identities.

    `assignment` is the sha256 of who is which identity in which split. `seconds` are those of all attempts where it was
    interrupted.
    """

    name: str
    seed: int
    machine: str
    variables: dict[str, str]
    seen: dict[str, Any]
    code: str
    verdict: str
    champion: bool
    gate: list[dict[str, Any]]
    identities: int
    assignment: str
    seconds: float
    attempts: int


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome that `take` wrote into a folder, or None."""
    path = folder / OUTCOME_FILE
    return Outcome(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def take(folder: Path) -> Outcome:
    """Read the outcome from the home that a run has finished in, and keep it. Raises `DataError` where it is not
    whole."""
    job = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    home = Home((folder / "home").absolute())
    # By when they began: two of one second have names in any order.
    begun = sorted(home.root.glob(f"runs/*/{SETTINGS_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    runs = [path.parent for path in begun]
    finished = next((run for run in runs if (run / RESULT_FILE).is_file()), None)
    if finished is None:
        raise DataError("the run left no result", path=home.root / "runs", remedy="the same command runs it again")
    result = json.loads((finished / RESULT_FILE).read_text(encoding="utf-8"))
    table = _artifact(home, finished, "identities") / TABLE
    before = runs[: runs.index(finished)]
    outcome = Outcome(
        name=folder.name, seed=job["seed"], machine=job["machine"], variables=job["variables"], seen=job["seen"],
        code=job["code"], verdict=result["verdict"], champion="champion" in result["aliases"], gate=result["gate"],
        identities=_identities(table), assignment=assignment(table),
        seconds=round(result["seconds"] + sum(_seconds(run) for run in before), 1), attempts=len(before) + 1,
    )  # fmt: skip
    with atomic_path(folder / OUTCOME_FILE) as partial:
        partial.write_text(json.dumps(asdict(outcome), indent=1), encoding="utf-8")
    return outcome


def assignment(table: Path) -> str:
    """sha256, hex, of who is which identity in which split, whatever else an identities.parquet holds."""
    rows = _rows(table).fillna("").sort_values("person_id")
    lines = ("\t".join(row) for row in rows.itertuples(index=False))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def share_done(home: Home) -> float:
    """How much of the run in a home is done, by its steps' events: 0 to 1."""
    newest = max(home.root.glob(f"runs/*/{EVENTS_FILE}"), default=None)
    if newest is None:
        return 0.0
    step, within = "", 0.0
    for line in newest.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # the last line, being written
            continue
        if "state" in event:
            step, within = step_of(event["step"]), float(event["state"] == "finished")
        elif event.get("total"):
            within = max(within, event["done"] / event["total"])
    before = 0.0
    for name, minutes in _MINUTES.items():
        if name == step:
            return (before + within * minutes) / sum(_MINUTES.values())
        before += minutes
    return 0.0


def _artifact(home: Home, run: Path, name: str) -> Path:
    outputs: dict[str, str] = json.loads((run / OUTPUTS_FILE).read_text(encoding="utf-8"))
    return home.root / outputs[name]


def _identities(table: Path) -> int:
    return int(_rows(table)["identity"].nunique())


def _rows(table: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(table, columns=list(_COLUMNS))
    except (OSError, ValueError) as error:
        raise DataError(f"no identities: {str(error).splitlines()[0]}", path=table,
                        remedy="remove the run's folder, and the same command runs it again") from None


def _seconds(run: Path) -> float:
    """Of an attempt that was interrupted: from its first file to its last event."""
    events = run / EVENTS_FILE
    return max(events.stat().st_mtime - (run / SETTINGS_FILE).stat().st_mtime, 0.0) if events.is_file() else 0.0
