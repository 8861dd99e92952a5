"""What a robot may do by its calibration: authority, and the monitors that let a calibration expire.

    FULL     a valid calibration of this robot on this floor (or a simulated robot, which is what it is said to be)
    CREEP    at most CREEP_SPEED and CREEP_TURN: no calibration, or one that has expired while the robot drives
    SHADOW   nothing is released but rest; everything else goes on and is recorded

A calibration's bounds hold in at least its coverage of drives (fleet/tolerance.py), so single exceptions are expected
of a healthy robot. Drives (from rest to rest, LONGEST at most) are therefore counted by a cumulative sum of
log-likelihood ratios for each kind of exception (Page, Biometrika 41, 1954), between the rate that the coverage allows
and WRONG:

    score <- max(0, score + ln(WRONG / allowed))               a drive with an exception
    score <- max(0, score + ln((1 - WRONG) / (1 - allowed)))   one without

A calibration expires where a score passes ln ALARMS: of a healthy robot not before ALARMS drives in the mean (Lorden,
Annals of Mathematical Statistics 42, 1971), of one that fails every time with the third drive at 99.9 %.

    BRAKING    speed is above what the latest answer and the weakest braking leave of the commands
    LATENCY    it is so, but not with an answer that is a control period later
    TRACKING   the body is outside e(t) (`safety.monitors.watch_tracking`)

Pure functions; dates are the loop's affair, because no site clock is a calendar.
"""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass, replace

from safety.monitors import Slew, reach
from sim.drive import BRAKE_SHARE
from sim.robot import SECOND, Readings, RobotSpec
from sim.varied import ODOMETRY_NOISE, ODOMETRY_SCALE

CREEP_SPEED = 0.3
"""m/s; ISO 3691-4 allows it where nothing detects persons."""
CREEP_TURN = 0.6
"""rad/s; with the default robot's rim that is 0.24 m/s."""
WRONG = 0.05
"""Share of drives with an exception from which on a robot is not what was calibrated: fifty times 0.1 %."""
ALARMS = 1.0e4
"""Drives of a healthy robot between two false expiries in the mean, at least: a hundred days at a hundred a day."""
LONGEST = 10 * SECOND
"""A drive that goes on for longer is counted as one so far, ns."""
REST = 0.05
"""m/s and rad/s; slower is standing: above the clipped noise of an odometry."""
RECENT = 8
"""Commands that are kept at most; those that may still rule are fewer at any latency that a specification can have."""


class Authority(enum.IntEnum):
    """What a robot may do, the least last."""

    FULL = 0
    CREEP = 1
    SHADOW = 2


class Exceeded(enum.IntEnum):
    """Why a calibration expired at run time."""

    NONE = 0
    BRAKING = 1
    LATENCY = 2
    TRACKING = 3


@dataclass(frozen=True)
class Calibrated:
    """The bounds of a calibration that are watched."""

    coverage: float
    """Share of drives in which they hold"""
    brake: float
    """Least braking by a full stop, m/s^2"""
    latency: float
    """Latest answer to a command, s"""
    gain: tuple[float, float] = (1.0, 1.0)
    """What the robot drives over what it is told, v and w"""
    scale: tuple[float, float] = (1.0, 1.0)
    """Odometry over what is driven, v and w"""


@dataclass(frozen=True)
class CalibrationMemory:
    """What the monitors remember."""

    stamp: int = -1
    """Of the newest twist; -1 before the first"""
    cycle: int = -1
    """Stamp of that control cycle"""
    commands: tuple[tuple[int, float], ...] = ()
    """Stamp and v of the commands that may still rule, oldest first"""
    speed: tuple[float, float] = (0.0, 0.0)
    """Least and greatest v within the bounds, m/s"""
    later: tuple[float, float] = (0.0, 0.0)
    """The same with an answer that comes a control period later"""
    since: int = -1
    """When the drive began; -1 while the robot stands"""
    seen: tuple[bool, bool, bool] = (False, False, False)
    """Exceptions in this drive: braking, latency, tracking"""
    scores: tuple[float, float, float] = (0.0, 0.0, 0.0)
    drives: int = 0
    """Counted so far"""
    expired: Exceeded = Exceeded.NONE


def least(configured: int, by_calendar: int, memory: CalibrationMemory) -> Authority:
    """What is left of a configuration, a calendar (what it says may be out of range) and the monitors."""
    found = Authority.CREEP if memory.expired is not Exceeded.NONE else Authority.FULL
    return Authority(min(max(configured, by_calendar, found), Authority.SHADOW))


def allowed(authority: Authority, command: tuple[float, float], limit: float) -> tuple[tuple[float, float], float]:
    """What is left of a proposal (v, w) and of the floor's speed limit (m/s) under an authority."""
    if authority is Authority.FULL:
        return command, limit
    if authority is Authority.SHADOW:
        return (0.0, 0.0), min(limit, CREEP_SPEED)
    (v, w), limit = within(CREEP_SPEED, command, limit)
    return (v, max(-CREEP_TURN, min(CREEP_TURN, w))), limit


def within(speed: float, command: tuple[float, float], limit: float) -> tuple[tuple[float, float], float]:
    """What is left of a command (v, w) and of a speed limit (m/s) where `speed` bounds both; on the same arc.

    0 or less is no bound; what is not finite in a command is left for others to refuse.
    """
    if not speed > 0.0:
        return command, limit
    v, w = command
    if abs(v) > speed:
        v, w = math.copysign(speed, v), w * speed / abs(v)
    return (v, w), min(limit, speed)


