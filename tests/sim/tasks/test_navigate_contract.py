"""The observation's numbers, worked by hand, and the contract that names them."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from sim.geometry import Corridor, pack_corridors
from sim.robot import Lidar, RobotSpec
from sim.tasks.contract import Contract
from sim.tasks.navigate_contract import (
    OBSERVATION,
    NavigateObserver,
    action_to_command,
    bin_rays,
    navigate_contract,
)

SPEC = RobotSpec(lidar=Lidar(rays=360))


def see(
    points: list[tuple[float, float]],
    pose: tuple[float, float, float],
    *,
    scan: dict[int, float] | None = None,
    final: bool = False,
) -> dict[str, np.ndarray]:
    """The named fields for a corridor of half width 0.6; `scan` gives single rays, all others see nothing."""
    robot = NavigateObserver(SPEC)
    robot.scan[:] = SPEC.lidar.range_max
    for ray, distance in (scan or {}).items():
        robot.scan[0, ray] = distance
    robot.pose[0], robot.twist[0], robot.last_command[0] = pose, (0.75, -1.0), (1.5, 2.0)
    if points:
        corridor = Corridor(np.array(points, np.float32), np.full(len(points), 0.6, np.float32))
        packed = pack_corridors([corridor])
        robot.points[:], robot.half_width[:] = packed.points, packed.half_width
    robot.count[0], robot.final[0] = len(points), final
    flat = robot.observe()[0].astype(np.float64)
    fields = {name: flat[place] for name, place in navigate_contract(SPEC).slices().items()}
    fields["corridor"] = fields["corridor"].reshape(5, 3)
    return fields


EAST = [(0.6, 0.6), (1.8, 0.6), (3.0, 0.6)]


def test_a_robot_left_of_a_straight_corridor() -> None:
    """At (1.0, 0.7) looking along +y: the segment ends at (1.8, 0.6), 0.8 m on and to its right."""
    got = see(EAST, (1.0, 0.7, math.pi / 2))
    np.testing.assert_allclose(got["track"], [0.1, 1.0, 0.0], atol=1e-6)  # left by 0.1; heading error +90 degrees
    # (1.8, 0.6) - (1.0, 0.7) = (0.8, -0.1) in W; in B: x along +y_W, y along -x_W
    np.testing.assert_allclose(got["corridor"][0], [-0.1 / 5, -0.8 / 5, 0.6], atol=1e-6)
    np.testing.assert_allclose(got["corridor"][1], [-0.1 / 5, -2.0 / 5, 0.6], atol=1e-6)
    np.testing.assert_array_equal(got["corridor"][2:], np.tile(got["corridor"][1], (3, 1)))  # padded by the last
    np.testing.assert_allclose(got["remaining"], [(0.8 + 1.2) / 5, 0.0], atol=1e-6)
    np.testing.assert_allclose(got["twist"], [0.5, -0.5])
    np.testing.assert_allclose(got["last_command"], [1.0, 1.0])
    np.testing.assert_allclose(got["clearance"], 1.0)


def test_of_two_equally_near_segments_the_later_counts() -> None:
    corner = [(0.6, 0.6), (1.8, 0.6), (1.8, 1.8)]
    got = see(corner, (1.8, 0.6, 0.0), final=True)
    np.testing.assert_allclose(got["track"], [0.0, -1.0, 0.0], atol=1e-6)  # the way is to the left
    np.testing.assert_allclose(got["corridor"][0], [0.0, 1.2 / 5, 0.6], atol=1e-6)
    np.testing.assert_allclose(got["remaining"], [1.2 / 5, 1.0], atol=1e-6)


def test_one_waypoint_is_a_direction_and_none_is_nothing() -> None:
    got = see([(3.0, 4.0)], (0.0, 0.0, 0.0), final=True)
    np.testing.assert_allclose(got["track"], [0.0, -0.8, 0.6], atol=1e-6)
    np.testing.assert_allclose(got["remaining"], [1.0, 1.0])
    nothing = see([], (1.0, 1.0, 0.5))
    for name in ("corridor", "track", "remaining"):
        np.testing.assert_array_equal(nothing[name], 0.0)
    assert nothing["clearance"] == 1.0


def test_clearance_is_the_way_along_the_corridor_to_what_stands_in_it() -> None:
    """Ray 180 looks ahead. At (1.0, 0.6) facing east a hit at 1.5 m stands at x = 2.5, 1.5 m along the corridor."""
    assert see(EAST, (1.0, 0.6, 0.0), scan={180: 1.5})["clearance"] == pytest.approx(1.5 / 5, abs=1e-6)
    # beyond the last cell's end less the margin (3.6 - 0.12) it is no longer in the corridor
    assert see(EAST, (1.0, 0.6, 0.0), scan={180: 2.6})["clearance"] == 1.0
    # behind the robot
    assert see(EAST, (2.0, 0.6, math.pi), scan={180: 0.8})["clearance"] == 1.0
    # beside it: 0.5 m to the left is within 0.12 of the edge at 0.6 (ray 270 looks along +y)
    assert see(EAST, (1.0, 0.6, 0.0), scan={270: 0.5})["clearance"] == 1.0
    # round a corner: 0.8 m east and then 1.0 m north, seen from (1.0, 0.6) in direction (0.8, 1.0)
    corner = [(0.6, 0.6), (1.8, 0.6), (1.8, 1.8), (1.8, 3.0)]
    angle = round(math.degrees(math.atan2(1.0, 0.8)))
    ray = min(bin_rays(360), key=lambda each: abs(int(each) - 180 - angle))
    heading = math.radians(angle - (int(ray) - 180))
    exact = heading + math.radians(int(ray) - 180)
    x, y = 1.41 * math.cos(exact), 1.41 * math.sin(exact)
    expected = 0.8 + y if abs(x - 0.8) < 0.48 else math.nan
    got = see(corner, (1.0, 0.6, heading), scan={int(ray): 1.41})["clearance"]
    assert got == pytest.approx(expected / 5, abs=1e-5)


def test_nearness_is_one_at_the_hull_and_a_half_at_a_hand() -> None:
    front, side = SPEC.length / 2, SPEC.width / 2
    rays = bin_rays(360)
    ahead, left = 32, 48  # bins at 0 and pi / 2
    assert rays[ahead] == 180
    assert rays[left] == 270
    got = see(EAST, (1.0, 0.6, 0.0), scan={180: front, 270: side + 0.2})["nearness"]
    assert got[ahead] == pytest.approx(1.0)
    assert got[left] == pytest.approx(0.5)
    assert got[0] == pytest.approx(0.2 / (0.2 + 10.0 - front), rel=1e-4)


@pytest.mark.parametrize("rays", [64, 90, 360, 720])
def test_bins_take_the_nearest_ray_of_any_lidar(rays: int) -> None:
    angle = -np.pi + 2 * np.pi * bin_rays(rays) / rays
    centre = -np.pi + 2 * np.pi * np.arange(64) / 64
    error = np.angle(np.exp(1j * (angle - centre)))
    assert np.abs(error).max() <= np.pi / rays + 1e-9


def test_actions_become_commands_within_the_drive() -> None:
    action = np.array([[1.0, -1.0], [-1.0, 0.5], [0.0, 0.0], [7.0, -7.0]], np.float32)
    expected = [[1.5, -2.0], [-0.3, 1.0], [0.0, 0.0], [1.5, -2.0]]
    np.testing.assert_allclose(action_to_command(action, SPEC), expected)


def test_a_contract_is_canonical_text_and_knows_its_robot() -> None:
    contract = navigate_contract(SPEC)
    assert contract.observation_size == OBSERVATION
    assert contract.action_size == 2
    parsed = json.loads(contract.json())
    assert json.dumps(parsed, sort_keys=True, separators=(",", ":")) == contract.json()
    assert [field["name"] for field in parsed["fields"]] == list(contract.slices())
    assert navigate_contract(SPEC).hash == contract.hash
    heavier = navigate_contract(replace(SPEC, mass=61.0))
    assert heavier.hash != contract.hash


def test_fields_lie_one_after_the_other() -> None:
    contract: Contract = navigate_contract(SPEC)
    places = list(contract.slices().values())
    assert places[0].start == 0
    assert all(a.stop == b.start for a, b in itertools.pairwise(places))
    assert places[-1].stop == OBSERVATION
