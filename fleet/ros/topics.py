"""The topics between a robot's computer and its body, and what muster tells of a robot: names, types, quality, frames.

Names are relative to the robot's namespace (/r0/scan), by the conventions of ROS 2 (REP 103, 105, 107); a leading slash
is the whole fleet's. Whoever has other names remaps them (`-r pose:=amcl_pose`).

    body -> robot     scan, odom, pose, imu, battery_state, bumper, lift/position
    robot -> body     cmd_vel (TwistStamped, or Twist where both sides are told so; never both), lift/command
    robot -> people   state, path, shield
    all               /clock, /tf, /tf_static, /diagnostics

What a sensor says is offered reliably and asked for with best effort, so that every driver's publisher meets our
subscription, and every subscription the plant's publisher.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fleet.ros.bus import Node, Publisher, Subscription
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray
from fleet.ros.messages.geometry_msgs import PoseWithCovarianceStamped, Twist, TwistStamped
from fleet.ros.messages.nav_msgs import Odometry, Path
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.sensor_msgs import BatteryState, Imu, LaserScan
from fleet.ros.messages.std_msgs import Bool, Float64, String
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.messages.visualization_msgs import MarkerArray
from fleet.ros.qos import CLOCK as CLOCK_ASKED
from fleet.ros.qos import DEFAULT, LATCHED, SENSOR, TRANSFORMS, QoS

T = TypeVar("T")

OFFERED = QoS(depth=5)
"""A sensor's publisher: reliable satisfies everybody; as deep as what subscriptions to sensors ask."""
NEWEST = QoS(depth=1)
"""What only the newest of counts: a command, the clock."""
FRAME_STATIC = QoS(latched=True, depth=64)
"""/tf_static: one message for each robot, of one writer."""


@dataclass(frozen=True)
class Topic(Generic[T]):
    """A topic of a robot."""

    name: str
    """Relative to the robot's namespace, or absolute."""
    kind: type[T]
    offered: QoS
    """By who publishes."""
    asked: QoS
    """By who subscribes."""

    def at(self, robot: str) -> str:
        """Its name seen from the namespace that holds `robot`."""
        return self.name if self.name.startswith("/") else f"{robot}/{self.name}"

    def publisher(self, node: Node, robot: str = "") -> Publisher[T]:
        """On a node in the robot's namespace, or in the one that holds `robot`. Raises MusterError."""
        return node.publisher(self.kind, self.at(robot) if robot else self.name, self.offered)

    def subscription(self, node: Node, robot: str = "", callback: Callable[[T], None] | None = None) -> Subscription[T]:
        """As `publisher`."""
        return node.subscription(self.kind, self.at(robot) if robot else self.name, callback, self.asked)


SCAN = Topic("scan", LaserScan, OFFERED, SENSOR)
ODOM = Topic("odom", Odometry, OFFERED, SENSOR)
POSE = Topic("pose", PoseWithCovarianceStamped, OFFERED, SENSOR)
"""Where the robot is on the map: what amcl calls amcl_pose."""
IMU = Topic("imu", Imu, OFFERED, SENSOR)
BATTERY = Topic("battery_state", BatteryState, OFFERED, SENSOR)
BUMPER = Topic("bumper", Bool, OFFERED, SENSOR)
"""Whether something is touched; ROS has no message of its own for it."""
LIFT = Topic("lift/position", Float64, OFFERED, SENSOR)
"""How far a lift with a pod is up, m; -1 without a pod."""

COMMAND = Topic("cmd_vel", TwistStamped, NEWEST, NEWEST)
"""Stamped with the cycle that it answers."""
COMMAND_PLAIN = Topic("cmd_vel", Twist, NEWEST, NEWEST)
"""The same topic as older bases have it, without a stamp."""
LIFT_COMMAND = Topic("lift/command", Bool, NEWEST, NEWEST)
"""Whether the lift is to be up."""

STATE = Topic("state", String, DEFAULT, DEFAULT)
"""What the robot does and why, a JSON object each cycle."""
PATH = Topic("path", Path, NEWEST, NEWEST)
"""The stored stopping plan, from where the robot is."""
SHIELD = Topic("shield", MarkerArray, NEWEST, NEWEST)
"""What the shield thinks of the last command, to be drawn."""

CLOCK = Topic("/clock", Clock, NEWEST, CLOCK_ASKED)
TF = Topic("/tf", TFMessage, TRANSFORMS, TRANSFORMS)
TF_STATIC = Topic("/tf_static", TFMessage, FRAME_STATIC, LATCHED)
DIAGNOSTICS = Topic("/diagnostics", DiagnosticArray, DEFAULT, DEFAULT)


@dataclass(frozen=True)
class Frames:
    """Names of a robot's frames (REP 105): map -> odom -> base_link -> base_scan."""

    map: str
    odom: str
    base: str
    scan: str


def frames_of(robot: str) -> Frames:
    """A robot's frames on the one /tf of a fleet: all but the map begin with its name."""
    return Frames("map", f"{robot}/odom", f"{robot}/base_link", f"{robot}/base_scan")
