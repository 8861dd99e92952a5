"""What a robot may do by its calibration, and that the monitors tell a robot that has become another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from safety.calibration import (
    ALARMS,
    CREEP_SPEED,
    CREEP_TURN,
    WRONG,
    Authority,
    Calibrated,
    CalibrationMemory,
    Exceeded,
    allowed,
    watch_calibration,
)
from sim.robot import SECOND, Readings, RobotSpec

SPEC = RobotSpec()
BOUNDS = Calibrated(coverage=0.999, brake=1.6, latency=0.07)


@dataclass(frozen=True)
class Body:
    """A drive in one dimension, stepped finely: it answers late, slews, and its odometry has noise."""

    brake: float = 1.8
    latency: float = 0.05
    accel: float = 0.9
    noise: float = 0.01


def drives(body: Body, count: int, seed: int) -> Iterator[tuple[Readings, tuple[float, float]]]:
    """Readings of `count` drives with the command that was released in the cycle before each."""
    rng = np.random.default_rng(seed)
    fine, stamp, v = 0.01, 0, 0.0
    commands: list[tuple[float, float]] = [(-10.0, 0.0)]
    scan = np.zeros(0, np.float32)
    last = 0.0
    for _ in range(count):
        top = float(rng.uniform(0.4, 1.5))
        told = (
            [top] * int(rng.integers(20, 30))
            + [float(rng.uniform(0.2, 1.0)) * top] * int(rng.integers(5, 15))
            + [0.0] * 16
        )
        for goal in told:
            twist = np.array([v + body.noise * np.clip(rng.normal(), -3, 3), 0.0], np.float32)
            yield Readings(stamp, scan, stamp, np.zeros(3, np.float32), stamp, twist, stamp), (last, 0.0)
            commands.append((stamp / SECOND, goal))
            last = goal
            for k in range(round(SPEC.period / SECOND / fine)):
                now = stamp / SECOND + k * fine
                ruling = next(c for at, c in reversed(commands) if at + body.latency <= now)
                change = np.clip(ruling - v, -body.brake * fine, body.accel * fine)
                v = float(v + change)
            stamp += SPEC.period


def watch(body: Body, count: int, bounds: Calibrated = BOUNDS, seed: int = 0, stray: bool = False) -> CalibrationMemory:
    memory = CalibrationMemory()
    for readings, last in drives(body, count, seed):
        memory = watch_calibration(memory, readings, last, stray, bounds, SPEC)
    return memory


def test_a_robot_as_calibrated_keeps_its_calibration() -> None:
    memory = watch(Body(), 80)
    assert memory.expired is Exceeded.NONE
    assert memory.drives == pytest.approx(80, abs=2)
    assert max(memory.scores) < math.log(ALARMS) / 2


def test_at_its_very_bounds_too() -> None:
    assert watch(Body(brake=1.62, latency=0.068), 50).expired is Exceeded.NONE


def test_brakes_that_have_become_weak_expire_it_within_some_drives() -> None:
    memory = watch(Body(brake=0.9), 40)
    assert memory.expired is Exceeded.BRAKING
    assert memory.drives <= 10


def test_brakes_that_are_a_little_weak_expire_it_too_though_they_may_be_taken_for_a_late_answer() -> None:
    memory = watch(Body(brake=1.25), 40)
    assert memory.expired in (Exceeded.BRAKING, Exceeded.LATENCY)


def test_an_answer_that_has_become_late_expires_it_and_is_told_from_weak_brakes() -> None:
    assert watch(Body(latency=0.14), 40).expired is Exceeded.LATENCY


def test_tracking_that_fails_in_every_drive_expires_it_with_the_third() -> None:
    memory = watch(Body(), 5, stray=True)
    assert memory.expired is Exceeded.TRACKING
    assert memory.drives == 3  # 3 ln 50 = 11.7 is beyond ln 1e4 = 9.2, 2 ln 50 = 7.8 is not
    assert 2 * math.log(WRONG / 0.001) < math.log(ALARMS) < 3 * math.log(WRONG / 0.001)


def test_one_bad_drive_among_many_is_what_the_coverage_says() -> None:
    memory = CalibrationMemory()
    for readings, last in drives(Body(), 60, 3):
        strange = memory.drives == 30
        memory = watch_calibration(memory, readings, last, strange, BOUNDS, SPEC)
    assert memory.expired is Exceeded.NONE
    assert 0.0 < memory.scores[2] < math.log(WRONG / 0.001)


def test_what_expired_stays_so() -> None:
    memory = CalibrationMemory(expired=Exceeded.LATENCY)
    for readings, last in drives(Body(), 2, 0):
        assert watch_calibration(memory, readings, last, False, BOUNDS, SPEC) == memory


def test_readings_that_stay_away_begin_anew_and_keep_the_scores() -> None:
    memory = CalibrationMemory(stamp=1, cycle=1, scores=(1.0, 2.0, 3.0), drives=7)
    twist = np.array([1.0, 0.0], np.float32)
    late = 5 * SECOND
    readings = Readings(late, np.zeros(0, np.float32), late, np.zeros(3, np.float32), late, twist, late)
    again = watch_calibration(memory, readings, (1.0, 0.0), False, BOUNDS, SPEC)
    assert (again.scores, again.drives, again.stamp) == ((1.0, 2.0, 3.0), 7, late)


def test_a_gain_of_the_wheels_is_no_weak_brake() -> None:
    """A robot that drives 6 % faster than told is known by its calibration, and else is found."""
    body = replace(Body(), noise=0.0)

    def run(bounds: Calibrated) -> Exceeded:
        memory = CalibrationMemory()
        for readings, last in drives(body, 30, 1):
            told = (last[0] / 1.06, 0.0)
            memory = watch_calibration(memory, readings, told, False, bounds, SPEC)
        return memory.expired

    assert run(replace(BOUNDS, gain=(1.06, 1.0))) is Exceeded.NONE
    assert run(BOUNDS) is not Exceeded.NONE


def test_authority_caps_speed_and_turn_on_the_same_arc() -> None:
    assert allowed(Authority.FULL, (1.5, -2.0), math.inf) == ((1.5, -2.0), math.inf)
    (v, w), limit = allowed(Authority.CREEP, (1.5, -2.0), math.inf)
    assert (v, w, limit) == (CREEP_SPEED, pytest.approx(-0.4), CREEP_SPEED)
    assert allowed(Authority.CREEP, (-0.2, 2.0), 0.2) == ((-0.2, CREEP_TURN), 0.2)
    assert allowed(Authority.SHADOW, (1.5, -2.0), math.inf)[0] == (0.0, 0.0)


def test_what_is_no_number_is_left_for_others_to_refuse() -> None:
    (v, w), _ = allowed(Authority.CREEP, (math.nan, math.nan), math.inf)
    assert math.isnan(v)
    assert math.isnan(w) or abs(w) <= CREEP_TURN
