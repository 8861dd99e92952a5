"""The assumptions that are watched, densely around each bound."""

from __future__ import annotations

import math
from collections.abc import Callable

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
from safety.supervisor import RESUME, Cause
from sim.robot import MILLISECOND, SECOND, Readings, RobotSpec
from sim.scene import Body
from tests.safety.drives import count_alarms

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
        (NOW + 2 * SECOND, NOW + 4 * SECOND, Cause.NONE),
        (NOW + 2 * SECOND + 1, NOW + 4 * SECOND, Cause.PICTURE_STALE),
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
        ({"pose": np.array((1.001e5, 0.0, 0.0), np.float32)}, Cause.NOT_FINITE),
        ({"pose": np.array((0.0, 0.0, -1.001e5), np.float32)}, Cause.NOT_FINITE),
        ({"pose": np.array((9.9e4, -9.9e4, 9.9e4), np.float32)}, Cause.NONE),
        ({"twist": np.array((3.01, 0.0), np.float32)}, Cause.NOT_FINITE),
        ({"twist": np.array((0.0, -4.01), np.float32)}, Cause.NOT_FINITE),
        ({"twist": np.array((1.6, 2.1), np.float32)}, Cause.NONE),
        ({"bumper": True}, Cause.BUMPER),
        ({"bumper": True, "pose": np.full(3, np.nan, np.float32)}, Cause.BUMPER),
    ],
)
def test_reading_out_of_every_range_is_told(changes: dict[str, object], cause: Cause) -> None:
    assert judge_readings(readings(**changes), SPEC) is cause


def watch(
    seconds: float,
    command: Callable[[float], tuple[float, float]],
    body: Callable[[float], tuple[float, float]],
    *,
    odometry: Callable[[float], tuple[float, float]] | None = None,
) -> list[float]:
    """Seconds into a drive at which TRACKING was told: what the loop released, and what v, w the body really had."""
    memory, last, told = TrackingMemory(), (0.0, 0.0), []
    x = y = yaw = 0.0
    for cycle in range(round(10 * seconds)):
        t = 0.1 * cycle
        for step in range(10):
            v, w = body(t - 0.1 + 0.01 * step) if cycle else (0.0, 0.0)
            x, y, yaw = x + 0.01 * v * math.cos(yaw), y + 0.01 * v * math.sin(yaw), yaw + 0.01 * w
        stamp = NOW + cycle * 100 * MILLISECOND
        seen = readings(
            stamp=stamp,
            pose=np.array((x, y, yaw), np.float32),
            pose_stamp=stamp,
            twist=np.array((odometry or body)(t), np.float32),
            twist_stamp=stamp,
        )
        found = watch_tracking(memory, seen, last, SPEC)
        cause, memory = found.cause, found.memory
        last = command(t)
        if cause is not Cause.NONE:
            assert cause is Cause.TRACKING
            told.append(round(t, 1))
    return told


def ramp(top: float, accel: float, brake: float, stop_at: float, late: float) -> Callable[[float], tuple[float, float]]:
    """A drive that answers `late`: up to a speed, and from `stop_at` down again."""

    def body(t: float) -> tuple[float, float]:
        up = min(max(t - late, 0.0) * accel, top)
        return (max(min(up, top - brake * max(t - stop_at - late, 0.0)), 0.0), 0.0)

    return body


def go_then_stop(t: float) -> tuple[float, float]:
    return (1.0 if t < 3.0 else 0.0, 0.0)


