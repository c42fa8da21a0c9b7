"""The same identities and splits whatever the last bits of the embeddings, the order of the photos, their names, the
vector code and the number of threads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import components.cluster.run as module
from components.cluster import cluster
from components.cluster.faces.embed import Embedded
from components.cluster.faces.subjects import Face
from components.cluster.grouping.assign import SET_ASIDE, assign
from components.cluster.grouping.kmeans import k_means
from components.cluster.grouping.tree import FREE, Links, Rule
from components.cluster.members import read_members
from components.core.people.dataset import PeopleDataset
from components.core.record.recorder import NoRecord
from components.core.settings import ClusterSettings, PreprocessSettings, SynthesizeSettings
from components.preprocess import preprocess
from components.synthesize.folder import synthesize

METHODS = ("kmeans", "average", "hdbscan")
PROCESSORS = {
    "no AVX-512, two threads": {
        "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2",
        "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4,AVX512_ICL,AVX512_SPR",
    },
    "no vector code to speak of": {
        "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR",
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,AVX",
    },
}  # fmt: skip


def population(seed: int, people: int = 40, dim: int = 96) -> np.ndarray:
    """Unit vectors of people with 1 to 8 photos, some scattered so widely that strangers are nearer: what is hard."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), rng.integers(1, 9, people))
    middles = rng.normal(size=(people, dim))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    spread = np.exp(rng.normal(np.log(0.42), 0.35, people))[who]
    points = middles[who] + rng.normal(size=(len(who), dim)) * spread[:, None] / np.sqrt(dim)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Vectors:
    """Subjects whose embeddings are given."""

    keys: Sequence[str]
    embeddings: np.ndarray
    labels: dict[str, str] = field(default_factory=dict)
    synthetic: bool = True
    digest: str = "vectors"

    def __post_init__(self) -> None:
        self.ids = [f"{number:04d}" for number in range(len(self.keys))]  # by place, as file names are
        self.photos = [f"{one}.jpg" for one in self.ids]

    def faces(self) -> Iterator[Face]:
        raise AssertionError("nobody should look")

    def picture(self, index: int) -> np.ndarray:
        return np.full((8, 8, 3), 90, np.uint8)


