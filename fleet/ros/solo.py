"""One robot behind ROS 2's topics for a caller that waits for its readings, as the course of `muster calibrate` does.

The `Robot` protocol over `busrobot.BusRobot`: `read` waits for the next control cycle. Where the bus forbids the robot
to act (another node has its name) the caller is told at once, because what it drives by would be silence. No
coordinator, no shield, no watchdog stands here: the course has a guard of its own, and a base that hears nothing comes
to rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fleet.ros.bus import Bus, BusError, Diagnostic, Level, open_bus
from fleet.ros.busrobot import BusRobot
from sim.robot import Readings, RobotCommand, RobotSpec

SLICE = 0.1
"""s of one wait at most: between two, somebody else's trouble is looked at."""
LOOK = 1.0
"""s between two looks at who else is there."""


class SoloRobot:
    """Owns a robot's node on a bus; see `sim.robot.Robot`."""

    def __init__(self, bus: Bus, name: str, spec: RobotSpec, *, wall: Callable[[], float] = time.monotonic) -> None:
        """In the namespace of its name, unless ROS arguments say otherwise. Raises MusterError."""
        self.robot = BusRobot(bus, name, spec, "", wall=wall)
        self.robot.join(0.0)
        self._wall, self._looked = wall, -LOOK

    def read(self, timeout: float) -> Readings | None:
        """The readings of the next cycle, None for none within `timeout` s. Raises BusError where it may not act."""
        end = self._wall() + timeout
        while True:
            self._look()
            readings = self.robot.read(max(min(end - self._wall(), SLICE), 0.0))
            if readings is not None or self._wall() >= end:
                return readings

    def write(self, command: RobotCommand) -> None:
        """Release a command to the base; nothing before the first readings have come."""
        self.robot.write(command)

    def close(self) -> None:
        """Let the robot stand, and leave."""
        self.robot.close()

    def trouble(self) -> list[str]:
        """What keeps its inputs from being believed, a line each."""
        senses, now = self.robot.senses, self.robot.node.clock.now()
        found: list[Diagnostic] = [*self.robot.look(), *(senses.found(now) if senses is not None else ())]
        return list(dict.fromkeys(one.text for one in found if one.level >= Level.WARN))

    def _look(self) -> None:
        now = self._wall()
        if now - self._looked >= LOOK:
            self._looked = now
            self.robot.look()
        if self.robot.blocked:
            raise BusError(f"the course is not driven: {self.robot.blocked}")
        if self.robot.left:
            raise BusError(f"the course is not driven on: {self.robot.left}")


def first(robot: SoloRobot, patience: float) -> None:
    """Wait for a robot's first readings. Raises BusError that says what is missing or not believed."""
    if robot.read(patience) is None:
        why = "; ".join(robot.trouble()) or "nobody publishes scan, odom and pose"
        raise BusError(
            f"expected readings of {robot.robot.name} within {patience:g} s, none came: {why}; start its drivers and "
            "localisation (muster doctor says who is there)"
        )


def open_solo(kind: str, name: str, spec: RobotSpec, arguments: Sequence[str]) -> tuple[Bus, SoloRobot]:
    """A bus and the robot on it, both the caller's to close, the robot first. Raises MusterError."""
    bus = open_bus(kind, arguments=arguments)
    try:
        return bus, SoloRobot(bus, name, spec)
    except BaseException:
        bus.close()
        raise
