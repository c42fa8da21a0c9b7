from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.core.networks.generator import warp
from components.core.networks.generator.alignment import agreement, torso_frame, turned_apart
from components.core.networks.generator.warp import Source, SourceView, mirrored_poses
from components.core.pictures import texture
from components.core.pictures.iuv import HEAD_PARTS

Figure = Callable[..., Tensor]
MakeSource = Callable[..., Source]
_SHARED_FIXTURE = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def complete(textures: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    return warp.complete(textures, seen, warp.bare_skin(textures, seen))


def test_the_atlas_picture_is_laid_out_as_on_disk() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (24, 5, 5, 3), np.uint8)
    picture = warp.to_picture(torch.from_numpy(tiles).permute(0, 3, 1, 2)[None])
    assert np.array_equal(picture[0].permute(1, 2, 0).numpy(), texture.to_picture(tiles))


def test_a_pixel_is_the_mean_of_its_places_in_the_atlas(figure: Figure) -> None:
    """Fine stripes, looked up where each pixel is, are as strong as in the atlas; as means they are grey."""
    tiles = torch.zeros(1, 24, 3, 64, 64)
    tiles[..., ::2, :] = 1
    tiles[..., 1::2, :] = -1
    seen, dense = torch.ones(1, 24, 1, 64, 64), figure(64)
    poses = dense[..., ::2, ::2].contiguous()
    points, means = (warp.warped_atlas(tiles, seen, warp.bare_skin(tiles, seen), poses, finer)
                     for finer in (None, dense))
    valid = (poses[:, :1] > 0).float()
    body = valid.expand(-1, 3, -1, -1) > 0
    assert means.images[body].abs().mean() < 0.7 * points.images[body].abs().mean()
    assert torch.equal(means.valid, valid) and not means.images[~body].any()
    same = warp.warped_atlas(tiles, seen, warp.bare_skin(tiles, seen), poses,
                             poses.repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert torch.allclose(same.images, points.images, atol=1e-5)


@_SHARED_FIXTURE
@given(st.integers(4, 40), st.integers(0, 2**32 - 1))
def test_sampling_agrees_with_the_reference_and_never_mixes_tiles(figure: Figure, texel: int, seed: int) -> None:
    tiles = np.random.default_rng(seed).integers(0, 256, (24, texel, texel, 3), np.uint8)
    poses = figure(32)
    wanted, valid = texture.sample(tiles, poses[0].permute(1, 2, 0).numpy())
    got = warp.sample_atlas(torch.from_numpy(tiles).permute(0, 3, 1, 2)[None].float(), poses)[0].permute(1, 2, 0)
    assert np.abs(got.numpy() - wanted)[valid].max() <= 0.51
    assert not got.numpy()[~valid].any()


def test_sampling_carries_the_gradient_to_the_texels() -> None:
    tiles = torch.zeros(1, 24, 3, 4, 4, requires_grad=True)
    poses = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    poses[:, 0], poses[:, 1], poses[:, 2] = 7, 255, 0  # part 7, U = 1, V = 0: the last texel of its tile
    warp.sample_atlas(tiles, poses).sum().backward()
    assert tiles.grad is not None
    assert torch.allclose(tiles.grad[0, 6, :, 3, 3], torch.tensor(16.0), atol=1e-2)
    assert torch.allclose(tiles.grad.sum(), torch.tensor(48.0))


def test_mirroring_agrees_with_the_reference_and_is_its_own_inverse() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (24, 6, 6, 3), np.uint8)
    planes = torch.from_numpy(tiles).permute(0, 3, 1, 2)[None]
    once = warp.mirrored(planes)
    assert np.array_equal(once[0].permute(0, 2, 3, 1).numpy(), texture.mirror(tiles))
    assert torch.equal(warp.mirrored(once), planes)


