from __future__ import annotations

import math

import numpy as np
import pytest

from sim.driving.witness import (
    CLEARANCE,
    LANE_BOUNDARY,
    SPEED_LIMIT,
    Ground,
    boxes,
    broken,
    corners,
    distances,
    nearest,
    time_to_collision,
)
from sim.road import Road
from sim.roadgen import generate_highway, generate_rural
from tests.sim.driving.shows import place_on


def test_distances_of_boxes_by_hand() -> None:
    own = corners((0.0, 0.0, 0.0), (4.0, 2.0))
    poses = np.array([(10.0, 0.0, 0.0), (0.0, 5.0, math.pi / 2), (5.0, 5.0, 0.0), (1.0, 0.5, 0.7), (4.0, 0.0, 0.0)])
    sizes = np.full((5, 2), (4.0, 2.0))
    # gaps: 6 m ahead; 5 - 1 - 2 to the side; corner to corner (1, 3); inside each other; bumper to bumper
    expected = [6.0, 2.0, math.hypot(1.0, 3.0), 0.0, 0.0]
    assert distances(own, boxes(poses, sizes)) == pytest.approx(expected, abs=1e-9)


def test_distances_agree_with_points_sampled_on_both_boxes() -> None:
    draws = np.random.default_rng(5)
    share = np.linspace(0.0, 1.0, 60)[:, None]

    def rim(box: np.ndarray) -> np.ndarray:
        return np.concatenate([a + share * (b - a) for a, b in zip(box, np.roll(box, -1, axis=0), strict=True)])

    for _ in range(40):
        one = boxes(draws.uniform(-6.0, 6.0, (1, 3)), draws.uniform(1.0, 6.0, (1, 2)))[0]
        two = boxes(draws.uniform(-6.0, 6.0, (1, 3)), draws.uniform(1.0, 6.0, (1, 2)))
        exact = float(distances(one, two)[0])
        sampled = float(np.hypot(*(rim(one)[:, None] - rim(two[0])[None]).transpose(2, 0, 1)).min())
        if exact > 0.0:
            assert exact <= sampled <= exact + 0.12


def test_the_time_to_a_standing_car_is_the_gap_over_the_speed() -> None:
    there = np.array([(34.0, 0.0, 0.0)])
    size = np.array([(4.0, 2.0)])
    # 30 m between bumpers at 10 m/s; the other's own 4 m/s make it 5 s
    assert time_to_collision((0, 0, 0), (4.0, 2.0), 10.0, there, size, np.zeros(1)) == pytest.approx(3.0, abs=0.11)
    assert time_to_collision((0, 0, 0), (4.0, 2.0), 10.0, there, size, np.array([4.0])) == pytest.approx(5.0, abs=0.11)
    beside = np.array([(34.0, 3.0, 0.0)])
    assert time_to_collision((0, 0, 0), (4.0, 2.0), 10.0, beside, size, np.zeros(1)) == math.inf
    assert time_to_collision((0, 0, 0), (4.0, 2.0), 10.0, np.zeros((0, 3)), np.zeros((0, 2)), np.zeros(0)) == math.inf


def test_nobody_near_is_an_endless_clearance() -> None:
    far = np.array([(500.0, 0.0, 0.0)])
    assert nearest((0, 0, 0), (4.0, 2.0), far, np.array([(4.0, 2.0)])) == math.inf
    assert nearest((0, 0, 0), (4.0, 2.0), far - (490.0, 0.0, 0.0), np.array([(4.0, 2.0)])) == pytest.approx(6.0)


def test_each_invariant_breaks_by_itself() -> None:
    fine = {"clearance": 1.0, "speed": 10.0, "limit": 13.9, "on_ground": True}
    assert broken(**fine) == ()
    assert broken(**{**fine, "clearance": 0.0}) == (CLEARANCE,)
    assert broken(**{**fine, "clearance": 0.0, "speed": 0.0}) == ()  # who stands is touched
    assert broken(**{**fine, "speed": 14.5}) == (SPEED_LIMIT,)
    assert broken(**{**fine, "on_ground": False}) == (LANE_BOUNDARY,)
    assert broken(clearance=0.0, speed=20.0, limit=13.9, on_ground=False) == (CLEARANCE, SPEED_LIMIT, LANE_BOUNDARY)


def box_on(road: Road, lane: int, s: float, d: float, turn: float = 0.0) -> tuple[np.ndarray, float]:
    x, y, yaw = place_on(road, lane, s)
    return corners((x - d * math.sin(yaw), y + d * math.cos(yaw), yaw + turn), (4.6, 1.85)), yaw + turn


def test_cars_may_be_on_lanes_and_the_shoulder_but_not_beside_the_road() -> None:
    road = generate_highway(3, length=900.0, lanes=3, ramps=0)
    ground = Ground(road)
    for lane in range(3):
        for s in (20.0, 200.0, 500.0, 800.0):
            assert ground.holds(*box_on(road, lane, s, 0.0)), (lane, s)
            assert ground.holds(*box_on(road, 1, s, 1.9))  # between two lanes
            assert ground.holds(*box_on(road, 2, s, -3.0))  # on the shoulder
            assert not ground.holds(*box_on(road, 0, s, 1.4))  # 0.45 m across the left edge
            assert not ground.holds(*box_on(road, 2, s, -4.2))  # half of it beyond the shoulder


def test_the_oncoming_lane_is_no_ground_for_who_faces_it() -> None:
    road = generate_rural(2, length=400.0)
    ground = Ground(road)
    lane = next(index for index, each in enumerate(road.lanes) if each.name == "0.there")
    assert ground.holds(*box_on(road, lane, 60.0, 0.0))
    assert not ground.holds(*box_on(road, lane, 60.0, 3.5))
    assert not ground.holds(*box_on(road, lane, 60.0, 1.5))
    assert ground.holds(*box_on(road, lane, 60.0, 3.5, math.pi))  # who drives the other way may
