"""What a robot's loop needs of the robot that it drives, whatever is between them; and a fake for tests.

    read()    the readings of the newest cycle that has not been answered, which `cycle` then holds whole
    write()   the released command: it ends that cycle

`hardware.PlantRobot` is one over the plant's own wire, `ros.busrobot.BusRobot` one behind ROS 2's standard topics. The
loop (fleet/seat.py) sees no difference.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from coordination.messages import Cycle, Joined
from fleet.records import Outputs
from sim.errors import MusterError
from sim.robot import Readings, RobotCommand


class JoinError(MusterError):
    """The plant refused the robot, or there is none."""


class Motor(Protocol):
    """A motor level that runs on this computer, for a base that takes wheel speeds."""

    period: float
    """s"""

    def step(self, now: float) -> None:
        """Make the motor steps that are due; called at least every `period`. `now` in s of the caller's clock."""
        ...


class HostedRobot(Protocol):
    """A robot as its loop has it: `sim.robot.Robot` with a membership, cycles and counts."""

    name: str
    lift: bool
    """Whether the lift is to be up, with every command from now on"""
    shadow: bool
    """Whether it only watches what something else drives: a base that hears others too is told nothing"""
    skipped: int
    """Cycles that were never acted on because a newer one had come"""
    life: int
    """How often its time has begun anew: what was heard and remembered before is of another life"""

    @property
    def cycle(self) -> Cycle | None:
        """The cycle that `read` returned last; None before the first."""
        ...

    @property
    def left(self) -> str:
        """Why there will be no more cycles; empty while there may be."""
        ...

    @property
    def motor(self) -> Motor | None:
        """The motor level, where it runs here."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Messages by what became of them."""
        ...

    def join(self, timeout: float) -> Joined:
        """Take part; raises JoinError when the robot is refused or nobody answers within `timeout` seconds."""
        ...

    def rejoin(self) -> None:
        """Ask to be heard again, without waiting for the answer."""
        ...

    def read(self, timeout: float) -> Readings | None:
        """See `sim.robot.Robot.read`."""
        ...

    def write(self, command: RobotCommand) -> None:
        """See `sim.robot.Robot.write`."""
        ...

    def tell(self, outputs: Outputs) -> None:
        """What the control step of the open cycle decided, for those who look on."""
        ...

    def close(self, reason: str = "") -> None:
        """Leave and let go; safe to call twice."""
        ...


def readings_of(cycle: Cycle) -> Readings:
    """A cycle's readings; a scan whose bytes are no row of float32 is an empty one, which the control step judges."""
    scan = np.frombuffer(cycle.scan, np.float32) if len(cycle.scan) % 4 == 0 else np.zeros(0, np.float32)
    return Readings(
        stamp=cycle.stamp,
        scan=scan,
        scan_stamp=cycle.scan_stamp,
        pose=np.array(cycle.pose, np.float32),
        pose_stamp=cycle.pose_stamp,
        twist=np.array(cycle.twist, np.float32),
        twist_stamp=cycle.twist_stamp,
        battery=cycle.battery,
        bumper=cycle.bumper,
        lift=cycle.lift,
        battery_stamp=cycle.battery_stamp,
        yaw_rate=cycle.yaw_rate,
        yaw_rate_stamp=cycle.yaw_rate_stamp,
    )


def cycle_of(readings: Readings, number: int, *, coordinator: bool = True) -> Cycle:
    """A cycle that tells these readings in a round: what `readings_of` gives back."""
    x, y, yaw = readings.pose.tolist()
    v, w = readings.twist.tolist()
    return Cycle(
        round=number,
        stamp=readings.stamp,
        scan=readings.scan.tobytes(),
        scan_stamp=readings.scan_stamp,
        pose=(x, y, yaw),
        pose_stamp=readings.pose_stamp,
        twist=(v, w),
        twist_stamp=readings.twist_stamp,
        battery=readings.battery,
        bumper=readings.bumper,
        coordinator=coordinator,
        lift=readings.lift,
        battery_stamp=readings.battery_stamp,
        yaw_rate=readings.yaw_rate,
        yaw_rate_stamp=readings.yaw_rate_stamp,
    )


class FakeHosted:
    """A robot that is given its cycles by a test, and keeps what it was told."""

    motor: Motor | None = None

    def __init__(self, name: str = "r0", clock: str = "lockstep") -> None:
        """As if behind a plant of that clock."""
        self.name, self.lift, self.skipped, self.left = name, False, 0, ""
        self.shadow, self.life = False, 0
        self.cycle: Cycle | None = None
        self.counts: Counter[str] = Counter()
        self.answers: list[tuple[int, RobotCommand, bool]] = []
        """Round, command and lift of each `write`"""
        self.told: list[Outputs] = []
        self.rejoined = 0
        self.refusal = ""
        """What `join` is refused with; empty for yes"""
        self._clock = clock
        self._coming: deque[Cycle] = deque()
        self._answered = -1

    def give(self, cycle: Cycle) -> None:
        """The next cycle comes."""
        self._coming.append(cycle)

    def join(self, timeout: float) -> Joined:
        """See `HostedRobot.join`."""
        if self.refusal:
            raise JoinError(self.refusal)
        return Joined(clock=self._clock)

    def rejoin(self) -> None:
        """See `HostedRobot.rejoin`."""
        self.rejoined += 1

    def read(self, timeout: float) -> Readings | None:
        """See `HostedRobot.read`."""
        while self._coming:
            self.skipped += self.cycle is not None and self.cycle.round > self._answered
            self.cycle = self._coming.popleft()
            self.counts["received"] += 1
        if self.cycle is None or self.cycle.round <= self._answered:
            return None
        return readings_of(self.cycle)

    def write(self, command: RobotCommand) -> None:
        """See `HostedRobot.write`."""
        if self.cycle is not None:
            self._answered = self.cycle.round
            self.answers.append((self.cycle.round, command, self.lift))

    def tell(self, outputs: Outputs) -> None:
        """See `HostedRobot.tell`."""
        self.told.append(outputs)

    def close(self, reason: str = "") -> None:
        """See `HostedRobot.close`."""
        self.left = self.left or reason or "closed"
