"""Shared by all tests: no telemetry, no threads that fight over two cores, no tracking unless a test sets it, and a
PostgreSQL server where its programs are installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from servers import postgres_server

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"

_OURS = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_PARENT_RUN_ID", "MLFLOW_EXPERIMENT_ID",
         "PHOTOSHOOT_PROGRESS", "PHOTOSHOOT_STATE", "PHOTOSHOOT_DEBUG", "PHOTOSHOOT_HOME", "PHOTOSHOOT_STUDIES")
_LONG = ("test_run.py", "test_moved.py", "test_plain.py", "test_fanout.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first: they take longest, and two processes share the tests."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in _LONG))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OURS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos that may not be shipped; tests that want them are skipped where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """postgres(name) makes an empty database on a server of our own; its SQLAlchemy URL."""
    with postgres_server() as server:
        yield server.database


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A real browser (playwright's Browser on Debian's chromium); tests that look at pages are skipped without it."""
    program = Path("/usr/bin/chromium")
    if not program.exists():
        pytest.skip("no /usr/bin/chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=str(program), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


@dataclass
class Look:
    """What a browser made of a page: complaints (console errors, pictures that did not decode), how far it is wider
    than the window, and the page itself."""

    page: Any
    complaints: list[str]
    too_wide: int


@pytest.fixture
def look(chromium: Any) -> Iterator[Callable[..., Look]]:
    """Open an address at a width and look."""
    pages = []

    def at(address: str, width: int, scheme: str = "light") -> Look:
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_load_state("load")
        complaints += page.evaluate(
            "[...document.images].filter(i => i.src && !i.naturalWidth).map(i => 'not decoded: ' + i.alt)")
        return Look(page, complaints, page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    yield at
    for page in pages:
        page.close()
