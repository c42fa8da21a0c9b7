"""`photoshoot clean` frees what nothing needs, and nothing else; what killed runs left goes with the next run."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import MachineError
from components.core.record import tracking
from components.core.record.registry import Versions
from pipelines.home import cleaning, leftovers
from pipelines.home.folder import Home

Run = tuple[Path, dict[str, Any]]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def home(smoke_run: Run, tmp_path: Path) -> Home:
    """A copy of the home with a run in it, and beside that what a killed run left."""
    home = Home.at(Path(shutil.copytree(smoke_run[0], tmp_path / "home")))
    (made,) = home.pipeline_root.iterdir()
    killed = home.pipeline_root / "photoshoot-training-2026-01-01-00-00-00-000000"
    for step in ("train", "evaluate"):
        shutil.copytree(made / "synthesize" / "photos" / "iuv", killed / step / "half")
    shutil.copytree(made / "cluster", killed / "cluster")
    entry = {"identities": {"uri": f"home:/artifacts/{killed.name}/cluster/identities"}}
    (home.cache / f"{'f' * 64}.json").write_text(json.dumps(entry))
    return home


def _files(home: Home) -> set[str]:
    return {path.relative_to(home.root).as_posix() for path in home.root.rglob("*") if path.is_file()}


def test_the_next_run_removes_outputs_of_steps_that_never_ended(home: Home) -> None:
    (killed,) = home.pipeline_root.glob("*-01-01-*")
    before = _files(home)
    assert leftovers.unfinished(home) == [killed / "evaluate", killed / "train"]
    with home.lock():
        leftovers.sweep(home)
    assert [path.name for path in killed.iterdir()] == ["cluster"]
    gone = before - _files(home)
    assert gone and all(name.startswith((f"artifacts/{killed.name}/train/", f"artifacts/{killed.name}/evaluate/"))
                        for name in gone)


def test_what_a_version_needs_stays(home: Home, smoke_run: Run) -> None:
    (killed,) = home.pipeline_root.glob("*-01-01-*")
    before, shown = _files(home), cleaning.needless(home)
    assert _files(home) == before and sum(freed.bytes for freed in shown) > 0
    freed = cleaning.clean(home)
    assert freed == shown and not killed.exists() and cleaning.needless(home) == []
    kept = json.loads(next(home.root.glob("runs/*/outputs.json")).read_text())
    for name, place in kept.items():
        here = home.root / Path(place).relative_to(smoke_run[0])
        assert here.is_dir() and any(here.iterdir()), name
    versions = Versions("photoshoot", home.tracking_uri)
    (version,) = versions.all()
    with versions.files(version) as files:
        assert (files / "generator.safetensors").is_file()
    assert {name for name in before if name.startswith(("runs/", "mlflow-artifacts/"))} <= _files(home)


def test_without_its_version_a_runs_work_is_freed_and_done_again(home: Home) -> None:
    mlflow = tracking.client(home.tracking_uri)
    mlflow.delete_model_version("photoshoot", "1")
    freed = cleaning.clean(home)
    assert {one.what for one in freed} >= {"entries of the cache", "outputs of steps that no version or study needs"}
    assert not list(home.pipeline_root.iterdir()) and not list(home.cache.iterdir())


def test_cleaning_that_was_interrupted_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking.client(home.tracking_uri).delete_model_version("photoshoot", "1")
    remove, times = cleaning._remove, 0

    def killed(path: Path) -> None:
        nonlocal times
        times += 1
        if times == 4:
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cleaning, "_remove", killed)
        cleaning.clean(home)
    there = {path.parent.parent.name for path in home.pipeline_root.glob("*/*/*")}
    assert there and all((home.pipeline_root / output).is_dir() for output in leftovers.cached(home).values())
    cleaning.clean(home)
    assert cleaning.needless(home) == [] and not list(home.pipeline_root.iterdir())


def test_nothing_is_freed_under_a_run_or_without_the_registry(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _files(home)
    with home.lock(), pytest.raises(MachineError, match="another run is using"):
        cleaning.clean(home)
    monkeypatch.setenv("PHOTOSHOOT_STUDIES", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    with pytest.raises(MachineError, match="studies cannot be read"):
        cleaning.clean(home)
    assert _files(home) - {".steps-lock"} == before - {".steps-lock"}


@pytest.mark.parametrize(("free", "said"), [(10**10, ""), (10**9, "nearly full"), (10**7, None)])
def test_a_disk_that_is_nearly_full_is_said_before_a_run(
        free: int, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    home = Home.at(tmp_path / "home")
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**12, 0, free))
    if said is None:
        with pytest.raises(MachineError, match=r"10 MB are free.*photoshoot clean"):
            leftovers.check_room(home)
        return
    leftovers.check_room(home)
    text = capsys.readouterr().err
    assert (said in text) if said else not text
