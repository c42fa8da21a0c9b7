"""Whoever asks for a version that is not there is told which one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import InputError
from components.core.record.registry import Versions
from components.core.record.tracking import client


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions("photoshoot", f"sqlite:///{tmp_path / 'mlflow.db'}")


def refusal(versions: Versions, asked: str) -> str:
    with pytest.raises(InputError) as refused:
        versions.get(asked)
    return str(refused.value)


def test_nothing_was_registered_yet(versions: Versions) -> None:
    for asked in ("champion", "3"):
        said = refusal(versions, asked)
        assert f"no version {asked} of photoshoot: nothing was registered yet" in said and "`photoshoot run`" in said


def test_there_are_versions_and_no_champion(versions: Versions) -> None:
    mlflow = client(versions.uri)
    mlflow.create_registered_model("photoshoot")
    for verdict in ("failed", "not judged"):
        mlflow.create_model_version("photoshoot", "file:///nowhere", tags={"verdict": verdict})
    said = refusal(versions, "champion")
    assert "no champion of photoshoot yet: the newest version is 2 (its gate: not judged)" in said
    assert "`--version 2` uses it" in said and "\n" not in said
    assert "no version 9 of photoshoot: the newest version is 2" in refusal(versions, "9")
    assert "no version best of photoshoot: the newest version is 2" in refusal(versions, "best")
    mlflow.set_registered_model_alias("photoshoot", "champion", "1")
    assert versions.get("champion").number == "1"


def test_it_is_named_as_the_command_takes_it(versions: Versions) -> None:
    mlflow = client(versions.uri)
    mlflow.create_registered_model("photoshoot")
    mlflow.create_model_version("photoshoot", "file:///nowhere", tags={})
    said = str(versions.missing("champion", "@champion", "`v{}`"))
    assert "no champion" in said and "(its gate: no verdict)" in said and "`v1` uses it" in said
