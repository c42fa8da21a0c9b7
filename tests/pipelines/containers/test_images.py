from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import components
from pipelines.containers import images
from pipelines.steps import STEP_ROOMS, STEPS


@pytest.fixture
def copied_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code whose files a test may change."""
    root = tmp_path / "components"
    for package in ("components", "photoshoot"):
        original = Path(components.__file__).parents[1] / package
        shutil.copytree(original, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(components, "__file__", str(root / "__init__.py"))
    images.code_digest.cache_clear()
    yield root
    images.code_digest.cache_clear()


def _digests() -> dict[str, str]:
    images.code_digest.cache_clear()
    return {step: images.code_digest(step) for step in STEPS}


def test_the_digest_is_the_same_for_the_same_code(copied_code: Path) -> None:
    assert _digests() == _digests()


def test_a_change_in_a_step_touches_that_step_alone(copied_code: Path) -> None:
    before = _digests()
    path = copied_code / "cluster" / "component.py"
    path.write_text(path.read_text() + "# changed\n")
    after = _digests()
    assert [step for step in STEPS if before[step] != after[step]] == ["cluster"]


def test_a_change_of_what_serves_versions_touches_their_registration_alone(copied_code: Path) -> None:
    before = _digests()
    path = copied_code.with_name("photoshoot") / "serving.py"
    path.write_text(path.read_text() + "# changed\n")
    after = _digests()
    assert [step for step in STEPS if before[step] != after[step]] == ["register"]


def test_a_change_in_core_touches_every_step(copied_code: Path) -> None:
    before = _digests()
    path = copied_code / "core" / "errors.py"
    path.write_text(path.read_text() + "# changed\n")
    after = _digests()
    assert all(before[step] != after[step] for step in STEPS)


def _rooms(step: str) -> tuple[str, ...]:
    return STEP_ROOMS.get(step, (step,))


def test_names_carry_registry_and_digest() -> None:
    names = images.images("registry.example/team/")
    assert names["train"] == f"registry.example/team/photoshoot-train:{images.code_digest('train')}"
    assert len({name.rpartition(":")[2] for name in names.values()}) == len({*map(_rooms, STEPS)})
