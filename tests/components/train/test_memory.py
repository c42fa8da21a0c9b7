import platform
import subprocess
import sys

import pytest

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
