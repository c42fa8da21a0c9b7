"""Shared by all tests: no telemetry, no threads that fight over two cores, no tracking unless a test sets it, and a
PostgreSQL server where its programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"

_OURS = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_PARENT_RUN_ID", "MLFLOW_EXPERIMENT_ID",
         "PHOTOSHOOT_PROGRESS", "PHOTOSHOOT_STATE", "PHOTOSHOOT_DEBUG", "PHOTOSHOOT_HOME", "PHOTOSHOOT_STUDIES")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first: they take longest, and two processes share the tests."""
    items.sort(key=lambda item: "test_run.py" not in item.nodeid)


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
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """postgres(name) makes an empty database on a server of our own; its SQLAlchemy URL."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("postgres")
    # The server refuses to run as root.
    user: list[str] = []
    if os.geteuid() == 0:
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        for path in (folder, *folder.parents[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*user, programs[-1], "-D", data, "-A", "trust", "-U", "tester", "--no-sync"], check=True, **quiet)
    server = subprocess.Popen([*user, programs[-1].with_name("postgres"), "-D", data, "-p", str(port), "-k", folder,
                               "-h", "127.0.0.1", "-c", "fsync=off"], **quiet)
    client = [programs[-1].with_name("psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "tester", "-d", "postgres"]

    def database(name: str) -> str:
        subprocess.run([*client, "-c", f'CREATE DATABASE "{name}"'], check=True, **quiet)
        return f"postgresql+psycopg://tester@127.0.0.1:{port}/{name}"

    try:
        deadline = time.monotonic() + 30
        while subprocess.run([*client, "-c", "SELECT 1"], **quiet).returncode:
            assert server.poll() is None and time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.1)
        yield database
    finally:
        server.send_signal(signal.SIGINT)  # does not wait for clients that still hold a connection
        server.wait(20)


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
