from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from sim.bodies import specs
from sim.robot import RobotSpec
from sim.scene import build_scene
from sim.site import make_site
from sim.specfile import SpecError
from sim.starts import StartError, check_starts, overlap

SPEC = RobotSpec()


def floor_with_a_rack() -> np.ndarray:
    blocked = np.zeros((4, 6), bool)
    blocked[1, 2] = True  # from (2.4, 2.4) to (3.6, 3.6)
    return blocked


SITE = make_site("rack", floor_with_a_rack())


def test_robots_side_by_side_may_start() -> None:
    check_starts(SITE, SPEC, np.array([(0.6, 0.6, 0.0), (0.6, 1.09, 0.0), (1.25, 0.6, 0.0), (2.07, 3.0, 0.0)]))


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        ([(1.0, 1.0, 0.0), (5.0, 1.0, 0.0), (1.0, 1.47, 0.0)], r"robots 0 and 2: expected starts that do not overlap"),
        ([(1.0, 1.0, 0.0), (1.6, 1.0, 0.8)], r"robots 0 and 1: .* got \(1.00, 1.00, 0.00 rad\) and \(1.60"),
        ([(2.1, 3.0, 0.0)], r"robot 0: expected a start clear of racks, .* from \(2.4, 2.4\) to \(3.6, 3.6\)"),
        ([(3.0, 3.0, 0.0)], r"robot 0: expected a start clear of racks"),
        ([(0.3, 1.0, 0.0)], r"robot 0: expected a start on the floor of 7.2 m x 4.8 m"),
        ([(0.3, 1.0, math.nan)], r"expected poses of shape \(robots, 3\), all finite"),
        ([(0.3, 1.0)], r"got shape \(1, 2\)"),
    ],
)
def test_robots_that_stand_in_something_are_refused(poses: list[tuple[float, ...]], message: str) -> None:
    with pytest.raises(StartError, match=message):
        check_starts(SITE, SPEC, np.array(poses))


def test_a_large_robot_needs_more_room_than_its_cell() -> None:
    open_floor = make_site("open", np.zeros((4, 6), bool))
    neighbours = np.array([(2.0, 2.4, 0.0), (3.2, 2.4, 0.0)])
    check_starts(open_floor, SPEC, neighbours)
    with pytest.raises(StartError, match=r"for footprints of 1\.9 m x 0\.8 m"):
        check_starts(open_floor, specs.forklift(), neighbours)


def test_rectangles_overlap_where_the_engine_finds_a_contact() -> None:
    scene = build_scene(make_site("open", np.zeros((4, 4), bool)), SPEC, 2)
    data = mujoco.MjData(scene.model)
    rng = np.random.default_rng(4)
    half = np.array([SPEC.length, SPEC.width]) / 2
    seen = set()
    for _ in range(300):
        poses = np.stack([rng.uniform(2.0, 2.7, 2), rng.uniform(2.0, 2.7, 2), rng.uniform(-3.0, 3.0, 2)], axis=-1)
        data.qpos[:] = poses.reshape(-1)
        mujoco.mj_forward(scene.model, data)
        assert overlap(poses[0], half, poses[1], half) == (data.ncon > 0)
        seen.add(data.ncon > 0)
    assert seen == {True, False}


def test_a_scene_of_an_impossible_robot_or_of_none_is_refused() -> None:
    with pytest.raises(SpecError, match="mass: expected a number from 5 to 100000, got -60"):
        build_scene(SITE, RobotSpec(mass=-60.0), 1)
    with pytest.raises(ValueError, match="expected at least 1 robot, got 0"):
        build_scene(SITE, SPEC, 0)
