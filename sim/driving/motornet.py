"""A frozen motor policy inside the road's plant: a small perceptron that corrects the firmware at 50 Hz.

It is asked every 20 ms of a row's episode, whatever the control period of the task: 20 ms do not divide 50 ms, so that
each row counts its motor periods (`MotorArrays.count`, part of every snapshot). It answers on the CPU and in a device's
graph alike (sim/perceptron.py) and sees by the functions of its own task (sim/driving/motorsense.py), so that it
answers here as it did where it was trained. Its sensors' errors are rows of the plant's table (`motor_rows`).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# Warp structs are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Mapping

import warp as wp

from sim.drive import DriveArrays
from sim.driving.drive import CarArrays, limits_of
from sim.driving.motorsense import HISTORY, OBSERVATION, MotorArrays, MotorDraws, begin_motor, step_motor
from sim.fields import Recompute
from sim.launches import Launchable, record
from sim.perceptron import Layers, make_net
from sim.randomization import Term
from sim.robot import SECOND, RobotSpec
from sim.rows import RobotArrays
from sim.tasks.task import struct_arrays
from sim.vary import Row, Table, VaryArrays


def motor_rows(level: float = 1.0) -> tuple[Row, ...]:
    """What varies about the sensors of the motor level; `level` shrinks it, 0 switches it off."""
    none = Recompute.NONE

    def row(name: str, low: float, high: float, unit: str, most: float, counter: int, source: str, drawn: bool) -> Row:
        term = Term.MOTOR_SENSORS if drawn else Term.MOTOR_NOISE
        return Row(
            term, name, "uniform", level * low, level * high, unit, "", none, source,
            bounds=(-most if drawn else 0.0, most), counter=counter, drawn=drawn,
        )  # fmt: skip

    return (
        row("motor_accel_bias", -0.05, 0.05, "m/s^2", 1.0, 0,
            "own choice: half a per cent of slope that nobody has estimated", True),
        row("motor_gyro_bias", -0.002, 0.002, "rad/s", 0.1, 1,
            "own choice: 0.1 deg/s, what a car's gyro keeps after calibration at each standstill", True),
        row("motor_accel_noise", 0.03, 0.03, "m/s^2", 1.0, 0,
            "datasheet: Bosch BMI088, 0.175 mg/sqrt(Hz), in 50 Hz 0.012; and as much again of engine and road", False),
        row("motor_gyro_noise", 0.002, 0.002, "rad/s", 0.1, 1,
            "datasheet: Bosch BMI088, 0.014 deg/s/sqrt(Hz), in 50 Hz 0.1 deg/s; standard deviation", False),
        row("motor_speed_noise", 0.02, 0.02, "m/s", 1.0, 2,
            "own choice: a wheel's ring of 96 edges and 2 m tells 0.02 m between two of them", False),
        row("motor_steer_noise", 0.0005, 0.0005, "rad", 0.01, 3,
            "own choice: half a degree at the steering wheel, which turns 15 times as far as the road's", False),
    )  # fmt: skip


def make_motor(rows: int, device: str) -> MotorArrays:
    """Sensors without errors, nothing read yet."""
    motor = MotorArrays()
    widths = {"bias": 2, "sums": 5, "error": 3 * HISTORY, "drift": 2, "brakes": 2, "told": 4}
    for name, width in widths.items():
        setattr(motor, name, wp.zeros((rows, width), dtype=wp.float32, device=device))
    motor.speed = wp.zeros(rows, dtype=wp.float32, device=device)
    motor.count = wp.zeros(rows, dtype=wp.int32, device=device)
    return motor


def make_motor_draws(table: Table, arrays: VaryArrays) -> MotorDraws:
    """Where the rows of a table are. Raises VaryError for a table without `motor_rows`."""
    draws = MotorDraws()
    draws.table = arrays
    for row in motor_rows():
        setattr(draws, row.name.removeprefix("motor_"), table.index(row.name))
    return draws


class FrozenMotor:
    """A motor policy on a plant's rows. Owns what they remember; a part of `sim.driving.plant.RoadPlant`."""

    def __init__(
        self,
        layers: Layers,
        spec: RobotSpec,
        *,
        seed: int,
        table: Table,
        varies: VaryArrays,
        state: RobotArrays,
        drive: DriveArrays,
        cars: CarArrays,
        device: str,
    ) -> None:
        """Raises ValueError for layers of another task, VaryError for a table without `motor_rows`."""
        rows = state.pose.shape[0]
        self.motor = make_motor(rows, device)
        self._draws, self._cars, self._device, self._rows = make_motor_draws(table, varies), cars, device, rows
        self._seen = wp.zeros((rows, OBSERVATION), dtype=wp.float32, device=device)
        net = make_net(layers, rows, device, OBSERVATION, "the task drive.motor")
        inputs = [spec.period // spec.motor_period, spec.motor_period / SECOND, seed, self._draws, limits_of(spec), net,
                  state, drive, cars, self.motor, self._seen]  # fmt: skip
        self.step: Launchable = record(step_motor, rows, inputs, device)
        """Before the drives, once a motor period."""

    def begin(self, mask: wp.array) -> Launchable:
        """The masked rows (uint8 (rows,)) begin an episode that the plant has drawn."""
        return record(begin_motor, self._rows, [self._draws, mask, self._cars, self.motor], self._device)

    def arrays(self) -> Mapping[str, wp.array]:
        """What it remembers, by name."""
        return struct_arrays("motor", self.motor)
