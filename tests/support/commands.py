"""The command line in the test's own process."""

import sys

import pytest

from pipelines.cli import main


def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
           ) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``photoshoot ARGUMENTS``."""
    monkeypatch.setattr(sys, "argv", ["photoshoot", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main()
    sys.stdout.flush()  # what waits behind the mask for the end of its line
    sys.stderr.flush()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err
