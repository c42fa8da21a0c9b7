from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import InputError
from components.core.pictures.labels import read_labels

PHOTOS = ["anna/1.jpg", "anna/2.jpg", "ben/1.jpg", "ben/3.PNG", "Mrs. Smith.jpg"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    rows = [["Photo ", "identity", "remark, or not; so"], ["anna/1.jpg", "Zoë", ""], ["", "", ""],
            ["2", " b ", "x"], ["ben/3", "c"]]
    text = end.join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in rows)
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    assert read_labels(tmp_path / "labels.csv", PHOTOS) == {"anna/1.jpg": "Zoë", "anna/2.jpg": "b", "ben/3.PNG": "c"}


@pytest.mark.parametrize(("written", "meant"), [
    ("anna/1.jpg", "anna/1.jpg"), ("photos/anna/1.jpg", "anna/1.jpg"), ("./anna/1.jpg", "anna/1.jpg"),
    ("anna\\1.jpg", "anna/1.jpg"), ("anna/1", "anna/1.jpg"), ("2.jpg", "anna/2.jpg"), ("2", "anna/2.jpg"),
    ("ben/3.png", "ben/3.PNG"), ("Mrs. Smith", "Mrs. Smith.jpg"), ("1", None), ("1.jpg", None), ("3.jpg", ""),
    ("", ""),
])
def test_names_mean_the_only_photo_that_they_can(tmp_path: Path, written: str, meant: str | None) -> None:
    (tmp_path / "labels.csv").write_text(f"file,identity\n{written},somebody\n")
    if meant:
        assert read_labels(tmp_path / "labels.csv", PHOTOS) == {meant: "somebody"}
        return
    with pytest.raises(InputError, match=r"line 2 .*" + ("may be anna/1.jpg or ben/1.jpg" if meant is None else
                                                         "is not there")):
        read_labels(tmp_path / "labels.csv", PHOTOS)


def test_one_photo_under_two_names_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("photo;identity\nanna/2.jpg;a\n2;b\n")
    with pytest.raises(InputError, match="line 3: 2 has two identities, a and b"):
        read_labels(tmp_path / "labels.csv", PHOTOS)


@pytest.mark.parametrize("content", [b"", b"photo\nanna/2.jpg\n", b"name,who\n", codecs.BOM_UTF16_LE + b"p"])
def test_tables_without_the_columns(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"labels\.csv: (no columns photo and identity|not a readable CSV)"):
        read_labels(tmp_path / "labels.csv", PHOTOS)


@given(st.lists(st.sampled_from(["a", "b", "a/b"]), min_size=1, max_size=4, unique=True),
       st.sampled_from(["a", "b", "a/b"]))
def test_a_whole_name_always_means_its_photo(tmp_path_factory: pytest.TempPathFactory, names: list[str],
                                             one: str) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    path.write_text(f"photo,identity\n{one}.png,x\n")
    photos = [f"{name}.png" for name in names]
    if f"{one}.png" in photos:
        assert read_labels(path, photos) == {f"{one}.png": "x"}
