"""A course's single moves, as scripts: look around, turn, go and stop, through the `Robot` protocol and with a guard.

A script is a generator: it yields the command to release and is sent the readings of the next control cycle, so it
reads as it is driven; `follow` is the loop that drives one, on a simulated robot as on hardware. Whatever ends it, the
last command is to stand.

The guard. A run is begun only where the lidar sees room for all of it and for a stop by less braking than was ever seen
of this robot (`Mover.stop_way`; at first CAUTIOUS); in each cycle of it the stop must still fit into what the newest
scan sees free, or it is broken off (`BrokenOff`); an older scan is asked for more room. A bumper, readings that stay
away, grow old, come from the future or whose time stands still, speed that does not fall after a stop was told, a robot
that never stands, or one that does not move or turn at all end the course (`CourseError`).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fleet.estimates import LEVEL, Run
from fleet.freeroom import MARGIN, clearance, heading_for, hits, way_of
from safety.conformance import Prediction, foresee, plan_commands
from safety.fallback import TURN as CREEP_TURN
from sim.errors import MusterError
from sim.geometry import wrap_angle
from sim.robot import SECOND, STOP, Readings, Robot, RobotCommand, RobotSpec

T = TypeVar("T")
Script = Generator[RobotCommand, Readings, T]

TIMEOUT = 2.0
"""Longest wait for readings, s: ten times what a robot's bus may be silent."""

OLD = 1.0
"""Readings older than this end the course, s: twice the time in which a creeping robot is at rest by any brake."""

REST = 0.05
"""m/s and rad/s; slower is standing. Above the clipped noise of an odometry, 0.03 (sim/varied.py)."""

CAUTIOUS = 0.3
"""Braking that is counted on before any was seen, m/s^2: a fifth of the default robot's, delays included."""

TRUST = 0.7
"""Of the weakest braking seen so far, what the guard counts on."""

ANSWER = 0.5
"""Longest time until speed must begin to fall after a stop was told, s."""

STAND = 10.0
"""Longest time until the robot stands after it was told to, s, beyond what weak braking takes from its speed."""


class CourseError(MusterError):
    """The course cannot be driven on."""


class BrokenOff(Exception):
    """A run was broken off: the room before the robot is no longer free."""


def follow(robot: Robot, script: Script[T]) -> T:
    """Drive a script to its end; the robot is told to stand, whatever ends it. Raises `CourseError`."""
    try:
        command = next(script)
        while True:
            robot.write(command)
            readings = robot.read(TIMEOUT)
            if readings is None:
                raise CourseError(f"expected readings within {TIMEOUT:g} s, none came; look at the robot's bus")
            command = script.send(readings)
    except StopIteration as end:
        return end.value
    finally:
        robot.write(STOP)


@dataclass(frozen=True)
class Ending:
    """What comes between a run's (v, w) and its stopping plan."""

    changed: tuple[float, float] = (0.0, 0.0)
    """Another (v, w), for `cycles`"""
    cycles: int = 0
    near: float = 0.0
    """The candidate turns less by this share, and is slower by half of it"""


STEADY = Ending()
"""The plan begins out of what was told last."""


