"""Files that settings name, pinned: by absolute path, as steps run elsewhere, and by content, as caches go by it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.core.artifacts.members import TABLE as MEMBERS
from components.core.digest import file_digest
from components.core.settings import Settings
from components.core.settings.data import NETWORK_FILES


def pinned(settings: Settings) -> Settings:
    """The settings with the local files that `cluster` and `evaluate` name made absolute, and digests beside them.

    Names of networks and gs:// addresses stay: what lies at an address is taken to stay the same.
    """
    cluster, evaluate = settings.cluster, settings.evaluate
    contents = [_content(cluster.overrides, ""), _content(cluster.previous, MEMBERS),
                _content(_network(cluster.embedder), "")]
    known = [content for content in contents if content]
    digest = hashlib.sha256(" ".join(known).encode()).hexdigest() if known else None
    return settings.model_copy(update={
        "cluster": cluster.model_copy(update={
            "overrides": _absolute(cluster.overrides), "previous": _absolute(cluster.previous),
            "embedder": _absolute(_network(cluster.embedder)) or cluster.embedder, "files_digest": digest}),
        "evaluate": evaluate.model_copy(update={
            "embedder": _absolute(_network(evaluate.embedder)) or evaluate.embedder}),
    })


def _network(name: str) -> str | None:
    return name if name.endswith(NETWORK_FILES) else None


def _absolute(path: str | None) -> str | None:
    return path if path is None or "://" in path else str(Path(path).absolute())


def _content(path: str | None, name: str) -> str | None:
    if path is None or "://" in path:
        return None
    file = Path(path) / name if name else Path(path)
    return file_digest(file) if file.is_file() else "absent"
