"""What visitors may ask for, how much of it, and for how long it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SIZES = (256, 512, 1024, 2048)
"""Sides of pictures that can be asked for, in pixels."""


@dataclass(frozen=True)
class Limits:
    """Of one page."""

    photo_bytes: int = 30_000_000
    photos: int = 8
    """Of the person; and as many of the clothes."""
    visitors: int = 32
    pictures: int = 16
    """That one click may ask for."""
    shoots: int = 12
    """Whose pictures are kept for a visitor; the oldest go first."""
    stored_bytes: int = 4_000_000_000
    """Of photos and pictures of all visitors together."""
    idle_s: float = 3600.0
    """After which a visitor who was not heard of is forgotten."""
    request_bytes: int = 65_536
    """Of a request that is not a photo."""
    ask_s: float = 60.0
    """How often the registry is asked for a new champion."""
    logins: int = 4
    """Wrong tokens that are looked at in the same second."""


class Wish(BaseModel):
    """What a visitor asks for with a click."""

    model_config = ConfigDict(extra="forbid")

    poses: list[str] = Field([], max_length=64)
    """Names; none: fitting ones."""
    tag: str = Field("", max_length=40)
    """Of poses that are chosen."""
    count: int = Field(8, ge=1)
    clothes: Literal["own", "photos", "random"] = "own"
    consent: bool = False
    """Whether whoever the clothes' photos show agrees."""
    background: Literal["studio", "transparent", "picture"] = "studio"
    size: Literal[256, 512, 1024, 2048] | None = None
    version: str = Field("", max_length=40)
