"""The motor level: tracks released commands every motor period; it has no authority beyond them.

The law is the drive kernel of `sim/drive.py`, the same that the plant's bodies run: limited acceleration and braking,
and the lag of the motors. Rows are robots. `step` is pure: the setpoints and outputs go in and come out as arrays; the
object holds the recorded launch and its buffers. On a robot whose base has firmware of its own (the plant's bodies,
most AMRs) nothing calls it; on one that takes wheel speeds it is the last thing before the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.drive import make_drive, record_drive
from sim.robot import RobotSpec

PLANAR_STRIDE = 3
"""Controls per robot of the planar body: v, 0, w (see `sim/drive.py`)."""


@dataclass(frozen=True)
class MotorMemory:
    """What the motor level remembers, float32 (rows, 2) each."""

    setpoint: NDArray[np.float32]
    """Where the slewed command is, v (m/s) and w (rad/s)"""
    output: NDArray[np.float32]
    """What the motors do after their lag"""


def at_rest(rows: int) -> MotorMemory:
    """The memory of robots that stand."""
    return MotorMemory(np.zeros((rows, 2), np.float32), np.zeros((rows, 2), np.float32))


class Motor:
    """Motor levels of `rows` robots of one kind; `lag` is the time constant of their motors, s."""

    def __init__(self, spec: RobotSpec, rows: int = 1, lag: float = 0.0) -> None:
        import warp as wp  # the module itself only states the law; who makes a motor pays for Warp

        self._drive = make_drive(rows, "cpu")
        self._drive.lag.numpy()[:] = lag
        self._ctrl = wp.zeros((rows, PLANAR_STRIDE), dtype=wp.float32, device="cpu")
        self._launch = record_drive(spec, self._drive, self._ctrl, 1, PLANAR_STRIDE, "cpu")[0]
        self._released = self._drive.released.numpy()
        self._before = self._drive.before.numpy()
        self._setpoint = self._drive.setpoint.numpy()
        self._output = self._drive.output.numpy()

    def step(self, released: NDArray[np.float32], memory: MotorMemory) -> tuple[NDArray[np.float32], MotorMemory]:
        """One motor period: the body velocities to apply, (rows, 2), for the released commands (rows, 2)."""
        self._released[:] = released
        self._before[:] = released
        self._setpoint[:] = memory.setpoint
        self._output[:] = memory.output
        self._launch.launch()
        output = np.array(self._output, np.float32)
        return output, MotorMemory(np.array(self._setpoint, np.float32), output)
