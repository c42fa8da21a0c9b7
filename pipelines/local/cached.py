"""KFP's cache of a home that can be moved: its keys and entries say where in the home an artifact lies, not where on
the machine. KFP's own have absolute paths, and a step's key has those of its inputs: elsewhere every step ran again."""

from __future__ import annotations

from typing import Any

from kfp.local import cache


def call_home(root: str, name: str) -> None:
    """Let KFP's local cache, in this process, call the folder `root` by `name`; see `moved_home.Record.cached_as`."""
    plain = cache.LocalCache
    # KFP's class calls its own static methods by its own name, which from here on means this one.

    class HomeCache(plain):  # type: ignore[misc,valid-type]
        @staticmethod
        def _serialize_artifact(artifact: Any) -> Any:
            return _named(plain._serialize_artifact(artifact), root, name)

        @staticmethod
        def _serialize_value_for_key(value: Any) -> Any:
            return _named(plain._serialize_value_for_key(value), root, name)

        @staticmethod
        def _deserialize_artifact(data: dict[str, Any]) -> Any:
            return plain._deserialize_artifact(_named(data, name, root))

    cache.LocalCache = HomeCache


def _named(value: Any, old: str, new: str) -> Any:
    """An artifact as JSON, with `new` for the folder `old` at the beginning of its address; others as they are."""
    uri = value.get("uri") if isinstance(value, dict) else None
    return {**value, "uri": new + uri[len(old):]} if isinstance(uri, str) and uri.startswith(f"{old}/") else value
