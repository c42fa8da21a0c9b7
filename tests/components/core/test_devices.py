from pathlib import Path

import pytest

from components.core import devices


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put an `nvidia-smi` that runs this shell text before all others on the PATH."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(text: str) -> None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return put


def test_gpus_are_counted_by_name(tool) -> None:
    tool("echo NVIDIA H100 80GB HBM3; echo NVIDIA H100 80GB HBM3")
    assert devices.find() == devices.Devices("NVIDIA H100 80GB HBM3", 2)
    assert devices.find().seconds(30) == 60


@pytest.mark.parametrize(("visible", "count"), [("0", 1), ("1,0", 2), ("0,1,2", 2)])
def test_a_process_pays_for_what_it_may_use(tool, visible: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("echo NVIDIA L4; echo NVIDIA L4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.find() == devices.Devices("NVIDIA L4", count)


@pytest.mark.parametrize(("visible", "kind"), [("1", "NVIDIA H100"), ("0", "NVIDIA L4"), ("GPU-8f3a", "NVIDIA L4")])
def test_a_gpu_is_named_by_its_number(tool, visible: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("echo NVIDIA L4; echo NVIDIA H100")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.find() == devices.Devices(kind, 1)


@pytest.mark.parametrize("visible", ["", "-1"])
def test_without_a_gpu_to_use_the_machine_is_the_device(tool, visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("echo NVIDIA L4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.find() == devices.Devices("cpu", 1)


def test_a_tool_without_a_driver_means_no_gpu(tool) -> None:
    tool("echo 'could not communicate with the driver'; exit 9")
    assert devices.find() == devices.Devices("cpu", 1)
