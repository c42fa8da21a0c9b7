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
        return ""


def test_pip_is_configured_as_here_but_for_files_that_are_only_here(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cap.txt").write_text("torch<=9\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "cap.txt"))
    monkeypatch.setenv("PIP_TIMEOUT", "77")
    engine = _Recording()
    building.build_images(engine, building.Build(base_image="base"), ["tools"])
    assert "timeout = 77" in engine.secrets["pip"] and "constraint" not in engine.secrets["pip"]
