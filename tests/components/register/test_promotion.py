"""Promotion and rollback: what is asked for before an alias moves, what is written, what is mended. On sqlite."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import mlflow
import numpy as np
import pytest
from recording import TRIED, bare_store, broken, record, tried

from components.core.errors import DataError, InputError
from components.core.record import custody
from components.core.record.registry import CHAMPION
from components.register import promotion
from components.register.ledger import Ledger
from components.register.promotion import COMPARED, Overtaken, promote, rollback, standing
from components.register.registry import Registry


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def registry(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A store of one's own."""
    TRIED.clear()
    shutil.copyfile(filled, tmp_path / "mlflow.db")
    monkeypatch.setattr(promotion, "example", lambda *_: {"source_photo": b""})
    return Registry("photoshoot", f"sqlite:///{tmp_path}/mlflow.db")


def test_a_promotion_is_tried_written_and_shown(registry: Registry) -> None:
    move = promote(registry, "1", try_out=tried)
    assert (move.champion, move.before, move.entry) == ("1", None, 5)  # after the records of four registrations
    assert TRIED == ["models:/photoshoot/1"]
    assert registry.aliased(CHAMPION) == "1"
    (entry,) = Ledger("photoshoot", registry.uri).read().counting
    assert (entry.before, entry.to, entry.why, entry.forced) == (None, "1", "passed the gate", False)
    tags = registry.get("1").tags
    assert entry.digests == {"evaluation": tags["digest.evaluation"], "model": tags["digest.model"], "people": "p",
                             "code": "c"}
    assert entry.who and entry.when.endswith("+00:00")
    again = promote(registry, "champion", try_out=broken)  # nothing to do, so nothing is tried
    assert again.entry is None and "already" in again.line


def test_a_gate_that_was_not_passed_needs_force_and_force_a_reason(registry: Registry) -> None:
    with pytest.raises(InputError, match=r"version 4 may not be promoted: its gate failed 1 of 19.*--force"):
        promote(registry, "4", try_out=tried)
    with pytest.raises(InputError, match="needs a reason"):
        promote(registry, "4", force=True, reason=" ", try_out=tried)
    assert registry.aliased(CHAMPION) is None and not TRIED
    registry.tag("3", {"verdict": "not judged", "verdict.summary": "not judged, too little evidence on pairs"})
    with pytest.raises(InputError, match=r"version 3 may not be promoted: it was not judged, too little.*more people"):
        promote(registry, "3", try_out=tried)
    move = promote(registry, "4", force=True, reason="the demo is tonight", try_out=tried)
    (entry,) = standing(registry).journal.counting
    assert move.champion == "4" and entry.forced and entry.why == "the demo is tonight"


def test_force_is_noted_only_where_it_was_needed(registry: Registry) -> None:
    promote(registry, "1", force=True, reason="to be sure", try_out=tried)
    assert not standing(registry).journal.counting[0].forced


def test_evidence_against_another_champion_is_stale(registry: Registry) -> None:
    promote(registry, "1", try_out=tried)
    with pytest.raises(InputError, match=r"compared with no champion, but version 1 is champion now.*photoshoot run"):
        promote(registry, "2", try_out=tried)
    registry.tag("2", {COMPARED: "1"})  # a tag proves nothing
    with pytest.raises(InputError, match=r"compared with no champion, but version 1 is champion now"):
        promote(registry, "2", try_out=tried)
    record(registry, "2", champion="1")
    assert promote(registry, "2", try_out=tried).champion == "2"


def test_a_version_that_does_not_work_moves_nothing(registry: Registry) -> None:
    promote(registry, "1", try_out=tried)
    with pytest.raises(DataError, match="no such layer"):
        promote(registry, "2", force=True, reason="try", try_out=broken)
    assert registry.aliased(CHAMPION) == "1" and len(standing(registry).journal.counting) == 1
    with pytest.raises(InputError, match="no version 9"):
        promote(registry, "9", try_out=tried)


def test_rollback_goes_back_one_promotion_at_a_time(registry: Registry) -> None:
    with pytest.raises(InputError, match="no previous champion"):
        rollback(registry, try_out=tried)
    for version in "123":
        promote(registry, version, force=True, reason="test", try_out=tried)
    assert [rollback(registry, try_out=tried).champion for _ in range(2)] == ["2", "1"]
    assert registry.aliased(CHAMPION) == "1"
    with pytest.raises(InputError, match="no previous champion"):
        rollback(registry, try_out=tried)
    actions = [(entry.action, entry.before, entry.to) for entry in standing(registry).journal.counting[-2:]]
    assert actions == [("rollback", "3", "2"), ("rollback", "2", "1")]
    assert TRIED[-1] == "models:/photoshoot/1"  # a champion of last year may not load any more


def test_an_alias_left_behind_or_moved_by_hand_is_set_right_by_whoever_looks(registry: Registry) -> None:
    for version in "12":
        promote(registry, version, force=True, reason="test", try_out=tried)
    registry.point(CHAMPION, "1")  # as after a crash between the ledger and the alias, or by hand
    now = standing(registry)
    assert now.champion == "2" == registry.aliased(CHAMPION)
    assert "pointed to version 1" in now.notes[0] and not standing(registry).notes


def test_a_champion_that_was_deleted_is_nobody_until_the_next_promotion(registry: Registry) -> None:
    for version in "12":
        promote(registry, version, force=True, reason="test", try_out=tried)
    mlflow.MlflowClient(registry.uri).delete_model_version("photoshoot", "2")
    now = standing(registry)
    assert now.champion is None and "version 2, the champion, was deleted" in now.notes[0]
    assert rollback(registry, try_out=tried).champion == "1" == registry.aliased(CHAMPION)


def test_a_champion_that_was_set_before_there_was_a_ledger_stays_and_can_be_gone_back_to(
        registry: Registry, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = mlflow.MlflowClient(registry.uri)
    client.delete_registered_model("photoshoot-ledger")
    for number in "1234":
        client.delete_model_version_tag("photoshoot", number, "photoshoot.record")
    client.delete_registered_model_tag("photoshoot", "photoshoot.ledger")
    registry.point(CHAMPION, "3")
    monkeypatch.setattr(promotion, "known_code", lambda: {custody.digests_of(filled.parent / "1")["pyfunc_model.py"]})
    assert standing(registry).champion == "3" and not standing(registry).notes
    assert promote(registry, "1", force=True, reason="test", try_out=tried).before == "3"
    assert rollback(registry, try_out=tried).champion == "3"


def test_who_comes_second_is_told_who_came_first(registry: Registry) -> None:
    def meanwhile(uri: str, tracking_uri: str, pictures: Mapping[str, bytes]) -> np.ndarray:
        promote(registry, "2", force=True, reason="I was faster", try_out=tried)
        return tried(uri, tracking_uri, pictures)

    with pytest.raises(Overtaken, match=r"another promotion came first.*version 2.*I was faster"):
        promote(registry, "1", try_out=meanwhile)
    assert registry.aliased(CHAMPION) == "2"
    journal = standing(registry).journal
    assert [entry.to for entry in journal.counting] == ["2"] and [entry.to for entry in journal.late] == ["1"]
