from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster.byhand.overrides import Decision, check, read_overrides, ruling, write_overrides
from components.cluster.members import Member, names_of, read_members, splits_before, write_members
from components.core.errors import DataError, InputError


def together(*keys: str, name: str | None = None, what: str = "merge") -> Decision:
    return Decision(what, "2026-01-01T00:00:00+00:00", together=keys, name=name)


def apart(first: str, second: str, what: str = "split") -> Decision:
    return Decision(what, "2026-01-02T00:00:00+00:00", apart=(tuple(first), tuple(second)))


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    decisions = [together("a", "b", name="ann"), apart("ab", "c"), Decision("set-aside x", "now", aside=("x",))]
    path = tmp_path / "overrides.jsonl"
    assert read_overrides(path) == []
    write_overrides(path, decisions)
    assert read_overrides(path) == decisions


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"format": "photoshoot.overrides/9", "what": "", "when": ""}',
                                  '{"format": "photoshoot.overrides/1", "when": ""}',
                                  '{"format": "photoshoot.overrides/1", "what": "", "when": "", "together": "ab"}'])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "overrides.jsonl"
    write_overrides(path, [together("a", "b")])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match="line 2"):
        read_overrides(path)


@pytest.mark.parametrize("decisions", [
    [together("a", "b", what="merge A B"), together("b", "c", what="merge B C"), apart("a", "c", "split A c")],
    [apart("a", "c", "split A c"), together("a", "b", what="merge A B"), together("b", "c", what="merge B C")],
])
def test_contradictions_name_both(decisions: list[Decision]) -> None:
    with pytest.raises(InputError, match=r"(?s)contradict.*(merge B C.*split A c|split A c.*merge B C)"):
        check(decisions, "overrides.jsonl")


def test_two_names_for_one_person_contradict_unless_it_is_renamed() -> None:
    with pytest.raises(InputError, match=r"confirm 1.*confirm 2"):
        check([together("a", "b", name="ann", what="confirm 1"), together("b", "c", name="bea", what="confirm 2")], "f")
    check([together("a", "b", name="ann"), together("a", "b", "c", name="bea")], "f")


def test_what_a_ruling_says() -> None:
    keys = ["a", "b", "c", "d", "e", "f"]
    decisions = [together("a", "b", "gone", name="ann"), apart("ab", "cd"), together("e", name="eve"),
                 Decision("", "", aside=("f",))]
    found = ruling(decisions, keys)
    a, b, c, d, e, f = found.links.atom
    assert a == b != c == d != e and f == -1
    assert (a, c) in found.links.apart and ((a, e) in found.links.apart or (e, a) in found.links.apart)
    assert found.aside.tolist() == [False] * 5 + [True]
    assert found.names == {a: "ann", e: "eve"}
    assert not found.links.broken_by(np.asarray([0, 0, 1, 1, 2, 3]))
    assert found.links.broken_by(np.asarray([0, 0, 0, 1, 2, 3]))
    assert found.links.broken_by(np.asarray([0, 1, 2, 2, 3, 4]))


KEYS = st.text("abcdef0123456789", min_size=8, max_size=8)


@given(st.lists(KEYS, min_size=1, max_size=30, unique=True), st.integers(1, 5))
def test_names_do_not_depend_on_order_and_are_carried_over(keys: list[str], size: int) -> None:
    parts = [keys[start : start + size] for start in range(0, len(keys), size)]
    names = names_of(parts, {}, [])
    assert len(set(names)) == len(parts)
    backwards = names_of([part[::-1] for part in parts[::-1]], {}, [])
    assert backwards[::-1] == names
    # New photos with lesser digests, and new people: who was there keeps name and split.
    before = [Member("", "", key, name, "test", 1.0, None)
              for part, name in zip(parts, names, strict=True) for key in part]
    grown = [["00000", *part] if number == 0 else part for number, part in enumerate(parts)]
    after = names_of([["new-one"], *grown], {}, before)
    assert after[1:] == names and len(set(after)) == len(after)
    fixed = splits_before(dict(zip(after, [["new-one"], *grown], strict=True)), before)
    assert fixed == dict.fromkeys(names, "test")


def test_who_was_trained_on_stays_in_training() -> None:
    before = [Member("", "", key, "x", split, 1.0, None)  # type: ignore[arg-type]
              for key, split in (("a", "test"), ("b", "train"), ("c", "validation"))]
    assert splits_before({"one": ["a", "b", "c"], "two": ["a", "c"], "new": ["d"]}, before) == {
        "one": "train", "two": "validation"}


def test_members_come_back(tmp_path: Path) -> None:
    members = [Member("p", "p.png", "k", "ann", "train", 0.5, None), Member("q", "q.png", "l", None, None, 0.0, "no")]
    write_members(tmp_path, members)
    assert read_members(tmp_path) == members
    with pytest.raises(InputError, match=r"no members\.parquet"):
        read_members(tmp_path / "nothing")
    (tmp_path / "members.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged"):
        read_members(tmp_path)
