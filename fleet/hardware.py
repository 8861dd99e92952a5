"""Robots behind the `Robot` protocol: one over the plant's wire, and a fake for tests.

The plant sends `cycle/1` with the readings, the robot answers `done/1` with the released command; the seam is the
same for a plant in lockstep and in wall time. A robot that lags reads the newest cycle only, and the older ones are
counted as skipped. `rejoin` after a watchdog spoke for the robot: the plant hears the loop again only then.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coordination.messages import Cycle, Done, Join, Joined, Leave
from coordination.transport import Transport
from fleet.hosted import JoinError, readings_of
from fleet.records import Outputs
from hierarchy.motor import Motor, at_rest, wheel_speeds
from sim.robot import SECOND, Readings, RobotCommand, RobotSpec

PLANT = "plant"
"""The plant's name on the wire."""
STALE_COMMAND = 0.3
"""A released command is tracked for so long, s: three control periods, as the watchdog waits at most."""
JOIN_PAUSE = 0.2
"""Between two requests to join, s: the plant may still be starting."""


class WheelBase(Protocol):
    """A base without a drive controller of its own: it takes wheel speeds, and stops by itself when none come."""

    def write_wheels(self, left: float, right: float) -> None:
        """Turn the wheels at these speeds, rad/s, until the next."""
        ...


class MotorDrive:
    """The motor level of one robot on a base that takes wheel speeds: `motor.step` every motor period.

    Owns the motor's memory, the newest released command and its own beat. A command that nobody follows up within
    STALE_COMMAND is tracked no further: the motor brakes to rest. The robot's loop calls `step` at least as often as
    the motor period.
    """

    def __init__(self, spec: RobotSpec, base: WheelBase) -> None:
        self.spec, self.base = spec, base
        self.period = spec.motor_period / SECOND
        self._motor, self._memory = Motor(spec), at_rest(1)
        self._released, self._since = np.zeros((1, 2), np.float32), -math.inf
        self._next = -math.inf

    def release(self, command: RobotCommand, now: float) -> None:
        """The control step's newest command; `now` in s of the caller's clock, as in `step`."""
        self._released[0], self._since = (command.v, command.w), now

    def step(self, now: float) -> None:
        """Make the motor steps that are due; after a pause one, not all that were missed."""
        while now >= self._next:
            self._next = now + self.period if now > self._next + self.period else self._next + self.period
            if now - self._since > STALE_COMMAND:
                self._released[:] = 0.0
            output, self._memory = self._motor.step(self._released, self._memory)
            left, right = wheel_speeds(output, self.spec)[0]
            self.base.write_wheels(float(left), float(right))


