"""Checks run at once, none can end the others; clocks; the machine; packages."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from components.core.errors import MachineError
from pipelines.doctor import machine
from pipelines.doctor.checks import Check, run_checks
from pipelines.doctor.clock import clock
from pipelines.doctor.finding import Finding, Level, line, ok, problem, warning, worst_first
from pipelines.doctor.packages import against_pins, against_ranges, packages, requirements


def test_checks_run_at_once_and_none_ends_the_others() -> None:
    both = threading.Barrier(2, timeout=30)
    never = threading.Event()

    def meets() -> list[Finding]:
        both.wait()  # only passes while the other runs too
        return [ok("met", "yes")]

    def fails() -> list[Finding]:
        raise MachineError("the disk is full", path="/here", remedy="free some")

    def breaks() -> list[Finding]:
        raise ZeroDivisionError("a library's own")

    checks = [Check("a", meets), Check("b", meets), Check("c", fails), Check("d", breaks, "look"),
              Check("e", lambda: [ok("hung", str(never.wait()))], "unplug it")]
    found = run_checks(checks, 1.0)
    never.set()
    assert [(one.what, one.level) for one in found] == [
        ("met", Level.OK), ("met", Level.OK), ("c", Level.PROBLEM), ("d", Level.PROBLEM), ("e", Level.PROBLEM)]
    assert found[2].found == "/here: the disk is full" and found[2].how_to_mend == "free some"
    assert "ZeroDivisionError: a library's own" in found[3].found and found[3].how_to_mend == "look"
    assert found[4].found == "no answer within 1 s" and found[4].how_to_mend == "unplug it"


def test_the_worst_comes_first_and_passwords_not_at_all() -> None:
    found = [ok("a", "1"), warning("b", "2", "", ""), problem("c", "3", "", ""), ok("d", "4")]
    assert [one.what for one in worst_first(found)] == ["c", "b", "a", "d"]
    assert line("at postgresql://me:hunter2@host/db\n  it  broke") == "at postgresql://***@host/db it broke"


@pytest.mark.parametrize(("ahead", "level"),
                         [(0, Level.OK), (-20, Level.OK), (90, Level.WARNING), (-4000, Level.PROBLEM)])
def test_clocks(ahead: float, level: Level) -> None:
    now = 1_700_000_000.0
    (found,) = clock("MLflow", {"date": "Tue, 14 Nov 2023 22:13:20 GMT"}, now + ahead)
    assert found.level == level and f"{abs(ahead):.0f} s" in found.found
    assert clock("MLflow", {}) == [] == clock("MLflow", {"Date": "yesterday"})


def test_a_home_that_cannot_be_is_named_and_a_good_one_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (there,) = machine.disk(tmp_path / "file" / "home")
    assert there.level == Level.PROBLEM and "is a file" in there.found
    (there,) = machine.disk(tmp_path / "new" / "home", free=1 << 40)
    assert there.level == Level.OK and list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(("free", "level"), [(1 << 28, Level.PROBLEM), (3 << 30, Level.WARNING), (1 << 36, Level.OK)])
def test_a_disk_that_is_nearly_full_is_named(free: int, level: Level, tmp_path: Path) -> None:
    (there,) = machine.disk(tmp_path, free)
    assert there.level == level and "GiB free" in there.found
    assert ("free some space" in there.how_to_mend) == (level is not Level.OK)


def test_little_memory_and_an_old_python_are_named() -> None:
    assert machine.memory(1 << 30).level == Level.WARNING and machine.memory(1 << 34).level == Level.OK
    assert machine.python((3, 9, 1)).level == Level.PROBLEM and machine.python((3, 12, 0)).level == Level.OK


ASKED = ["numpy>=2,<3", 'torch>=2.7; extra == "train"', 'photoshoot[train]; extra == "all"',
         'absent>=1; extra == "all"']


def test_an_extra_brings_those_it_is_made_of() -> None:
    assert {one.name for one in requirements(ASKED, "all")} == {"numpy", "torch", "absent"}
    assert {one.name for one in requirements(ASKED, "train")} == {"numpy", "torch"}


def test_missing_and_wrong_packages_are_named() -> None:
    wanted = [Requirement("one>=2,<3"), Requirement("two"), Requirement("three>=1")]
    found = against_ranges(wanted, {"one": "3.1", "two": None, "three": "1.0rc1"})
    assert [(one.what, one.found) for one in found] == [("package one", "3.1"), ("package two", "not installed"),
                                                       ("package three", "1.0rc1")]
    assert all(one.level == Level.PROBLEM for one in found)
    (fine,) = against_ranges(wanted[:1], {"one": "2.5"})
    assert fine.level == Level.OK


def test_versions_other_than_the_tested_ones_are_a_warning() -> None:
    (found,) = against_pins("One_x==1.0\ntwo==2.0\n", {"one-x": "1.1", "two": "2.0+cpu", "three": "9"})
    assert found.level == Level.WARNING and "one-x 1.1 (tested 1.0)" in found.found and "1 differ" in found.found
    assert against_pins("", {"two": "1"}) == []


def test_this_installation_is_as_asked_for() -> None:
    assert not [one for one in packages(on_kubeflow=False) if one.level == Level.PROBLEM]
