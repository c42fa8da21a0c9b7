"""What a build of the images takes along of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.containers import build as building
from pipelines.containers.engines import Engine


class _Recording(Engine):
    """An engine that builds nothing and keeps what the secret files held meanwhile."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.arguments: dict[str, dict[str, str]] = {}
        """Build arguments by image."""

    @property
    def name(self) -> str:  # type: ignore[override]
        return "podman"

    def digest(self, reference: str) -> str | None:
        return "sha256:0" if "base" in reference else None

    def label(self, reference: str, label: str) -> str | None:
        return None

    def run(self, *arguments: str, shown: bool = False) -> str:
        for argument in arguments:
            if argument.startswith("--secret="):
                name, _, source = argument.removeprefix("--secret=id=").partition(",src=")
                self.secrets[name] = Path(source).read_text(encoding="utf-8")
        given = dict(argument.removeprefix("--build-arg=").split("=", 1) for argument in arguments
                     if argument.startswith("--build-arg="))
        self.arguments[given.get("IMAGE", "environment")] = given
        return ""


def test_pip_is_configured_as_here_but_for_files_that_are_only_here(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cap.txt").write_text("torch<=9\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "cap.txt"))
    monkeypatch.setenv("PIP_TIMEOUT", "77")
    engine = _Recording()
    building.build_images(engine, building.Build(base_image="base"), ["tools"])
    assert "timeout = 77" in engine.secrets["pip"] and "constraint" not in engine.secrets["pip"]


def _built(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, dict[str, str]]:
    engine = _Recording()
    monkeypatch.setattr(building, "find_engine", lambda _: engine)
    assert building.main(["--base-image", "localhost/base:1", *arguments]) == 0
    return engine.arguments


def test_the_pages_image_brings_its_networks_along_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    built = _built(monkeypatch, "studio", "tools")
    assert built["studio"]["PHOTOSHOOT_WEIGHTS_NAMES"] == "landmarks,faces"
    assert "PHOTOSHOOT_WEIGHTS_NAMES" not in built["tools"]
    built = _built(monkeypatch, "studio", "--arg", "PHOTOSHOOT_WEIGHTS_NAMES=")
    assert built["studio"]["PHOTOSHOOT_WEIGHTS_NAMES"] == ""


def test_only_pypis_torch_is_held_against_its_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TORCH_REQUIREMENTS" not in _built(monkeypatch, "tools")["environment"], "the Dockerfile's list"
    cpu = _built(monkeypatch, "tools", "--cpu")["environment"]
    assert cpu["TORCH_REQUIREMENTS"] == "" and building.CPU_INDEX in cpu["PIP_ARGS"]
    mine = _built(monkeypatch, "tools", "--cpu", "--arg", "TORCH_REQUIREMENTS=requirements/torch-cpu.txt")
    assert mine["environment"]["TORCH_REQUIREMENTS"] == "requirements/torch-cpu.txt"


@pytest.mark.parametrize(("base", "warned"), [
    ("registry.example/base:3.11", True), ("registry.example/base:3.11@sha256:0", False), ("localhost/base:1", False)])
def test_a_base_image_that_may_move_is_said_with_its_digest(
        base: str, warned: bool, capsys: pytest.CaptureFixture[str]) -> None:
    building.build_images(_Recording(), building.Build(base_image=base), ["tools"])
    said = capsys.readouterr().err
    assert ("is a tag, which moves" in said) is warned
    assert not warned or f"BASE_IMAGE={base}@sha256:0 takes" in said
