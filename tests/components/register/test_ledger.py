"""What counts in the ledger, whoever writes in whatever order."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import InputError
from components.register.ledger import Entry, Journal, Ledger, checked_reason, journal_json, replay

Stored = list[tuple[int, str | None]]
NOTHING = Journal()


def entry(to: str, before: str | None = None, seen: Journal = NOTHING, action: str = "promote") -> Entry:
    head = seen.head
    after = (head.number, head.digest) if head else (0, "")
    return Entry(action, before, to, "somebody", "2026-01-01T00:00:00.000+00:00", "why", False, {}, *after)


def written(*made: tuple[str, str]) -> Stored:
    """A ledger of (action, version), each after the one before."""
    stored: Stored = []
    for number, (action, to) in enumerate(made, 1):
        seen = replay(stored)
        stored.append((number, entry(to, seen.champion, seen, action).to_text()))
    return stored


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_of_writers_who_saw_the_same_exactly_the_first_counts(moves: list[tuple[str, bool]]) -> None:
    """Writers look and write at any time; each entry counts exactly if nothing that counts came since they looked."""
    stored: Stored = []
    looked: dict[str, Journal] = {}
    expected: list[int] = []
    for writer, looks in moves:
        if looks or writer not in looked:
            looked[writer] = replay(stored)
            continue
        seen = looked[writer]
        number = len(stored) + 1
        if (seen.head.number if seen.head else 0) == (expected[-1] if expected else 0):
            expected.append(number)
        stored.append((number, entry(f"{number}", seen.champion, seen).to_text()))
    journal = replay(stored)
    assert [found.number for found in journal.counting] == expected
    assert len(journal.counting) + len(journal.late) == len(stored)
    assert journal.champion == (str(expected[-1]) if expected else None)
    assert not journal.complaints
    assert [found["counted"] for found in journal_json(journal)] == [k in expected for k in range(1, len(stored) + 1)]


def test_an_entry_written_twice_counts_once() -> None:
    stored = written(("promote", "1"))
    twice = entry("2", "1", replay(stored)).to_text()
    journal = replay([*stored, (2, twice), (3, twice)])
    assert journal.champion == "2" and [found.number for found in journal.late] == [3]


@pytest.mark.parametrize(("moves", "previous"), [
    ([], None), (["1"], None), (["1", "2"], "1"), (["1", "2", "3"], "2"), (["1", "2", "3", "<2"], "1"),
    (["1", "2", "3", "<2", "<1"], None), (["1", "2", "<1", "3"], "1"), (["1", "2", "1"], "2"),
])
def test_the_previous_champion_is_the_one_before_the_last_promotion_that_stands(
        moves: list[str], previous: str | None) -> None:
    made = [("rollback", move[1:]) if move[0] == "<" else ("promote", move) for move in moves]
    assert replay(written(*made)).previous == previous


def test_a_champion_from_before_the_ledger_is_the_first_that_one_can_go_back_to() -> None:
    journal = replay([(1, entry("4", "3").to_text())])
    assert (journal.champion, journal.previous) == ("4", "3")


def test_what_was_changed_or_deleted_is_noticed_and_the_rest_still_counts() -> None:
    stored = written(("promote", "1"), ("promote", "2"), ("promote", "3"))
    changed = json.loads(stored[1][1] or "")
    changed["who"] = "somebody else"
    journal = replay([stored[0], (2, json.dumps(changed)), stored[2]])
    assert journal.champion == "3" and journal.complaints == ("entry 2 was changed after it was written",)
    journal = replay([stored[0], stored[2]])
    assert journal.champion == "3" and journal.complaints == ("entry 2 was deleted",)
    journal = replay([stored[0], (2, None), stored[2]])
    assert journal.champion == "3" and "entry 2 was not written by photoshoot" in journal.complaints[0]


@given(st.one_of(st.none(), st.text(max_size=20), st.dictionaries(st.text(max_size=8), st.integers()).map(json.dumps)))
def test_what_is_no_entry_makes_no_champion(text: str | None) -> None:
    journal = replay([(1, text)])
    assert journal.champion is None and journal.complaints


def test_entries_read_back_as_they_were_written() -> None:
    one = replace(entry("1"), digests={"evaluation": "e" * 64}, why="because ü", forced=True)
    assert Entry.from_text(7, one.to_text()) == replace(one, number=7)


def test_a_reason_is_one_short_line() -> None:
    assert checked_reason("  two\nlines ") == "two lines"
    with pytest.raises(InputError, match="1000 characters"):
        checked_reason("x" * 1001)


def test_a_ledger_is_no_model() -> None:
    with pytest.raises(InputError, match="ledger of promotions"):
        Ledger("photoshoot-ledger", "sqlite:///nowhere.db")