class Mover:
    """Owns what is known of the robot while it drives: its newest readings, and the weakest braking seen."""

    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec
        self.now: Readings
        self.weakest = CAUTIOUS / TRUST
        """Braking over the whole way from a stop's command to rest, delays included, m/s^2."""
        self.cycles = 0
        self._angles = spec.lidar.angles()
        self._stamp = -1  # of the newest cycle
        self._scans: list[NDArray[np.float32]] = []

    def stop_way(self, v: float) -> float:
        """How much room a stop from `v` is given, m."""
        return v * v / (2.0 * TRUST * self.weakest)

    def tell(self, v: float = 0.0, w: float = 0.0) -> Script[Readings]:
        """Release one command and take the next readings."""
        now = yield RobotCommand(v, w)
        before, self._stamp = self._stamp, now.stamp
        self.now, self.cycles = now, self.cycles + 1
        stamps = (now.scan_stamp, now.pose_stamp, now.twist_stamp)
        oldest, ahead = now.stamp - min(stamps), max(stamps) - now.stamp
        if now.bumper:
            raise CourseError("the bumper was touched: expected free ground; move the robot and begin again")
        if now.stamp <= before:
            raise CourseError("expected readings of a later time with each cycle, time stands still; look at the clock")
        if ahead > 0:  # they would never grow old
            raise CourseError(f"readings are {ahead / SECOND:.3f} s from the future; give all sensors one clock")
        if oldest > OLD * SECOND:
            raise CourseError(f"readings are {oldest / SECOND:.1f} s old, expected at most {OLD:g} s; mend the sensor")
        finite = np.isfinite(now.pose).all() and np.isfinite(now.twist).all() and not np.isnan(now.scan).any()
        if not finite or now.scan.shape != (self.spec.lidar.rays,):
            raise CourseError(
                f"expected pose, twist and a scan of {self.spec.lidar.rays} rays as numbers, got something else; "
                "give the specification of this robot's lidar"
            )
        self._scans = [*self._scans[-2:], now.scan]
        return now

    def rest(self, cycles: int = 2) -> Script[None]:
        """Stand, at least for so many cycles."""
        still, longest = 0, STAND * SECOND / self.spec.period
        while still < cycles:
            now = yield from self.tell()
            still = still + 1 if abs(now.twist[0]) < REST and abs(now.twist[1]) < REST else 0
            longest -= 1
            if longest < 0:
                raise CourseError(_STANDS_NOT)

    def points(self) -> NDArray[np.float64]:
        """What the last three scans met, in the frame of the robot that stands."""
        return hits(self._scans, self._angles, self.spec.lidar.range_max)

    def turn(self, angle: float, rate: float) -> Script[None]:
        """Turn by an angle on the spot, to within 0.1 rad, and rest."""
        near = float(np.sort(self.now.scan)[: max(3, self.spec.lidar.rays // 120)].max())
        if near < self.spec.radius:
            raise CourseError(
                f"expected room to turn in, something stands {near:.2f} m from the lidar, less than the robot's own "
                f"{self.spec.radius:.2f} m; move the robot and begin again"
            )
        goal = float(self.now.pose[2]) + angle
        patience = (abs(angle) / max(0.3 * rate, 0.05) + 3.0) * SECOND / self.spec.period
        while abs(left := wrap_angle(goal - float(self.now.pose[2]))) > 0.1:
            yield from self.tell(0.0, math.copysign(min(max(1.5 * abs(left), 0.2), rate), left))
            patience -= 1
            if patience < 0:
                raise CourseError(f"expected a turn by {angle:.2f} rad, it does not end; is the drive switched on?")
        yield from self.rest()

    def fits(self, v: float, w: float, cycles: int, plan: RobotSpec | None = None) -> float | None:
        """By how much to turn so that a run of so many cycles fits, rad; None where it fits nowhere.

        With `plan` it ends by the stopping plan under that robot's bounds, which lasts as long as the turn's end takes.
        """
        drive, stop = self.spec.diff, self.stop_way(v)
        if plan is not None:
            longest = max(abs(v) / plan.diff.brake_min, abs(w) / plan.diff.turn_accel_max)
            stop = max(stop, abs(v) * (0.5 * longest + plan.latency_bound + self.spec.period / SECOND))
        way = way_of(
            v, w, (cycles + 2) * self.spec.period / SECOND, stop,
            accel=1.5 * drive.accel_max, turn_accel=drive.turn_accel_max,
        )  # fmt: skip
        return heading_for(way, self.points(), self.spec.radius)

    def go(self, v: float, w: float, cycles: int, plan: RobotSpec | None = None, end: Ending = STEADY) -> Script[Run]:
        """Go to (v, w) from rest for so many cycles, then stop: fully, or by the shield's plan under `plan`'s bounds.

        The plan follows a candidate of one cycle; `end` says what comes between, so that plans begin as they do on a
        shield: while the robot still takes up speed, turns otherwise, or is told something else.
        Raises `BrokenOff` where the room ends; the robot then stands.
        """
        log = _Log(self.now.stamp)
        for _ in range(2):  # the level before
            log.add(self.now, (0.0, 0.0))
            yield from self.tell()
        up = len(log.times)
        last = (v, w)
        for number in range(cycles + end.cycles):
            last = (v, w) if number < cycles else end.changed
            if not self._free():
                yield from self.rest()
                raise BrokenOff
            log.add(self.now, last)
            yield from self.tell(*last)
        stop, speed, prediction = len(log.times), abs(float(self.now.twist[0])), None
        if plan is None:
            ticks = np.zeros((0, 2))
        else:
            candidate = (last[0] * (1.0 - 0.5 * end.near), last[1] * (1.0 - end.near))
            prediction = self._foresee(plan, last, candidate)
            if not self._clear(prediction):
                candidate = last
                prediction = self._foresee(plan, last, candidate)
            if not self._clear(prediction):
                yield from self.rest()
                raise BrokenOff
            ticks = np.concatenate([[candidate], plan_commands(prediction.plan[0], self.spec.period / SECOND)])
        still = quiet = 0
        longest = STAND + speed / (TRUST * self.weakest)
        while still < 3:
            command = (float(ticks[quiet][0]), float(ticks[quiet][1])) if quiet < len(ticks) else (0.0, 0.0)
            if quiet < len(ticks) and not self._free():
                yield from self.rest()
                raise BrokenOff
            log.add(self.now, command)
            now = yield from self.tell(*command)
            quiet += 1
            since = (quiet - len(ticks)) * self.spec.period / SECOND
            least = TRUST * self.weakest * max(since - ANSWER, 0.0)
            if since > 0.0 and abs(now.twist[0]) > max(speed - least, 0.0) + 3.0 * REST:
                raise CourseError(
                    f"expected speed to fall by {TRUST * self.weakest:.2f} m/s^2 or more after a stop was told, it is "
                    f"{abs(now.twist[0]):.2f} m/s {since:.1f} s later; look at the brakes before anything else"
                )
            if since > longest:  # it creeps or turns on
                raise CourseError(_STANDS_NOT)
            still = still + 1 if abs(now.twist[0]) < REST and abs(now.twist[1]) < REST else 0
        log.add(self.now, (0.0, 0.0))
        return log.run((v, w), up, stop, prediction)

    def _foresee(self, plan: RobotSpec, last: tuple[float, float], candidate: tuple[float, float]) -> Prediction:
        now = self.now
        oldest = min(now.scan_stamp, now.pose_stamp, now.twist_stamp)
        age = np.array([(now.stamp - oldest) / SECOND])
        return foresee(plan, np.array([now.twist]), np.array([last]), np.array([candidate]), age)

    def _clear(self, prediction: Prediction) -> bool:
        """Whether the chords of a prediction fit into what the newest scan sees free."""
        chords = prediction.slices[0][prediction.slices[0][:, 5] > 0.0]
        if not len(chords):
            return True
        points = hits([self.now.scan], self._angles, self.spec.lidar.range_max)
        return clearance(np.concatenate([chords[:1, 0:2], chords[:, 2:4]]), points, self.spec.radius) > 0.0

    def _free(self) -> bool:
        """Whether a stop from now on fits into what the newest scan sees free."""
        v, w = (float(value) for value in self.now.twist)
        if abs(v) < 2.0 * REST:
            return True
        points = hits([self.now.scan], self._angles, self.spec.lidar.range_max)
        age = (self.now.stamp - self.now.scan_stamp) / SECOND
        room = abs(v) * (self.spec.period / SECOND + max(age, self.spec.sensor_age_bound))
        way = way_of(v, w, room / abs(v), self.stop_way(v), accel=1e3, turn_accel=1e3)
        return clearance(way, points, self.spec.radius - 0.7 * MARGIN) > 0.0


_STANDS_NOT = f"expected the robot to stand {STAND:g} s after a stop was told, it does not; press its stop"


class _Log:
    """Owns the cycles of one run."""

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.times: list[float] = []
        self._commands: list[tuple[float, float]] = []
        self._poses: list[tuple[float, NDArray[np.float32]]] = []
        self._twists: list[tuple[float, NDArray[np.float32]]] = []
        self._age = 0

    def add(self, now: Readings, command: tuple[float, float]) -> None:
        """A cycle's readings, and the command that it released."""
        self.times.append(self._since(now.stamp))
        self._commands.append(command)
        self._poses.append((self._since(now.pose_stamp), now.pose))
        self._twists.append((self._since(now.twist_stamp), now.twist))
        self._age = max(self._age, now.stamp - min(now.scan_stamp, now.pose_stamp, now.twist_stamp))

    def run(self, told: tuple[float, float], up: int, stop: int, prediction: Prediction | None) -> Run:
        """All of it."""
        return Run(
            told=told,
            times=np.array(self.times),
            commands=np.array(self._commands),
            pose_times=np.array([time for time, _ in self._poses]),
            poses=np.array([pose for _, pose in self._poses], np.float64),
            twist_times=np.array([time for time, _ in self._twists]),
            twists=np.array([twist for _, twist in self._twists], np.float64),
            age=self._age / SECOND,
            up=up,
            stop=stop,
            prediction=prediction,
        )

    def _since(self, stamp: int) -> float:
        return (stamp - self.begin) / SECOND


def hold_cycles(spec: RobotSpec, v: float, w: float, accel: float, turn_accel: float) -> int:
    """Cycles in which a robot with these accelerations is at (v, w) and has held it for LEVEL readings."""
    seconds = max(abs(v) / accel, abs(w) / turn_accel) + spec.latency_bound
    return math.ceil(seconds * SECOND / spec.period) + LEVEL + 1


__all__ = ["CREEP_TURN", "BrokenOff", "CourseError", "Mover", "Script", "follow", "hold_cycles"]
