from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import gcs_emulator

from components.core.errors import DataError, InputError, MachineError
from components.core.stores import storage
from components.core.stores.storage import GcsLocation, LocalLocation, Location, is_remote, mirror, open_location

BUCKET = "pictures"


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with gcs_emulator(BUCKET) as url:
        yield url


@pytest.fixture(params=["folder", "gs"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    """The same tests for both kinds."""
    if request.param == "folder":
        yield open_location(tmp_path / "there")
        return
    host = request.getfixturevalue("emulator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", host)
        place = open_location(f"gs://{BUCKET}/{request.node.name.replace('[', '-').replace(']', '')}/below/")
        assert isinstance(place, GcsLocation)
        yield place


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


FILES = {"people.json": b"{}", "shard-0.tar": bytes(range(256)) * 5000, "sub/a b.txt": "ä".encode(), "sub/deep/x": b"x",
         **{f"many/{number:03d}": str(number).encode() for number in range(70)}}


def test_files_are_written_read_and_listed(location: Location) -> None:
    assert not location.exists() and location.list() == []
    location.write_bytes("a/one.txt", b"1")
    location.write_bytes("b/two.txt", b"22")
    location.write_bytes("a/one.txt", b"111")
    assert location.list() == ["a/one.txt", "b/two.txt"]
    assert location.list("a/") == ["a/one.txt"]
    assert location.exists() and location.exists("a/one.txt") and not location.exists("a")
    assert location.read_bytes("a/one.txt") == b"111"
    with pytest.raises(InputError, match="no file c") as caught:
        location.read_bytes("c")
    assert location.uri in str(caught.value)


def test_folders_go_there_and_back(location: Location, tmp_path: Path) -> None:
    source = make(tmp_path / "source", FILES)
    (source / ".half-written.partial-3").write_bytes(b"?")
    assert location.upload(source) == len(FILES)
    assert location.list() == sorted(FILES)
    assert location.download(tmp_path / "back") == len(FILES)
    back = {path.relative_to(tmp_path / "back").as_posix(): path.read_bytes()
            for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert back == FILES
    assert sorted(path.name for path in tmp_path.iterdir() if "partial" in path.name) == []


def test_a_single_file_is_uploaded_by_its_name(location: Location, tmp_path: Path) -> None:
    assert location.upload(make(tmp_path, {"one.txt": b"1"}) / "one.txt") == 1
    assert location.list() == ["one.txt"]


def test_a_download_replaces_the_folder(location: Location, tmp_path: Path) -> None:
    location.write_bytes("new", b"n")
    make(tmp_path / "back", {"old": b"o"})
    location.download(tmp_path / "back")
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["new"]


def test_nothing_there_is_an_error_and_leaves_nothing(location: Location, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no files there"):
        location.download(tmp_path / "back")
    with pytest.raises(InputError, match="no such file or folder"):
        location.upload(tmp_path / "gone")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(InputError, match="no files there"):
        location.upload(tmp_path / "hollow")
    assert not (tmp_path / "back").exists() and not location.exists()


def test_an_interrupted_download_leaves_nothing_that_looks_whole(
        location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location.upload(make(tmp_path / "source", FILES))

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if isinstance(location, LocalLocation):
        monkeypatch.setattr(storage.shutil, "copyfile", interrupt)
    else:
        monkeypatch.setattr(storage, "_check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        location.download(tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("back")) == []


def test_an_upload_ends_with_the_header(location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers look for people.json: while it is missing, half an upload is not taken for a data set."""
    monkeypatch.setattr(storage, "_AT_ONCE", 8)
    source = make(tmp_path / "source", FILES)
    seen = []

    class Watch:
        def advance(self, amount: int = 1, note: str = "") -> None:
            seen.append((len(location.list()), location.exists("people.json")))

        def __enter__(self) -> "Watch":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(storage, "task", lambda *_: Watch())
    location.upload(source)
    assert len(seen) > 8
    assert [count for count, there in seen if there] == [len(FILES)]


def test_damage_on_the_way_is_found(emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud.storage import transfer_manager

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    place = open_location(f"gs://{BUCKET}/damage")
    place.write_bytes("a", b"whole")
    real = transfer_manager.download_many

    def damaging(pairs: list[tuple[object, str]], **options: object) -> object:
        results = real(pairs, **options)
        Path(pairs[0][1]).write_bytes(b"whale")
        return results

    monkeypatch.setattr(transfer_manager, "download_many", damaging)
    with pytest.raises(DataError, match="CRC32C") as caught:
        place.download(tmp_path / "back")
    assert f"gs://{BUCKET}/damage/a" in str(caught.value)
    assert not (tmp_path / "back").exists()


def test_a_failure_that_the_transfer_manager_only_returns_is_raised(
        emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud.storage import transfer_manager

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    place = open_location(f"gs://{BUCKET}/returned")
    place.write_bytes("a", b"1")
    monkeypatch.setattr(transfer_manager, "download_many", lambda *_, **__: [ConnectionError("gone")])
    with pytest.raises(MachineError, match="does not answer"):
        place.download(tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["../out.txt", "x/../../out.txt", "/out.txt"])
def test_names_cannot_lead_out_of_the_folder(
        emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Object names can be anything (this emulator refuses such ones, so the name is put in on the way back)."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    place = open_location(f"gs://{BUCKET}/evil")
    place.write_bytes("innocent", b"out")
    monkeypatch.setattr(GcsLocation, "_name", lambda *_: name)
    with pytest.raises(DataError, match="leads out"):
        place.download(tmp_path / "back")
    with pytest.raises(DataError, match="leads out"):
        open_location(tmp_path / "folder").write_bytes(name, b"out")
    assert not list(tmp_path.iterdir())


def test_a_missing_bucket_is_named(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    with pytest.raises(InputError, match="no such bucket") as caught:
        open_location("gs://nobodys/x").list()
    assert "gs://nobodys/x" in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://bucket/x", "gs://", "http://example.org/x"])
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        open_location(uri)


def test_naming_a_location_needs_no_connection() -> None:
    assert open_location("gs://bucket/some/path/").uri == "gs://bucket/some/path"
    assert open_location("some/folder").uri == "some/folder"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


def test_a_mirror_fetches_what_is_new_and_drops_what_is_gone(location: Location, tmp_path: Path) -> None:
    location.upload(make(tmp_path / "source", FILES))
    assert mirror(location, tmp_path / "copy") == len(FILES) and contents(tmp_path / "copy") == FILES
    assert mirror(location, tmp_path / "copy") == 0
    location.write_bytes("sub/deep/x", b"xy")
    location.write_bytes("new", b"n")
    (tmp_path / "copy" / "people.json").write_bytes(b"altered here")
    (tmp_path / "copy" / "many" / "003").unlink()
    (tmp_path / "copy" / "stray").write_bytes(b"not there")
    assert mirror(location, tmp_path / "copy") == 4
    assert contents(tmp_path / "copy") == {**FILES, "sub/deep/x": b"xy", "new": b"n"}


def test_an_interrupted_mirror_goes_on_where_it_stopped(
        location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_AT_ONCE", 8)
    location.upload(make(tmp_path / "source", FILES))
    kind, batches = type(location), []
    real = kind.fetch

    def interrupted(self: Location, names: list[str], to: Path, shown: object = None) -> None:
        batches.append(len(names))
        if len(batches) == 3:
            raise KeyboardInterrupt
        real(self, names, to, shown)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mirror(location, tmp_path / "copy")
    there = contents(tmp_path / "copy")
    assert len(there) == 16 and there.items() <= FILES.items()
    assert mirror(location, tmp_path / "copy") == len(FILES) - 16
    assert contents(tmp_path / "copy") == FILES


def test_single_files_are_fetched(location: Location, tmp_path: Path) -> None:
    location.upload(make(tmp_path / "source", FILES))
    location.fetch(["sub/deep/x", "people.json"], tmp_path / "some")
    assert contents(tmp_path / "some") == {name: FILES[name] for name in ("sub/deep/x", "people.json")}
    with pytest.raises(InputError, match="no file gone"):
        location.fetch(["people.json", "gone"], tmp_path / "other")
    assert "gone" not in contents(tmp_path / "other")


def test_an_address_survives_being_a_path() -> None:
    assert open_location(Path("gs://bucket/some/path")).uri == "gs://bucket/some/path"
    assert is_remote(Path("gs://bucket/x")) and is_remote("gs://bucket/x")
    assert not is_remote(Path("some/folder")) and not is_remote("gs:/folder")
