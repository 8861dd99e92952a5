"""The motor level against numbers worked by hand: 20 ms periods, 1 m/s^2 up, 1.2 x 1.5 m/s^2 down, 4 rad/s^2."""

from __future__ import annotations

import numpy as np
import pytest

from hierarchy.motor import Motor, MotorMemory, at_rest
from sim.robot import RobotSpec

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