def sorted_out(subjects: Vectors, method: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Photo's key -> (identity, split, why not)."""
    n = len(subjects.keys)
    faces = Embedded(np.arange(n), subjects.embeddings, np.full(n, 64, np.float32), {}, np.full(n, ""))
    monkeypatch.setattr(module, "embed", lambda *_: faces)
    settings = ClusterSettings.model_validate({"method": method, "leak_distance": 0.0})
    module.run(subjects, Path("photos"), out, settings, NoRecord())
    return {member.key: (member.identity, member.split, member.reason) for member in read_members(out)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_last_bits_and_order_decide_nothing(method: str, seed: int, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    points = population(seed)
    keys = [hashlib.sha256(f"{seed}:{number}".encode()).hexdigest() for number in range(len(points))]
    expected = sorted_out(Vectors(keys, points), method, tmp_path / "first", monkeypatch)
    assert len({identity for identity, *_ in expected.values()}) > 15
    rng = np.random.default_rng(seed)
    for number in range(3):
        order = rng.permutation(len(points))
        other = points * (1 + 1e-5 * rng.standard_normal(points.shape))
        shuffled = Vectors([keys[at] for at in order], other[order].astype(np.float32))
        assert sorted_out(shuffled, method, tmp_path / str(number), monkeypatch) == expected


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_one_photo_and_even_distances_are_no_coin(method: str) -> None:
    # Corners of a cube at equal distances, some of them twice: every merge is a tie.
    corners = np.asarray(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T / np.sqrt(3)
    points = np.concatenate([corners, corners[:3], corners[:2]]).astype(np.float32)
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(len(points))]
    rule = Rule(1.2, 1.6)
    expected = assign(points, method, None, rule, 0, keys=keys)  # type: ignore[arg-type]
    assert expected.labels[0] == expected.labels[8] == expected.labels[11] != SET_ASIDE
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(len(points))
        turned = points[order] @ np.linalg.qr(rng.normal(size=(3, 3)))[0]  # the same distances but for rounding
        found = assign(turned, method, None, rule, 0, keys=[keys[at] for at in order])  # type: ignore[arg-type]
        assert np.array_equal(found.labels, expected.labels[order])


def test_decisions_by_hand_do_not_hang_on_the_order_of_photos() -> None:
    points = population(9)
    keys = [f"{number:04d}" for number in range(len(points))]
    atom = np.full(len(points), FREE)
    atom[[0, 50]], atom[[1, 60]], atom[70] = 5, 2, 9
    rng = np.random.default_rng(0)
    for method in METHODS:
        expected = assign(points, method, None, Rule(0.7, 1.4), 0, Links(atom, [(5, 9)]), keys)
        order = rng.permutation(len(points))
        found = assign(points[order], method, None, Rule(0.7, 1.4), 0, Links(atom[order], [(5, 9)]),
                       [keys[at] for at in order])
        assert np.array_equal(found.labels, expected.labels[order])
        assert np.array_equal(found.confidence, expected.confidence[order])


def test_k_means_keeps_every_group_and_who_is_pinned() -> None:
    points = np.asarray([[0.0], [0.1], [0.2], [5.0], [5.1], [4.9], [0.05]])
    start = np.asarray([0, 0, 0, 1, 1, 1, 1])
    free = np.zeros(7, np.bool_)
    assert k_means(points, start, free).tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert k_means(points, start, free | (np.arange(7) == 6)).tolist() == start.tolist()
    # Everybody of the third group is nearer to another centre.
    points = np.asarray([[0.0], [0.0], [10.0], [10.0], [1.0], [9.0]])
    found = k_means(points, np.asarray([0, 0, 1, 1, 2, 2]), np.zeros(6, np.bool_))
    assert sorted(np.unique(found)) == [0, 1, 2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SynthesizeSettings(people=4, photos_per_person=3, height=192, back_views=0.0)
    return synthesize(tmp_path_factory.mktemp("sameness") / "photos", settings, workers=1).folder


@pytest.fixture(scope="module")
def people(photos: Path) -> Path:
    out = photos.parent / "people"
    preprocess(photos, out, PreprocessSettings(resolution=64, matte="silhouette"))
    return out


_CLUSTER = """
import sys
from pathlib import Path
from components.cluster import cluster
from components.core.settings import ClusterSettings
cluster(Path(sys.argv[1]), Path(sys.argv[2]), ClusterSettings(leak_distance=0.0))
"""


def identities_on(people: Path, out: Path, processor: dict[str, str]) -> dict[str, str]:
    """Digests of what the clustering step writes in a process on such a processor."""
    root = str(Path(__file__).parents[3])
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", _CLUSTER, str(people), str(out)], cwd=root, capture_output=True,
                          env={**os.environ, "PYTHONPATH": root, **single, **processor}, text=True)
    assert done.returncode == 0, done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def here(people: Path) -> dict[str, str]:
    return identities_on(people, people.parent / "here", {})


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=PROCESSORS)
def test_identities_are_the_same_bytes_on_every_processor(processor: dict[str, str], people: Path,
                                                          here: dict[str, str], tmp_path: Path) -> None:
    assert {"identities.parquet", "members.parquet", "scores.json"} <= set(here)
    assert json.loads((people.parent / "here" / "scores.json").read_text())["k"] >= 3
    assert identities_on(people, tmp_path / "there", processor) == here


def test_photos_under_other_names_are_the_same_identities(photos: Path, people: Path, here: dict[str, str],
                                                          tmp_path: Path) -> None:
    renamed = tmp_path / "photos"
    shutil.copytree(photos, renamed)
    (renamed / "labels.csv").unlink()
    stems = sorted(path.stem for path in (renamed / "photos").iterdir())
    for number, place in enumerate(np.random.default_rng(0).permutation(len(stems))):
        for old in (renamed / "photos" / f"{stems[number]}.jpg", renamed / "iuv" / f"{stems[number]}.png"):
            old.rename(old.with_stem(f"x{place:02d}"))
    preprocess(renamed, tmp_path / "people", PreprocessSettings(resolution=64, matte="silhouette"))
    assert PeopleDataset.open(tmp_path / "people").column("photo_digest") != \
        PeopleDataset.open(people).column("photo_digest")
    cluster(tmp_path / "people", tmp_path / "out", ClusterSettings(leak_distance=0.0))
    found = [{member.key: (member.identity, member.split, member.confidence) for member in read_members(folder)}
             for folder in (people.parent / "here", tmp_path / "out")]
    assert found[0] == found[1]
