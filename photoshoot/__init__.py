"""photoshoot in Python: load a trained model, paint people in other poses, read a people data set.

    import photoshoot

    model = photoshoot.load("models:/photoshoot@champion")
    pictures = model.shoot(photoshoot.Photo("anna.jpg", "anna-iuv.png"), ["pose.png"])
    people = photoshoot.open_people("people")

Public are the names in `__all__`, with the parameters and attributes that their docstrings describe. They follow
semantic versioning: before 1.0 a minor version may change one, says so in CHANGELOG.md and, where that is possible,
keeps the old form with a `DeprecationWarning` for one minor version. `photoshoot.serving` is the code of registered
versions: what a version was registered with stays loadable. Everything else (`components`, `pipelines`, names that
begin with an underscore) is internal and may change at any time.

Importing this package takes milliseconds: torch is loaded with the first model, MLflow with the first address
``models:/...``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.core.errors import DataError, InputError, MachineError, PhotoshootError
    from components.core.people.dataset import PeopleDataset, Person, PersonRecord
    from photoshoot.model import Model, Pictures, load
    from photoshoot.people import open_people
    from photoshoot.photos import Photo, Picture, random_clothes

    __version__: str

__all__ = [
    "DataError",
    "InputError",
    "MachineError",
    "Model",
    "PeopleDataset",
    "Person",
    "PersonRecord",
    "Photo",
    "PhotoshootError",
    "Picture",
    "Pictures",
    "__version__",
    "load",
    "open_people",
    "random_clothes",
]

_FOUND_IN = {
    **dict.fromkeys(("Model", "Pictures", "load"), "photoshoot.model"),
    **dict.fromkeys(("Photo", "Picture", "random_clothes"), "photoshoot.photos"),
    "open_people": "photoshoot.people", "__version__": "photoshoot.version",
    **dict.fromkeys(("PeopleDataset", "Person", "PersonRecord"), "components.core.people.dataset"),
    **dict.fromkeys(("DataError", "InputError", "MachineError", "PhotoshootError"), "components.core.errors"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'photoshoot' has no attribute {name!r}")
    value = getattr(import_module(_FOUND_IN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
