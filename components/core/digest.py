"""Digests of files, facts and code: how artifacts name what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import components

_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "scikit-learn", "mlflow", "kfp")
_CODE = {".py", ".json", ".html", ".css", ".js", ".yaml", ".safetensors"}


def file_digest(path: Path) -> str:
    """sha256 of a file's content, hex; read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_digest(content: Any) -> str:
    """sha256, hex, of what `json.dumps` can write; the order of keys does not matter, that of lists does."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_digest(*rooms: str, packages: Sequence[str] = ()) -> str:
    """Digest (16 hex digits) of the code in these folders of `components`, in `packages`, which lie beside it, and of
    the libraries that compute."""
    root = Path(components.__file__).parent
    digest = hashlib.sha256()
    for top, name in (*((root, room) for room in rooms), *((root.parent, package) for package in packages)):
        for path in sorted((top / name).rglob("*")):
            if path.suffix in _CODE:
                digest.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library}={_version(library)}\n".encode())
    return digest.hexdigest()[:16]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
