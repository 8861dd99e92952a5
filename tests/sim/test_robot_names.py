"""Lists of robots on a command line."""

from __future__ import annotations

import pytest

from sim.robot import RobotNameError, robot_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("r0", ("r0",)),
        ("r0, r1,amr_7", ("r0", "r1", "amr_7")),
        ("r[0:5:2]", ("r0", "r2", "r4")),
        ("r[1:5:2]", ("r1", "r3")),
        ("r[2:4],cart", ("r2", "r3", "cart")),
        ("r[1:1:2]", ()),
        ("", ()),
    ],
)
def test_a_list_or_a_slice_names_robots(text: str, names: tuple[str, ...]) -> None:
    assert robot_names(text) == names


@pytest.mark.parametrize("text", ["R0", "0", "r 0", "r" * 33])
def test_a_wrong_robot_id_is_named(text: str) -> None:
    with pytest.raises(RobotNameError, match="no robot id"):
        robot_names(text)


@pytest.mark.parametrize("text", ["r[0:abc]", "r[0:-3]", "r[0:]", "r[a:3]", "r[0:3:0]", "r0,r[1:2"])
def test_a_slice_without_whole_numbers_is_refused(text: str) -> None:
    with pytest.raises(RobotNameError, match=r"is no slice of robot ids; expected whole numbers as in r\[0:16\]"):
        robot_names(text)


@pytest.mark.parametrize("text", ["r[0:100001]", "r[0:99999999999999]", "r[5:999999999999:2]"])
def test_more_robots_than_can_be_listed_are_refused_at_once(text: str) -> None:
    with pytest.raises(RobotNameError, match="expected at most 100000 robots"):
        robot_names(text)


def test_a_robot_named_twice_is_refused() -> None:
    with pytest.raises(RobotNameError, match="r2 is named twice"):
        robot_names("r[0:4],r2")
