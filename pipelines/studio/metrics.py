"""What happens on the page, as OpenMetrics: numbers only, nothing of anybody's photos."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 20, 30, 45, 60, 120)
_COSINES = (0.0, 0.1, 0.2, 0.3, 0.363, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)


class Metrics:
    """Of one page."""

    def __init__(self, queue: Callable[[], int], visitors: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self.shoots = Counter("photoshoot_studio_shoots", "Photoshoots by how they ended", ["outcome"],
                              registry=registry)
        self.pictures = Counter("photoshoot_studio_pictures", "Pictures that were painted", ["handed_over"],
                                registry=registry)
        self.photos = Counter("photoshoot_studio_photos", "Photos that were looked at", ["outcome"], registry=registry)
        self.refusals = Counter("photoshoot_studio_refusals", "Requests that were refused", ["reason"],
                                registry=registry)
        self.first = Histogram("photoshoot_studio_first_picture_seconds", "From the click to the first picture",
                               buckets=_SECONDS, registry=registry)
        self.seconds = Histogram("photoshoot_studio_shoot_seconds", "From the click to the last picture",
                                 buckets=_SECONDS, registry=registry)
        self.likeness = Histogram("photoshoot_studio_likeness", "SFace's cosine of pictures with the person's photos",
                                  buckets=_COSINES, registry=registry)
        self.loads = Counter("photoshoot_studio_model_loads", "Models that were loaded", ["outcome"], registry=registry)
        for name, meaning, value in (("queue_length", "Photoshoots that wait or are being painted", queue),
                                     ("visitors", "Visitors who are remembered", visitors)):
            Gauge(f"photoshoot_studio_{name}", meaning, registry=registry).set_function(value)
        for outcome in ("done", "failed", "stopped"):
            self.shoots.labels(outcome)
        for reason in ("host", "origin", "size", "login", "session", "room"):
            self.refusals.labels(reason)

    def text(self) -> bytes:
        """All of them in OpenMetrics' text format."""
        return bytes(generate_latest(self._registry))  # type: ignore[no-untyped-call]
