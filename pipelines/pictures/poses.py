"""The poses that there are, as a list, a picture or a page; and new ones learned from photos."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.errors import InputError
from components.core.pictures.images import encode_png, read_photo
from components.core.poses.library import library, tagged
from components.core.poses.pose import Pose, read_pose, written
from pipelines.home.folder import Home
from pipelines.pictures.shooting import OWN_POSES

_PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_STYLE = ("body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}"
          "main{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:1.2em}"
          "figure{margin:0}img{width:100%;background:#f6f6f6}code{font-weight:600}small{color:#555}"
          "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}small{color:#aaa}}")


def poses_of(home: Path, tags: Sequence[str]) -> list[Pose]:
    """The package's poses and the home folder's own that have all `tags`; the folder need not be there."""
    return list(tagged(tags, library(Home.place(home) / OWN_POSES)).values())


def write_sheet(poses: Sequence[Pose], out: Path) -> None:
    """Draw the poses as a mannequin: a picture, or for .html a page. Raises `InputError` for another ending."""
    from components.core.poses.physique import template_physique
    from components.core.poses.sheet import pose_sheet

    kind = out.suffix.lower()
    if kind == ".html":
        _write_page(poses, out)
    elif kind in _PICTURES:
        from PIL import Image

        sheet = Image.fromarray(pose_sheet(poses, template_physique()))
        with atomic_path(out) as temporary:
            sheet.save(temporary, format=_PICTURES[kind], quality=88)
    else:
        raise InputError("poses are drawn as a picture or a page", path=out,
                         remedy=f"choose a name that ends in {', '.join(_PICTURES)} or .html")


def learn_pose(home: Path, name: str, photo: Path, *, replace: bool = False) -> Path:
    """Learn the pose of the largest person of a photo and keep it in the home folder; returns its file.

    Raises `InputError` for a name that cannot be used or is taken, and for a photo without a usable person.
    """
    from components.core.estimation.estimate import best_estimate
    from components.core.fitting.fit import fit
    from components.core.poses.learn import learned

    folder = Home.at(home).root / OWN_POSES
    path = folder / f"{name}.yaml"
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 48 or name == "random":
        raise InputError(f"{name} cannot be a pose's name", remedy="use small letters, digits and hyphens")
    if name in library(folder) and not (replace and path.exists()):
        raise InputError(f"there is a pose {name} already",
                         remedy="choose another name" + ("" if not path.exists() else ", or add --replace"))
    pixels = read_photo(photo)
    try:
        found = best_estimate(pixels, 0.3)
    except InputError as error:
        raise InputError(error.problem, path=photo, remedy="bring one that shows a person in the pose") from None
    size = found.landmarks.mask.shape[0], found.landmarks.mask.shape[1]
    pose = learned(name, f"Learned from {photo.name}"[:100], found.landmarks, fit(found.landmarks, size), size)
    with atomic_path(path) as temporary:
        temporary.write_text(written(pose), encoding="utf-8")
    read_pose(path)
    return path


def _write_page(poses: Sequence[Pose], out: Path) -> None:
    from components.core.poses.drawing import mannequin
    from components.core.poses.physique import template_physique

    body = template_physique()
    figures = []
    for pose in poses:
        picture = base64.b64encode(encode_png(mannequin(pose, body, 240))).decode()
        title = html.escape(pose.title)
        figures.append(f'<figure><img alt="{title}" src="data:image/png;base64,{picture}"><figcaption><code>{pose.name}'
                       f"</code><br>{title}<br><small>{', '.join(pose.tags)}</small></figcaption></figure>")
    page = (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>Poses</title><style>{_STYLE}</style><h1>{len(poses)} poses</h1>"
            f"<main>{''.join(figures)}</main></html>")
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