@_SHARED_FIXTURE
@given(st.integers(4, 40), st.integers(0, 2**32 - 1))
def test_a_mirrored_atlas_through_a_mirrored_pose_is_the_mirror_image(figure: Figure, texel: int, seed: int) -> None:
    tiles = torch.from_numpy(np.random.default_rng(seed).random((1, 24, 3, texel, texel), np.float32))
    poses = figure(32)
    turned = warp.mirrored_poses(poses)
    found = warp.sample_atlas(warp.mirrored(tiles), turned)
    assert torch.allclose(found, warp.sample_atlas(tiles, poses).flip(-1), atol=1e-4)
    assert turned.dtype == torch.uint8 and torch.equal(warp.mirrored_poses(turned), poses)


def test_completion_keeps_what_was_seen_and_mirrors_what_was_not() -> None:
    colours = torch.rand(1, 24, 3, 8, 8) * 2 - 1
    seen = torch.zeros(1, 24, 1, 8, 8)
    seen[:, 22, :, :, :4] = 1  # half of the head's right half, so its mirror fills half of the left
    seen[:, 8] = 1
    completed, known = complete(colours * seen, seen)
    assert torch.equal(completed[:, 22, :, :, :4], colours[:, 22, :, :, :4])
    assert torch.equal(completed[:, 23, :, :, 4:], colours[:, 22, :, :, :4].flip(-1))
    assert known[:, 23, :, :, 4:].all() and not known[:, 0].any()
    # Off the head a mirrored texel is a guess: its colours are taken, but nobody saw them.
    assert not known[:, 9].any()
    assert (completed[:, 9].mean((2, 3)) - colours[:, 8].mean((2, 3))).abs().max() < 0.1
    assert completed.abs().max() <= 1
    # The torso was not seen at all; it is some mean of what was, not black.
    assert torch.allclose(completed[:, 1], completed[:, 1].mean((2, 3), keepdim=True), atol=1e-3)


def test_completion_of_nothing_is_grey() -> None:
    completed, known = complete(torch.zeros(1, 24, 3, 8, 8), torch.zeros(1, 24, 1, 8, 8))
    assert not completed.any() and not known.any()


def test_holes_take_the_colour_around_them() -> None:
    colours = torch.full((1, 24, 3, 16, 16), 0.5)
    seen = torch.ones(1, 24, 1, 16, 16)
    seen[:, 1, :, 5:9, 5:9] = 0
    seen[:, 1, :, 5:9, 7:11] = 0
    completed, _ = complete(colours * seen, seen)
    assert torch.allclose(completed[:, 1], torch.tensor(0.5), atol=0.05)


@_SHARED_FIXTURE
@given(st.floats(-0.1, 0.1), st.floats(-0.05, 0.1), st.floats(0.12, 0.24))
def test_a_head_goes_where_the_target_has_it(figure: Figure, x: float, y: float, head: float) -> None:
    there = figure(64)
    here = figure(64, shift=(x, y), head=head)
    red = torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    mask = torch.isin(there[:, :1], torch.tensor(HEAD_PARTS)).float()
    photo = SourceView((red * mask).expand(1, 3, 64, 64), mask, there)
    moved = warp.warped_head(photo, here)
    wanted = torch.isin(here[:, :1], torch.tensor(HEAD_PARTS)).float()
    shown = (moved.images[:, :1] > 0.5).float()
    assert (shown * wanted).sum() / torch.maximum(shown, wanted).sum() > 0.7
    assert moved.valid[wanted == 1].mean() > 0.4


def test_the_identity_pose_moves_nothing(figure: Figure) -> None:
    poses = figure(64)
    photo = SourceView(torch.rand(1, 3, 64, 64) * 2 - 1, torch.ones(1, 1, 64, 64), poses)
    frame = torso_frame(poses)
    moved = warp.aligned_photo(photo, poses, frame, frame)
    assert torch.allclose(moved.images, photo.images, atol=1e-3)


