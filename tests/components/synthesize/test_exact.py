"""The same bytes whatever vector code and how many threads the libraries use."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.core.body import exact

_SYNTHESIZE = """
import sys
from components.core.settings import SynthesizeSettings
from components.synthesize.folder import synthesize
synthesize(sys.argv[1], SynthesizeSettings(people=2, photos_per_person=3, height=160, pose_noise=0.3), workers=1)
"""
PROCESSORS = {
    "as it is, one thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "no AVX-512": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V4,AVX512_ICL,AVX512_SPR", "OPENBLAS_CORETYPE": "Haswell",
        "OPENCV_CPU_DISABLE": "AVX512-SKX", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F",
    },
    "neither AVX nor fused products": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR", "OPENBLAS_CORETYPE": "Nehalem",
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,AVX", "OPENCV_IPP": "disabled", "JSIMD_FORCENONE": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA",
    },
}  # fmt: skip
"""What the libraries are told about the processor, by NumPy's, OpenBLAS', OpenCV's, libjpeg-turbo's and glibc's names
for it. Features that the processor does not have are ignored."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return _people_on(tmp_path_factory.mktemp("here"), {})


def _people_on(folder: Path, processor: dict[str, str]) -> dict[str, str]:
    """Digests of the files that a process on such a processor writes."""
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root, **processor}
    done = subprocess.run([sys.executable, "-c", _SYNTHESIZE, str(folder / "out")], env=environment, cwd=root,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=PROCESSORS)
def test_people_are_the_same_bytes_on_every_processor(
    processor: dict[str, str], here: dict[str, str], tmp_path: Path
) -> None:
    assert len(here) > 12
    assert _people_on(tmp_path, processor) == here


def test_precision_is_kept_and_values_are_right() -> None:
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    for ours, theirs in ((exact.sin, np.sin), (exact.cos, np.cos), (exact.exp, np.exp)):
        assert ours(x).dtype == np.float32
        assert np.array_equal(ours(x), theirs(x.astype(np.float64)).astype(np.float32))
        assert ours(x.astype(np.float64)).dtype == np.float64
    assert exact.arctan2(x, np.float32(2)).dtype == exact.power(np.abs(x), 0.8).dtype == np.float32
    image = np.random.default_rng(0).random((6, 8, 3), np.float32)
    np.testing.assert_allclose(exact.halved(image), image.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3)), rtol=1e-6)
    assert exact.blurred(image, 0.7).dtype == np.float32 and exact.enlarged(image, 12, 16).shape == (12, 16, 3)
