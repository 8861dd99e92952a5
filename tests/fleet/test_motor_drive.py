"""The motor level on a base that takes wheel speeds: its beat, its law, and what it does when nobody speaks."""

from __future__ import annotations

import time

import numpy as np
import pytest

from coordination.transport import Network
from fleet.hardware import STALE_COMMAND, MotorDrive, PlantRobot
from hierarchy.motor import Motor, at_rest, wheel_speeds
from sim.robot import RobotCommand, RobotSpec

SPEC = RobotSpec()


class FakeWheels:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float]] = []

    def write_wheels(self, left: float, right: float) -> None:
        self.told.append((left, right))


def test_the_motor_steps_every_period_whatever_the_loop_does() -> None:
    wheels = FakeWheels()
    drive = MotorDrive(SPEC, wheels)
    for k in range(1001):  # the loop looks every millisecond, for a second
        now = 10.0 + 0.001 * k
        if k % 100 == 0:
            drive.release(RobotCommand(0.5, 0.0), now)
        drive.step(now)
    assert len(wheels.told) in (50, 51)
    motor, memory = Motor(SPEC), at_rest(1)
    for left, right in wheels.told:
        output, memory = motor.step(np.array([(0.5, 0.0)], np.float32), memory)
        assert (left, right) == pytest.approx(tuple(wheel_speeds(output, SPEC)[0]), abs=1e-6)
    assert wheels.told[-1] == pytest.approx((6.25, 6.25), abs=1e-4)


def test_a_command_that_nobody_follows_up_is_braked_away() -> None:
    wheels = FakeWheels()
    drive = MotorDrive(SPEC, wheels)
    speeds = []  # every 5 ms
    for k in range(800):
        now = 0.005 * k
        if now < 2.0:
            drive.release(RobotCommand(1.0, 0.0), now)
        drive.step(now)
        speeds.append(wheels.told[-1][0] * SPEC.drive.wheel_radius)
    until = round((2.0 + STALE_COMMAND) / 0.005)
    assert speeds[until - 4] == pytest.approx(1.0, abs=1e-4)
    # 1.0 m/s at 1.2 x 1.5 m/s^2: rest after 0.56 s, and half of it is left after 0.28 s
    assert speeds[until + 56] == pytest.approx(0.5, abs=0.08)
    assert speeds[until + 124] == 0.0


def test_a_pause_of_the_loop_is_not_made_up_for() -> None:
    wheels = FakeWheels()
    drive = MotorDrive(SPEC, wheels)
    drive.step(0.0)
    drive.step(5.0)
    drive.step(5.001)
    assert len(wheels.told) == 2


def test_a_robot_with_such_a_base_passes_on_what_it_releases_and_one_with_firmware_has_no_motor_level() -> None:
    network, wheels = Network(), FakeWheels()
    robot = PlantRobot("r0", network.client("r0", "plant", None), SPEC, base=wheels)
    assert robot.motor is not None
    robot.write(RobotCommand(1.0, 0.5))
    robot.motor.step(time.monotonic())
    ((left, right),) = wheels.told
    assert 0.0 < left < right
    assert PlantRobot("r1", network.client("r1", "plant", None), SPEC).motor is None
