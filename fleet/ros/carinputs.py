"""What has come to a car, as the reading of a control step; what cannot be believed is a doubt, in words.

A message that cannot be read, that is stamped FUTURE or more ahead of our clock, or older than the one before it,
changes nothing: the last good one stays and grows old, which the shield acts on. Its doubt stands until a good one
comes. Stamps are compared with `now`, ages of arrival with our own monotonic clock: a sender with a wrong clock and a
sender that fell silent are both noticed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fleet.ros import carmessages as read
from fleet.ros.carmessages import CarMessageError, Frames
from fleet.ros.messages.autoware_perception_msgs import TrackedObjects
from fleet.ros.messages.geometry_msgs import PoseWithCovarianceStamped
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.sensor_msgs import BatteryState, Imu, JointState, LaserScan
from sim.driving.reading import CarReading, Charge
from sim.robot import SECOND

TOPICS: dict[str, type] = {
    "odom": Odometry,
    "imu": Imu,
    "joint_states": JointState,
    "pose": PoseWithCovarianceStamped,
    "lane_pose": PoseWithCovarianceStamped,
    "objects": TrackedObjects,
    "scan": LaserScan,
    "battery_state": BatteryState,
}
"""What a car hears, relative to its namespace."""

NEEDED = ("odom", "imu", "joint_states", "pose", "lane_pose", "objects")
"""Without these nobody drives; scans are recorded alone, and who has no gauge drives on and says so."""

SELDOM = 10 * SECOND
"""ns after which a battery's last word is told as old: gauges speak once a second (fleet/ros/senses.py)."""

LOW = 0.25
"""Share of charge below which a battery is told as low: that at which a fleet sends its robots to charge."""

FUTURE = 20_000_000
"""ns that a stamp may be ahead of our clock: two computers that are kept in time by NTP on one network."""

_FIELDS = {
    "odom": "odometry", "imu": "inertia", "joint_states": "steering", "pose": "place", "lane_pose": "lane",
    "objects": "objects", "scan": "scan", "battery_state": "charge",
}  # fmt: skip


class CarInputs:
    """Owns the newest that has come on each topic."""

    def __init__(
        self, frames: Frames, origin: tuple[float, float], joint: str, wheelbase: float, future: int = FUTURE
    ) -> None:
        """`origin`: the road's middle in the map; `joint`: what the steering's is called; `future`: ns, as FUTURE."""
        self.heard: dict[str, int] = {}
        """Topic -> when its last message came, good or not, ns of our monotonic clock"""
        self.stamped: dict[str, int] = {}
        """Topic -> the stamp of its last message that could be read"""
        self._future = future
        self._values: dict[str, Any] = {}  # of `CarReading`'s fields
        self._wrong: dict[str, str] = {}
        self._read: dict[str, Callable[[Any], Any]] = {  # by the topic's own message
            "odom": lambda message: read.read_odometry(message, frames),
            "imu": lambda message: read.read_inertia(message, frames),
            "joint_states": lambda message: read.read_steering(message, joint, wheelbase),
            "pose": lambda message: read.read_place(message, origin, frames),
            "lane_pose": lambda message: read.read_lane(message, frames),
            "objects": lambda message: read.read_objects(message, origin, frames),
            "scan": read.read_scan,
            "battery_state": read.read_charge,
        }

    def take(self, topic: str, message: Any, received: int, now: int) -> None:  # by the topic's own message
        """A message that has come at `received` (ns of our monotonic clock), with our clock at `now` (ns)."""
        self.heard[topic] = received
        try:
            value = self._read[topic](message)
        except CarMessageError as error:
            self._wrong[topic] = str(error)
            return
        if value is None and topic == "joint_states":
            return  # of other joints
        stamp = read.stamp_of(message.header)
        ahead, before = stamp - now, self.stamped.get(topic, -1)
        if ahead > self._future:
            self._wrong[topic] = f"{topic}: expected a stamp up to now, came one {ahead / SECOND:.3f} s ahead"
            return
        if stamp < before:
            back = (before - stamp) / SECOND
            self._wrong[topic] = f"{topic}: expected stamps that rise, came one {back:.3f} s before the last"
            return
        self.stamped[topic] = stamp
        self._values[topic] = value
        self._wrong.pop(topic, None)

    def doubt(self, topic: str, text: str) -> None:
        """Somebody else's doubt about a topic, until a good message comes on it."""
        self._wrong[topic] = text

    def reading(self, now: int) -> CarReading:
        """What is known at `now`, ns."""
        missing = [f"{topic}: expected a {TOPICS[topic].__name__}, none has come" for topic in NEEDED
                   if topic not in self.stamped and topic not in self._wrong]  # fmt: skip
        missing += self._of_the_battery(now)
        values = {_FIELDS[topic]: value for topic, value in self._values.items()}
        return replace(CarReading(now), **values, doubts=(*self._wrong.values(), *missing))

    def _of_the_battery(self, now: int) -> list[str]:
        """What is to be said of its gauge, without which a car drives on."""
        charge: Charge | None = self._values.get("battery_state")
        if "battery_state" in self._wrong:
            return []
        if charge is None:
            return ["battery_state: expected a BatteryState, none has come; the car cannot tell how far it gets"]
        if math.isnan(charge.share):
            return ["battery_state: expected a percentage from 0 to 1, came none"]
        if now - charge.stamp > SELDOM:
            return [f"battery_state: expected a message every second, none for {SELDOM // SECOND} s"]
        return [f"battery_state: {charge.share:.0%} left, charge it"] if charge.share < LOW else []
