from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.core import progress


def _events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_track_reports_to_the_file_that_the_pipeline_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.PROGRESS_FILE, str(path))
    assert list(progress.track([1, 2, 3], label="work")) == [1, 2, 3]
    events = _events(path)
    assert events[0] == {"label": "work", "total": 3, "done": 0, "note": "", "closed": False}
    assert events[-1]["closed"] is True
    assert events[-1]["done"] == 3


def test_a_task_that_fails_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.PROGRESS_FILE, str(path))
    with pytest.raises(RuntimeError), progress.task("work", 10, done=4) as task:
        task.advance(2)
        raise RuntimeError
    assert _events(path)[-1]["closed"] is True
    assert _events(path)[-1]["done"] == 6


def test_a_log_gets_plain_lines_with_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    for _ in progress.track(range(2), label="work"):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("work: 1/2, about")
    assert "s left" in lines[0]


def test_an_event_without_a_listener_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    progress.event(step="train", state="started")
    assert capsys.readouterr() == ("", "")
