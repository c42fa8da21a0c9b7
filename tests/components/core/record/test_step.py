from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.core import progress
from components.core.artifacts.files import SUMMARY
from components.core.errors import DataError, InputError, MachineError, PhotoshootError
from components.core.record.attempts import ATTEMPTS, attempted
from components.core.record.step import AT_ONCE, STATE, state_address, step, tasks_at_once


@dataclass(frozen=True)
class _Summary:
    accepted: int


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.PROGRESS_FILE, str(path))
    return path


def _read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_step_tells_when_it_starts_and_ends_and_keeps_its_summary(events: Path, tmp_path: Path) -> None:
    with step("cluster", '{"k": 1}') as this:
        this.done(_Summary(3), tmp_path)
    assert [event["state"] for event in _read(events)] == ["started", "finished"]
    assert json.loads((tmp_path / SUMMARY).read_text()) == {"accepted": 3}


def test_a_known_failure_reaches_the_pipeline_as_itself(events: Path) -> None:
    with pytest.raises(InputError), step("cluster"):
        raise InputError("too few people", path="people", remedy="bring more")
    failed = _read(events)[-1]
    error = PhotoshootError.from_json(failed["error"])
    assert (failed["state"], type(error), str(error)) == ("failed", InputError, "people: too few people -- bring more")


def test_a_defect_is_told_apart_from_a_known_failure(events: Path) -> None:
    with pytest.raises(ZeroDivisionError), step("cluster"):
        _ = 1 / 0
    failed = _read(events)[-1]
    assert failed["state"] == "failed"
    assert "ZeroDivisionError" in failed["bug"]
    assert "error" not in failed


def test_a_full_disk_is_a_known_failure(events: Path) -> None:
    with pytest.raises(PhotoshootError), step("train"):
        raise OSError(28, "No space left on device", "model.safetensors")
    assert "model.safetensors" in _read(events)[-1]["error"]


def test_a_summary_must_be_a_dataclass(tmp_path: Path) -> None:
    with pytest.raises(TypeError), step("train") as this:
        this.done({"a": 1}, tmp_path)


def test_tasks_share_a_machine_only_where_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AT_ONCE, raising=False)
    assert tasks_at_once() == 1
    for told, meant in (("2", 2), ("0", 1), ("", 1), ("many", 1)):
        monkeypatch.setenv(AT_ONCE, told)
        assert tasks_at_once() == meant


@pytest.mark.parametrize(("value", "address"), [
    ("", None), ("/state", "/state"), ("gs://bucket/state", "gs://bucket/state")])
def test_state_is_a_folder_or_an_address(monkeypatch: pytest.MonkeyPatch, value: str, address: str | None) -> None:
    monkeypatch.setenv(STATE, value)
    assert state_address() == address


def test_a_task_of_a_loop_tries_again_where_a_service_was_away_and_nothing_else_was_wrong(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("components.core.record.attempts._WAITS_S", (0.0, 0.0))
    raised: list[Exception] = []

    def work() -> str:
        if raised:
            raise raised.pop()
        return "done"

    def away(count: int) -> None:
        raised[:] = [MachineError("MLflow does not answer", remedy="wait")] * count

    monkeypatch.setenv(ATTEMPTS, "6")
    away(5)
    assert attempted(work) == "done" and "MLflow does not answer -- wait; again in 0 s, 1 attempts left" in (
        capsys.readouterr().out)
    away(6)
    with pytest.raises(MachineError):
        attempted(work)
    raised[:] = [DataError("torn", remedy="again"), MachineError("away", remedy="wait")]
    with pytest.raises(DataError):
        attempted(work)
    monkeypatch.delenv(ATTEMPTS)
    away(1)
    with pytest.raises(MachineError):
        attempted(work)
