"""The assumptions that are watched, densely around each bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from safety.monitors import (
    MISSES,
    AgeBounds,
    TrackingMemory,
    ages,
    judge_ages,
    judge_readings,
    tracking_error,
    watch_tracking,
)
from safety.supervisor import Cause
from sim.robot import MILLISECOND, SECOND, Readings, RobotSpec

SPEC = RobotSpec()
NOW = 100 * SECOND


def readings(**changes: object) -> Readings:
    told = {
        "stamp": NOW,
        "scan": np.full(360, 10.0, np.float32),
        "scan_stamp": NOW,
        "pose": np.zeros(3, np.float32),
        "pose_stamp": NOW,
        "twist": np.zeros(2, np.float32),
        "twist_stamp": NOW,
    }
    return Readings(**(told | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "bound", "cause"),
    [
        ("scan_stamp", 100 * MILLISECOND, Cause.SCAN_STALE),
        ("pose_stamp", 100 * MILLISECOND, Cause.ODOMETRY_STALE),
        ("twist_stamp", 100 * MILLISECOND, Cause.ODOMETRY_STALE),
    ],
)
def test_reading_is_stale_one_nanosecond_after_its_bound(field: str, bound: int, cause: Cause) -> None:
    limits = AgeBounds.of(SPEC)
    for age, expected in ((bound - 1, Cause.NONE), (bound, Cause.NONE), (bound + 1, cause), (-1, Cause.NOT_FINITE)):
        seen = ages(readings(**{field: NOW - age}), picture_stamp=NOW, grant_expires=NOW + SECOND)
        assert judge_ages(seen, limits) is expected, (field, age)


@pytest.mark.parametrize(
    ("picture", "expires", "cause"),
    [
        (NOW - 2 * SECOND, NOW + 1, Cause.NONE),
        (NOW - 2 * SECOND - 1, NOW + 1, Cause.PICTURE_STALE),
        (NOW, NOW, Cause.GRANT_STALE),
        (NOW, NOW - 1, Cause.GRANT_STALE),
        (0, 0, Cause.GRANT_STALE),
    ],
)
def test_picture_and_grant_lapse_on_the_nanosecond(picture: int, expires: int, cause: Cause) -> None:
    assert judge_ages(ages(readings(), picture_stamp=picture, grant_expires=expires), AgeBounds()) is cause


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["scan", "pose", "twist"])
def test_reading_that_is_no_number_is_told(field: str, value: float) -> None:
    array = np.array(getattr(readings(), field))
    array[1] = value
    assert judge_readings(readings(**{field: array}), SPEC) is Cause.NOT_FINITE


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, Cause.NONE),
        ({"scan": np.full(359, 10.0, np.float32)}, Cause.NOT_FINITE),
        ({"scan": np.full(360, 10.02, np.float32)}, Cause.NOT_FINITE),
        ({"scan": np.full(360, -0.001, np.float32)}, Cause.NOT_FINITE),
        ({"pose": np.zeros(2, np.float32)}, Cause.NOT_FINITE),
        ({"twist": np.array((3.01, 0.0), np.float32)}, Cause.NOT_FINITE),
        ({"twist": np.array((0.0, -4.01), np.float32)}, Cause.NOT_FINITE),
        ({"twist": np.array((1.6, 2.1), np.float32)}, Cause.NONE),
        ({"bumper": True}, Cause.BUMPER),
    ],
)
def test_reading_out_of_every_range_is_told(changes: dict[str, object], cause: Cause) -> None:
    assert judge_readings(readings(**changes), SPEC) is cause


def test_tracking_error_is_the_distance_from_the_arc() -> None:
    # 0.1 s at 1 m/s and 1 rad/s from the origin: 0.1 m along a heading of 0.05 rad
    memory = TrackingMemory(NOW - 100 * MILLISECOND, 0.0, 0.0, 0.0, 1.0, 1.0)
    at = np.array((0.1 * np.cos(0.05), 0.1 * np.sin(0.05) + 0.02, 0.1), np.float32)
    seen = readings(pose=at, twist=np.array((1.0, 1.0), np.float32))
    assert tracking_error(memory, seen) == pytest.approx(0.02, abs=1e-6)


def test_body_outside_its_bound_three_times_in_a_row_is_told() -> None:
    memory = TrackingMemory()
    cause, memory = watch_tracking(memory, readings(), SPEC)
    assert cause is Cause.NONE
    slip = 0.010 + 0.037 * 0.1 + 2 * 0.03
    for step, expected in ((slip - 0.001, Cause.NONE), (slip + 0.001, Cause.TRACKING)):
        held, x = memory, 0.0
        for cycle in range(1, MISSES + 1):
            x += step
            stamp = NOW + cycle * 100 * MILLISECOND
            seen = readings(pose=np.array((x, 0.0, 0.0), np.float32), pose_stamp=stamp)
            cause, held = watch_tracking(held, seen, SPEC)
            if cycle < MISSES:
                assert cause is Cause.NONE
        assert cause is expected
    later = replace(held, misses=MISSES)
    seen = readings(pose=np.array((held.x, 0.0, 0.0), np.float32), pose_stamp=held.stamp + 100 * MILLISECOND)
    cause, later = watch_tracking(later, seen, SPEC)
    assert (cause, later.misses) == (Cause.NONE, 0)


def test_gap_in_time_is_no_slip() -> None:
    memory = TrackingMemory(NOW - 5 * SECOND, -50.0, 0.0, 0.0, 0.0, 0.0, MISSES)
    assert watch_tracking(memory, readings(), SPEC)[0] is Cause.NONE
