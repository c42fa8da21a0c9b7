import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.core.errors import MachineError
from components.core.networks.generator.mixture import Painting
from components.core.settings import TrainSettings
from components.train import train
from components.train.data.augment import Batch
from components.train.memory import out_of_memory
from components.train.trainer import Trainer

STEPS = """
import resource, sys, torch
from components.train.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    torch.ones(2**24)  # 64 MB: more than glibc ever keeps unasked
for _ in range(32):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands memory back")
def test_what_a_step_frees_needs_not_be_fetched_again() -> None:
    pages = [int(subprocess.run([sys.executable, "-c", STEPS, how], stdout=subprocess.PIPE, check=True).stdout)
             for how in ("keep", "hand back")]
    assert pages[0] < pages[1] / 10


@pytest.mark.parametrize(("changes", "fits", "remedy"), [
    ({"batch": 7}, 5, "set train.batch=5, or train.accumulate=2 to keep the batch"),
    ({"batch": 8, "accumulate": 2}, 1, "set train.batch=2, or train.accumulate=8 to keep the batch"),
    ({"batch": 4}, 0, "lower train.width, train.max_width or preprocess.resolution"),
])
def test_a_batch_that_is_too_large_ends_with_the_one_that_fits(
        make_people: Callable[..., tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        changes: dict[str, int], fits: int, remedy: str) -> None:
    """A device that runs out of memory in the middle of a pass with more than `fits` examples."""
    plain = Trainer.reconstruction_terms

    def cramped(self: Trainer, painting: Painting, batch: Batch) -> dict[str, torch.Tensor]:
        if len(batch.poses) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        return plain(self, painting, batch)

    monkeypatch.setattr(Trainer, "reconstruction_terms", cramped)
    settings = TrainSettings.model_validate({
        "width": 4, "max_width": 8, "latent": 8, "steps": 4, "weights": {"perceptual": 0, "face": 0}} | changes)
    with pytest.raises(MachineError) as raised:
        train(*make_people(), tmp_path / "model", settings)
    assert str(raised.value) == (
        f"train.batch = {changes['batch']} does not fit into the memory of this machine"
        f"{', and neither does a single example' if not fits else ''} -- {remedy}")


def test_other_failures_of_a_step_stay_what_they_are(make_people: Callable[..., tuple[Path, Path]], tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Trainer, *given: object) -> None:
        raise RuntimeError("a kernel of ours is wrong")

    monkeypatch.setattr(Trainer, "reconstruction_terms", broken)
    with pytest.raises(RuntimeError, match="a kernel of ours is wrong"):
        train(*make_people(), tmp_path / "model", TrainSettings(width=4, max_width=8, latent=8, steps=1, batch=2))
    assert out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"))
