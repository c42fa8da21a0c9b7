"""What comes in from outside: hostile files, several visitors at once, limits, and what is counted of all that."""

import io
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from components.core.errors import InputError
from components.core.pictures.images import read_photo
from components.core.settings import PreprocessSettings
from components.core.shooting.sitting import look
from components.core.shooting.subjects import Subject
from pipelines.studio.limits import Limits
from tests.pipelines.studio.conftest import Client, Served

Come = Callable[[Served], Client]


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and is not."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


def saved(picture: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format=kind)
    return file.getvalue()


def folder_of(page: Served, somebody: Client) -> Path:
    (cookie,) = somebody.jar
    known = page.studio.visitors.known(str(cookie.value))
    assert known is not None
    return known.folder


def kept(page: Served, somebody: Client) -> list[Path]:
    return [path for path in folder_of(page, somebody).rglob("*") if path.is_file()]


def test_hostile_files_are_refused_in_preprocessing_s_words(page: Served, visitor: Come, photos: list[Path],
                                                            tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    good = photos[0].read_bytes()
    hostile = {
        "empty.jpg": b"", "cut.jpg": good[: len(good) // 2], "bomb.png": png_header(60_000, 60_000),
        "text.jpg": b"#!/bin/sh\nrm -rf /\n", "<img src=x onerror=alert(1)>.svg": b"<svg onload='alert(1)'/>",
        "nobody.png": saved(noise, "PNG"), "broken.heic": b"\0\0\0\x18ftypheic" + bytes(200),
        "moving.gif": saved(noise, "GIF"), "archive.zip": b"PK\x03\x04" + bytes(100), "../../etc/passwd": bytes(64),
    }
    somebody = visitor(page)
    names = list(hostile)
    for start in (0, 8):
        for name in names[start : start + 8]:
            somebody.bring(hostile[name], name=name)
        for photo in somebody.settled()["photos"]:
            path = tmp_path / "file"
            path.write_bytes(hostile[photo["name"]])
            with pytest.raises(InputError) as refused:
                look(Subject(path), PreprocessSettings())
            assert (photo["state"], photo["problem"], photo["remedy"]) == (
                "refused", refused.value.problem, refused.value.remedy or ""), photo["name"]
            assert somebody("DELETE", f"/api/photos/{photo['id']}")[0] == 200
    for name in ("text.jpg", "bomb.png"):
        somebody.bring(hostile[name], "background", name)
        (photo,) = somebody.settled()["photos"]
        path.write_bytes(hostile[name])
        with pytest.raises(InputError) as refused:
            read_photo(path)
        assert photo["problem"] == refused.value.problem
    assert somebody("POST", "/api/shoots", {})[0] == 409
    assert kept(page, somebody) == []


def test_what_is_too_large_too_many_or_not_a_wish_is_refused(page: Served, visitor: Come, photos: list[Path]) -> None:
    somebody = visitor(page)
    status, said = somebody("POST", "/api/photos/person", bytes(2_000_001))
    assert status == 413 and b"larger than the 2 MB" in said
    assert somebody("POST", "/api/photos/shoe", b"x")[0] == 404
    for wish in ({"size": 4096}, {"poses": ["../../secret"]}, {"count": 400}, {"count": 0}, {"version": "99"},
                 {"tag": "none"}, {"model": "/etc/passwd"}):
        assert somebody("POST", "/api/shoots", wish)[0] == 422, wish
    for _ in range(8):
        somebody.bring(photos[0].read_bytes()[:100])
    status, said = somebody("POST", "/api/photos/person", photos[0].read_bytes())
    assert status == 409 and b"8 photos are here already" in said
    assert somebody("POST", "/api/leave", b"")[0] == 200 and somebody("GET", "/api/state")[0] == 401


def test_two_visitors_at_once_never_see_each_other_s(page: Served, visitor: Come, photos: list[Path]) -> None:
    ann, bert = visitor(page), visitor(page)
    for one, photo in ((ann, photos[0]), (bert, photos[2])):
        one.bring(photo.read_bytes(), name=f"secret-{photo.stem}.jpg")
    for one in (ann, bert):
        assert [photo["state"] for photo in one.settled()["photos"]] == ["good"]
    clicks = [threading.Thread(target=one.said, args=("POST", "/api/shoots", {"count": 1, "size": 256}))
              for one in (ann, bert)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert sorted(one.state()["shoots"][0]["ahead"] for one in (ann, bert)) in ([0, 1], [0, 0])
    assert ann("POST", "/api/shoots", {"count": 1})[0] == 409  # one after the other
    states = [one.settled() for one in (ann, bert)]
    assert all(len(state["shoots"][0]["pictures"]) == 1 for state in states)
    for mine, theirs, other in ((ann, bert, states[0]), (bert, ann, states[1])):
        (photo,), (shoot,) = other["photos"], other["shoots"]
        private = [f"/photos/{photo['id']}/shown.webp", f"/photos/{photo['id']}/plain.webp",
                   f"/shoots/{shoot['id']}/pictures.zip",
                   *(f"/pictures/{one['id']}/{what}" for one in shoot["pictures"]
                     for what in ("small.webp", "large.png", "download"))]
        assert {mine("GET", path)[0] for path in private} == {200}
        assert {theirs("GET", path)[0] for path in private} == {404}
        assert {Client(page.address)("GET", path)[0] for path in private} == {401}
        assert theirs("DELETE", f"/api/photos/{photo['id']}")[0] == 404
        assert theirs("DELETE", f"/api/shoots/{shoot['id']}")[0] == 404
        assert theirs("POST", f"/api/shoots/{shoot['id']}/stop", b"")[0] == 404
        assert photo["name"] not in theirs("GET", "/api/state")[1].decode()
    folder = folder_of(page, ann)
    assert kept(page, ann) and folder.stat().st_mode & 0o777 == 0o700
    ann("POST", "/api/leave", b"")
    assert not folder.exists()
    assert bert("GET", f"/pictures/{states[1]['shoots'][0]['pictures'][0]['id']}/large.png")[0] == 200


def test_a_shoot_can_be_stopped_and_its_pictures_stay(page: Served, visitor: Come, photos: list[Path]) -> None:
    somebody = visitor(page)
    somebody.bring(photos[0].read_bytes())
    somebody.settled()
    shoot = somebody.said("POST", "/api/shoots", {"count": 16, "size": 256})["id"]
    while not (made := somebody.state()["shoots"][0]["pictures"]):
        pass
    assert somebody("POST", f"/api/shoots/{shoot}/stop", b"")[0] == 200
    (stopped,) = somebody.settled()["shoots"]
    assert stopped["state"] == "stopped" and len(made) <= len(stopped["pictures"]) < 16


def test_poses_are_drawn(page: Served, visitor: Come) -> None:
    somebody = visitor(page)
    status, picture = somebody("GET", "/poses/waving.webp")
    drawn = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
    assert status == 200 and 0.05 < (drawn < 200).mean() < 0.8
    assert somebody("GET", "/poses/nothing.webp")[0] == 404


def test_metrics_say_what_happened_and_nothing_of_whom(page: Served, visitor: Come) -> None:
    status, text = Client(page.address)("GET", "/metrics", Host="10.1.2.3:8080")
    families = {one.name: one for one in text_string_to_metric_families(text.decode())}
    assert status == 200 and text.endswith(b"# EOF\n") and b"jpg" not in text
    samples = {sample.name + str(sorted(sample.labels.values())): sample.value
               for family in families.values() for sample in family.samples}
    assert samples["photoshoot_studio_queue_length[]"] == 0
    named = ("shoots", "first_picture_seconds", "shoot_seconds", "likeness", "refusals", "queue_length")
    assert {f"photoshoot_studio_{name}" for name in named} <= set(families)
    visitor(page)("POST", "/api/photos/person", bytes(2_000_001))
    after = Client(page.address)("GET", "/metrics")[1].decode()
    (before,) = (value for name, value in samples.items() if name == "photoshoot_studio_refusals_total['size']")
    assert f'photoshoot_studio_refusals_total{{reason="size"}} {before + 1}' in after


def test_silent_visitors_are_forgotten_and_the_studio_fills_up(serve: Callable[..., object], visitor: Come) -> None:
    with serve(limits=Limits(visitors=2, stored_bytes=1000, idle_s=0.2)) as page:  # type: ignore[attr-defined]
        first, second = visitor(page), visitor(page)
        first.bring(b"x" * 600)
        assert second("POST", "/api/photos/person", b"x" * 600)[0] == 503
        second.bring(b"x" * 100)
        assert Client(page.address)("GET", "/")[0] == 503
        threading.Event().wait(0.3)
        page.studio.visitors.forget_silent()  # or the painter did already
        assert len(page.studio.visitors) == 0
        assert first("GET", "/api/state")[0] == 401 and Client(page.address)("GET", "/")[0] == 200
        assert not [path for path in page.folder.iterdir() if path.is_dir() and path.name != "home"]


@pytest.mark.endurance
def test_two_hundred_shoots_in_a_row(page: Served, visitor: Come, photos: list[Path]) -> None:
    def memory() -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    somebody = visitor(page)
    somebody.bring(photos[0].read_bytes())
    somebody.settled()
    taken = []
    for number in range(200):
        assert somebody("POST", "/api/shoots", {"count": 1, "size": 256})[0] == 202
        state = somebody.settled()
        assert state["shoots"][0]["state"] == "done", state["shoots"][0]
        assert len(state["shoots"]) <= 12
        if number % 20 == 19:
            taken.append(memory())
    assert max(taken[5:]) < min(taken[1:5]) + 60, taken
    assert len(kept(page, somebody)) == 2 + 12 * 2 + 1  # the photo and what shows it, and the last shoots' pictures
    folder = folder_of(page, somebody)
    somebody("POST", "/api/leave", b"")
    assert not folder.exists()
