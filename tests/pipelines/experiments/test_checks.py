"""The table of checks in docs/security.md: it is up to date, and names code and tests that are there."""

from __future__ import annotations

import re

import pytest

from pipelines.experiments import checks


def test_the_committed_page_has_the_table_of_today() -> None:
    text = checks.PAGE.read_text(encoding="utf-8")
    assert checks.page(text) == text, "`make reference`"


def test_the_code_that_it_names_is_there() -> None:
    for check in (check for group in checks.CHECKS.values() for check in group):
        assert check.tests
        for place in check.code:
            path, _, name = place.partition(":")
            text = (checks.ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^\s*(def |class ){name}\b", text, re.MULTILINE), place


def test_a_test_that_is_not_there_is_noticed() -> None:
    with pytest.raises(ValueError, match="no test test_nothing"):
        checks._test("tests/pipelines/experiments/test_checks.py:test_nothing")
