"""Assumptions watched at run time: each one that the shield's proof makes, and what it becomes when it fails.

    A2  the body moves as the released commands predict, within e(t) -> TRACKING
    A3  scan, odometry, picture and grant are no older than assumed  -> *_STALE
    A6  time goes on, and in steps                              -> NOT_FINITE
    A7  every number is one, and in its range                   -> NOT_FINITE
    A8  the control step ends within its period                 -> DEADLINE

(Numbering of the safety note's list; the rest of it needs parts that do not exist yet.) All are pure functions of
readings and stamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from safety.supervisor import Cause, worst
from sim.drive import BRAKE_SHARE
from sim.geometry import wrap_angle
from sim.robot import MILLISECOND, SECOND, Readings, RobotSpec
from sim.varied import ODOMETRY_NOISE, ODOMETRY_SCALE

PLACE_MAX = 1.0e5
"""Largest coordinate, m, and yaw, rad, that can be used: there float32 still resolves 8 mm."""


@dataclass(frozen=True)
class AgeBounds:
    """Oldest inputs that a robot may act on, ns."""

    scan: int = 100 * MILLISECOND
    """RobotSpec.sensor_age_bound: the shield counts exactly this much."""
    odometry: int = 100 * MILLISECOND
    """As the scan: prediction starts from pose and twist of the scan's instant."""
    picture: int = 2 * SECOND
    """The lease of a grant: without a picture for as long, what others hold is unknown."""

    @staticmethod
    def of(spec: RobotSpec) -> AgeBounds:
        """The bounds that a specification states."""
        age = round(spec.sensor_age_bound * SECOND)
        return AgeBounds(scan=age, odometry=age)


@dataclass(frozen=True)
class Ages:
    """How old each input is, ns; negative when it claims to be from the future."""

    scan: int
    pose: int
    twist: int
    picture: int
    grant_left: int
    """Until the grant's lease ends; negative when it has."""


def ages(readings: Readings, *, picture_stamp: int, grant_expires: int) -> Ages:
    """The ages of one control cycle's inputs; `picture_stamp` and `grant_expires` are 0 where there is none yet."""
    return Ages(
        scan=readings.stamp - readings.scan_stamp,
        pose=readings.stamp - readings.pose_stamp,
        twist=readings.stamp - readings.twist_stamp,
        picture=readings.stamp - picture_stamp,
        grant_left=grant_expires - readings.stamp,
    )


def judge_ages(age: Ages, bounds: AgeBounds) -> Cause:
    """The worst cause that the ages give."""
    return worst(
        Cause.SCAN_STALE if age.scan > bounds.scan else Cause.NONE,
        Cause.ODOMETRY_STALE if max(age.pose, age.twist) > bounds.odometry else Cause.NONE,
        # one from the future (another site clock) would never grow old: silence would end no lease
        Cause.PICTURE_STALE if abs(age.picture) > bounds.picture else Cause.NONE,
        Cause.GRANT_STALE if age.grant_left <= 0 else Cause.NONE,
        Cause.NOT_FINITE if min(age.scan, age.pose, age.twist) < 0 else Cause.NONE,
    )


def judge_readings(readings: Readings, spec: RobotSpec) -> Cause:
    """BUMPER where it is pressed; else NOT_FINITE where a reading is no number or beyond what the robot can do."""
    return worst(
        Cause.BUMPER if readings.bumper else Cause.NONE,
        Cause.NONE if readable(readings, spec) else Cause.NOT_FINITE,
    )


def readable(readings: Readings, spec: RobotSpec) -> bool:
    """Whether every reading is a number and within what the robot can do; a pressed bumper changes nothing here."""
    scan = np.asarray(readings.scan)
    if scan.shape != (spec.lidar.rays,):
        return False
    # one comparison each finds NaN and infinity too: they satisfy none
    if not bool(np.all((scan >= 0.0) & (scan <= spec.lidar.range_max * 1.001))):
        return False
    pose, twist = np.asarray(readings.pose), np.asarray(readings.twist)
    if pose.shape != (3,) or twist.shape != (2,) or not (np.isfinite(pose).all() and np.isfinite(twist).all()):
        return False
    if not bool(np.all(np.abs(pose) <= PLACE_MAX)):
        return False
    # twice the commanded limits: noise and slip stay far below, a broken encoder does not
    return bool(abs(twist[0]) <= 2.0 * spec.diff.speed_max and abs(twist[1]) <= 2.0 * spec.diff.turn_max)


