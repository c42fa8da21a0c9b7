"""The images: what a Dockerfile must have, and that each image installs what its steps import."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.steps import STEP_IMAGE

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = REPOSITORY / "images"
NAMES = sorted(folder.name for folder in IMAGES.iterdir() if folder.is_dir())

pytestmark = pytest.mark.parametrize("name", NAMES)


def instructions(name: str) -> list[str]:
    """The Dockerfile's instructions, one string each, continuation lines joined and comments dropped."""
    text = (IMAGES / name / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def stages(name: str) -> list[list[str]]:
    """Instructions by stage; what stands before the first FROM comes first."""
    parts: list[list[str]] = [[]]
    for line in instructions(name):
        if line.startswith("FROM "):
            parts.append([])
        parts[-1].append(line)
    return parts


def test_hadolint_is_silent(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, IMAGES / name / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr


def test_serves_a_step_and_says_its_purpose(name: str) -> None:
    assert name in STEP_IMAGE.values()
    assert set(STEP_IMAGE.values()) <= set(NAMES)
    assert len((IMAGES / name / "README.md").read_text().split()) > 8


def test_base_can_be_chosen_and_does_not_move(name: str) -> None:
    (argument,), *rest = stages(name)
    assert re.fullmatch(r"ARG BASE_IMAGE=[a-z]+:3\.11[-.\w]*", argument)
    own = {stage[0].split()[-1] for stage in rest}
    assert {stage[0].split()[1] for stage in rest} - own == {"${BASE_IMAGE}"}
    assert "latest" not in " ".join(instructions(name))


def test_runs_as_a_number_that_is_not_root(name: str) -> None:
    (user,) = [line for line in stages(name)[-1] if line.startswith("USER ")]
    identity = user.split()[1]
    assert re.fullmatch(r"\d+:\d+", identity)
    assert min(map(int, identity.split(":"))) >= 10000


def test_writes_only_below_tmp(name: str) -> None:
    runtime = stages(name)[-1]
    (environment,) = [line for line in runtime if line.startswith("ENV ")]
    values = dict(re.findall(r"(\w+)=(\S+)", environment))
    for variable in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert values[variable].startswith("/tmp")
    assert "WORKDIR /tmp" in runtime


def test_runtime_only_copies_what_was_built(name: str) -> None:
    runtime = stages(name)[-1]
    assert len(stages(name)) > 2
    assert not [line for line in runtime if line.startswith(("RUN ", "ADD "))]
    assert all(line.startswith("COPY --from=") for line in runtime if line.startswith("COPY "))
    # KFP's local runner appends its command line to an entry point.
    assert not [line for line in instructions(name) if line.startswith("ENTRYPOINT ")]


def test_labels(name: str) -> None:
    (labels,) = [line for line in stages(name)[-1] if line.startswith("LABEL ")]
    for key in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{key}=" in labels
    assert f'title="photoshoot-{name}"' in labels


def test_dependencies_come_before_code_and_are_pinned(name: str) -> None:
    lines = instructions(name)
    installs = [line for line in lines if " install " in line]
    assert all("${PIP_ARGS}" in line for line in installs)
    assert all("--constraint constraints.txt" in line for line in installs[:-1])
    assert installs[0].endswith(" torch"), "torch comes first"
    assert "--no-deps" in installs[-1]
    assert lines.index(installs[-2]) < lines.index("COPY components components") < lines.index(installs[-1])
    assert "<<" not in " ".join(lines)


def test_context_holds_what_is_copied(name: str) -> None:
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for line in instructions(name) if line.startswith("COPY ") and "--from" not in line
              for source in line.split()[1:-1]}
    assert copied == sent
    assert all((REPOSITORY / source).exists() for source in copied)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("components", "pipelines", include_external_packages=True, cache_dir=None)


def imports(step: str) -> set[str]:
    """Top-level modules from elsewhere that a step's code can reach, imports inside functions included."""
    own = {m for m in graph().modules if f"{m}.".startswith(f"components.{step}.")}
    reached = own.union(*(graph().find_upstream_modules(module) for module in own))
    return {m for m in reached if not m.startswith(("components", "pipelines")) and m not in sys.stdlib_module_names}


def expand(requirements: list[Requirement]) -> set[str]:
    """Names of all distributions that installing `requirements` brings, by the metadata of this environment."""
    names: set[str] = set()
    waiting = [(canonicalize_name(r.name), frozenset(r.extras)) for r in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        distribution, extras = waiting.pop()
        if (distribution, extras) in seen:
            continue
        seen.add((distribution, extras))
        names.add(distribution)
        try:
            needs = [Requirement(text) for text in requires(distribution) or []]
        except PackageNotFoundError:
            continue
        for need in needs:
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    return names


def installed(name: str) -> set[str]:
    """Names of all distributions that the image holds."""
    (line,) = [line for line in instructions(name) if '".[' in line]
    arguments = line.split("--constraint constraints.txt", 1)[1].split("&&")[0].split()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for argument in (a.strip('"') for a in arguments):
        if argument.startswith(".["):
            waiting = argument[2:-1].split(",")
            while waiting:
                for text in project["optional-dependencies"][waiting.pop()]:
                    own = text.startswith("photoshoot[")
                    (waiting if own else wanted).extend(text[11:-1].split(",") if own else [text])
        else:
            wanted.append(argument)
    return expand([Requirement(text) for text in wanted]) | {"kfp"}


def test_image_has_what_its_steps_import(name: str) -> None:
    holds = installed(name)
    providers = {module: {canonicalize_name(d) for d in found} for module, found in packages_distributions().items()}
    for step in (step for step, image in STEP_IMAGE.items() if image == name):
        modules = imports(step)
        assert "numpy" in modules, f"{step}: the import graph is empty"
        missing = {module for module in modules if not providers.get(module, {module}) & holds}
        assert not missing, f"step {step} imports {sorted(missing)}, which images/{name} does not install"
