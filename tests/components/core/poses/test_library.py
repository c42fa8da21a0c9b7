"""The pose library: every file is a pose of a body, and names, tags and chance do what they say."""

from pathlib import Path

import numpy as np
import pytest

from components.core.errors import InputError
from components.core.poses.crossing import crossing
from components.core.poses.drawing import figure, target_map
from components.core.poses.library import SHIPPED, drawn_by_lot, library, named, tagged
from components.core.poses.physique import template_physique
from components.core.poses.pose import FRAMINGS, TAGS, read_pose, written

FILES = sorted(SHIPPED.glob("*.yaml"))


def test_there_are_at_least_36_files_each_named_as_its_pose() -> None:
    poses = library()
    assert len(FILES) >= 36
    assert [read_pose(path).name for path in FILES] == [path.stem for path in FILES]
    assert {tag for pose in poses.values() for tag in pose.tags} == set(TAGS) - {"own"}
    assert {pose.framing for pose in poses.values()} == set(FRAMINGS)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_limb_of_a_pose_is_inside_another_part_and_the_head_is_in_the_picture(path: Path) -> None:
    pose, body = read_pose(path), template_physique()
    assert crossing(pose, figure(pose, body, 128).fitted) < 0.03
    drawn = target_map(pose, body, 128)
    parts = drawn[..., 0]
    assert np.isin(parts, (23, 24)).sum() > 40 and np.isin(parts, (1, 2)).sum() > 150
    assert not parts[0].any(), "nothing is cut off above"
    assert parts[-1].any() == (pose.framing != "full"), "the body goes on below, or stands in the picture"
    feet = np.isin(parts, (5, 6)).sum() > 4
    assert feet == (pose.framing == "full")


def test_an_arm_through_the_trunk_is_noticed() -> None:
    pose = named("hands-clasped-low", library())
    through = pose.model_copy(update={"left_arm": pose.left_arm.model_copy(update={"wrist": (0.0, 1.1, 0.0)})})
    assert crossing(through, figure(through, template_physique(), 128).fitted) > 0.05


def test_a_mirrored_pose_is_the_mirror_image() -> None:
    poses, body = library(), template_physique()
    pairs = [(pose, poses[pose.mirrored_as]) for pose in poses.values() if pose.mirrored_as]
    assert len(pairs) >= 40 and all(twin.mirrored_as == pose.name for pose, twin in pairs)
    for pose, twin in pairs[::8]:
        assert twin.mirrored() == pose
        one, other = (target_map(which, body, 96)[..., 0] > 0 for which in (pose, twin))
        union = (one | other[:, ::-1]).sum()
        assert (one & other[:, ::-1]).sum() > 0.96 * union


def test_chance_is_determined_by_the_seed_alone() -> None:
    poses = library()
    order = [pose.name for pose in drawn_by_lot(poses, 7)]
    assert order == [pose.name for pose in drawn_by_lot(dict(reversed(poses.items())), 7)]
    assert sorted(order) == sorted(poses) and order != [pose.name for pose in drawn_by_lot(poses, 8)]
    assert {poses[name].framing for name in order[:6]} == set(FRAMINGS)
    eight = set(order[:8])
    assert not any(poses[name].mirrored_as in eight for name in eight)


def test_wrong_names_and_tags_name_the_nearest() -> None:
    with pytest.raises(InputError, match="arms-crosed") as wrong:
        named("arms-crosed-left", library())
    assert "arms-crossed-left" in (wrong.value.remedy or "")
    with pytest.raises(InputError, match="portrat") as unknown:
        tagged(["portrat"], library())
    assert "did you mean portrait" in (unknown.value.remedy or "")
    with pytest.raises(InputError, match="seated and walking"):
        tagged(["seated", "walking"], library())
    assert all({"seated", "business"} <= set(pose.tags) for pose in tagged(["seated", "business"], library()).values())


def test_own_poses_come_beside_and_a_broken_file_is_named(tmp_path: Path) -> None:
    pose = named("waving", library()).model_copy(update={"name": "mine"})
    (tmp_path / "mine.yaml").write_text(written(pose))
    assert library(tmp_path)["mine"] == pose
    (tmp_path / "mine.yaml").write_text(written(pose).replace("three-quarter", "threequarter"))
    with pytest.raises(InputError, match=r"mine.yaml.*unknown tag threequarter"):
        library(tmp_path)
    (tmp_path / "mine.yaml").write_text("name: [")
    with pytest.raises(InputError, match=r"mine.yaml.*cannot be read"):
        library(tmp_path)
    (tmp_path / "mine.yaml").write_text(written(pose).replace("lower:", "wrist:", 1))
    with pytest.raises(InputError, match=r"either upper and lower, or wrist and elbow"):
        library(tmp_path)