def test_a_turned_torso_turns_the_clothes(figure: Figure) -> None:
    upright = figure(64)
    lying = torch.rot90(upright, 1, (2, 3))
    photo = SourceView(torch.rand(1, 3, 64, 64) * 2 - 1, torch.ones(1, 1, 64, 64), upright)
    frames = (torso_frame(pose) for pose in (upright, lying))
    moved = warp.aligned_photo(photo, lying, *frames)
    assert torch.allclose(moved.images, torch.rot90(photo.images, 1, (2, 3)), atol=1e-3)


def test_a_face_is_no_evidence_for_the_back_of_a_head(figure: Figure) -> None:
    front = figure(64)
    behind = front.clone()
    behind[:, 1] = (255 - front[:, 1]) * (front[:, 0] > 0)  # the same outline, its charts from behind
    photo = SourceView(torch.ones(1, 3, 64, 64), torch.ones(1, 1, 64, 64), front)
    head = torch.isin(front[:, :1], torch.tensor(HEAD_PARTS))
    beside = (front[:, :1] == 0)[..., 8:24, 15:49]
    for poses, wanted in ((front, 1.0), (behind, 0.5)):
        valid = warp.warped_head(photo, poses).valid
        assert valid[head].mean() <= wanted
        assert valid[..., 8:24, 15:49][beside].mean() > 0.6  # hair shows from both sides
    assert warp.warped_head(photo, front).valid[head].mean() > 0.9


def _looking_left(poses: Tensor) -> Tensor:
    """The same outline; of the head only its left half is seen."""
    turned = poses.clone()
    turned[:, 0][poses[:, 0] == HEAD_PARTS[0]] = HEAD_PARTS[1]
    return turned


def test_a_knot_of_hair_stands_out_behind_a_head_whichever_way_it_looks(figure: Figure) -> None:
    left = _looking_left(figure(64))
    right = mirrored_poses(left)
    knot = torch.zeros(1, 1, 64, 64)
    knot[..., 8:16, 40:46] = 1  # beside the head, right in the picture
    mattes = torch.maximum(knot, (left[:, :1] > 0).float())
    photo = SourceView(torch.where(knot > 0, 1.0, -1.0).expand(1, 3, 64, 64), mattes, left)
    for poses, wanted in ((left, knot), (right, knot.flip(-1)), (figure(64), knot)):
        moved = warp.warped_head(photo, poses)
        beside = (moved.images[:, :1] > 0) & (moved.valid > 0.5)
        assert (beside == (wanted > 0)).float().mean() > 0.99


def test_a_head_is_not_mirrored_on_the_body(figure: Figure) -> None:
    left = _looking_left(figure(64))
    sides = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    head = (left[:, :1] == HEAD_PARTS[1]).expand_as(sides)
    for poses in (left, mirrored_poses(left)):
        moved = warp.warped_head(SourceView(sides, torch.ones(1, 1, 64, 64), left), poses)
        assert torch.allclose(moved.images[head], sides[head], atol=0.05)


def test_heads_are_turned_apart_only_when_both_are_plainly_turned(figure: Figure) -> None:
    front = figure(64)
    left, right = _looking_left(front), mirrored_poses(_looking_left(front))
    heads = torch.cat((front, left, right, torch.zeros_like(front)))
    apart = [turned_apart(one.expand_as(heads), heads).tolist() for one in (front, left, right)]
    assert apart == [[False] * 4, [False, False, True, False], [False, True, False, False]]


def test_pose_maps_agree_where_they_say_the_same() -> None:
    here = [1, 100, 100]
    one, other = [[0, 0, 0], here, here, here, here], [[0, 0, 0], here, [1, 100, 164], [2, 100, 100], [0, 0, 0]]
    maps = [torch.tensor(pixels, dtype=torch.uint8).T[None, :, None] for pixels in (one, other)]
    for a, b in (maps, maps[::-1]):
        got = agreement(a, b).flatten().tolist()
        assert got[:2] == [1, 1] and 0.4 < got[2] < 0.6 and got[3] == 0 and 0 < got[4] < 1