@pytest.mark.parametrize("late", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("brake", [1.5, 1.8])
def test_drive_within_its_bounds_is_never_told(late: float, brake: float) -> None:
    assert watch(6.0, go_then_stop, ramp(1.0, 1.0, brake, 3.0, late)) == []


@pytest.mark.parametrize(("scale", "told"), [(0.98, False), (1.02, False), (1.3, True)])
def test_odometry_that_is_off_by_two_percent_is_healthy(scale: float, told: bool) -> None:
    body = ramp(1.0, 1.0, 1.5, 3.0, 0.02)
    assert bool(watch(6.0, go_then_stop, body, odometry=lambda t: (scale * body(t)[0], 0.0))) is told


@pytest.mark.parametrize(("brake", "told"), [(0.0, True), (0.5, True), (0.9, True), (1.5, False)])
def test_drive_that_brakes_less_than_guaranteed_is_told_within_a_second(brake: float, told: bool) -> None:
    alarms = watch(9.0, go_then_stop, ramp(1.0, 1.0, brake, 3.0, 0.05))
    assert bool(alarms) is told
    if told:
        assert 3.0 < alarms[0] <= 4.0
    if brake == 0.0:
        assert alarms == [round(alarms[0] + 0.1 * k, 1) for k in range(len(alarms))], "and as long as it goes on"
        assert alarms[-1] == 8.9


@pytest.mark.parametrize("runaway", [(0.3, 0.0), (-0.3, 0.0), (1.5, 0.0), (0.0, 0.5), (0.0, -2.0)])
def test_drive_that_starts_by_itself_is_told_within_six_cycles(runaway: tuple[float, float]) -> None:
    alarms = watch(6.0, lambda t: (0.0, 0.0), lambda t: runaway if t >= 2.0 else (0.0, 0.0))
    assert alarms
    assert 2.0 < alarms[0] <= 2.6
    assert alarms[-1] == 5.9


@pytest.mark.parametrize(("turn", "within"), [(3.0, 0.3), (0.6, 1.0)])
def test_rotation_that_the_odometry_does_not_see_is_told(turn: float, within: float) -> None:
    spin: Callable[[float], tuple[float, float]] = lambda t: (0.0, turn if t >= 2.0 else 0.0)  # noqa: E731
    alarms = watch(6.0, lambda t: (0.0, 0.0), spin, odometry=lambda t: (0.0, 0.0))
    assert alarms
    assert alarms[0] <= 2.0 + within + 0.3


def test_slide_on_locked_wheels_is_told() -> None:
    """The odometry stands still and so it should, the body does not."""
    slide: Callable[[float], tuple[float, float]] = lambda t: (0.3 if t >= 2.0 else 0.0, 0.0)  # noqa: E731
    alarms = watch(9.0, lambda t: (0.0, 0.0), slide, odometry=lambda t: (0.0, 0.0))
    assert alarms
    assert alarms[0] <= 3.5
    gaps = np.diff(alarms)
    assert gaps.max() < RESUME / SECOND, "no pause in which the robot would drive on"


def test_stalled_drive_is_told() -> None:
    assert watch(4.0, lambda t: (1.0, 0.0), lambda t: (0.0, 0.0))[0] <= 1.0


def test_body_is_outside_beyond_e0_and_what_localisation_may_jump() -> None:
    """Standing, 0.1 s after the window began: 0.010 + 0.037 x 0.1 + 2 x 0.03 = 0.0737 m, and on the rim 0.184 rad."""
    memory = TrackingMemory(NOW, NOW, since=NOW - 100 * MILLISECOND)
    for inside, pose in ((True, (0.0736, 0.0, 0.0)), (False, (0.0738, 0.0, 0.0)), (False, (0.0, 0.0, -0.1845))):
        assert (tracking_error(memory, pose, SPEC) <= 0.0) is inside
    assert tracking_error(memory, (0.0, 0.0, 0.184), SPEC) == pytest.approx(0.184 * SPEC.radius - 0.0737, abs=1e-9)


def test_body_outside_its_bound_counts_from_the_third_cycle_in_a_row() -> None:
    memory = TrackingMemory()
    found = watch_tracking(memory, readings(), (0.0, 0.0), SPEC)
    cause, memory = found.cause, found.memory
    for cycle, speed in enumerate((0.0, 0.2, 0.2, 0.0, 0.2, 0.2, 0.2), 1):
        stamp = NOW + cycle * 100 * MILLISECOND
        seen = readings(stamp=stamp, pose_stamp=stamp, twist_stamp=stamp, twist=np.array((speed, 0.0), np.float32))
        found = watch_tracking(memory, seen, (0.0, 0.0), SPEC)
        cause, memory = found.cause, found.memory
        assert cause is (Cause.TRACKING if cycle == 7 else Cause.NONE), cycle


def test_alarm_ends_after_five_cycles_within_the_bound() -> None:
    alarms = watch(6.0, lambda t: (0.0, 0.0), lambda t: (0.5 if 2.0 <= t < 3.0 else 0.0, 0.0))
    assert alarms[-1] == 3.4


def test_gap_in_time_is_no_slip() -> None:
    memory = TrackingMemory(NOW - 5 * SECOND, NOW - 5 * SECOND, start=(-50.0, 0.0, 0.0), misses=MISSES)
    assert watch_tracking(memory, readings(), (0.0, 0.0), SPEC).cause is Cause.NONE


def test_stop_by_the_watchdog_in_a_gap_is_no_slip() -> None:
    """The loop hung for 0.6 s at 1 m/s; meanwhile the watchdog braked, by 1.8 m/s^2 after 0.2 s."""
    memory = TrackingMemory()
    x, v = 0.0, 1.0
    for cycle, told in ((0, 1.0), (1, 1.0), (2, 1.0), (8, 0.28), (9, 0.28), (10, 0.28)):
        stamp = NOW + cycle * 100 * MILLISECOND
        seen = readings(
            stamp=stamp,
            pose=np.array((x, 0.0, 0.0), np.float32),
            pose_stamp=stamp,
            twist=np.array((told, 0.0), np.float32),
            twist_stamp=stamp,
        )
        found = watch_tracking(memory, seen, (v, 0.0), SPEC)
        cause, memory = found.cause, found.memory
        assert (cause, memory.misses) == (Cause.NONE, 0), cycle
        v = told if cycle >= 8 else v
        x += 0.456 if cycle == 2 else 0.1 * told  # 0.2 x 1.0 + (1.0 + 0.28) / 2 x 0.4


@pytest.mark.parametrize(("body", "worlds"), [("planar", 60), ("wheeled", 12)])
def test_no_randomized_drive_is_told_without_a_reason(body: Body, worlds: int) -> None:
    seen = count_alarms(body, worlds, steps=300, seed=5)
    assert seen.episodes > 0.95 * worlds
    assert (seen.alarms, seen.longest) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("body", "worlds"), [("planar", 2100), ("wheeled", 300)])
def test_no_drive_of_two_thousand_episodes_is_told_without_a_reason(body: Body, worlds: int) -> None:
    seen = count_alarms(body, worlds, steps=300, seed=7)
    assert seen.episodes > 0.95 * worlds
    assert seen.alarms == 0
