"""A robot over the plant's wire: the `Robot` protocol for a simulated body behind ZeroMQ, or behind any `Transport`.

The plant sends `cycle/1` with the readings, the robot answers `done/1` with the released command; the seam is the
same for a plant in lockstep and in wall time. A robot that lags reads the newest cycle only, and the older ones are
counted as skipped. `rejoin` after a watchdog spoke for the robot: the plant hears the loop again only then.
"""

from __future__ import annotations

import time

import numpy as np

from coordination.messages import Cycle, Done, Join, Joined, Leave
from coordination.transport import Transport
from sim.errors import MusterError
from sim.robot import Readings, RobotCommand, RobotSpec

PLANT = "plant"
"""The plant's name on the wire."""
JOIN_PAUSE = 0.2
"""Between two requests to join, s: the plant may still be starting."""


class JoinError(MusterError):
    """The plant refused the robot, or there is none."""


class PlantRobot:
    """One robot of the plant; owns its end of the wire and the round that is open."""

    def __init__(self, name: str, transport: Transport, spec: RobotSpec) -> None:
        """`transport` is a client's end to the plant, under the robot's own name."""
        self.name = name
        self.transport = transport
        self.spec = spec
        self.joined: Joined | None = None
        """What the plant said when it took the robot"""
        self.cycle: Cycle | None = None
        """The round that `read` returned last"""
        self.skipped = 0
        """Cycles that were never acted on because a newer one had come"""
        self.malformed = 0
        """Cycles whose scan was not a row of float32"""
        self.left = ""
        """Why the plant ended; empty while it runs"""
        self._answered = -1

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
            self.transport.send(PLANT, Join("robot", (self.name,), self.spec.embodiment_hash()), 0)
            self._take(JOIN_PAUSE)
        if self.joined.error:
            raise JoinError(f"the plant refused robot {self.name}: {self.joined.error}")
        return self.joined

    def rejoin(self) -> None:
        """Ask to be heard again, without waiting for the answer."""
        self.transport.send(PLANT, Join("robot", (self.name,), self.spec.embodiment_hash()), 0)

    def read(self, timeout: float) -> Readings | None:
        """See `Robot.read`: the newest cycle that has not been answered."""
        self._take(timeout)
        cycle = self.cycle
        if cycle is None or cycle.round <= self._answered:
            return None
        rays = self.spec.lidar.rays
        scan = np.frombuffer(cycle.scan, np.float32) if len(cycle.scan) % 4 == 0 else np.zeros(0, np.float32)
        if len(scan) != rays:
            self.malformed += 1  # control finds the scan missing and stops; the cycle is still answered
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
        )

    def write(self, command: RobotCommand) -> None:
        """See `Robot.write`: end the open round."""
        if self.cycle is None:
            return
        self._answered = self.cycle.round
        self.transport.send(PLANT, Done(self.name, self.cycle.round, (command.v, command.w)), self.cycle.stamp)

    def close(self, reason: str = "") -> None:
        """Leave the plant and let go of the wire."""
        self.transport.send(PLANT, Leave(reason), 0)
        self.transport.close()

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