def test_an_arm_says_nothing_beside_another_pose() -> None:
    nobody = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    raised = nobody.clone()
    raised[:, 0, 10:30, 20:26] = 21
    around = agreement(raised, nobody)[0, 0]
    assert not around[10:30, 18:28].any()  # the arm and its rim
    assert (around[:, 32:] == 1).all()
    assert not agreement(nobody, raised)[0, 0, 10:30, 20:26].any()
    assert (agreement(raised, raised) == 1).all()


def test_no_head_no_input(figure: Figure, source: Callable[..., Source]) -> None:
    headless = figure(64)
    headless[:, :, :20] = 0
    moved = warp.warped_head(source(1).face, headless)
    assert not moved.valid.any() and not moved.covered.any() and moved.images.isfinite().all()


def _wearing(poses: Tensor, tiles: Tensor) -> SourceView:
    return SourceView(warp.sample_atlas(tiles, poses), (poses[:, :1] > 0).float(), poses)


def test_clothes_are_believed_only_when_the_photo_shows_the_atlas(
        figure: Figure, source: Callable[..., Source]) -> None:
    poses = figure(64)
    mine = source(1)
    other_tiles = -mine.textures
    for tiles, wanted in ((mine.textures, True), (other_tiles, False)):
        photo = _wearing(poses, tiles)
        assert warp.wears_atlas(mine.textures, mine.seen, photo).item() is wanted
        moved = warp.warped_clothes(replace(mine, clothes=photo), poses)
        assert bool(moved.valid.any()) is wanted
    nothing_seen = warp.wears_atlas(mine.textures, torch.zeros_like(mine.seen), _wearing(poses, mine.textures))
    assert not nothing_seen.item()


def _painted(parts: dict[int, tuple[float, float, float]], texel: int = 16) -> tuple[Tensor, Tensor]:
    """An atlas that shows some parts, each in one colour."""
    colours, seen = torch.zeros(1, 24, 3, texel, texel), torch.zeros(1, 24, 1, texel, texel)
    for part, colour in parts.items():
        colours[:, part - 1] = torch.tensor(colour)[:, None, None]
        seen[:, part - 1] = 1
    return colours, seen


SKIN, HAIR, SHIRT = (0.4, 0.1, -0.1), (-0.8, -0.9, -0.9), (-0.5, 0.0, 0.8)


def test_skin_is_what_the_cheeks_show() -> None:
    colours, seen = _painted({23: HAIR, 24: HAIR, 2: SHIRT, 3: (0.9, 0.9, 0.9)})
    colours[:, 22, :, 6:12, 11:] = torch.tensor(SKIN)[:, None, None]  # U > 0.7, V within 0.25..0.6
    colours[:, 23, :, 6:12, :5] = torch.tensor(SKIN)[:, None, None]
    got, found = warp.skin_colour(colours, seen)
    assert found.item() == 1 and torch.allclose(got[0], torch.tensor(SKIN), atol=0.03)
    only_hands = _painted({3: SKIN, 2: SHIRT})
    assert torch.allclose(warp.skin_colour(*only_hands)[0][0], torch.tensor(SKIN), atol=1e-4)
    got, found = warp.skin_colour(*_painted({2: SHIRT}))
    assert found.item() == 0 and not got.any()


def test_skin_is_evidence_all_over_the_body(figure: Figure) -> None:
    poses = figure(32)
    moved = warp.plain_skin(warp.bare_skin(*_painted({23: SKIN, 24: SKIN})), poses)
    body = poses[0, 0] > 0
    assert torch.equal(moved.valid[0, 0], body.float()) and not moved.covered.any()
    assert torch.allclose(moved.images[0, :, body], torch.tensor(SKIN)[:, None], atol=1e-5)
    assert not warp.plain_skin(warp.bare_skin(*_painted({2: SHIRT})), poses).valid.any()


