"""One simulated robot's base on the bus: it publishes what its sensors say and takes the commands that come for it.

A command is judged before it moves anything: what is no number, is of another frame, or was stamped in the future or
too long ago, is refused, counted and told. Its age is that of its arrival here, by our own clock (see `rounds.Plant`,
whose dead-man brings a base without commands to rest); its stamp only says which cycle it answers.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from fleet.ros import bodymessages as say
from fleet.ros.bus import Diagnostic, Level, Node, Publisher, Sample, Subscription
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped
from fleet.ros.planar import At, driven, stamp_of
from fleet.ros.rivals import RIVALS
from fleet.ros.topics import (
    BATTERY,
    BUMPER,
    COMMAND,
    COMMAND_PLAIN,
    IMU,
    LIFT,
    LIFT_COMMAND,
    ODOM,
    POSE,
    SCAN,
    frames_of,
)
from sim.errors import shown
from sim.robot import MILLISECOND, SECOND, Readings, RobotSpec

DEAD_MAN = 0.15
"""s without a command after which a base stands, by our own clock: one and a half control periods, so that one late
command is none, and a killed peer's robot is told to stand within 0.2 s."""
AHEAD = 50 * MILLISECOND
"""A stamp may be so far in the future, ns: what clocks of one machine room differ by, and half of a period."""
BEHIND = 500 * MILLISECOND
"""And so far in the past in real time: ros2_controllers' cmd_vel_timeout."""
HALTING = 1.0
"""s between two commands up to which their sender is slow; beyond it he has begun anew."""
TOLD = 5.0
"""s for which a refusal is told on /diagnostics."""

CommandKind = Literal["stamped", "twist"]


@dataclass(frozen=True)
class Told:
    """A command that was taken."""

    command: tuple[float, float]
    """v (m/s), w (rad/s)"""
    lift: int
    """As in `messages.Done`: 1 up, 0 down, -1 as before"""
    current: bool
    """It answers the cycle that is open, and not an older one"""


