"""The plant of a car over a bus: what a real car would say and hear, from the driving simulator.

    says        odom, imu, joint_states, pose, lane_pose, objects, scan, battery_state (fleet/ros/carmessages.py),
                goal_pose, relative to the car's namespace; /clock, /tf, /diagnostics
    hears       ackermann_cmd (fleet/carcommands.py says what it makes of one)

A car node, ours or a third party's, cannot tell it from hardware. Two ways of time:

    lockstep    time goes on when a command has come that has the present stamp, or none; while it waits, the clock and
                the goal are said again, because one tick may get lost. A driver that is silent for PATIENCE of wall
                time is not waited for: the car brakes for that step, it is counted, and time goes on
    wall        a control step every period of wall time under the newest command; one that is older than DEAD_MAN by
                our own clock is none, and the car brakes

Whoever drives must be there before a lockstep begins: `ready` says whether every topic has found its other end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet.carcommands import DEAD_MAN, Commands
from fleet.carcontrol import pose_of_goal
from fleet.carplant import CarPlant
from fleet.ros import diagnose
from fleet.ros.bus import Bus
from fleet.ros.carinputs import NEEDED, TOPICS
from fleet.ros.carmessages import (
    Frames,
    charge_message,
    inertia_message,
    lane_message,
    objects_message,
    odometry_message,
    place_message,
    pose_message,
    prefix_of,
    scan_message,
    steering_message,
    time_of,
)
from fleet.ros.messages.ackermann_msgs import AckermannDriveStamped
from fleet.ros.messages.geometry_msgs import PoseStamped, Transform, TransformStamped, Vector3
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.std_msgs import Header
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.qos import QoS
from fleet.ros.rivals import intruders
from fleet.ros.topics import CLOCK, DIAGNOSTICS, TF
from sim.driving.reading import CarReading, Pose, compose, inverse
from sim.driving.sensing import bounds
from sim.driving.wheelangle import as_curvature
from sim.robot import SECOND

NAME = "plant"

JOINT = "steering_joint"

PATIENCE = 2 * SECOND
"""ns of wall time that a lockstep waits for a command (the architecture's figure for a silent member)."""

AGAIN = SECOND // 20
"""ns of wall time after which clock and goal are said again."""

TOLD_EVERY = SECOND
"""ns of our own clock between two messages of diagnostics (REP 107)."""

WHOLE = QoS(depth=50)
"""Reliable, for a lockstep that loses nothing; subscribers to sensors that ask for best effort fit it too."""


class CarServer:
    """Owns the ends of one plant on a bus, and when time goes on."""

    def __init__(
        self,
        bus: Bus,
        plant: CarPlant,
        *,
        lockstep: bool,
        namespace: str = "",
        clock: Callable[[], int] = time.monotonic_ns,
        patience: int = PATIENCE,
    ) -> None:
        """In the car's namespace; `clock`: our own, ns. Raises what the bus does."""
        self.bus, self.plant, self.lockstep = bus, plant, lockstep
        self.node = bus.node(NAME, namespace)
        self.released: list[tuple[float, float]] = []
        """Every command that was followed: acceleration, curvature"""
        self.missed = 0
        """Steps for which no command came in time"""
        self._clock, self._patience, self._frames = clock, patience, Frames(prefix_of(self.node.namespace))
        self._ends = {topic: self.node.publisher(kind, topic, WHOLE) for topic, kind in TOPICS.items()}
        self._ticks = CLOCK.publisher(self.node)
        self._transforms = TF.publisher(self.node)
        self._goal = self.node.publisher(PoseStamped, "goal_pose")
        self._diagnostics = DIAGNOSTICS.publisher(self.node)
        end = self.node.subscription(AckermannDriveStamped, "ackermann_cmd", qos=WHOLE)
        self.commands = Commands(end, self._frames, lockstep=lockstep)
        self._came, self._said, self._since, self._due, self._told = 0, -1, clock(), 0, 0
        self._angle = 0.0

    @property
    def ready(self) -> bool:
        """Whether somebody hears every sensor and says commands."""
        heard = all(self._ends[topic].matched for topic in NEEDED) and self._ticks.matched and self._goal.matched
        return bool(heard and self.commands.matched)

    def poll(self, timeout: float = 0.0) -> bool:
        """Say what is now, wait at most so long, s, and go on if it is time to; whether a step was made."""
        now = self._clock()
        if self._said != self.plant.stamp:
            self._say(self.plant.reading())
            self._said, self._since = self.plant.stamp, now
        elif now - self._came >= AGAIN:
            self._tick()
        self.bus.spin(timeout)
        self.commands.hear(self._now(), self._clock())
        if self._clock() - self._told >= TOLD_EVERY:
            self._tell()
        return self._go_on_when_told() if self.lockstep else self._go_on_by_clock()

    def close(self) -> None:
        """Leave the bus; safe to call twice."""
        self.node.close()

    def _now(self) -> int:
        """The site's time, ns: in lockstep it stands while a command is waited for."""
        return self.plant.stamp if self.lockstep else self.plant.stamp + self._clock() - self._since

    def _go_on_when_told(self) -> bool:
        told = self.commands.newest
        if told is not None and (told.stamp == self.plant.stamp or (not told.stamp and told.received > self._since)):
            self._step(told.acceleration, told.angle)
            return True
        if self.released and self._clock() - self._since >= self._patience:
            self.missed += 1
            self._step(-self.plant.env.spec.car.brake_min, self._angle)
            return True
        return False

    def _go_on_by_clock(self) -> bool:
        now = self._clock()
        if now < self._due:
            return False
        self._due = max(self._due + self.plant.period, now)
        told = self.commands.newest
        if told is None or now - told.received > DEAD_MAN:
            self.missed += self.released != []
            self._step(-self.plant.env.spec.car.brake_min, self._angle)
        else:
            self._step(told.acceleration, told.angle)
        return True

    def _tell(self) -> None:
        """How the bus and the commands are (REP 107)."""
        wall = self._told = self._clock()
        said = {self._ticks.topic, *(end.topic for end in self._ends.values())}
        bus = [*self.bus.diagnostics(), *intruders(self.bus.census().ends, said, self.node.fully_qualified)]
        name, counts = self.node.fully_qualified, self.commands.counts
        statuses = [
            diagnose.status(f"{name}: bus", "muster", bus),
            diagnose.status(f"{name}: commands", "muster", self.commands.found(wall), counts.items()),
        ]
        self._diagnostics.publish(diagnose.array(self.plant.stamp, statuses))

    def _step(self, acceleration: float, angle: float) -> None:
        self._angle = angle
        curvature = as_curvature(angle, self.plant.env.spec.car.wheelbase)
        self.released.append((acceleration, curvature))
        self.plant.step(acceleration, curvature)

    def _say(self, reading: CarReading) -> None:
        frames, spec = self._frames, self.plant.env.spec
        odometry, inertia, steering = reading.odometry, reading.inertia, reading.steering
        place, objects = reading.place, reading.objects
        assert odometry is not None
        assert inertia is not None
        assert steering is not None
        assert place is not None
        offset = bounds(self.plant.env.config.sensors, spec).offset
        self._ends["odom"].publish(odometry_message(odometry, inertia.turn, frames))
        self._ends["imu"].publish(inertia_message(inertia, frames))
        self._ends["joint_states"].publish(steering_message(steering, JOINT, spec.car.wheelbase, frames))
        self._ends["pose"].publish(place_message(place, self.plant.origin, frames))
        self._ends["lane_pose"].publish(lane_message(reading.lane, reading.now, offset, frames))
        if objects is not None:
            self._ends["objects"].publish(objects_message(objects, frames))
        if reading.charge is not None and reading.charge.stamp == reading.now:
            self._ends["battery_state"].publish(charge_message(reading.charge, frames))
        if reading.scan is not None:
            self._ends["scan"].publish(
                scan_message(reading.scan, spec.lidar.range_max, spec.period / SECOND, frames)
            )  # fmt: skip
        self._transforms.publish(TFMessage(self._tree(reading, odometry.pose, place.pose)))
        self._tick()

    def _tree(self, reading: CarReading, moved: Pose, placed: Pose) -> list[TransformStamped]:
        """Map -> odom -> base_link (REP 105)."""
        frames, origin, stamp = self._frames, self.plant.origin, time_of(reading.now)
        there = (placed[0] + origin[0], placed[1] + origin[1], placed[2])
        found = []
        for parent, child, pose in (
            (frames.map, frames.odom, compose(there, inverse(moved))),
            (frames.odom, frames.base, moved),
        ):
            rotation = pose_message(pose, reading.now, parent).pose.orientation
            transform = Transform(Vector3(pose[0], pose[1], 0.0), rotation)
            found.append(TransformStamped(Header(stamp, parent), child, transform))
        return found

    def _tick(self) -> None:
        """The clock, and where to go."""
        self._came = self._clock()
        goal = pose_of_goal(self.plant.road, self.plant.plan)
        self._goal.publish(pose_message(goal, self.plant.stamp, self._frames.map))
        self._ticks.publish(Clock(time_of(self.plant.stamp)))
