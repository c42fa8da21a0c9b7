"""What a visitor's page shows, as one JSON object. The script asks for it as long as something is under way."""

from __future__ import annotations

from typing import Any

from pipelines.studio.models import Models
from pipelines.studio.visitors import LOOKING, WAITING, Photo, Shoot, Visitor, Visitors
from pipelines.studio.worker import Worker


def state_of(visitor: Visitor, visitors: Visitors, models: Models, worker: Worker) -> dict[str, Any]:
    """Photos, pictures and models as they stand."""
    with visitors.lock:
        photos = list(visitor.photos.values())
        looking = any(photo.state in (WAITING, LOOKING) for photo in photos) or not visitor.surveyed
        shoots = list(visitor.shoots.values())
        return {
            "model": {"ready": models.ready, "problem": models.problem,
                      "choices": [{"value": one.value, "label": one.label} for one in models.choices()]},
            "photos": [_photo(photo) for photo in photos],
            "notes": list(visitor.notes), "supported": visitor.supported,
            "shoots": [_shoot(shoot, worker.ahead(shoot)) for shoot in reversed(shoots)],
            "queue": worker.length(),
            "busy": looking or not models.ready or any(shoot.under_way for shoot in shoots),
        }


def _photo(photo: Photo) -> dict[str, Any]:
    return {"id": photo.id, "name": photo.name, "kind": photo.kind, "state": photo.state, "problem": photo.problem,
            "remedy": photo.remedy, "notes": list(photo.notes)}


def _shoot(shoot: Shoot, ahead: int) -> dict[str, Any]:
    pictures = [{"id": one.id, "name": one.name, "title": one.title, "source": one.source,
                 "likeness": None if one.likeness is None else round(one.likeness, 2),
                 "alike": one.alike, "transparent": one.transparent} for one in shoot.results]
    return {"id": shoot.id, "number": shoot.number + 1, "state": shoot.state, "total": shoot.total,
            "tried": shoot.tried, "ahead": ahead, "size": shoot.size, "version": shoot.version,
            "notes": list(shoot.notes), "problem": shoot.problem, "remedy": shoot.remedy, "pictures": pictures}
