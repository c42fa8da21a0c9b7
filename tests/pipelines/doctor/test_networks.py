"""``photoshoot weights``: what it lists, and what `fetch` brings where to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from commands import called
from servers import Handler, gcs_emulator, http_server, url_of

from components.core.digest import file_digest
from components.core.settings import Settings
from components.core.stores import fetching, wanted
from components.core.stores import known_weights as room
from components.core.stores.known_weights import GROUPS, KNOWN, KnownWeights
from components.core.stores.storage import open_location
from components.preprocess.densepose.weights import PUBLISHED
from pipelines.doctor import weights as looked
from pipelines.doctor.finding import Level

CONTENT = {"one.tflite": b"one " * 100, "two.tflite": b"two " * 100}
Run = Callable[..., tuple[int, str, str]]


class _Site(Handler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        name = self.path.rpartition("/")[2]
        self.reply(200, CONTENT[name]) if name in CONTENT else self.reply(404)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """run("fetch", "one", ...) is `photoshoot weights ...`: exit code, output, errors. Known: one, two, and gone, which
    is not at its address."""
    monkeypatch.delenv(room.PLACE, raising=False)
    monkeypatch.setenv(room.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(fetching.time, "sleep", lambda _: None)
    monkeypatch.setitem(GROUPS, "both", ("one", "two"))
    _Site.asked.clear()

    with http_server(_Site) as server:
        for name in ("one", "gone", "two"):
            content = CONTENT.get(f"{name}.tflite", b"nowhere")
            monkeypatch.setitem(KNOWN, name, KnownWeights(
                f"{name}.tflite", hashlib.sha256(content).hexdigest(), f"{url_of(server)}/{name}.tflite", "MIT; free",
                size=len(content), needed_by="nothing"))
        yield partial(called, monkeypatch, capsys, "weights")


def listed(run: Run) -> dict[str, dict[str, Any]]:
    code, out, _ = run("--json")
    assert code == 0
    return {one["name"]: one for one in json.loads(out)["weights"]}


def test_every_network_is_listed_with_all_that_one_has_to_know(run: Run) -> None:
    before = listed(run)
    assert {*KNOWN, *PUBLISHED} < {*before} and len([one for one in before if one.startswith("builtin-")]) == 6
    for name, one in before.items():
        assert one["needed_by"] and one["licence"] and one["file"] and one["source"], name
        assert bool(one["address"]) != bool(one["get"]), name
        assert (one["where"] == "absent") == (not one["address"])
        assert one["size"] or name in PUBLISHED
        if one["where"] == "package":
            assert f"sha256:{file_digest(Path(one['address']))}" == one["digest"]
            assert Path(one["address"]).stat().st_size == one["size"]
    assert before["one"]["get"] == "photoshoot weights fetch one"
    assert run(*before["one"]["get"].split()[2:])[0] == 0
    after = listed(run)["one"]
    assert (after["where"], after["get"]) == ("cache", "")
    assert Path(after["address"]).read_bytes() == CONTENT[after["file"]]


def test_the_table_is_short_of_densepose_unless_all_is_asked_for(run: Run) -> None:
    run("fetch", "one")
    _, out, _ = run()
    lines = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert lines["one"].endswith("cache") and "not here: 127.0.0.1" in lines["two"] and "wheel mediapipe" in out
    assert len([line for line in lines if line in PUBLISHED]) == 1
    assert {*PUBLISHED} < {line.split()[0] for line in run("--all")[1].splitlines() if line.split()}


def test_what_is_here_is_not_fetched_again_and_a_group_is_all_of_it(run: Run, tmp_path: Path) -> None:
    assert run("fetch", "both")[0] == 0
    code, out, _ = run("fetch", "both", "one", "--json")
    folder = tmp_path / "cache" / "weights"
    assert code == 0 and json.loads(out)["weights"] == {"one": str(folder / "one.tflite"),
                                                        "two": str(folder / "two.tflite")}
    assert _Site.asked == ["/one.tflite", "/two.tflite"]
    assert run("fetch", "two,one")[1].splitlines() == [f"{name}: {folder / name}.tflite" for name in ("two", "one")]


def test_one_that_cannot_be_had_keeps_none_from_coming(run: Run, tmp_path: Path) -> None:
    code, out, error = run("fetch", "one", "gone", "two")
    assert code == 3 and "gone.tflite" in error and len(error.strip().splitlines()) == 1
    assert [line.split(":")[0] for line in out.splitlines()] == ["one", "two"]
    code, out, error = run("fetch", "onne")
    assert code == 2 and "did you mean one" in error


def test_a_file_that_is_not_what_it_should_be_has_its_own_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch,
                                                                    tmp_path: Path) -> None:
    monkeypatch.setitem(CONTENT, "one.tflite", b"something else")
    code, _, error = run("fetch", "one")
    assert code == 4 and "sha256" in error and not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_is_filled_for_machines_without_a_connection(run: Run, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own"
    (folder / "two.tflite").parent.mkdir()
    (folder / "two.tflite").write_bytes(b"torn")
    assert run("fetch", "both", "--to", str(folder))[0] == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    monkeypatch.setenv(room.PLACE, str(folder))
    assert listed(run)["one"]["where"] == "folder"
    (folder / "one.tflite").unlink()
    assert listed(run)["one"]["where"] == "absent"
    assert run("fetch", "one")[1].strip() == f"one: {folder / 'one.tflite'}"


def test_a_bucket_is_filled_and_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gcs_emulator("networks") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        place = "gs://networks/all"
        assert run("fetch", "one", "--to", place)[1].strip() == f"one: {place}/one.tflite"
        assert open_location(place).read_bytes("one.tflite") == CONTENT["one.tflite"]
        monkeypatch.setenv(room.PLACE, place)
        monkeypatch.setenv(room.CACHE, str(tmp_path / "other"))
        assert (listed(run)["one"]["where"], listed(run)["two"]["where"]) == ("bucket", "absent")
        assert run("fetch", "one")[0] == 0 and listed(run)["one"]["where"] == "cache"
        assert _Site.asked == ["/one.tflite"]


def test_without_a_name_it_brings_what_the_settings_need_for_photos(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "from_landmarks", lambda settings: True)
    monkeypatch.setitem(GROUPS, "landmarks", ("two",))
    assert wanted.wanted_weights(Settings()) == []
    assert wanted.wanted_weights(Settings(), photos=True)[-2:] == ["yunet", "sface"]
    monkeypatch.setattr(wanted, "_WITH_DETECTOR", {"sface": ()})
    assert run("fetch")[1].startswith("two: ") and run("fetch")[0] == 0
    monkeypatch.setattr(wanted, "from_landmarks", lambda settings: False)
    assert run("fetch") == (0, "these settings need no network that is not in the package\n", "")


def test_doctor_names_the_command_that_brings_what_is_missing(run: Run, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "from_landmarks", lambda settings: True)
    wheel = KNOWN["facemesh"].wheel
    names = [name for name in GROUPS["landmarks"] if name != "facemesh" and KNOWN[name].wheel == wheel]
    cached = tmp_path / "cache" / "weights" / KNOWN["facemesh"].file
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"torn")
    wrong, missing, faces = looked.weights(Settings(), photos=True)
    assert (wrong.level, wrong.what) == (Level.PROBLEM, "weights facemesh")
    assert (missing.level, missing.how_to_mend) == (Level.WARNING, f"photoshoot weights fetch {' '.join(names)}")
    assert (faces.level, faces.how_to_mend) == (Level.WARNING, "photoshoot weights fetch yunet sface")
    assert "MB" in missing.found and "mediapipe 0.10.21" in missing.found
    monkeypatch.setenv(room.PLACE, str(tmp_path))
    assert {one.level for one in looked.weights(Settings(), photos=True)} == {Level.PROBLEM}
    assert looked.weights(Settings()) == []