def watch_calibration(
    memory: CalibrationMemory,
    readings: Readings,
    last_command: tuple[float, float],
    strayed: bool,
    calibrated: Calibrated,
    spec: RobotSpec,
) -> CalibrationMemory:
    """The memory after one control cycle; `expired` says whether the calibration still holds.

    `last_command` is what the step before released, `strayed` whether `watch_tracking` found the body outside. Finite
    readings are the caller's duty.
    """
    if memory.expired is not Exceeded.NONE:
        return memory
    v = float(readings.twist[0]) / calibrated.scale[0]
    dt = (readings.twist_stamp - memory.stamp) / SECOND
    if memory.stamp < 0 or not 0.0 < dt <= 1.0:
        if memory.stamp >= 0 and dt == 0.0:  # no newer twist: what was told since is kept
            commands = (*memory.commands, (memory.cycle, last_command[0] * calibrated.gain[0]))[-RECENT:]
            return replace(memory, cycle=readings.stamp, commands=commands)
        slack = _slack(v)
        return CalibrationMemory(
            stamp=readings.twist_stamp, cycle=readings.stamp, speed=(v - slack, v + slack),
            later=(v - slack, v + slack), scores=memory.scores, drives=memory.drives,
        )  # fmt: skip
    commands = (*memory.commands, (memory.cycle, last_command[0] * calibrated.gain[0]))[-RECENT:]
    most, period = spec.diff.accel_max, spec.period / SECOND
    slew = Slew(away=most, brake=3.0 * BRAKE_SHARE * spec.diff.brake_min, sure_away=0.0, sure_brake=calibrated.brake)
    span = (memory.stamp, readings.twist_stamp)
    speed = _advance(memory.speed, commands, span, calibrated.latency, slew)
    later = _advance(memory.later, commands, span, calibrated.latency + period, slew)
    slack = _slack(v)
    fast, too_fast = _beyond(v, speed, slack), _beyond(v, later, slack)
    seen = memory.seen
    if fast:
        seen = (seen[0] or too_fast, seen[1] or not too_fast, seen[2])
        speed, later = _take(speed, v, slack), _take(later, v, slack) if too_fast else later
    seen = (seen[0], seen[1], seen[2] or strayed)
    moved = replace(
        memory, stamp=readings.twist_stamp, cycle=readings.stamp, speed=speed, later=later, seen=seen,
        commands=_ruling(commands, readings.twist_stamp, calibrated.latency + period),
    )  # fmt: skip
    standing = abs(v) < REST and abs(float(readings.twist[1])) < REST and last_command == (0.0, 0.0)
    if memory.since < 0:
        return moved if standing else replace(moved, since=readings.stamp)
    if not standing and readings.stamp - memory.since < LONGEST:
        return moved
    return _count(moved, calibrated, -1 if standing else readings.stamp)


def _count(memory: CalibrationMemory, calibrated: Calibrated, since: int) -> CalibrationMemory:
    """A drive has ended: its exceptions are scored. Where braking and latency are both seen, braking is told."""
    share = min(1.0 - calibrated.coverage, WRONG / 2.0)
    wrong, right = math.log(WRONG / share), math.log((1.0 - WRONG) / (1.0 - share))
    braking, latency, tracking = memory.seen
    seen = (braking, latency and not braking, tracking)
    scores = [max(0.0, score + (wrong if one else right)) for score, one in zip(memory.scores, seen, strict=True)]
    expired = Exceeded.NONE
    for kind, score in zip((Exceeded.TRACKING, Exceeded.LATENCY, Exceeded.BRAKING), reversed(scores), strict=True):
        expired = kind if score > math.log(ALARMS) else expired
    return replace(
        memory, since=since, seen=(False, False, False), scores=(scores[0], scores[1], scores[2]),
        drives=memory.drives + 1, expired=expired,
    )  # fmt: skip


def _slack(v: float) -> float:
    """What a measured speed may differ from the drive's, m/s: clipped noise, and 1 % for a gain that varies."""
    return 3.0 * ODOMETRY_NOISE + 0.5 * ODOMETRY_SCALE * abs(v)


def _beyond(v: float, interval: tuple[float, float], slack: float) -> bool:
    """Whether a speed is further from rest than the interval."""
    return v > max(interval[1], 0.0) + slack or v < min(interval[0], 0.0) - slack


def _take(interval: tuple[float, float], v: float, slack: float) -> tuple[float, float]:
    """The interval with the measured speed in it: one late answer is told once, not in every later cycle."""
    return min(interval[0], v + slack), max(interval[1], v - slack)


def _ruling(commands: tuple[tuple[int, float], ...], after: int, latency: float) -> tuple[tuple[int, float], ...]:
    """The commands that may rule at some time after a stamp: one is over when the next one's answer is sure."""
    ends = [stamp + round(latency * SECOND) for stamp, _ in commands[1:]]
    return (*(command for command, end in zip(commands[:-1], ends, strict=True) if end > after), commands[-1])


def _advance(
    now: tuple[float, float],
    commands: tuple[tuple[int, float], ...],
    span: tuple[int, int],
    latency: float,
    slew: Slew,
) -> tuple[float, float]:
    """The interval of v at the end of a span of time, ns, in which each command rules after `latency` at the latest."""
    late = round(latency * SECOND)
    edges = sorted({span[0], span[1], *(at for s, _ in commands for at in (s, s + late) if span[0] < at < span[1])})
    for begin, end in itertools.pairwise(edges):
        sure = max((k for k, (stamp, _) in enumerate(commands) if stamp + late <= begin), default=0)
        targets = [v for stamp, v in commands[sure:] if stamp <= begin] or [commands[0][1]]
        now = reach(now, targets, slew, (end - begin) / SECOND)
    return now
