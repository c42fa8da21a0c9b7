"""Write the lists with hashes that the images install from: ``python -m pipelines.containers.requirements``.

Versions are those of constraints.txt; every file that the index offers for a version is allowed, so one list serves all
processors. `uv` resolves, because pip has no such command for lists of other extras than those installed. Lists:

- ``environment.txt``: the environment, without torch;
- ``<image>.txt``: what an image adds to it;
- ``torch.txt``: PyPI's torch with the CUDA libraries that it alone needs. A build of torch from elsewhere is another
  file with another hash: a list of its own, or by version (build argument TORCH_REQUIREMENTS);
- ``kfp.txt``: KFP's executor, which is installed without what KFP depends on.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.core import masking
from components.core.atomic import atomic_path
from components.core.errors import MachineError, PhotoshootError
from pipelines.containers.contents import canonical
from pipelines.containers.images import ENVIRONMENT, REQUIREMENTS, repository

EXTRAS = {
    ENVIRONMENT: ("tracking", "train", "storage"),
    "tools": ("cluster", "landmarks", "onnx", "server"),
    "train": ("evaluate", "tune", "onnx", "nodes"),
    "preprocess": ("preprocess",),
    "studio": ("studio",),
}
"""Extras of this package that an image has: the environment's, and those that it adds."""
_PYTHON = "3.11"
_NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)
_HEADING = "# {what}\n# `make lock` writes it anew from pyproject.toml and constraints.txt.\n"


def versions(text: str) -> dict[str, str]:
    """Version by canonical name of every package that a list pins."""
    return {canonical(name): version for name, version in _NAME.findall(text)}


def lists() -> dict[str, str]:
    """The content of each list by name, resolved anew. Raises `MachineError` where uv is missing or finds none."""
    pinned = versions((repository() / "constraints.txt").read_text(encoding="utf-8"))
    torch = _resolved(["torch"])
    # What torch alone needs comes with it, and differs between its builds; setuptools is every build's.
    own = versions(torch).keys() - pinned.keys() - {"setuptools"} | {"torch"}
    found = {ENVIRONMENT: _resolved(_wanted(EXTRAS[ENVIRONMENT]), without=own)}
    environment = versions(found[ENVIRONMENT]).keys()
    found["torch"] = _resolved(["torch"], without=environment)
    for image in EXTRAS.keys() - {ENVIRONMENT}:
        found[image] = _resolved(_wanted(EXTRAS[ENVIRONMENT] + EXTRAS[image]), without=own | environment)
    found["kfp"] = _resolved(["kfp"], "--no-deps")
    heading = {ENVIRONMENT: "Every package of the environment but torch, with the hashes of its files.",
               "torch": "PyPI's torch and the libraries that only this build of it needs, with their hashes.",
               "kfp": "KFP, whose executor needs nothing else of it, with its hashes."}
    return {name: _HEADING.format(what=heading.get(name, f"What the image {name} adds, with hashes.")) + text
            for name, text in found.items()}


def _wanted(extras: Iterable[str]) -> list[str]:
    return [f"photoshoot[{','.join(extras)}] @ {repository().as_uri()}"]


def _resolved(wanted: Sequence[str], *options: str, without: Iterable[str] = ()) -> str:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise MachineError("no uv, which resolves the lists", remedy="make setup, or pip install uv")
    left_out = [f"--no-emit-package={name}" for name in sorted({"photoshoot", *without})]
    form = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    machine = ["--python-version", _PYTHON, "--python-platform", "linux"]
    done = subprocess.run(
        [uv, "pip", "compile", "-", "--constraint", str(repository() / "constraints.txt"), *form, *machine, *left_out,
         *options], input="\n".join(wanted), capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise MachineError(f"uv does not resolve {', '.join(wanted)}: {said}", remedy="see that constraints.txt has a "
                           "version of each package that pyproject.toml allows, and that uv reaches the index")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all lists; returns the exit code."""
    argparse.ArgumentParser(prog="python -m pipelines.containers.requirements",
                            description="Write requirements/*.txt from pyproject.toml and constraints.txt."
                            ).parse_args(arguments)
    try:
        for name, text in lists().items():
            with atomic_path(repository() / REQUIREMENTS / f"{name}.txt") as partial:
                partial.write_text(text, encoding="utf-8")
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    masking.install()
    raise SystemExit(main())