class PlantRobot:
    """One robot of the plant; owns its end of the wire and the round that is open.

    The plant's drive kernel (`sim/drive.py`) plays the firmware of its bases: they take v and w, and no motor level
    runs here. With `base` the released commands drive wheels that hang on this computer as well.
    """

    def __init__(
        self, name: str, transport: Transport, spec: RobotSpec, watchdog: str = "", base: WheelBase | None = None
    ) -> None:
        """`transport` is a client's end to the plant, under the robot's own name; `watchdog` may speak for it."""
        self.motor = MotorDrive(spec, base) if base is not None else None
        self.name = name
        self.watchdog = watchdog
        self.transport = transport
        self.spec = spec
        self.joined: Joined | None = None
        """What the plant said when it took the robot"""
        self.cycle: Cycle | None = None
        """The round that `read` returned last"""
        self.skipped = 0
        """Cycles that were never acted on because a newer one had come"""
        self.life = 0
        """See `HostedRobot.life`; a plant of another life has another process of robots"""
        self.malformed = 0
        """Cycles whose scan was not a row of float32"""
        self.left = ""
        """Why the plant ended; empty while it runs"""
        self.lift = False
        """Whether the lift is to be up, with every command from now on"""
        self.shadow = False
        """See `HostedRobot.shadow`; the plant hears nobody else, and waits for an answer: to stand"""
        self._answered = -1

    @property
    def counts(self) -> Counter[str]:
        """Messages by what became of them."""
        return self.transport.counts

    def join(self, timeout: float) -> Joined:
        """Take part in the plant; raises JoinError when it refuses or does not answer within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self.joined = None
        while self.joined is None:
            if time.monotonic() > deadline:
                raise JoinError(
                    f"expected a plant to answer robot {self.name} within {timeout:g} s, none did; "
                    "start `muster sim` first and give its address"
                )
            self.transport.send(PLANT, self._asking(), 0)
            self._take(JOIN_PAUSE)
        if self.joined.error:
            raise JoinError(f"the plant refused robot {self.name}: {self.joined.error}")
        return self.joined

    def rejoin(self) -> None:
        """Ask to be heard again, without waiting for the answer."""
        self.transport.send(PLANT, self._asking(), 0)

    def read(self, timeout: float) -> Readings | None:
        """See `Robot.read`: the newest cycle that has not been answered."""
        self._take(timeout)
        cycle = self.cycle
        if cycle is None or cycle.round <= self._answered:
            return None
        readings = readings_of(cycle)
        if len(readings.scan) != self.spec.lidar.rays:
            self.malformed += 1  # control finds the scan missing and stops; the cycle is still answered
        return readings

    def write(self, command: RobotCommand) -> None:
        """See `Robot.write`: end the open round."""
        if self.motor is not None:
            self.motor.release(command, time.monotonic())
        if self.cycle is None:
            return
        self._answered = self.cycle.round
        done = Done(self.name, self.cycle.round, (command.v, command.w), lift=int(self.lift))
        self.transport.send(PLANT, done, self.cycle.stamp)

    def tell(self, outputs: Outputs) -> None:
        """See `HostedRobot.tell`: nobody looks on from this wire."""

    def close(self, reason: str = "") -> None:
        """Leave the plant and let go of the wire."""
        self.transport.send(PLANT, Leave(reason), 0)
        self.transport.close()

    def _asking(self) -> Join:
        return Join("robot", (self.name,), self.spec.embodiment_hash(), self.watchdog)

    def _take(self, timeout: float) -> None:
        for message in self.transport.receive(timeout):
            body = message.body
            if isinstance(body, Cycle):
                if self.cycle is not None and self._answered < self.cycle.round < body.round:
                    self.skipped += 1
                if self.cycle is None or body.round > self.cycle.round:
                    self.cycle = body
            elif isinstance(body, Joined):
                self.joined = body
            elif isinstance(body, Leave):
                self.left = body.reason or "the plant ended"


class FakeRobot:
    """An ideal unicycle without a plant: each `read` is one period later, each command is obeyed at once.

    Owns its pose and time. `scan` gives the ranges of a pose; tests take sensors away by `stale`.
    """

    def __init__(
        self,
        spec: RobotSpec,
        pose: tuple[float, float, float],
        scan: Callable[[tuple[float, float, float]], NDArray[np.float32]] | None = None,
    ) -> None:
        self.spec = spec
        self.pose = pose
        self.stamp = 0
        self.command = RobotCommand(0.0, 0.0)
        self.stale: set[str] = set()
        """Names of what is withheld: scan, pose, twist"""
        self.bumper = False
        self._scan = scan or (lambda pose: np.full(spec.lidar.rays, spec.lidar.range_max, np.float32))
        self._stamps = {"scan": 0, "pose": 0, "twist": 0}

    def read(self, timeout: float) -> Readings | None:
        """See `Robot.read`."""
        period = self.spec.period / SECOND
        x, y, yaw = self.pose
        v, w = self.command.v, self.command.w
        middle = yaw + 0.5 * w * period
        self.pose = (x + v * period * math.cos(middle), y + v * period * math.sin(middle), yaw + w * period)
        self.stamp += self.spec.period
        self._stamps.update({name: self.stamp for name in self._stamps if name not in self.stale})
        return Readings(
            stamp=self.stamp,
            scan=self._scan(self.pose),
            scan_stamp=self._stamps["scan"],
            pose=np.array(self.pose, np.float32),
            pose_stamp=self._stamps["pose"],
            twist=np.array((v, w), np.float32),
            twist_stamp=self._stamps["twist"],
            bumper=self.bumper,
        )

    def write(self, command: RobotCommand) -> None:
        """See `Robot.write`; slewed by the drive's accelerations, as any body would."""
        drive, period = self.spec.diff, self.spec.period / SECOND
        faster = drive.accel_max * period
        slower = 1.2 * drive.brake_min * period
        rise = faster if command.v * self.command.v >= 0.0 and abs(command.v) > abs(self.command.v) else slower
        turn = drive.turn_accel_max * period
        self.command = RobotCommand(
            self.command.v + max(-rise, min(rise, command.v - self.command.v)),
            self.command.w + max(-turn, min(turn, command.w - self.command.w)),
        )
