"""`.ci/containers` on machines that start no containers, and on those that do: programs that only pretend."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = ("bash", "sh", "dirname", "mktemp", "rm", "sed", "tail", "cat", "grep", "env", "ls")
PODMAN = """case "$1" in
  image|import) exit 0;;
  run) echo; echo "Error: the kernel says no" >&2; exit 126;;
esac
exit 1"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has everything, but whose containers do not start."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in REAL:
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    for name in ("apt-get", "buildah", "runc", "mmdebstrap"):
        pretend(programs / name, "exit 0")
    pretend(programs / "podman", PODMAN)
    return {"PATH": str(programs), "HOME": str(tmp_path)}


def pretend(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def containers(machine: dict[str, str], **more: str) -> tuple[int, str]:
    """Exit code of the script and the last line that it says."""
    done = subprocess.run([REPOSITORY / ".ci" / "containers"], capture_output=True, text=True, env=machine | more)
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("given", "code", "words"), [
    ({}, 1, "error: no container can be started"),
    ({"CI_CONTAINERS": "required"}, 1, "error: no container can be started"),
    ({"CI_CONTAINERS": "optional"}, 0, "LEFT OUT: images, pipeline in containers, faults"),
])
@pytest.mark.parametrize("what", ["kernel", "packages", "base"])
def test_what_starts_no_containers_is_forgiven_only_where_they_are_optional(
    machine: dict[str, str], given: dict[str, str], code: int, words: str, what: str
) -> None:
    programs = Path(machine["PATH"])
    reason = "the kernel says no"
    if what == "packages":
        (programs / "podman").unlink()
        pretend(programs / "apt-get", "echo E: no mirror >&2; exit 100")
        reason = "podman"
    if what == "base":
        pretend(programs / "podman", "exit 1")
        pretend(programs / "mmdebstrap", "echo E: no suite >&2; exit 25")
        reason = "E: no suite"
    ended, said = containers(machine, **given)
    assert ended == code and said.startswith(f"{words}: ") and reason in said


def test_a_build_that_fails_is_never_forgiven(machine: dict[str, str]) -> None:
    if not os.access(REPOSITORY / ".venv" / "bin" / "python", os.X_OK):
        pytest.skip("no .venv here: make setup")
    pretend(Path(machine["PATH"]) / "podman", 'case "$1" in image|run) exit 0;; esac; echo "no disk" >&2; exit 125')
    ended, said = containers(machine, CI_CONTAINERS="optional", BASE_IMAGE="localhost/base")
    assert ended == 1 and "error: no container engine (podman: no disk)" in said
