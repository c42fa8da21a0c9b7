"""``make gpu`` at tiny sizes on a CPU: every part runs, so that time on a GPU is never spent on typing errors."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from components.core.errors import DataError, InputError, SettingsError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from pipelines.bench.gpu import people, runner
from pipelines.bench.gpu.__main__ import main
from pipelines.bench.gpu.numerics import DrawnOnTheCpu
from pipelines.bench.gpu.parts import PARTS, Part
from pipelines.bench.gpu.runner import FAILED, LATE, PASSED, SKIPPED, Order
from pipelines.bench.gpu.yardstick import Generator

CHILDREN = "preemption"  # starts processes that import torch: seconds each


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.long
def test_every_part_passes_and_the_page_has_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [part.name for part in PARTS if part.name != CHILDREN]
    assert main([*names, "--here", "--tiny", "--out", str(tmp_path)]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [(row["part"], row["status"]) for row in rows if "status" in row] == [(name, PASSED) for name in names]
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert kept["rows"] == rows and kept["sizes"] == "tiny"
    page = (tmp_path / "gpu.md").read_text()
    assert "these are no measurements" in page and "**no**" not in page
    assert all(f"## {part.title}\n" in page for part in PARTS if part.name in names)
    for needed in ("| 64 | eager |", "| 64 | plain StyleGAN2 |", "| convolution |", "Skipped: torch.compile (",
                   "DistributedDataParallel over gloo", "set train.batch=3"):
        assert needed in page, needed
    tables = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(tables) > 25 and (tmp_path / "gpu-sheet.jpg").stat().st_size > 1000
    assert (tmp_path / "gpu-curve.svg").read_text().count("<polyline") >= 5


@pytest.mark.endurance
def test_a_killed_training_goes_on_and_parts_run_in_processes_of_their_own(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([CHILDREN, "painting", "--tiny", "--out", str(tmp_path)]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [row["status"] for row in rows if "status" in row] == [PASSED, PASSED]
    assert [row["exit_code"] for row in rows if "exit_code" in row] == [-15, -9]


def test_a_part_that_hangs_or_dies_takes_nothing_from_the_others(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd.py").write_text(
        "import os, time\n"
        "def hangs(bench):\n    yield {'what': 'before'}\n    time.sleep(60)\n"
        "def dies(bench):\n    print('last words', flush=True)\n    os._exit(3)\n    yield {}\n"
        "def fails(bench):\n    yield {'what': 'sum', 'holds': False}\n    print('noise')\n"
        "    yield {'what': 'more'}\n")
    monkeypatch.setenv("PYTHONPATH", f"{Path.cwd()}:{tmp_path}")
    monkeypatch.setattr(runner, "_LEAST_S", 0)
    parts = [Part("hangs", "", 5, "odd:hangs"), Part("dies", "", 60, "odd:dies"),
             Part("lacks", "", 60, "odd:lacks", ("nowhere",)), Part("fails", "", 60, "odd:fails"),
             Part("late", "", 60, "odd:fails")]
    monkeypatch.setattr(runner, "missing", lambda modules: list(modules))
    seen: list[dict[str, Any]] = []

    def emit(row: dict[str, Any]) -> None:
        seen.append(row)
        if row["part"] == "fails" and "status" in row:
            monkeypatch.setattr(runner, "_LEAST_S", 10_000)

    order = Order("", "", "cpu", "tiny", str(tmp_path), None, 0, [])
    rows = runner.run_apart(parts, order, time.monotonic() + 200, emit)
    assert rows == seen
    ended = {row["part"]: row for row in rows if "status" in row}
    assert {name: row["status"] for name, row in ended.items()} == {
        "hangs": LATE, "dies": FAILED, "lacks": SKIPPED, "fails": FAILED, "late": SKIPPED}
    assert "code 3: last words" in ended["dies"]["reason"] and ended["fails"]["reason"] == "sum"
    assert ended["lacks"]["reason"] == "nowhere not installed"
    assert [row["what"] for row in rows if row["part"] == "fails" and "what" in row] == ["sum", "more"]
    assert [row["what"] for row in rows if row["part"] == "hangs" and "what" in row] == ["before"]


BARE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "pyarrow", "mlflow", "kfp", "optuna", "pandas", "sklearn", "rich", "typer"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from importlib import util
plain = util.find_spec
def find_spec(name, package=None):
    try:
        return plain(name, package)
    except ModuleNotFoundError:
        return None
util.find_spec = find_spec
from pipelines.bench.gpu.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_machine_with_little_more_than_torch_runs_what_it_can(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BARE, "processes", "data", "--here", "--tiny"], capture_output=True,
                          text=True, check=False)
    ended = {row["part"]: row for row in rows_of(done.stdout) if "status" in row}
    assert done.returncode == 0, done.stderr
    assert ended["processes"]["status"] == PASSED and ended["data"]["status"] == SKIPPED
    assert ended["data"]["reason"] == "opencv-python-headless and pyarrow not installed"
    assert "not installed: opencv-python-headless, pyarrow" in done.stderr


def test_what_nothing_runs_without_is_named(monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("pipelines.bench.gpu.__main__.missing", lambda modules: ["torch"] if "torch" in modules else [])
    assert main(["speed"]) == 3
    assert capsys.readouterr().err.startswith("error: not installed: torch -- pip install")


def test_packed_people_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "people.tar"
    size = people.pack(file, people=2, photos=2, side=64, texel=8)
    assert size == file.stat().st_size
    folder = people.unpack(file, tmp_path / "there")
    dataset = PeopleDataset.open(folder / people.PEOPLE)
    who = Identities.open(folder / people.IDENTITIES)
    assert (dataset.resolution, len(dataset), dataset[0].photo.shape) == (64, 4, (64, 64, 3))
    assert [len(who.members(dataset, split)) for split in ("train", "validation")] == [1, 1]
    monkeypatch.setattr(people, "MOST_BYTES", 1000)
    with pytest.raises(SettingsError, match="pack fewer"):
        people.pack(tmp_path / "more.tar", people=1, photos=1, side=64, texel=8)
    assert not (tmp_path / "more.tar").exists()
    with pytest.raises(InputError, match="no packed people here"):
        people.unpack(tmp_path / "nothing.tar", tmp_path)
    file.write_bytes(b"no tar")
    with pytest.raises(DataError, match="damaged"):
        people.unpack(file, tmp_path)


def test_the_draws_of_a_device_come_from_the_cpu() -> None:
    def draws() -> list[torch.Tensor]:
        torch.manual_seed(0)
        return [torch.rand(2, device="cpu"), torch.randn_like(torch.zeros(3)),
                torch.multinomial(torch.ones(2, 4), 3, replacement=True)]

    with DrawnOnTheCpu():
        found = draws()
        torch.manual_seed(0)
        assert torch.rand(2, device="meta").device.type == "meta"
        followed = torch.rand(2)
    assert all(torch.equal(*pair) for pair in zip(found, draws(), strict=True))
    torch.manual_seed(0)
    torch.rand(2)
    assert torch.equal(followed, torch.rand(2))  # what went to the other device was taken from the CPU's sequence


def test_the_yardstick_is_a_stylegan2() -> None:
    """Demodulation keeps the variance, and the channels are those of the paper."""
    torch.manual_seed(0)
    network = Generator([64, 64, 32])
    with torch.no_grad():
        x = torch.randn(4, 64, 4, 4)
        y = network.layers[3].conv(torch.randn(4, 32, 16, 16), torch.randn(4, 512))
        assert y.var().item() == pytest.approx(1, rel=0.3)
        assert network(torch.randn(2, 512)).shape == (2, 3, 16, 16)
        weight = network.first.conv.weight
        plain = F.conv2d(x, weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt(), padding=1)
        network.first.conv.style.weight.zero_()  # every style is 1
        assert torch.allclose(network.first.conv(x, torch.randn(4, 512)), plain, atol=1e-4)
