"""Robots' computers for tests of the plant's node: a bus that gives others their turn, and a stack of a third party."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fleet.ros.bus import Bus
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped, Vector3
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.messages.std_msgs import Header
from fleet.ros.qos import CLOCK, SENSOR


class Turns(LoopBus):
    """A bus on the loop whose waiting gives everybody else a turn, in order, and moves a clock on."""

    def __init__(self) -> None:
        self.now = 0.0
        """s of the wall"""
        self.others: list[Callable[[], object]] = []
        super().__init__(LoopNetwork(lambda: int(self.now * 1e9)))

    def spin(self, timeout_s: float) -> int:
        for other in self.others:
            other()
        self.now += timeout_s
        return super().spin(0.0)

    def wall(self) -> float:
        return self.now


class Stranger:
    """A stack that knows /clock, scan and odom, and answers each new time with a command stamped with it."""

    def __init__(self, bus: Bus, name: str, kind: type = TwistStamped) -> None:
        self.bus, self.name, self.kind = bus, name, kind
        self.node = bus.node("nav", name)
        self.scans = self.node.subscription(LaserScan, "scan", qos=SENSOR)
        self.odoms = self.node.subscription(Odometry, "odom", qos=SENSOR)
        self.clocks = self.node.subscription(Clock, "/clock", qos=CLOCK)
        self.out = self.node.publisher(kind, "cmd_vel")
        self.v = 0.3
        self.silent = False
        self.said: list[Time] = []
        self.seen: list[LaserScan] = []
        self.moved: list[Odometry] = []
        self.stamp: Callable[[Time], Time] = lambda time: time
        self.frame = ""

    def turn(self) -> None:
        self.bus.spin(0.0)
        while (scan := self.scans.take()) is not None:
            self.seen.append(scan.message)
        while (odom := self.odoms.take()) is not None:
            self.moved.append(odom.message)
        if (clock := self.clocks.newest()) is not None and not self.silent:
            self.command(clock.message.clock)

    def command(self, time: Time) -> None:
        twist = Twist(Vector3(self.v), Vector3())
        header = Header(self.stamp(time), self.frame)
        self.out.publish(twist if self.kind is Twist else TwistStamped(header, twist))
        self.said.append(time)


def no_wall_beyond(scan: LaserScan, most: float) -> bool:
    """Whether all of a scan is within its range."""
    return bool(np.all((scan.ranges >= 0.0) & (scan.ranges <= np.float32(most))))