def test_a_limb_nobody_saw_takes_the_colour_of_its_neighbour() -> None:
    trousers = (0.2, 0.2, 0.7)
    completed, known = complete(*_painted({23: SKIN, 24: SKIN, 2: SHIRT, 9: trousers}))
    for part, colour in ((7, trousers), (13, trousers), (1, SHIRT), (17, SHIRT), (3, SKIN), (4, SKIN)):
        assert not known[0, part - 1].any()
        assert torch.allclose(completed[0, part - 1].mean((1, 2)), torch.tensor(colour), atol=0.08), part


def test_the_first_guess_is_the_atlas_on_the_body_and_the_photo_beside_it(figure: Figure) -> None:
    poses = figure(64)
    colours, seen = _painted({2: SHIRT, 23: SKIN, 24: SKIN, 9: SHIRT, 10: SHIRT})
    beside = torch.zeros(1, 1, 64, 64)
    beside[..., 4:12, 24:40] = 1
    hair = warp.WarpedInput(torch.tensor(HAIR)[None, :, None, None] * beside, beside, beside)
    first = warp.first_guess(warp.warped_atlas(colours, seen, warp.bare_skin(colours, seen), poses), [hair], poses)
    torso = poses[0, 0] == 2
    assert torch.allclose(first[0, :, torso].mean(1), torch.tensor(SHIRT), atol=0.05)
    assert torch.allclose(first[0, :, 5, 30], torch.tensor(HAIR), atol=0.1)
    far = first[0, :, 60, 32]  # below the legs: what is near, not black and not white
    assert (far - torch.tensor(SHIRT)).abs().max() < 0.5


def test_what_nobody_saw_takes_the_colour_of_what_was_seen_beside_it() -> None:
    poses = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    poses[:, 0, 16:48, 16:39], poses[:, 0, 16:48, 39:41] = 15, 17  # an upper arm's front and, at its rim, its back
    poses[:, 1:, 16:48, 16:41] = 128
    colours, seen = _painted({15: SHIRT, 18: SKIN, 23: SKIN, 24: SKIN})  # of the other arm's back there was skin
    first = warp.first_guess(warp.warped_atlas(colours, seen, warp.bare_skin(colours, seen), poses), [], poses)
    rim = first[0, :, 16:48, 39:41].mean((1, 2))
    assert (rim - torch.tensor(SHIRT)).norm() < (rim - torch.tensor(SKIN)).norm()


def test_a_hand_of_which_a_speck_was_seen_has_the_colour_of_skin_elsewhere(source: MakeSource) -> None:
    mine = source(1, texel=16)
    skin = torch.tensor([0.7, 0.5, 0.4])[:, None, None] * 2 - 1
    textures, seen = torch.full_like(mine.textures, -0.9), torch.ones_like(mine.seen)
    textures[:, [14, 22, 23]] = skin
    seen[:, 2:4] = 0
    seen[:, 2, :, 3, 3] = 1  # dark, in the shade of a sleeve
    hand = complete(textures * seen, seen)[0][0, 2]
    assert torch.equal(hand[:, 3, 3], torch.full((3,), -0.9))
    assert (hand[:, 8:, 8:] - skin).abs().max() < 0.15


def test_skin_is_found_beside_the_clothes_and_a_grey_shirt_is_not_skin(source: MakeSource) -> None:
    mine = source(1, texel=16)
    face = torch.tensor([0.7, 0.5, 0.4])[:, None, None] * 2 - 1
    textures = torch.full_like(mine.textures, 0.1)
    textures[:, [22, 23]] = face
    textures[:, [18, 19]] = (face + 1) * 0.8 - 1
    colour, found = warp.bare_skin(textures, mine.seen)
    assert found.item() == 1 and torch.allclose(colour[0], (face[:, 0, 0] + 1) * 0.8 - 1, atol=0.03)
    textures[:, [18, 19]] = 0.1
    assert torch.allclose(warp.bare_skin(textures, mine.seen)[0][0], face[:, 0, 0], atol=0.03)
