import torch

from components.core.networks.generator.seams import mended, seams

_SIDE = 48


def pose(left: int, right: int, head: bool = False, step: float = 3.0) -> torch.Tensor:
    """Two parts side by side, U running on by `step` a pixel: float32 [1, 3, S, S]."""
    poses = torch.zeros(1, 3, _SIDE, _SIDE)
    half = _SIDE // 2
    poses[:, 0, :, :half], poses[:, 0, :, half:] = left, right
    across = torch.arange(half) * step
    poses[:, 1, :, :half] = 255 - across.flip(0) if head else across
    poses[:, 1, :, half:] = across
    poses[:, 2] = 128
    return poses


def test_a_speck_on_a_border_goes_and_everything_else_stays() -> None:
    planes = torch.linspace(0, 1, _SIDE).expand(1, 4, _SIDE, _SIDE).clone()
    half = _SIDE // 2
    planes[..., 20, half], planes[..., 30, 10] = 5, 5
    after = mended(planes, pose(2, 15), 1)
    assert after[..., 20, half].max() < 1 and after[..., 30, 10].min() == 5
    far = torch.ones(_SIDE, dtype=torch.bool)
    far[half - 2 : half + 2] = False
    assert torch.equal(after[..., far], planes[..., far])


def test_an_edge_along_a_border_stays_sharp() -> None:
    planes = torch.zeros(1, 4, _SIDE, _SIDE)
    planes[..., _SIDE // 2 :] = 1
    assert torch.equal(mended(planes, pose(2, 15), 2), planes)


def test_the_middle_of_a_face_is_no_border() -> None:
    assert not seams(pose(23, 24, head=True), 1).any()
    assert seams(pose(24, 23), 1).any() and seams(pose(2, 1), 1).any()


def test_a_jump_in_a_part_is_a_border_and_small_figures_are_not_full_of_them() -> None:
    poses = pose(23, 24, head=True)
    poses[:, 2, 30:] = 60
    found = seams(poses, 1)[0]
    assert found[29:31].all() and not found[:28].any() and not found[33:].any()
    assert not seams(pose(23, 24, head=True, step=12.0), 1).any()
