"""The table beside the identities that knows people by what their photos hold (`components.cluster.members`)."""

from __future__ import annotations

FORMAT = "photoshoot.members/1"
TABLE = "members.parquet"
