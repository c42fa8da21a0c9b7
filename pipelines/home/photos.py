"""The user's photo folder, as caches know it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.core.errors import InputError


def folder_digest(folder: Path) -> str:
    """Fingerprint of a photo folder by names, sizes and modification times of its files (not their content)."""
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, remedy="give --photos a folder of photos")
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
