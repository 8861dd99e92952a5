"""Any task's observation with what its sensors say behind it: IMU, bumper, battery, and how old each reading is.

Asked for by `Sensors.observed`. The fields stand behind the task's own under their own names, so that the contract is
another one, and no policy that was trained without them is taken for one that was. Scan, pose and twist are in the
task's own fields already; here is their age.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import warp as wp

from sim.launches import Launchable
from sim.sensorspec import NAMES, Sensors
from sim.suite import SensorSuite
from sim.tasks.contract import Contract, Field
from sim.tasks.task import Task

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

FORCE, RATE, VOLTAGE, AGE = 9.81, 2.0, 50.0, 0.1
"""What one stands for in the observation: m/s^2, rad/s, V, s; so that usual values lie within one."""

AGE_MAX = 100.0
"""Largest age that is told, in units of AGE: a battery's gauge may be seconds old."""

FORCE_C, RATE_C, VOLTAGE_C, AGE_C = wp.constant(FORCE), wp.constant(RATE), wp.constant(VOLTAGE), wp.constant(AGE)
AGE_MAX_C = wp.constant(AGE_MAX)


def sensed_fields(sensors: Sensors) -> tuple[Field, ...]:
    """The fields behind a task's own."""
    fields = []
    units = {
        "imu": (6, f"{FORCE} m/s^2 (3), {RATE} rad/s (3)", "B", -10.0, 10.0),
        "bumper": (1, "1", "", 0.0, 1.0),
        "battery": (2, f"1, {VOLTAGE} V", "", 0.0, 2.0),
    }
    for name, timing in sensors.timings().items():
        late = timing.latency + timing.jitter
        if name in units:
            size, unit, frame, low, high = units[name]
            period = 1.0 / timing.rate if timing.rate else 0.0
            fields.append(Field(name, (size,), "float32", unit, frame, low, high, period, late + period))
    names = tuple(sensors.timings())
    fields.append(Field("ages", (len(names),), "float32", f"{AGE} s ({', '.join(names)})", "", 0.0, AGE_MAX, 0.0, 0.0))
    return tuple(fields)


def is_sensed(contract: Contract) -> bool:
    """Whether an observation has its sensors' fields already: a fleet appends them itself (sim/tasks/fleet.py)."""
    return any(field.name == "ages" for field in contract.fields)


class Sensed:
    """Owns the longer observation of a task."""

    def __init__(self, task: Task, suite: SensorSuite) -> None:
        self._task, self._suite = task, suite
        own = task.contract
        self.contract: Contract = replace(own, fields=own.fields + sensed_fields(suite.sensors))
        """The task's with the fields behind it."""
        senses = suite.senses
        shape = (senses.rows, self.contract.observation_size)
        self.observation = wp.zeros(shape, dtype=wp.float32, device=senses.device)
        """(rows, the contract's observation)"""
        self._nothing = wp.zeros((senses.rows, 0), dtype=wp.float32, device=senses.device)
        numbers = [NAMES.index(name) for name in suite.names]
        self._numbers = wp.array(numbers, dtype=wp.int32, device=senses.device)

    def append(self, mask: wp.array) -> Sequence[Launchable]:
        """The launch that writes the masked rows' observation, once the task has written its own."""
        suite = self._suite
        said = [suite.readings.get(name, self._nothing) for name in ("imu", "bumper", "battery")]
        inputs = [mask, self._task.observation, *said, suite.age, self._numbers, self.observation]
        return [suite.senses.record(append, suite.senses.rows, inputs)]


@wp.kernel
def append(
    mask: wp.array(dtype=wp.uint8),
    own: wp.array2d(dtype=wp.float32),
    imu: wp.array2d(dtype=wp.float32),
    bumper: wp.array2d(dtype=wp.float32),
    battery: wp.array2d(dtype=wp.float32),
    age: wp.array2d(dtype=wp.float32),
    numbers: wp.array(dtype=wp.int32),
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The task's numbers, then those of each sensor that there is (an array without columns is none), then ages."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    at = wp.int32(own.shape[1])
    for k in range(own.shape[1]):
        out[row, k] = own[row, k]
    for k in range(imu.shape[1]):
        out[row, at + k] = wp.clamp(imu[row, k] / wp.where(k < 3, FORCE_C, RATE_C), -10.0, 10.0)
    at += imu.shape[1]
    for k in range(bumper.shape[1]):
        out[row, at + k] = bumper[row, k]
    at += bumper.shape[1]
    for k in range(battery.shape[1]):
        out[row, at + k] = wp.clamp(battery[row, k] / wp.where(k == 0, 1.0, VOLTAGE_C), 0.0, 2.0)
    at += battery.shape[1]
    for k in range(numbers.shape[0]):
        out[row, at + k] = wp.min(age[row, numbers[k]] / AGE_C, AGE_MAX_C)
