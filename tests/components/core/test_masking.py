"""What is secret in a text, and that everything that is said goes through the mask."""

from __future__ import annotations

import ast
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st

import components
from components.core.errors import InputError, PhotoshootError
from components.core.masking import Masking, has_secret, masked, shown, without_account

ROOT = Path(components.__file__).parents[1]
WORD = "hunter2-Zq9"


@pytest.mark.parametrize("text", [
    f"MLflow at http://alice:{WORD}@127.0.0.1:9/x", f"http://alice:a@b{WORD}@host", f"https://{WORD}@host/path",
    f"postgresql+psycopg://alice:{WORD}@db/studies?sslmode=require", f"http:/alice:{WORD}@x/y",
    f"gs://bucket/photos?access_token={WORD}", f"https://h/p?a=1&X-Goog-Signature={WORD}&b=2", f"x#id_token={WORD}",
    f"host=db password={WORD} user=alice", f"host=db password = '{WORD} {WORD}'", f"Authorization: Bearer {WORD}",
    f"Authorization: Basic {WORD}==", f"--token={WORD}", f"http://proxy:{WORD}@10.0.0.1:3128",
])
def test_what_is_secret_by_its_form_is_taken_out(text: str) -> None:
    assert WORD not in masked(text) and "***" in masked(text) and has_secret(text)
    error = InputError(text, path=text, remedy=text)
    told = PhotoshootError.from_json(error.to_json())
    assert WORD not in f"{error} {error.to_json()} {error.args} {error.path} {told}"


@pytest.mark.parametrize("text", [
    "models:/photoshoot@champion", "gs://bucket/people/anna.jpg", "registry.example/team/train@sha256:0123456789abcdef",
    "http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning", "8 tokens = 3 words", "train.batch=8",
    "no space left on the disk -- free some space, or choose another folder", "mail anna@example.org about it",
    "a monkey=3 of the keyboard", "digest=0123456789abcdef",
])
def test_what_is_none_stays(text: str) -> None:
    assert masked(text) == text and not has_secret(text)


@pytest.mark.parametrize(("name", "value"), [
    ("MLFLOW_TRACKING_PASSWORD", WORD), ("MLFLOW_TRACKING_TOKEN", WORD), ("AWS_SECRET_ACCESS_KEY", WORD),
    ("KF_PIPELINES_COOKIES", WORD), ("PHOTOSHOOT_STUDIES", f"postgresql://alice:{WORD}@db/x"),
    ("HTTPS_PROXY", f"http://alice:{WORD}@proxy:3128"), ("MLFLOW_TRACKING_URI", f"http://alice:p/{WORD}@host"),
    ("SOMEBODYS_API_KEY", WORD), ("DOCKER_HOST", f"tcp://h?token={WORD}"),
])
def test_what_the_environment_holds_is_taken_out_however_it_comes(monkeypatch: pytest.MonkeyPatch, name: str,
                                                                  value: str) -> None:
    said = f"KeyError: {WORD!r} in {{'x': 'p/{WORD}'}}"
    monkeypatch.setenv(name, value)
    assert WORD not in masked(said.replace(WORD, f"p/{WORD}") if "p/" in value else said)


def test_names_of_files_and_small_words_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSHOOT_TOKEN_FILE", "/etc/somewhere")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "test")
    assert masked("/etc/somewhere is false; the latest test") == "/etc/somewhere is false; the latest ***"


def test_addresses_in_words_and_in_links() -> None:
    assert shown(f"http://a:{WORD}@h:9/x?token={WORD}") == "http://h:9/x" and shown("plain") == "plain"
    assert without_account(f"http://a:{WORD}@h:9/x?y=1") == "http://h:9/x?y=1" and without_account("x") == "x"


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_secret_written_in_pieces_is_masked_too(cuts: list[int]) -> None:
    text, stream = f"see http://alice:{WORD}@host/x\nand more", io.StringIO()
    mask = Masking(stream)
    places = [0, *sorted(cuts), len(text)]
    mask.writelines(text[start:end] for start, end in itertools.pairwise(places))
    mask.flush()
    assert stream.getvalue() == "see http://***@host/x\nand more" and mask.getvalue()


def test_a_child_s_traceback_and_prints_are_masked() -> None:
    code = ("import sys; from components.core import masking; masking.install(); masking.install()\n"
            "import os; print(dict(os.environ)); print(os.environ['MLFLOW_TRACKING_URI'], file=sys.stderr)\n"
            "raise ValueError(os.environ['MLFLOW_TRACKING_URI'])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={
        **os.environ, "MLFLOW_TRACKING_URI": f"http://alice:{WORD}@h", "MLFLOW_TRACKING_PASSWORD": WORD,
        "PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and "ValueError: http://***@h" in done.stderr and "MLFLOW_TRACKING_URI" in done.stdout
    assert WORD not in done.stdout + done.stderr


def test_what_a_run_records_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.core.record import tracking

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", WORD)
    address = f"http://alice:{WORD}@h"
    with tracking.step_run("train", name=address) as recorder:
        recorder.params({"where": address, "deep": {"word": WORD}})
        recorder.dataset("people", address, "0" * 64, "training")
        tracking.client().set_tag(recorder.run_id, "photoshoot.error", f"{address} {WORD}")  # type: ignore[attr-defined]
    run = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(recorder.run_id)  # type: ignore[attr-defined]
    assert WORD not in str(run.to_dictionary()) and run.data.params["where"] == "http://***@h"


# The lint: whatever prints does so through `sys.stdout` or `sys.stderr`, before which every entry puts the mask.

_STREAMS = {"__stdout__", "__stderr__"}


def _ways_around(tree: ast.AST) -> list[int]:
    """Lines that write past the mask: the interpreter's own streams, or the file descriptors themselves."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _STREAMS:
            found.append(node.lineno)
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write"
                and ast.unparse(node.func.value) == "os" and isinstance(node.args[0], ast.Constant)
                and node.args[0].value in (1, 2)):
            found.append(node.lineno)
        if isinstance(node, ast.Attribute) and node.attr == "buffer" and ast.unparse(node).startswith("sys.std"):
            found.append(node.lineno)
    return found


def _sources() -> list[Path]:
    return [path for package in ("components", "pipelines", "photoshoot") for path in (ROOT / package).rglob("*.py")]


def test_nothing_writes_past_the_mask() -> None:
    assert _ways_around(ast.parse("import sys, os\nos.write(2, b'')\nsys.__stderr__.write('')\nsys.stdout.buffer")) == [
        2, 3, 4] or len(_ways_around(ast.parse("import sys\nsys.__stderr__"))) == 1
    around = {str(path.relative_to(ROOT)): lines for path in _sources()
              if (lines := _ways_around(ast.parse(path.read_text(encoding="utf-8"))))}
    assert not around


_MAKERS = ("bench", "pretraining", "experiments", "pictures/kinds.py")
"""What makes this repository's own tables and weights, by hand; they are given no address."""


def test_every_program_of_the_package_puts_the_mask_on_first() -> None:
    bare = []
    for path in _sources():
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        if 'if __name__ == "__main__":' in text and "masking.install()" not in text and not any(
                maker in name for maker in _MAKERS):
            bare.append(name)
    assert not bare
