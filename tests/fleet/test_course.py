"""The course on robots that are not as they should be: it stands, says so in one line, and drives no further."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fleet.beams import BeamError
from fleet.course import BrokenOff, CourseError, Mover, Script, follow
from fleet.estimates import Run, measure
from fleet.hardware import FakeRobot
from fleet.stages import Course, Demand
from sim.robot import Readings, RobotCommand, RobotSpec

SPEC = RobotSpec()
SIDE = 12.0
Pose = tuple[float, float, float]


def walls(pose: Pose, side: float = SIDE) -> np.ndarray:
    """Ranges to the walls of an empty square hall."""
    x, y, yaw = pose
    angles = SPEC.lidar.angles().astype(float) + yaw
    c, s = np.cos(angles), np.sin(angles)
    with np.errstate(divide="ignore"):
        along = np.where(c > 0, (side - x) / c, np.where(c < 0, -x / c, np.inf))
        across = np.where(s > 0, (side - y) / s, np.where(s < 0, -y / s, np.inf))
    return np.minimum(np.minimum(along, across), SPEC.lidar.range_max).astype(np.float32)


def robot(scan: Callable[[Pose], np.ndarray] = walls, pose: Pose = (6.0, 6.0, 0.3)) -> FakeRobot:
    return FakeRobot(SPEC, pose, scan)


def one_run(mover: Mover, v: float, w: float, cycles: int, plan: bool = False) -> Script[Run]:
    yield from mover.tell()
    return (yield from mover.go(v, w, cycles, SPEC if plan else None))


def test_a_run_is_driven_as_told_and_measured() -> None:
    fake, mover = robot(), Mover(SPEC)
    found = measure(follow(fake, one_run(mover, 1.2, 0.0, 20)))
    # a fake answers each command with a step of its slew at once: 0.1 s earlier than a ramp
    assert found.accel == pytest.approx(SPEC.diff.accel_max, rel=0.02)
    assert found.brake == pytest.approx(1.2 * SPEC.diff.brake_min, rel=0.02)
    assert fake.command == RobotCommand(0.0, 0.0)


def test_a_stopping_plan_is_played_and_compared_with_its_prediction() -> None:
    run = follow(robot(), one_run(Mover(SPEC), 1.0, 0.8, 20, plan=True))
    assert run.prediction is not None
    found = measure(run)
    assert found.error is not None
    assert found.error.max() < 0.05
    assert math.isnan(found.brake)  # no full stop was told


def test_a_run_is_broken_off_where_somebody_steps_into_its_way_and_the_robot_stands_before_him() -> None:
    def scan(pose: Pose) -> np.ndarray:
        ranges = walls(pose)
        if pose[0] > 6.8:  # a person stands at (8.3, 6) from then on
            bearing = math.atan2(6.0 - pose[1], 8.3 - pose[0]) - pose[2]
            distance = math.hypot(8.3 - pose[0], 6.0 - pose[1])
            near = np.abs(np.angle(np.exp(1j * (SPEC.lidar.angles() - bearing)))) < 0.25 / distance
            ranges[near] = np.minimum(ranges[near], distance - 0.25)
        return ranges

    fake, mover = robot(scan, (6.0, 6.0, 0.0)), Mover(SPEC)
    mover.weakest = 1.5
    with pytest.raises(BrokenOff):
        follow(fake, one_run(mover, 1.0, 0.0, 30))
    assert fake.command == RobotCommand(0.0, 0.0)
    assert 8.3 - 0.25 - fake.pose[0] > SPEC.radius


def test_only_as_much_room_is_taken_as_the_weakest_braking_leaves() -> None:
    mover = Mover(SPEC)
    follow(robot(pose=(6.0, 6.0, 0.0)), mover.rest())
    assert mover.fits(0.3, 0.0, 15) is not None
    assert mover.fits(1.5, 0.0, 25) is None  # with CAUTIOUS braking 4.5 m to stop from 1.5 m/s
    mover.weakest = 1.5
    assert mover.fits(1.5, 0.0, 25) is not None


class Weak(FakeRobot):
    """It brakes ten times weaker than it should."""

    def write(self, command: RobotCommand) -> None:
        slow = SPEC.diff.brake_min / 100.0
        if abs(command.v) < abs(self.command.v):
            command = replace(command, v=math.copysign(max(abs(command.v), abs(self.command.v) - slow), self.command.v))
        super().write(command)


def test_a_robot_that_does_not_brake_is_told_to_stand_and_driven_no_further() -> None:
    fake, mover = Weak(SPEC, (2.0, 6.0, 0.0), walls), Mover(SPEC)
    mover.weakest = 1.5
    with pytest.raises(CourseError, match=r"look at the brakes before anything else"):
        follow(fake, one_run(mover, 1.0, 0.0, 12))


@pytest.mark.parametrize("kept", [(0.1, 0.0), (0.0, 0.3)])
def test_a_robot_that_creeps_or_turns_on_after_a_stop_ends_the_course(kept: tuple[float, float]) -> None:
    class Restless(FakeRobot):
        def write(self, command: RobotCommand) -> None:
            super().write(command if command.v > 0.0 else RobotCommand(*kept))

    with pytest.raises(CourseError, match="expected the robot to stand 10 s after a stop was told"):
        follow(Restless(SPEC, (2.0, 6.0, 0.0), walls), one_run(Mover(SPEC), 0.3, 0.0, 12))


@pytest.mark.parametrize("sensor", ["scan", "pose", "twist"])
def test_readings_from_the_future_end_the_course(sensor: str) -> None:
    class Ahead(FakeRobot):
        def read(self, timeout: float) -> Readings | None:
            now = super().read(timeout)
            return now and replace(now, **{f"{sensor}_stamp": now.stamp + SPEC.period // 10})

    with pytest.raises(CourseError, match=r"readings are 0\.010 s from the future"):
        follow(Ahead(SPEC, (6.0, 6.0, 0.0), walls), still(Mover(SPEC), 3))


def test_a_robot_whose_time_stands_still_is_driven_no_further() -> None:
    class Frozen(FakeRobot):
        def read(self, timeout: float) -> Readings | None:
            now = super().read(timeout)
            return now and replace(now, stamp=SPEC.period, scan_stamp=0, pose_stamp=0, twist_stamp=0)

    fake, mover = Frozen(SPEC, (6.0, 6.0, 0.0), walls), Mover(SPEC)
    with pytest.raises(CourseError, match="time stands still"):
        follow(fake, still(mover, 30))
    assert mover.cycles == 2


def test_an_old_scan_asks_for_the_room_that_was_driven_since() -> None:
    def free(age: float) -> bool:
        mover = Mover(SPEC)
        mover.weakest = 1.5
        fake = robot(pose=(8.9, 6.0, 0.0))  # 1 m/s stops in 0.48 m, the wall is 3.1 m ahead
        now = fake.read(0.0)
        assert now is not None
        mover.now = replace(
            now, stamp=2 * 10**9, scan_stamp=2 * 10**9 - round(age * 1e9), twist=np.array((1.0, 0.0), np.float32)
        )
        return mover._free()

    assert free(0.05)
    assert free(0.8)
    assert not free(2.2)


def still(mover: Mover, cycles: int) -> Script[None]:
    for _ in range(cycles):
        yield from mover.tell(0.3, 0.0)


def test_the_bumper_ends_the_course_at_rest() -> None:
    fake = robot()
    fake.bumper = True
    with pytest.raises(CourseError, match="bumper"):
        follow(fake, still(Mover(SPEC), 3))


@pytest.mark.parametrize("lost", ["scan", "pose", "twist"])
def test_readings_that_grow_old_end_the_course(lost: str) -> None:
    fake = robot()
    fake.stale = {lost}
    with pytest.raises(CourseError, match=r"readings are 1\.1 s old, expected at most 1 s"):
        follow(fake, still(Mover(SPEC), 30))


def test_readings_that_stay_away_end_the_course_and_the_last_word_is_stand() -> None:
    class Silent(FakeRobot):
        def read(self, timeout: float) -> Readings | None:
            return None if self.stamp >= 3 * SPEC.period else super().read(timeout)

    fake = Silent(SPEC, (6.0, 6.0, 0.0), walls)
    with pytest.raises(CourseError, match="none came; look at the robot"):
        follow(fake, still(Mover(SPEC), 30))
    assert abs(fake.command.v) < 0.3


def test_a_scan_of_another_lidar_or_with_nan_is_refused() -> None:
    for broken in (np.ones(7, np.float32), np.full(SPEC.lidar.rays, np.nan, np.float32)):
        with pytest.raises(CourseError, match="expected pose, twist and a scan of 360 rays"):
            follow(robot(lambda pose, broken=broken: broken), still(Mover(SPEC), 3))


def test_a_blocked_beam_ends_the_course_before_any_way_is_driven() -> None:
    def scan(pose: Pose) -> np.ndarray:
        ranges = walls(pose)
        ranges[100:121] = SPEC.lidar.range_max
        return ranges

    fake = robot(scan)
    with pytest.raises(BeamError, match="rays 100 to 120 of 360 see nothing"):
        follow(fake, Course(SPEC, Demand()).script())
    assert fake.pose[:2] == pytest.approx((6.0, 6.0), abs=1e-6)
    assert fake.command == RobotCommand(0.0, 0.0)


def test_a_robot_that_does_not_turn_is_found_out() -> None:
    class Stuck(FakeRobot):
        def write(self, command: RobotCommand) -> None:
            super().write(RobotCommand(command.v, 0.0))

    with pytest.raises(BeamError, match="it does not turn"):
        follow(Stuck(SPEC, (6.0, 6.0, 0.0), walls), Course(SPEC, Demand()).script())


def test_a_cell_without_room_is_refused() -> None:
    with pytest.raises((CourseError, BeamError), match=r"free place|room to turn|something round"):
        follow(robot(lambda pose: walls(pose, 1.2), (0.6, 0.6, 0.0)), Course(SPEC, Demand()).script())


def test_a_small_room_lowers_the_top_speed_that_is_driven() -> None:
    news: list[str] = []
    course = Course(SPEC, Demand(coverage=0.5, confidence=0.5, seed=3), news.append)
    found = follow(robot(lambda pose: walls(pose, 5.0), (2.5, 2.5, 0.0)), course.script())
    assert found.top < SPEC.diff.speed_max
    assert found.fitted.diff.speed_max == found.top
    assert any("no room for" in line for line in news)


def test_an_ideal_robot_drives_the_whole_course_and_its_bounds_hold_it() -> None:
    fake = robot()
    touched: list[float] = []
    read = fake.read

    def reading(timeout: float) -> Readings | None:
        now = read(timeout)
        touched.append(min(fake.pose[0], fake.pose[1], SIDE - fake.pose[0], SIDE - fake.pose[1]))
        return now

    fake.read = reading  # type: ignore[method-assign]
    found = follow(fake, Course(SPEC, Demand(coverage=0.8, seed=1)).script())
    assert min(touched) > SPEC.radius
    assert found.verified >= 14
    assert found.bounds is not None
    assert found.bounds.brake is not None
    assert found.bounds.brake.value <= 1.2 * SPEC.diff.brake_min * 1.01
    assert found.fitted.diff.accel_max >= 0.99 * SPEC.diff.accel_max
    assert found.top == SPEC.diff.speed_max


@pytest.mark.parametrize("blind", [False, True])
def test_a_stopping_plan_that_leads_into_a_wall_is_never_begun(monkeypatch: pytest.MonkeyPatch, blind: bool) -> None:
    """Blind to where a plan leads, the course drives the robot into the wall: a plan may take longer than a stop."""
    if blind:
        monkeypatch.setattr(Mover, "_clear", lambda mover, prediction: True)
        monkeypatch.setattr(Mover, "_free", lambda mover: True)
    side, nearest = 6.0, [math.inf]

    class Watched(FakeRobot):
        def read(self, timeout: float) -> Readings | None:
            nearest[0] = min(nearest[0], side - self.pose[0])
            return super().read(timeout)

    mover, slow = Mover(SPEC), replace(SPEC, drive=replace(SPEC.diff, brake_min=0.25))
    mover.weakest = 1.5

    def script() -> Script[Run]:
        yield from mover.tell()
        return (yield from mover.go(1.2, 0.0, 14, slow))

    watched = Watched(SPEC, (3.0, 3.0, 0.0), lambda pose: walls(pose, side))
    if blind:
        follow(watched, script())
    else:
        with pytest.raises(BrokenOff):
            follow(watched, script())
    assert (nearest[0] < SPEC.radius) == blind


def test_a_plan_is_given_the_room_that_the_end_of_its_turn_takes() -> None:
    mover, slow = Mover(SPEC), replace(SPEC, drive=replace(SPEC.diff, turn_accel_max=0.5))
    follow(robot(lambda pose: walls(pose, 7.0), (3.5, 3.5, 0.0)), mover.rest())
    mover.weakest = 1.5
    assert mover.fits(1.0, 0.5, 14) is not None
    assert mover.fits(1.0, 0.5, 14, SPEC) is not None
    assert mover.fits(1.2, 0.0, 14) is not None
    assert mover.fits(1.2, 0.0, 14, replace(SPEC, drive=replace(SPEC.diff, brake_min=0.2))) is None
    assert mover.fits(0.0, 1.5, 14, slow) is not None  # on the spot it takes none
