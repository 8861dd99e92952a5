"""The motor level against numbers worked by hand: 20 ms periods, 1 m/s^2 up, 1.2 x 1.5 m/s^2 down, 4 rad/s^2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hierarchy import motor as motors
from hierarchy.motor import (
    FIRMWARE,
    FORKLIFT,
    MANIPULATOR,
    MEASURED,
    PLANAR,
    WHEELED,
    Motor,
    MotorError,
    MotorMemory,
    at_rest,
    check_motor,
    driven,
    motor_hash,
    wheel_speeds,
)
from sim.bodies.specs import forklift, mobile_manipulator
from sim.robot import DiffDrive, RobotSpec

SPEC = RobotSpec()


def run(motor: Motor, command: tuple[float, float], memory: MotorMemory, periods: int) -> MotorMemory:
    released = np.array([command], np.float32)
    for _ in range(periods):
        _, memory = motor.step(released, memory)
    return memory


def test_acceleration_braking_and_turning_are_limited() -> None:
    motor = Motor(SPEC)
    memory = run(motor, (1.5, 2.0), at_rest(1), 10)  # 0.2 s
    assert memory.output[0] == pytest.approx((0.2, 0.8), abs=1e-6)
    memory = run(motor, (0.0, 0.0), memory, 5)  # 0.1 s at 1.8 m/s^2 and 4 rad/s^2
    assert memory.output[0] == pytest.approx((0.02, 0.4), abs=1e-6)
    memory = run(motor, (0.0, 0.0), memory, 6)
    assert memory.output[0] == pytest.approx((0.0, 0.0), abs=1e-6)


def test_a_lag_of_one_period_takes_half_of_each_change() -> None:
    motor = Motor(SPEC, lag=0.02)
    memory = run(motor, (1.5, 0.0), at_rest(1), 1)
    assert memory.output[0, 0] == pytest.approx(0.01, abs=1e-7)  # setpoint 0.02, share dt / (lag + dt) = 1/2


def test_the_step_is_pure_and_rows_do_not_meet() -> None:
    motor = Motor(SPEC, rows=2)
    memory = at_rest(2)
    released = np.array([(1.0, 0.0), (0.0, -1.0)], np.float32)
    first, _ = motor.step(released, memory)
    motor.step(released[::-1].copy(), MotorMemory(first, first))
    again, _ = motor.step(released, memory)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(memory.setpoint, 0.0)
    assert first[0] == pytest.approx((0.02, 0.0), abs=1e-7)
    assert first[1] == pytest.approx((0.0, -0.08), abs=1e-7)


def test_the_drive_law_is_the_one_with_which_the_tracking_bound_was_measured() -> None:
    """A change of the law or of its parameters fails here until the bound has been measured anew."""
    assert motor_hash(SPEC) == FIRMWARE
    measured = MEASURED[FIRMWARE, PLANAR]
    assert (measured.e0, measured.e1) == (SPEC.tracking_e0, SPEC.tracking_e1)
    assert driven(SPEC, PLANAR) == SPEC
    check_motor(FIRMWARE, SPEC)
    check_motor(FIRMWARE, replace(SPEC, tracking_e0=0.02, tracking_e1=0.05))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(SPEC, drive=DiffDrive(brake_min=2.0)), "its drive law or its parameters are others"),
        (replace(SPEC, drive=DiffDrive(wheel_radius=0.1)), "its drive law or its parameters are others"),
        (replace(SPEC, motor_period=10_000_000), "its drive law or its parameters are others"),
        (replace(SPEC, tracking_e0=0.009), "at least 0.01 m"),
        (replace(SPEC, tracking_e1=0.036), "states 0.01 m . 0.036 m/s"),
    ],
)
def test_a_robot_whose_bound_was_not_measured_with_its_motor_is_refused(spec: RobotSpec, words: str) -> None:
    with pytest.raises(MotorError, match=words) as caught:
        check_motor(FIRMWARE, spec)
    assert "\n" not in str(caught.value)


def test_a_motor_that_was_never_measured_is_refused() -> None:
    other = replace(SPEC, drive=DiffDrive(accel_max=0.5))
    with pytest.raises(MotorError, match="was measured, got"):
        check_motor(motor_hash(other), other)


@pytest.mark.parametrize(("name", "make"), [(FORKLIFT, forklift), (MANIPULATOR, mobile_manipulator)])
def test_every_robot_that_we_have_is_measured_on_both_bodies(name: str, make: Callable[[], RobotSpec]) -> None:
    for body in (PLANAR, WHEELED):
        check_motor(name, make(), body)


def test_the_shield_on_another_body_gets_what_was_measured_on_it() -> None:
    wheeled = driven(SPEC, WHEELED)
    measured = MEASURED[FIRMWARE, WHEELED]
    assert wheeled.tracking_e0 == measured.e0 > SPEC.tracking_e0
    assert wheeled.tracking_e1 == SPEC.tracking_e1 > measured.e1  # what the robot states for itself is kept
    check_motor(FIRMWARE, SPEC, WHEELED)
    with pytest.raises(MotorError, match=r"on the hovering body; calibrate the robot .*measure it by"):
        check_motor(FIRMWARE, SPEC, "hovering")


def test_a_changed_law_is_another_motor_and_a_changed_comment_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    source = motors.inspect.getsource(motors.drive)
    monkeypatch.setattr(motors.inspect, "getsource", lambda module: source.replace("def slew(", "# why\ndef slew("))
    assert motor_hash.__wrapped__(SPEC) == FIRMWARE
    changed = source.replace("now - brake * dt", "now - 0.9 * brake * dt")
    assert changed != source
    monkeypatch.setattr(motors.inspect, "getsource", lambda module: changed)
    assert motor_hash.__wrapped__(SPEC) != FIRMWARE


def test_wheel_speeds_are_those_of_the_arc() -> None:
    # 0.8 m/s and 1 rad/s: 0.8 -+ 0.21 m/s at the wheels, of 0.08 m radius
    speeds = wheel_speeds(np.array([(0.8, 1.0)], np.float32), SPEC)
    assert speeds[0] == pytest.approx((7.375, 12.625), abs=1e-5)
