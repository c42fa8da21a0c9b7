"""The people data set: what its files are called. `components.core.people.dataset` says what is in them."""

from __future__ import annotations

FORMAT = "photoshoot.people/2"
HEADER, MANIFEST, SHARDS = "people.json", "manifest.parquet", "shards.parquet"
