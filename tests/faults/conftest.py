"""Services that the faults take away: an MLflow server, a database, a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import GcsProxy, MlflowServer, PostgresServer, gcs_proxy, mlflow_server, postgres_programs, postgres_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PHOTOSHOOT_CONTAINERS" in os.environ:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="PHOTOSHOOT_CONTAINERS is not set: .ci/containers builds the "
                                                    "images and sets it"))


@pytest.fixture
def tracking_server(tmp_path: Path) -> Iterator[Callable[..., tuple[MlflowServer, str]]]:
    """tracking_server(store) starts an MLflow server; the service and its address."""
    with ExitStack() as running:
        def serve(store: str = "") -> tuple[MlflowServer, str]:
            server = running.enter_context(mlflow_server(tmp_path, store))
            return server, server.uri

        yield serve


@pytest.fixture
def database() -> Iterator[tuple[PostgresServer, str]]:
    """A PostgreSQL server of our own, started, with an empty database; the service and the database's URL."""
    assert postgres_programs(), "no PostgreSQL server here: apt-get install postgresql"
    with postgres_server() as server:
        yield server, server.database("mlflow")


@pytest.fixture
def bucket() -> Iterator[GcsProxy]:
    """gs://bucket, with faults."""
    with gcs_proxy("bucket") as proxy:
        yield proxy
