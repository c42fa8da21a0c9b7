"""How long commands take from a cold start, beside what none of them can do without: Python, and torch."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

RUNS = 5
_CLI = ["-m", "pipelines.cli"]
_BARE, _TORCH = ["-c", "pass"], ["-c", "import torch"]
_SECONDS, _PYTHON, _TORCHES = "s", "over_python", "over_torch"
ROWS = {
    "python": "`python -c pass`",
    "torch": "`python -c 'import torch'`",
    "help": "`photoshoot --help`",
    "run_help": "`photoshoot run --help`",
    "shoot": "`photoshoot shoot`, one picture of 128 px",
    "versions": "`photoshoot versions`",
    "runs": "`photoshoot runs`",
}


def bench(runs: int = RUNS) -> dict[str, float]:
    """Processor time of each of `ROWS` from a cold start: `<row>_s` in seconds, and as multiples of a bare interpreter
    (`<row>_over_python`) and of importing torch (`<row>_over_torch`), each against those of its own round.

    Medians of `runs` rounds, one thread. Model and photos are made first: weights at random, as they take as long.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = ["--home", str(Path(folder) / "home")]
        shoot = _shop(Path(folder))
        commands = {"python": _BARE, "torch": _TORCH, "help": [*_CLI, "--help"], "run_help": [*_CLI, "run", "--help"],
                    "shoot": [*_CLI, "shoot", *shoot, *home], "versions": [*_CLI, "versions", *home],
                    "runs": [*_CLI, "runs", *home]}
        processor_time(commands["shoot"])  # files are read from memory from now on
        rounds = [{name: processor_time(command) for name, command in commands.items()} for _ in range(runs)]
    return metrics(rounds)


def processor_time(arguments: list[str]) -> float:
    """Seconds of processor time of Python with these arguments, on one thread. Raises where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**environment, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def metrics(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the rounds, which hold the seconds of each row."""
    found: dict[str, float] = {}
    for name in rounds[0]:
        found[f"{name}_{_SECONDS}"] = statistics.median(one[name] for one in rounds)
        found[f"{name}_{_PYTHON}"] = statistics.median(one[name] / one["python"] for one in rounds)
        found[f"{name}_{_TORCHES}"] = statistics.median(one[name] / one["torch"] for one in rounds)
    return found


def markdown(found: dict[str, float]) -> str:
    """The metrics as a table."""
    lines = ["| | seconds | × bare Python | × importing torch |", "|---|---|---|---|"]
    lines += [f"| {title} | {found[f'{name}_{_SECONDS}']:.2f} | {found[f'{name}_{_PYTHON}']:.1f} "
              f"| {found[f'{name}_{_TORCHES}']:.2f} |" for name, title in ROWS.items()]
    return "\n".join(lines) + "\n"


def _shop(folder: Path) -> list[str]:
    """A home with a registered version of the default's size, and the options that shoot with it."""
    from components.core.artifacts.model import GENERATOR
    from components.core.networks.generator.reposer import Generator, Reposer
    from components.core.presets import preset
    from components.core.settings import SynthesizeSettings
    from components.register.registry import Files, Registry
    from components.synthesize import synthesize
    from pipelines.home.folder import Home

    settings = preset("demo")
    cut = settings.preprocess
    home = Home.at(folder / "home")
    synthesize(folder / "drawn", SynthesizeSettings(people=1, photos_per_person=2))
    network = Generator(settings.train, cut.resolution, cut.texel)
    Reposer(network, settings.train, cut.resolution, cut.texel, "synthetic").save(folder / GENERATOR)
    registry = Registry(settings.register_.model_name, home.tracking_uri)
    with chdir(folder):  # where MLflow puts the files
        registry.log(Files(folder / GENERATOR, cut.model_dump(mode="json"), {}, {}), None)
    photo, other = sorted((folder / "drawn" / "photos").iterdir())
    maps = folder / "drawn" / "iuv"
    return ["--photo", str(photo), "--iuv", str(maps / f"{photo.stem}.png"), "--pose", str(maps / f"{other.stem}.png"),
            "--version", "1", "--out", str(folder / "out")]
