"""The motor level: tracks released commands every motor period; it has no authority beyond them.

The law is the drive kernel of `sim/drive.py`, the same that the plant's bodies run: limited acceleration and braking,
and the lag of the motors. Rows are robots. `step` is pure: the setpoints and outputs go in and come out as arrays; the
object holds the recorded launch and its buffers. On a robot whose base has firmware of its own (the plant's bodies,
whose drive kernel plays the firmware; most AMRs) nothing calls it; on one that takes wheel speeds it is the last thing
before the wire (`fleet.hardware.MotorDrive`).

A motor is named by its hash: the law's source without comments, and its parameters. The shield's tracking bound e(t)
was measured with one motor on one body and holds for no other: `check_motor` refuses a robot that would drive by
another, and `driven` gives the shield the bound of the body that is driven.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim import drive
from sim.drive import BRAKE_SHARE, make_drive, record_drive
from sim.errors import MusterError
from sim.robot import RobotSpec

PLANAR_STRIDE = 3
"""Controls per robot of the planar body: v, 0, w (see `sim/drive.py`)."""


@dataclass(frozen=True)
class TrackingBound:
    """e(t) = e0 + e1 t as it was measured with one motor."""

    e0: float
    """m"""
    e1: float
    """m/s"""


FIRMWARE = "3d4a86bad6e9afe7fcb04a30506e989d07a2c60b3096c99b4f4adb510879fc2b"
"""The hash of the default robot's motor, `motor_hash(RobotSpec())`. Where a change of the source leaves v and w as
they were (layout of the outputs, brakes as an array; 2026-11), the bound goes over to the new hash; else it is measured
anew."""
PLANAR, WHEELED = "planar", "wheeled"
"""Bodies that a motor moves (`sim/bodies/`)."""
FORKLIFT = "6f7c46e70e111675b93e397dff42d420dc6c339401350f29c377a598ae304f7b"
"""That of the forklift-like AMR (`sim.bodies.specs.forklift`)."""
MANIPULATOR = "7d929f901041c907390ff720e7e5963f1201628bb5f50239aea6037a3d3e6bbe"
"""That of the mobile manipulator (`sim.bodies.specs.mobile_manipulator`)."""
MEASURED = {
    (FIRMWARE, PLANAR): TrackingBound(e0=0.010, e1=0.037),
    (FIRMWARE, WHEELED): TrackingBound(e0=0.017, e1=0.002),
    (FORKLIFT, PLANAR): TrackingBound(e0=0.011, e1=0.005),
    (FORKLIFT, WHEELED): TrackingBound(e0=0.014, e1=0.0),
    (MANIPULATOR, PLANAR): TrackingBound(e0=0.007, e1=0.0),
    (MANIPULATOR, WHEELED): TrackingBound(e0=0.011, e1=0.0),
}
"""Bounds by motor and body, rounded up (`tests/benchmarks/tracking_error.py`, worst of all stops + 20 %, 2026-11)."""


class MotorError(MusterError):
    """A robot would drive by a motor for which the shield's tracking bound does not hold."""


@functools.cache
def motor_hash(spec: RobotSpec) -> str:
    """sha256 (hex) of the drive law's source (comments and layout aside) and of everything that it is given."""
    laws = {"slew", "step_drive"}
    parts = [node for node in ast.parse(inspect.getsource(drive)).body if getattr(node, "name", "") in laws]
    for node in parts:
        assert isinstance(node, ast.FunctionDef)
        node.body = [line for line in node.body if not isinstance(line, ast.Expr)]  # docstrings
    numbers = {
        "period": spec.motor_period,
        "accel": spec.diff.accel_max,
        "brake": spec.diff.brake_min * BRAKE_SHARE,
        "turn_accel": spec.diff.turn_accel_max,
        "track": spec.diff.believed_track,
        "wheel_radius": spec.diff.believed_wheel_radius,
    }
    if (spec.diff.track, spec.diff.wheel_radius) != (numbers["track"], numbers["wheel_radius"]):
        # the bound was measured on wheels that are what the law takes them for
        numbers |= {"true_track": spec.diff.track, "true_wheel_radius": spec.diff.wheel_radius}
    text = "\n".join([*map(ast.unparse, parts), json.dumps(numbers, sort_keys=True)])
    return hashlib.sha256(text.encode()).hexdigest()


def driven(spec: RobotSpec, body: str) -> RobotSpec:
    """The specification as shield and monitors take it on a body: a tracking bound of at least what was measured there.

    The embodiment that policies and processes agree on stays that of `spec`. Of a motor that was never measured nothing
    is known: `check_motor` refuses it.
    """
    bound = MEASURED.get((motor_hash(spec), body))
    if bound is None:
        return spec
    return replace(spec, tracking_e0=max(spec.tracking_e0, bound.e0), tracking_e1=max(spec.tracking_e1, bound.e1))


def check_motor(motor: str, spec: RobotSpec, body: str = PLANAR, measured: TrackingBound | None = None) -> None:
    """Raise MotorError unless the tracking error of this motor on this body is known, and the robot drives by it.

    What a specification states for itself must not be less than what was measured on the planar body; on any other
    body the shield takes that body's own bound (`driven`). `measured` is what a calibration measured of this very
    robot: then that is what must be stated.
    """
    drives_by = motor_hash(spec)
    if motor != drives_by:
        raise MotorError(
            f"expected motor {motor[:12]}, robot {spec.name} drives by {drives_by[:12]}: its drive law or its "
            "parameters are others; configure the motor that it has"
        )
    bound = measured or MEASURED.get((motor, PLANAR))
    if bound is None or (measured is None and (motor, body) not in MEASURED):
        raise MotorError(
            f"expected a motor whose tracking error was measured, got {motor[:12]} of robot {spec.name} on the {body} "
            "body; calibrate the robot (muster calibrate), or measure it by tests/benchmarks/tracking_error.py and "
            "enter it in hierarchy/motor.py"
        )
    if spec.tracking_e0 < bound.e0 or spec.tracking_e1 < bound.e1:
        raise MotorError(
            f"expected a tracking bound of at least {bound.e0:g} m + {bound.e1:g} m/s as measured with motor "
            f"{motor[:12]}, robot {spec.name} states {spec.tracking_e0:g} m + {spec.tracking_e1:g} m/s; state that one"
        )


def wheel_speeds(output: NDArray[np.float32], spec: RobotSpec) -> NDArray[np.float32]:
    """Left and right wheel, rad/s (rows, 2), of body velocities v and w (rows, 2): (v -+ w track / 2) / radius."""
    v, half = output[:, 0], output[:, 1] * np.float32(spec.diff.believed_track / 2.0)
    speeds = np.stack([v - half, v + half], axis=-1) / np.float32(spec.diff.believed_wheel_radius)
    return speeds.astype(np.float32)


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
