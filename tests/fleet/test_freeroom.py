"""Free room: a drive is begun only where what the lidar met leaves it room."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleet.freeroom import MARGIN, SHARE, clearance, heading_for, hits, straight_room, way_of

RADIUS = 0.4
ANGLES = (-math.pi + 2.0 * math.pi * np.arange(360) / 360).astype(np.float32)


def box(left: float, right: float, ahead: float, behind: float) -> np.ndarray:
    """Ranges to four walls around the robot, which looks along +x."""
    c, s = np.cos(ANGLES.astype(float)), np.sin(ANGLES.astype(float))
    with np.errstate(divide="ignore"):
        x = np.where(c > 0, ahead / c, np.where(c < 0, -behind / c, np.inf))
        y = np.where(s > 0, left / s, np.where(s < 0, -right / s, np.inf))
    return np.minimum(np.minimum(x, y), 10.0).astype(np.float32)


def test_hits_are_where_the_walls_are_and_misses_are_none() -> None:
    points = hits([box(20.0, 20.0, 3.0, 20.0)], ANGLES, 10.0)
    assert points[:, 0].max() == pytest.approx(3.0, abs=1e-3)
    assert len(hits([np.full(360, 10.0, np.float32)], ANGLES, 10.0)) == 0


def test_the_way_of_a_run_is_its_speed_up_its_hold_and_its_stop() -> None:
    way = way_of(1.0, 0.0, 3.0, 0.5, accel=1.0, turn_accel=4.0)
    assert way[-1, 0] == pytest.approx(0.5 + 2.0 + 0.5, abs=0.2)  # 1 s of acceleration, 2 s of hold, the stop
    assert way[-1, 0] >= 3.0 - 0.05
    assert np.abs(way[:, 1]).max() == 0.0
    arc = way_of(1.0, 1.0, 7.0, 0.2, accel=1e3, turn_accel=1e3)
    assert np.hypot(arc[:, 0], arc[:, 1] - 1.0) == pytest.approx(1.0, abs=0.1)  # a circle of 1 m


def test_a_drive_fits_until_a_wall_is_within_hull_margin_and_share() -> None:
    way = way_of(0.5, 0.0, 4.0, 0.2, accel=1e3, turn_accel=1e3)
    far = way[-1, 0]
    needed = far * (1.0 + SHARE) + RADIUS + MARGIN
    assert clearance(way, hits([box(3.0, 3.0, needed + 0.05, 3.0)], ANGLES, 10.0), RADIUS) > 0.0
    assert clearance(way, hits([box(3.0, 3.0, needed - 0.05, 3.0)], ANGLES, 10.0), RADIUS) < 0.0


def test_the_smallest_turn_into_free_room_is_found_or_none() -> None:
    way = way_of(0.5, 0.0, 4.0, 0.2, accel=1e3, turn_accel=1e3)
    assert heading_for(way, hits([box(1.0, 1.0, 5.0, 1.0)], ANGLES, 10.0), RADIUS) == 0.0
    angle = heading_for(way, hits([box(5.0, 1.0, 1.0, 1.0)], ANGLES, 10.0), RADIUS)
    assert angle is not None
    assert math.radians(50.0) < angle <= math.pi / 2.0  # to the left, no further than needed
    assert heading_for(way, hits([box(1.5, 1.5, 1.5, 1.5)], ANGLES, 10.0), RADIUS) is None


def test_a_post_no_wider_than_a_leg_is_not_passed_over() -> None:
    way = way_of(1.0, 0.0, 3.0, 0.5, accel=1e3, turn_accel=1e3)
    for x in np.arange(0.6, 3.4, 0.01):
        assert clearance(way, np.array([[x, 0.0]]), RADIUS) < 0.0


def test_straight_room_ends_where_the_hull_would_touch() -> None:
    points = hits([box(3.0, 3.0, 4.0, 3.0)], ANGLES, 10.0)
    wide = RADIUS + MARGIN
    assert straight_room(points, RADIUS, 0.0) == pytest.approx(4.0 - wide, abs=0.02)
    assert straight_room(np.zeros((0, 2)), RADIUS, 0.0) == 10.0
