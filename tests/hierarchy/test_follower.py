"""The hand-written twin of navigate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierarchy.follower import Follower, Manner
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import NavigateObserver

SPEC = RobotSpec()


def seen(points: list[tuple[float, float]], *, yaw: float = 0.0, v: float = 0.0, ahead: float = 10.0) -> NDArray:
    """The observation at the origin of a corridor through points, something standing `ahead` before the robot."""
    observer = NavigateObserver(SPEC)
    observer.scan[:] = 10.0
    observer.scan[0, SPEC.lidar.rays // 2] = ahead
    observer.pose[0] = (0.0, 0.0, yaw)
    observer.twist[0] = (v, 0.0)
    count = len(points)
    observer.count[0] = count
    if points:
        observer.points[0, :count] = points
        observer.points[0, count:] = points[-1]
    observer.half_width[0] = 0.6
    observer.final[0] = 1
    return observer.observe().copy()


def command(observation: NDArray) -> tuple[float, float]:
    v, w = Follower(SPEC).act(observation)[0]
    return float(v) * SPEC.drive.speed_max, float(w) * SPEC.drive.turn_max


STRAIGHT = [(1.2 * k, 0.0) for k in range(8)]


def test_a_free_straight_way_is_driven_at_full_speed() -> None:
    v, w = command(seen(STRAIGHT))
    assert v == SPEC.drive.speed_max
    assert abs(w) < 1e-3


def test_it_turns_towards_the_way() -> None:
    assert command(seen([(x, 0.2) for x, _ in STRAIGHT]))[1] > 0.1
    assert command(seen([(x, -0.2) for x, _ in STRAIGHT]))[1] < -0.1


def test_a_way_behind_is_turned_to_on_the_spot() -> None:
    v, w = command(seen(STRAIGHT, yaw=2.5))
    assert v == 0.0
    assert w == -SPEC.drive.turn_max


def test_what_stands_in_the_way_is_stopped_for() -> None:
    speeds = [command(seen(STRAIGHT, v=1.0, ahead=distance))[0] for distance in (4.0, 1.5, 1.2, Manner().gap)]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] == 0.0
    room = 1.5 - Manner().gap
    assert abs(speeds[1] - np.sqrt(2.0 * Manner().brake * room)) < 0.05


def test_corners_and_the_end_are_approached_slowly() -> None:
    corner = [(-0.6, 0.0), (0.6, 0.0), (0.6, 1.2), (0.6, 2.4), (0.6, 3.6), (0.6, 4.8)]
    assert 0.5 < command(seen(corner))[0] < SPEC.drive.speed_max
    assert abs(command(seen([(0.0, 0.0), (0.5, 0.0)]))[0] - np.sqrt(2.0 * Manner().brake * 0.5)) < 0.01


def test_without_a_corridor_it_stands() -> None:
    assert command(seen([])) == (0.0, 0.0)
