from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from servers import free_port

from components.core.errors import MachineError
from components.core.record import tracking
from components.core.record.tracking_errors import tracking_errors


def test_a_server_that_is_gone_is_the_machines_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MachineError, match=f"{url}: MLflow does not answer"), tracking_errors():
        tracking.client().get_run("0" * 32)


def test_a_store_without_space_is_the_machines_doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import _tracking_service

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    mlflow = tracking.client()
    run = mlflow.create_run("0").info.run_id
    size = sqlite3.connect(tmp_path / "store.db").execute("PRAGMA page_count").fetchone()[0]
    engine = _tracking_service.utils._get_store().engine
    from sqlalchemy import event

    # SQLite's own way to run out of space: no page more than there are.
    event.listen(engine, "checkout", lambda connection, *_: connection.execute(f"PRAGMA max_page_count = {size}"))
    with pytest.raises(MachineError, match="no space left on the disk of MLflow's store"), tracking_errors():
        for number in range(100):
            mlflow.set_tag(run, f"tag-{number}", "x" * 4000)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(MlflowException, match="no such run"), tracking_errors():
        raise MlflowException("no such run")
    with pytest.raises(KeyError), tracking_errors():
        raise KeyError("Connection refused")


def test_a_refusal_is_one_line_with_the_address_where_that_is_wanted() -> None:
    with pytest.raises(MachineError, match=r"^http://there: MLflow refused: no such run ") as told, \
            tracking_errors("http://there", refusals=True):
        raise MlflowException("no such run\nof a long story")
    assert "long story" not in str(told.value)
    with pytest.raises(MachineError, match=r"^http://there: MLflow does not answer"), \
            tracking_errors("http://there", refusals=True):
        raise MlflowException("API request failed with exception: Connection refused")
    with pytest.raises(KeyError), tracking_errors("http://there", refusals=True):
        raise KeyError("a mistake of ours")