class Base:
    """Owns one robot's ends on the plant's node."""

    def __init__(self, node: Node, name: str, spec: RobotSpec, kind: CommandKind, tf: Publisher) -> None:
        """Of the robot `name`, in its namespace below the node's; `tf` is the fleet's. Raises MusterError."""
        self.name, self.spec = name, spec
        self.frames = frames_of(name)
        self.there = False
        """Whether it takes part"""
        self.heard = -math.inf
        """s of the wall at its last command"""
        self.answered = -1
        """Stamp of the newest cycle that it answered"""
        self.published = -1
        """Stamp of the newest cycle that was published"""
        self.counts: Counter[str] = Counter()
        """Commands by what became of them"""
        self._said = (-math.inf, "")
        self._came = self._slow = -math.inf
        """In real time: when the newest sound command arrived, and when one came too late for the base to go on, s of
        the wall"""
        self._tf = tf
        self._scan, self._odom = SCAN.publisher(node, name), ODOM.publisher(node, name)
        self._pose = POSE.publisher(node, name)
        self._imu, self._battery = IMU.publisher(node, name), BATTERY.publisher(node, name)
        self._bumper, self._lift = BUMPER.publisher(node, name), LIFT.publisher(node, name)
        self._commands: Subscription = (COMMAND if kind == "stamped" else COMMAND_PLAIN).subscription(node, name)
        self._lifts = LIFT_COMMAND.subscription(node, name)
        self._reckoned: At = (0.0, 0.0, 0.0)
        self._stamps: dict[str, int] = {}

    @property
    def topics(self) -> set[str]:
        """Absolute names of what this base alone is to say."""
        return {end.topic for end in (self._scan, self._odom, self._pose, self._imu, self._battery)}

    @property
    def listens(self) -> bool:
        """Whether somebody who commands it also hears its lidar."""
        return self._commands.matched > 0 and self._scan.matched > 0

    @property
    def commanded(self) -> bool:
        """Whether there is somebody who may command it."""
        return self._commands.matched > 0

    def publish(self, readings: Readings, *, again: bool = False) -> None:
        """Say what the sensors say at a cycle's begin.

        A sensor that has not looked since is silent, as a device is; `again` repeats a cycle that may have been missed.
        """
        frames, spec = self.frames, self.spec
        self._bumper.publish(say.bumper_message(readings))
        self._lift.publish(say.lift_message(readings))
        self._battery.publish(say.battery_message(readings, frames))
        if readings.yaw_rate_stamp >= 0:
            self._imu.publish(say.inertia_message(readings.yaw_rate_stamp, readings.yaw_rate, frames))
        if self._new("odom", readings.twist_stamp) or again:
            self._odom.publish(say.odometry_message(readings, self._reckoned, frames))
        if self._new("pose", readings.pose_stamp) or again:
            self._pose.publish(say.pose_message(readings, spec, frames))
        self._tf.publish(say.frames_message(readings, self._reckoned, frames))
        if self._new("scan", readings.scan_stamp) or again:
            self._scan.publish(say.scan_message(readings, spec, frames))
        self.published = readings.stamp

    def reckon(self, readings: Readings) -> None:
        """Follow the odometry; once for each cycle, before it is published."""
        before = self._stamps.get("odom", readings.twist_stamp)
        v, w = readings.twist.tolist()
        self._reckoned = driven(self._reckoned, v, w, (readings.twist_stamp - before) / SECOND)

    def take(self, opened: int, now: int, wall: float, *, lockstep: bool) -> Told | None:
        """The newest command, if it is sound. `opened` is the cycle's stamp, `now` the site's time, ns; `wall` in s."""
        sample = self._commands.newest()
        if sample is None:
            return None
        if not lockstep and wall - sample.received / SECOND > DEAD_MAN:
            self.counts["waited"] += 1  # here: this process stood still, and the command grew old in its inbox
            return None
        why = self._refused(sample, now, lockstep=lockstep)
        if why:
            kind, text = why
            self.counts[kind] += 1
            self._said = (wall, text)
            return None
        self.counts["taken"] += 1
        if not lockstep:
            arrived = sample.received / SECOND
            if DEAD_MAN < arrived - self._came < HALTING:
                self._slow = wall
            self._came = arrived
        stamp = _stamp(sample.message)
        twist = sample.message.twist if isinstance(sample.message, TwistStamped) else sample.message
        lift = self._lifts.newest()
        current = not lockstep or stamp == 0 or stamp >= opened
        return Told((twist.linear.x, twist.angular.z), -1 if lift is None else int(lift.message.data), current)

    def found(self, wall: float) -> list[Diagnostic]:
        """What is wrong with the commands that came lately, and with who gives them."""
        when, text = self._said
        topic, found = self._commands.topic, []
        if wall - when < TOLD:
            found.append(Diagnostic(Level.WARN, "command", text, topic=topic))
        if HALTING < wall - self._came < math.inf and self.commanded:
            text = (
                f"{topic}: no sound command for {wall - self._came:.1f} s, though there is a publisher; the base stands"
            )
            found.append(Diagnostic(Level.WARN, "command", text, topic=topic))
        elif wall - self._slow < TOLD:
            text = f"{topic}: expected a command every {DEAD_MAN:g} s, they come more slowly; the base halts in between"
            found.append(Diagnostic(Level.WARN, "command", text, topic=topic))
        if self._commands.matched > 1:
            text = f"{topic}: expected one publisher, {self._commands.matched} are there; the base obeys each in turn"
            found.append(Diagnostic(Level.WARN, RIVALS, text, topic=topic))
        return found

    def close(self) -> None:
        """Let go of all ends."""
        for end in (self._scan, self._odom, self._pose, self._imu, self._battery, self._bumper, self._lift):
            end.close()
        self._commands.close()
        self._lifts.close()

    def _new(self, sensor: str, stamp: int) -> bool:
        """Whether a sensor has looked since it was published last."""
        new = self._stamps.get(sensor, -1) != stamp
        self._stamps[sensor] = stamp
        return new

    def _refused(
        self, sample: Sample[TwistStamped] | Sample[Twist], now: int, *, lockstep: bool
    ) -> tuple[str, str] | None:
        """Why a command is not obeyed, as a kind and a line; None where it is."""
        message, topic = sample.message, self._commands.topic
        twist = message.twist if isinstance(message, TwistStamped) else message
        parts = (twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.x, twist.angular.y, twist.angular.z)
        if not all(map(math.isfinite, parts)):
            return "not_finite", f"{topic}: expected finite speeds, came {parts}; the command is not obeyed"
        if not isinstance(message, TwistStamped):
            return None
        frame, stamp = message.header.frame_id, _stamp(message)
        if frame not in ("", "base_link", self.frames.base):
            return "frame", (
                f"{topic}: expected a command in {self.frames.base}, came one in {shown(frame)}; it is not obeyed"
            )
        if stamp == 0:  # by convention: now
            return None
        if stamp > now + AHEAD:
            return "future", (
                f"{topic}: a command is stamped {(stamp - now) / SECOND:.3f} s in the future and not obeyed; run its "
                "sender with use_sim_time, by this plant's /clock"
            )
        if not lockstep and stamp < now - BEHIND:
            return "past", f"{topic}: a command is stamped {(now - stamp) / SECOND:.3f} s ago and not obeyed"
        return None


def _stamp(message: TwistStamped | Twist) -> int:
    return stamp_of(message.header.stamp) if isinstance(message, TwistStamped) else 0
