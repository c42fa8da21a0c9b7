"""The guides lead where they say: their changes apply to a copy of the code, in which their snippets run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import snippets

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDES = sorted(path.stem for path in (REPOSITORY / "docs" / "guides").glob("*.md"))
ADDS = ("loss", "metric")


@pytest.mark.parametrize("name", ADDS)
def test_what_a_guide_adds_is_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fences = snippets.fences((REPOSITORY / "docs" / "guides" / f"{name}.md").read_text(encoding="utf-8"))
    (snippet,) = [fence.text for fence in fences if fence.language == "python"]
    with pytest.raises(ImportError):
        exec(compile(snippet, name, "exec"), {})
    changes = "".join(fence.text for fence in fences if fence.language == "diff")
    paths = re.findall(r"^\+\+\+ b/(.*)$", changes, re.MULTILINE)
    assert len(paths) == 2, "two files"
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / path)
    subprocess.run(["git", "apply", "-"], input=changes, cwd=tmp_path, text=True, check=True)
    for path in paths:
        module = path.removesuffix(".py").replace("/", ".")
        spec = importlib.util.spec_from_file_location(module, tmp_path / path)
        assert spec and spec.loader
        changed = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module, changed)
        spec.loader.exec_module(changed)
    exec(compile(snippet, name, "exec"), {})


def test_every_guide_is_listed() -> None:
    page = (REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8")
    assert {f"guides/{name}.md" for name in GUIDES} <= set(snippets.links(page))
