"""A folder of photos as a user would bring it, of people who do not exist."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core.artifacts.photos import LABELS, SYNTHETIC, SYNTHETIC_FORMAT, TRUE_PEOPLE, TRUTH
from components.core.atomic import atomic_folder
from components.core.errors import InputError
from components.core.pictures.images import encode_png
from components.core.progress import track
from components.core.settings import SynthesizeSettings
from components.synthesize.camera import BEST_JPEG, Camera
from components.synthesize.detector import detect
from components.synthesize.figure import build_figure
from components.synthesize.identity import sample_person, stream
from components.synthesize.render import Rendering, render_photo, sample_shot, width_of

_PNG_EFFORT = 4

Progress = Callable[[Iterable[list[dict[str, Any]]], str, int], Iterator[list[dict[str, Any]]]]


@dataclass(frozen=True)
class SynthesisSummary:
    """What was written: counts, the size of the (smallest) photos in pixels, and the middle head height as a share of
    theirs."""

    folder: Path
    people: int
    photos: int
    height: int
    width: int
    back_views: int
    median_head: float


def _report(items: Iterable[list[dict[str, Any]]], label: str, total: int) -> Iterator[list[dict[str, Any]]]:
    return track(items, label=label, total=total)


def synthesize(
    out: Path, settings: SynthesizeSettings, progress: Progress = _report, workers: int | None = None
) -> SynthesisSummary:
    """Write photos, exact pose maps and labels of `settings.people` identities to the folder `out`; photos without pose
    maps where `settings.write_maps` says so, as `settings.camera` takes them.

    The same settings give the same bytes, whatever the number of `workers` (all cores by default). The folder
    appears whole or not at all; one that this function wrote before is replaced, anything else is left alone.
    `progress(items, label, total)` passes on each person's photos as they are finished.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and ((out / SYNTHETIC).is_file() or not any(out.iterdir()))):
        raise InputError(
            "not empty and not written by synthesize", path=out, remedy="choose a new folder, or remove this one first"
        )
    blocked = next((parent for parent in out.parents if parent.exists() and not parent.is_dir()), None)
    if blocked:
        raise InputError("is a file, not a folder", path=blocked, remedy="choose another folder")
    with atomic_folder(out) as draft:
        facts = _write_people(draft, settings, progress, workers)
        _write_tables(draft, settings, facts)
    heads = [(f["head_box"][3] - f["head_box"][1]) / f.get("height", settings.height) for f in facts if f["head_box"]]
    return SynthesisSummary(
        folder=out, people=settings.people, photos=len(facts), height=settings.height, width=width_of(settings.height),
        back_views=sum(f["back"] for f in facts), median_head=float(np.median(heads)) if heads else 0.0,
    )  # fmt: skip


def _write_people(
    draft: Path, settings: SynthesizeSettings, progress: Progress, workers: int | None
) -> list[dict[str, Any]]:
    """Render everybody, in one process or in many; facts come back in the order of the identities."""
    for name in ("photos", "truth/matte", *_companions(settings)):
        (draft / name).mkdir(parents=True)
    indices = range(settings.first_person, settings.first_person + settings.people)
    workers = min(workers or len(os.sched_getaffinity(0)), settings.people)
    work = partial(_write_person, draft, settings)
    if workers <= 1:
        done = list(progress(map(work, indices), "synthesize people", settings.people))
    else:
        # "spawn": a forked child would inherit the parent's threads (OpenCV, torch) in an unknown state.
        with ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
        ) as pool:
            done = list(progress(pool.map(work, indices), "synthesize people", settings.people))
    return [fact for person in done for fact in person]


def _companions(settings: SynthesizeSettings) -> list[str]:
    """What lies beside the photos."""
    return [name for name, there in (("iuv", settings.write_maps), ("matte", settings.write_mattes),
                                     (TRUE_PEOPLE, settings.write_truth)) if there]


def photos_of(settings: SynthesizeSettings, index: int) -> Iterator[tuple[str, dict[str, Any], Rendering]]:
    """Stem, facts and photo of each picture of identity `index`, in memory. Pose maps are as `pose_noise` asks."""
    outfits = min(settings.outfits_per_person, settings.photos_per_person)
    person = sample_person(settings.seed, index, settings.outfits_per_person)
    for outfit in range(outfits):
        figure = build_figure(person, outfit)
        for number in range(outfit, settings.photos_per_person, outfits):
            rng = stream(settings.seed, index, 3, number)
            back = bool(rng.random() < settings.back_views)
            camera = Camera(settings, index, outfit, number)
            shot = sample_shot(figure, rng, camera.height(), back)
            photo = camera.develop(render_photo(figure, replace(shot, light=camera.light(shot.light))))
            noisy = detect(photo.iuv, stream(settings.seed, index, 4, number), settings.pose_noise)
            stem = f"person{index:05d}_{number:03d}"
            facts = {
                "photo": f"{stem}.jpg", "identity": f"person{index:05d}", "outfit": outfit, "yaw": round(photo.yaw, 2),
                "back": back, "head_box": photo.head_box, "hair": person.hair.style, "glasses": person.face.glasses,
            }  # fmt: skip
            if settings.camera.tallest > settings.height:
                facts["height"] = photo.rgb.shape[0]
            if settings.camera.jpeg < BEST_JPEG:
                facts["jpeg"] = camera.quality()
            yield stem, facts, replace(photo, iuv=noisy)


def _write_person(draft: Path, settings: SynthesizeSettings, index: int) -> list[dict[str, Any]]:
    facts = []
    for stem, fact, photo in photos_of(settings, index):
        # Writing bytes reports a full disk; `cv2.imwrite` would keep it to itself.
        rgb, iuv, matte = encode_photo(photo, fact.get("jpeg", BEST_JPEG))
        (draft / "photos" / f"{stem}.jpg").write_bytes(rgb)
        if settings.write_maps:
            (draft / "iuv" / f"{stem}.png").write_bytes(iuv)
        for folder in ("truth/matte", *(["matte"] if settings.write_mattes else [])):
            (draft / folder / f"{stem}.png").write_bytes(matte)
        if settings.write_truth:
            (draft / TRUE_PEOPLE / f"{stem}.png").write_bytes(encode_png(photo.own))
        facts.append(fact)
    return facts


def encode_photo(photo: Rendering, quality: int = BEST_JPEG) -> tuple[bytes, bytes, bytes]:
    """The photo as JPEG of a quality up to 100, its pose map and its matte as PNG."""
    _, rgb = cv2.imencode(".jpg", np.ascontiguousarray(photo.rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    png = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_EFFORT]
    _, iuv = cv2.imencode(".png", np.ascontiguousarray(photo.iuv[..., ::-1]), png)
    _, matte = cv2.imencode(".png", photo.matte, png)
    return rgb.tobytes(), iuv.tobytes(), matte.tobytes()


def _write_tables(draft: Path, settings: SynthesizeSettings, facts: list[dict[str, Any]]) -> None:
    facts.sort(key=lambda fact: str(fact["photo"]))
    with (draft / LABELS).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["photo", "identity"])
        table.writerows([fact["photo"], fact["identity"]] for fact in facts)
    truth = {"format": SYNTHETIC_FORMAT, "photos": facts}
    (draft / TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    marker = {"format": SYNTHETIC_FORMAT, "settings": _plain(settings), "photos": len(facts)}
    (draft / SYNTHETIC).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")


def _plain(settings: Any) -> dict[str, Any]:
    return dict(settings.model_dump()) if hasattr(settings, "model_dump") else asdict(settings)
