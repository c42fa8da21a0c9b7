"""A share of the requests beside the champion: what is asked for before, what is kept, what ends it. On sqlite."""

import shutil
from pathlib import Path

import pytest
from recording import TRIED, bare_store, broken, tried

from components.core.errors import DataError, InputError
from components.core.record.registry import CHAMPION
from components.register import promotion
from components.register.promotion import CANARY, CANARY_PERCENT, CANARY_WHY, canary, promote, rollback
from components.register.registry import Registry


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def registry(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A store of one's own, in which everything was compared with whoever is champion."""
    TRIED.clear()
    shutil.copyfile(filled, tmp_path / "mlflow.db")
    monkeypatch.setattr(promotion, "example", lambda *_: {"source_photo": b""})
    found = Registry("photoshoot", f"sqlite:///{tmp_path}/mlflow.db")
    promote(found, "1", try_out=None)
    judged = promotion.objection_to

    def but_for_whom_it_met(registry: Registry, version: promotion.Version, now: promotion.Standing) -> object:
        objection = judged(registry, version, now)
        return None if objection and "was compared with" in objection[0] else objection

    monkeypatch.setattr(promotion, "objection_to", but_for_whom_it_met)
    return found


def test_a_canary_is_tried_and_gets_its_share_beside_the_champion(registry: Registry) -> None:
    asked = canary(registry, "2", 10, try_out=tried)
    assert (asked.version, asked.percent, asked.champion) == ("2", 10, "1")
    assert asked.line == "version 2 is asked to get 10 % of the requests, version 1 the rest"
    assert registry.aliases() == {CHAMPION: "1", CANARY: "2"} and TRIED == ["models:/photoshoot/2"]
    tags = registry.get("2").tags
    assert tags[CANARY_PERCENT] == "10" and tags[CANARY_WHY].endswith("passed the gate")
    canary(registry, "2", 50, try_out=broken)  # the same one again is not tried again
    assert registry.get("2").tags[CANARY_PERCENT] == "50"
    canary(registry, "3", 5, try_out=tried)
    assert registry.aliased(CANARY) == "3" and registry.get("2").tags[CANARY_PERCENT] == "0"


def test_what_may_not_be_promoted_may_be_no_canary(registry: Registry) -> None:
    with pytest.raises(InputError, match=r"version 4 may not be promoted: its gate failed 1 of 19.*--force"):
        canary(registry, "4", 10, try_out=tried)
    with pytest.raises(InputError, match="a forced canary needs a reason"):
        canary(registry, "4", 10, force=True, try_out=tried)
    with pytest.raises(DataError, match="does not work"):
        canary(registry, "2", 10, try_out=broken)
    with pytest.raises(InputError, match="version 1 is champion"):
        canary(registry, "1", 10, try_out=tried)
    for percent in (-1, 100):
        with pytest.raises(InputError, match="is no share beside a champion"):
            canary(registry, "2", percent, try_out=tried)
    assert registry.aliased(CANARY) is None and not TRIED
    canary(registry, "4", 1, force=True, reason="to see it fail", try_out=tried)
    assert registry.get("4").tags[CANARY_WHY].endswith("forced: to see it fail")


def test_it_ends_when_asked_and_with_every_move_of_the_champion(registry: Registry) -> None:
    with pytest.raises(InputError, match="version 2 is no canary"):
        canary(registry, "2", 0)
    canary(registry, "2", 10, try_out=tried)
    ended = canary(registry, "2", 0)
    assert (ended.version, ended.percent) == (None, 0) and "version 1 has all requests" in ended.line
    assert registry.aliases() == {CHAMPION: "1"} and registry.get("2").tags[CANARY_PERCENT] == "0"
    canary(registry, "2", 10, try_out=tried)
    assert not promote(registry, "2", try_out=tried).notes, "a canary that is promoted is no loss"
    assert registry.aliases() == {CHAMPION: "2"}
    canary(registry, "3", 10, try_out=tried)
    move = rollback(registry, try_out=tried)
    assert "version 3 is no canary any more: it was one beside another champion" in move.notes
    assert registry.aliases() == {CHAMPION: "1"}


def test_without_a_champion_there_is_nothing_to_stand_beside(filled: Path, tmp_path: Path) -> None:
    shutil.copyfile(filled, tmp_path / "mlflow.db")
    with pytest.raises(InputError, match=r"no champion that a canary could stand beside.*photoshoot promote 2"):
        canary(Registry("photoshoot", f"sqlite:///{tmp_path}/mlflow.db"), "2", 10, try_out=tried)