@dataclass(frozen=True)
class TrackingMemory:
    """What the drive may do by what it was told, and where that must have led since the window began."""

    stamp: int = -1
    """Of the newest pose; -1 before the first cycle."""
    cycle: int = -1
    """Stamp of that control cycle: when the command that came of it was released."""
    yaw: float = 0.0
    """At `stamp`"""
    v: tuple[float, float] = (0.0, 0.0)
    """Least and greatest speed that a drive within its bounds has at `stamp`, m/s."""
    w: tuple[float, float] = (0.0, 0.0)
    """rad/s"""
    commands: tuple[tuple[int, float, float], ...] = ()
    """Stamp, v, w of the released commands that may still rule, oldest first."""
    since: int = -1
    """Stamp of the pose with which the window began."""
    start: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """That pose"""
    way: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Predicted x, y (m) and yaw (rad) from there, by the middle of the intervals."""
    room: tuple[float, float] = (0.0, 0.0)
    """What their widths leave open, m and rad."""
    misses: int = 0
    """Cycles in a row in which the body was outside its bound; after an alarm also what is left of HOLD."""


MISSES = 3
"""Cycles in a row outside the bound until it counts: one may be a single wrong reading."""
WINDOW = SECOND
"""The pose is compared over at most this long, ns: e(t) was measured over stops of at most 1.1 s."""
HOLD = 5
"""Cycles inside the bound until an alarm ends: a body that slides leaves a new window after about as many."""
RULES_ON = 1
"""Control periods for which a command may rule on after the next one was released: latency and the step's own time are
at most half a period each (RobotSpec.latency_bound, fleet.control.LATE)."""
TURN_SHARE = 0.5
"""Of the yaw acceleration that is commanded, what a body reaches in any case: loaded and on a slippery floor its
wheels slip. With all of it the wheeled body lay outside 21 times in 40 episodes, with half never in 300 (2026-11)."""
RECENT = 12
"""Commands that are kept at most: those of a second, and what may rule beside them."""


@dataclass(frozen=True)
class Tracked:
    """What one cycle says of how the body follows its commands."""

    cause: Cause
    memory: TrackingMemory
    error: float
    """How far the pose is beyond its bound, m; negative within it, NaN where there is nothing to compare it with"""


def watch_tracking(
    memory: TrackingMemory, readings: Readings, last_command: tuple[float, float], spec: RobotSpec
) -> Tracked:
    """TRACKING after MISSES cycles in which twist or pose was outside of what the released commands lead to.

    The drive slews towards one of the commands that may rule: at most with its acceleration, at least with its
    guaranteed braking. That gives an interval of v and w; the measured twist must lie in it, give or take e1 and the
    odometry's error, and the pose where it leads along the measured headings, give or take e(t) and the
    localisation's bound. A turn counts by what it moves the footprint's rim. `last_command` is what the step before
    released. Finite readings are the caller's duty (`readable` first).
    """
    x, y, yaw = (float(value) for value in readings.pose)
    pose = (x, y, yaw)
    v, w = (float(value) for value in readings.twist)
    dt = (readings.pose_stamp - memory.stamp) / SECOND
    if memory.stamp < 0 or abs(dt) > 1.0:
        return Tracked(Cause.NONE, _begin(readings, spec), math.nan)
    commands = (*memory.commands, (memory.cycle, *last_command))[-RECENT:]
    if dt <= 0.0:  # a stale pose: the ages tell; what was told since is kept
        return Tracked(_cause(memory.misses), replace(memory, cycle=readings.stamp, commands=commands), math.nan)
    commands = _ruling(commands, memory.stamp, spec.period)
    rule = [command for command in commands if command[0] <= readings.pose_stamp] or list(commands)
    if readings.pose_stamp - memory.stamp > 1.5 * spec.period:
        rule.append((0, 0.0, 0.0))  # nobody told it anything: the watchdog or the stored plan may have braked
    drive, turn = spec.diff, spec.diff.turn_accel_max
    speeding = Slew(drive.accel_max, BRAKE_SHARE * drive.brake_min, drive.accel_max, drive.brake_min)
    turning = Slew(turn, turn, TURN_SHARE * turn, TURN_SHARE * turn)
    new_v = reach(memory.v, [command[1] for command in rule], speeding, dt)
    new_w = reach(memory.w, [command[2] for command in rule], turning, dt)
    mean_v, half_v = _mean(memory.v, new_v)
    mean_w, half_w = _mean(memory.w, new_w)
    turned = wrap_angle(yaw - memory.yaw)
    heading = memory.yaw + 0.5 * turned
    moved = replace(
        memory,
        stamp=readings.pose_stamp,
        cycle=readings.stamp,
        yaw=yaw,
        v=new_v,
        w=new_w,
        commands=commands,
        way=(
            memory.way[0] + mean_v * dt * math.cos(heading),
            memory.way[1] + mean_v * dt * math.sin(heading),
            memory.way[2] + mean_w * dt,
        ),
        room=(memory.room[0] + half_v * dt, memory.room[1] + half_w * dt),
    )
    # twist and pose may be of two instants: in between the drive went on
    apart = abs(readings.twist_stamp - readings.pose_stamp) / SECOND
    slack_v, slack_w = twist_slack(v, w, spec)
    slack_v += BRAKE_SHARE * spec.diff.brake_min * apart
    slack_w += spec.diff.turn_accel_max * apart
    error = tracking_error(moved, pose, spec)
    outside = (
        not new_v[0] - slack_v <= v <= new_v[1] + slack_v
        or not new_w[0] - slack_w <= w <= new_w[1] + slack_w
        or error > 0.0
    )
    misses = memory.misses + 1 if outside else memory.misses - 1 if memory.misses >= MISSES else 0
    if outside and misses >= MISSES:
        misses = MISSES + HOLD
    if (readings.pose_stamp - moved.since >= WINDOW and not outside) or (outside and misses >= MISSES):
        moved = replace(moved, since=moved.stamp, start=pose, way=(0.0, 0.0, 0.0), room=(0.0, 0.0))
    return Tracked(_cause(misses), replace(moved, misses=misses), error)


def tracking_error(memory: TrackingMemory, pose: tuple[float, float, float], spec: RobotSpec) -> float:
    """How far the pose is beyond the bound of where the commands led since the window began, m; negative within it."""
    elapsed = (memory.stamp - memory.since) / SECOND
    bound = spec.tracking_e0 + spec.tracking_e1 * elapsed + 2.0 * spec.localisation_bound
    x, y, yaw = (now - before - way for now, before, way in zip(pose, memory.start, memory.way, strict=True))
    rim = max(abs(wrap_angle(yaw)) - memory.room[1], 0.0) * spec.radius
    return max(math.hypot(x, y) - memory.room[0], rim) - bound


def twist_slack(v: float, w: float, spec: RobotSpec) -> tuple[float, float]:
    """What a measured twist may differ from the drive's: e1 and the odometry's error, m/s and rad/s."""
    noise = 3.0 * ODOMETRY_NOISE  # clipped at three standard deviations (sim/sensors.py)
    return (
        spec.tracking_e1 + noise + ODOMETRY_SCALE * abs(v),
        spec.tracking_e1 / spec.radius + noise + ODOMETRY_SCALE * abs(w),
    )


def _begin(readings: Readings, spec: RobotSpec) -> TrackingMemory:
    """A new window: nothing is known of the drive but what the odometry says."""
    x, y, yaw = (float(value) for value in readings.pose)
    v, w = (float(value) for value in readings.twist)
    slack_v, slack_w = twist_slack(v, w, spec)
    return TrackingMemory(
        stamp=readings.pose_stamp,
        cycle=readings.stamp,
        yaw=yaw,
        v=(v - slack_v, v + slack_v),
        w=(w - slack_w, w + slack_w),
        since=readings.pose_stamp,
        start=(x, y, yaw),
    )


def _cause(misses: int) -> Cause:
    return Cause.TRACKING if misses >= MISSES else Cause.NONE


def _ruling(
    commands: tuple[tuple[int, float, float], ...], after: int, period: int
) -> tuple[tuple[int, float, float], ...]:
    """The commands that may have ruled at some time after a stamp: the next one was not yet sure to."""
    ends = [stamp + RULES_ON * period for stamp, _, _ in commands[1:]]
    return (*(command for command, end in zip(commands[:-1], ends, strict=True) if end > after), commands[-1])


@dataclass(frozen=True)
class Slew:
    """How fast a drive goes towards a command, m/s^2 or rad/s^2."""

    away: float
    """At most, away from rest"""
    brake: float
    """At most, towards rest"""
    sure_away: float
    """At least"""
    sure_brake: float


def reach(now: tuple[float, float], targets: list[float], slew: Slew, dt: float) -> tuple[float, float]:
    """The interval after `dt` of going towards any of the targets: outwards at most, inwards at least."""
    low, high = min(targets), max(targets)
    at_most, at_least = (slew.away, slew.brake), (slew.sure_away, slew.sure_brake)
    return (
        -_rise(-now[0], -low, *at_most, dt) if low < now[0] else _rise(now[0], low, *at_least, dt),
        _rise(now[1], high, *at_most, dt) if high > now[1] else -_rise(-now[1], -high, *at_least, dt),
    )


def _rise(value: float, target: float, away: float, brake: float, dt: float) -> float:
    """A value that rises to a target: up to zero at `brake`, from there at `away`."""
    if value < 0.0:
        spent = min(-value / brake, dt)
        return min(value + brake * spent + away * (dt - spent), max(target, value))
    return min(value + away * dt, target)


def _mean(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    """Middle and half width of everything between two intervals."""
    low, high = min(before[0], after[0]), max(before[1], after[1])
    return 0.5 * (low + high), 0.5 * (high - low)
