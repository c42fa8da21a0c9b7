from __future__ import annotations

import errno
from pathlib import Path

import pytest

from components.core.errors import DataError, InputError, MachineError, PhotoshootError, SettingsError, machine_errors


@pytest.mark.parametrize("kind", [PhotoshootError, InputError, SettingsError, MachineError, DataError])
def test_an_error_survives_the_way_to_another_process(kind: type[PhotoshootError]) -> None:
    error = kind("cannot be read", path=Path("a/b.png"), remedy="save it again")
    back = PhotoshootError.from_json(error.to_json())
    assert type(back) is kind
    assert str(back) == str(error) == "a/b.png: cannot be read -- save it again"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EADDRINUSE])
def test_what_the_machine_refuses_gets_a_remedy(code: int) -> None:
    with pytest.raises(MachineError) as raised, machine_errors("here"):
        raise OSError(code, "refused")
    assert raised.value.path == "here"
    assert raised.value.remedy


def test_other_os_errors_stay_what_they_are() -> None:
    with pytest.raises(ConnectionResetError), machine_errors("here"):
        raise ConnectionResetError(errno.ECONNRESET, "reset")
