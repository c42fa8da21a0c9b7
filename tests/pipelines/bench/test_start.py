"""The bench of cold starts: what is made of the times, and that a command that fails is no fast one."""

import subprocess

import pytest

from pipelines.bench.start import ROWS, markdown, metrics, processor_time


def test_ratios_are_taken_within_a_round() -> None:
    """The machine is twice as slow in the second round and stalls once: neither shows in the ratios."""
    rounds = [{"python": 0.02 * slow, "torch": 1.0 * slow, "shoot": 1.5 * slow * stalled}
              for slow, stalled in ((1, 1), (2, 1), (1, 40))]
    found = metrics(rounds)
    assert found["shoot_over_torch"] == pytest.approx(1.5) and found["shoot_over_python"] == pytest.approx(75)
    assert found["torch_s"] == 1 and found["python_over_python"] == 1


def test_the_page_has_a_row_for_each_command() -> None:
    page = markdown(metrics([dict.fromkeys(ROWS, 0.5)]))
    assert [line.split(" | ")[0].strip("| ") for line in page.splitlines()[2:]] == list(ROWS.values())
    assert "| 0.50 | 1.0 | 1.00 |" in page


def test_a_command_that_fails_is_not_measured() -> None:
    assert processor_time(["-c", "pass"]) > 0
    with pytest.raises(subprocess.CalledProcessError):
        processor_time(["-c", "raise SystemExit(1)"])
