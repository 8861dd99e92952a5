"""The stored plan as poses, against the shield that plays it."""

from __future__ import annotations

import numpy as np
import pytest

from safety.roadstored import stored_plan
from tests.safety.roadworld import RoadWorld

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
