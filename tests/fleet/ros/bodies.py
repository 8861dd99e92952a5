"""A robot's body on the loop, played cycle by cycle, whose messages a test may spoil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coordination.messages import Cycle
from fleet.hosted import readings_of
from fleet.ros import bodymessages as say
from fleet.ros.arguments import parse
from fleet.ros.busrobot import BusRobot
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.node import BaseBus
from fleet.ros.planar import stamp_of, time_of
from fleet.ros.topics import (
    BATTERY,
    BUMPER,
    CLOCK,
    COMMAND,
    COMMAND_PLAIN,
    DIAGNOSTICS,
    IMU,
    LIFT,
    ODOM,
    POSE,
    SCAN,
    frames_of,
)
from sim.robot import RobotSpec

SPEC = RobotSpec()
SENSORS = (BUMPER, LIFT, BATTERY, IMU, ODOM, POSE, SCAN)

Spoil = Callable[[Any], Any]  # of one message: another one, or None for silence


class Body:
    """Publishes a cycle's messages and hears commands; `spoil` changes the messages of a topic on their way."""

    def __init__(self, place: LoopNetwork | BaseBus, name: str = "r0", *, stamped: bool = True) -> None:
        self.name, self.frames = name, frames_of(name)
        self.bus = LoopBus(place) if isinstance(place, LoopNetwork) else place
        self.node = self.bus.node("base", name)
        self.ends = {topic.name: topic.publisher(self.node) for topic in (*SENSORS, CLOCK)}
        self.commands = (COMMAND if stamped else COMMAND_PLAIN).subscription(self.node)
        self.diagnostics = DIAGNOSTICS.subscription(self.node)
        self.spoil: dict[str, Spoil] = {}

    def messages(self, cycle: Cycle) -> dict[str, Any]:
        """By topic; each of its own type."""
        readings, frames = readings_of(cycle), self.frames
        return {
            BUMPER.name: say.bumper_message(readings),
            LIFT.name: say.lift_message(readings),
            BATTERY.name: say.battery_message(readings, frames),
            IMU.name: say.inertia_message(
                readings.yaw_rate_stamp if readings.yaw_rate_stamp >= 0 else readings.stamp,
                readings.yaw_rate if readings.yaw_rate_stamp >= 0 else cycle.twist[1],
                frames,
            ),
            ODOM.name: say.odometry_message(readings, (0.0, 0.0, 0.0), frames),
            POSE.name: say.pose_message(readings, SPEC, frames),
            SCAN.name: say.scan_message(readings, SPEC, frames),
        }

    def give(self, cycle: Cycle) -> None:
        """A cycle as a simulator in lockstep gives it: the clock behind what was measured."""
        for topic, message in self.messages(cycle).items():
            sent = self.spoil.get(topic, lambda same: same)(message)
            if sent is not None:
                self.ends[topic].publish(sent)
        self.ends[CLOCK.name].publish(Clock(time_of(cycle.stamp)))

    def told(self) -> list[tuple[int, tuple[float, float]]]:
        """Stamp (ns) and v, w of the stamped commands that came since the last call."""
        came = [sample.message for sample in iter(self.commands.take, None)]
        return [(stamp_of(one.header.stamp), (one.twist.linear.x, one.twist.angular.z)) for one in came]

    def complaints(self) -> str:
        """Everything that the newest diagnostics say that is not well."""
        found: list[DiagnosticArray] = [sample.message for sample in iter(self.diagnostics.take, None)]
        return "\n".join(f"{one.name}: {one.message}" for one in found[-1].status if one.level) if found else ""


def robot_on(network: LoopNetwork, *parameters: str, name: str = "r0", **more: Any) -> tuple[BusRobot, LoopBus]:
    """A robot's node on a bus of its own, with ROS parameters as name:=value; `more` goes to `BusRobot`."""
    words = [word for parameter in parameters for word in ("-p", parameter)]
    bus = LoopBus(network, parse(["--ros-args", *words]))
    return BusRobot(bus, name, SPEC, "floor", **more), bus
