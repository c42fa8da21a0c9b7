from pathlib import Path

import pytest

from components.core.settings import Settings
from pipelines.local.pinning import pinned


def test_files_become_absolute_and_their_content_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pinned(Settings()) == Settings()
    settings = Settings().with_changes(["cluster.overrides=own.jsonl", "cluster.embedder=net.onnx",
                                        "cluster.previous=gs://bucket/identities"])
    absent = pinned(settings).cluster
    assert absent.overrides == str(tmp_path / "own.jsonl") and absent.embedder == str(tmp_path / "net.onnx")
    assert absent.previous == "gs://bucket/identities"
    (tmp_path / "own.jsonl").write_text("{}\n")
    first = pinned(settings)
    assert first.cluster.files_digest not in (None, absent.files_digest)
    assert pinned(first) == first
    (tmp_path / "own.jsonl").write_text("{}\n{}\n")
    assert pinned(settings).cluster.files_digest != first.cluster.files_digest
