"""The stored plan as poses, against the shield that plays it."""

from __future__ import annotations

import numpy as np
import pytest

from safety.roadstored import stored_plan
from sim.driving.state import PATH, PATH_BEHIND, PATH_STEP, PathColumn
from tests.safety.roadworld import RoadWorld, find

SPEED = 20.0


@pytest.mark.parametrize("curvature", [0.0, 0.004])
def test_the_drawn_plan_ends_where_the_shield_stops_that_plays_it(curvature: float) -> None:
    world = RoadWorld(4, 1, curvature, noise=0.0, limit=40.0)
    world.put(0.0, np.array([0.0, 0.3, -0.3, 0.6]), SPEED)
    world.sense()
    world.judge(np.stack([np.zeros(4), np.full(4, curvature)], -1))
    assert (world.out.margin.numpy() >= 0.0).all()
    origin = np.array([world.ox, world.oy])
    drawn = [
        stored_plan(world.memory, row, world.shield.bounds, (x - origin[0], y - origin[1], yaw), SPEED)
        for row, (x, y, yaw) in enumerate(zip(world.x, world.y, world.yaw, strict=True))
    ]
    world.drive()
    for _ in range(200):  # commands that are none: the stored plan plays
        world.sense()
        world.judge(np.full((4, 2), np.nan))
        world.drive()
    assert (world.v < 0.05).all()
    for row, plan in enumerate(drawn):
        length = float(np.hypot(*np.diff(plan[:, :2], axis=0).T).sum())
        assert length == pytest.approx(0.5 * SPEED**2 / 3.0, abs=40.0)
        stood = np.array([world.x[row], world.y[row]]) - origin
        along = plan[-1, :2] - plan[-2, :2]
        along /= np.hypot(*along)
        apart = stood - plan[-1, :2]
        assert abs(float(apart @ np.array([-along[1], along[0]]))) < 0.3  # beside the drawn line
        # latency and jerk, which the drawing leaves out, take the car further
        assert -1.0 < float(apart @ along) < 0.6 * SPEED


def test_a_shield_that_has_no_plan_has_nothing_to_draw() -> None:
    world = RoadWorld(1, 1, noise=0.0)
    assert stored_plan(world.memory, 0, world.shield.bounds, (0.0, 0.0, 0.0), 5.0).shape == (0, 3)


@pytest.mark.parametrize("bend", [1 / 15, -1 / 15])
@pytest.mark.parametrize("speed", [9.0, 11.0])
def test_who_takes_a_bend_to_begin_two_metres_too_early_stays_in_its_lane_by_the_camera(
    bend: float, speed: float
) -> None:
    world = RoadWorld(1, 1, noise=0.0)
    world.put(-0.3 * speed - speed * speed / 12.0, 0.0, speed)  # the bend begins at x = 0, some metres before it stands
    seen, worst, d = world.seen, 0.0, 0.0
    for step in range(120):
        world.sense()
        (x,), (y,), (yaw,) = world.x, world.y, world.yaw
        s, d, heading = x, y, 0.0
        if x > 0.0:
            (s,), (d,) = find(bend, world.x, world.y)
            heading = bend * s
        worst = max(worst, abs(d))
        told = s
        if step >= 3:
            told, seen["age"][0] = s + 2.2, 0.5
        points = told + (np.arange(PATH) - PATH_BEHIND) * PATH_STEP
        seen["where"][0] = d, yaw - heading
        seen["path"][0, :, PathColumn.HEADING] = bend * np.maximum(points, 0.0)
        world.judge(np.zeros((1, 2)))
        world.drive()
    assert world.v[0] == 0.0
    assert worst < 0.45  # by the law of foreseen plans 0.53 and 0.56, and 0.37 or more where it stands
    assert abs(d) < 0.2
