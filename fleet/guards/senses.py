"""Whether what a robot reads agrees with itself: pose, odometry, scan and map over the last half second.

    odometry   how far the pose went, less what the measured twist says over up to SPAN steps; in tolerances of it
    beyond     share of the rays that see through walls of the map, or nothing where a wall must be
    rough      share that miss their wall by more than noise and by less than a thing before it would
    place      how far the pose is from where the scan fits the map (fleet/guards/walls.py), in tolerances
    bias       how much too long all ranges are, m
    drift      how much `place` has changed within up to SPAN steps, in tolerances: a scan that is late or stands still
    still      share of the rays that read the same bit for bit in three scans in a row, though the robot moved

No policy and no training is in it: these are laws of one rigid body before walls that stand. People, pallets and other
robots change few rays, and the fit gives them no weight. The tolerances only give each score one unit; what is too much
is measured on undisturbed driving (`muster calibrate-guard`) and stands in the policy's graph, through which the scores
go (agents/novelty.py). All is pure: a robot's window is made of its guard's memory, one of many rows of `RowSenses`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.policy import RESIDUALS
from fleet.guards.raw import Raw
from fleet.guards.walls import BEYOND_AT, BIAS_AT, ROUGH_AT, X_AT, YAW_AT, Walls
from fleet.guards.watch import SPAN_STEPS, GuardMemory, Reading
from sim.robot import SECOND, RobotSpec
from sim.site import Site
from sim.tasks.navigate_contract import bin_rays
from sim.varied import ODOMETRY_SCALE

WAY, ANGLE = 0.02, 0.02
"""m and rad of odometry and localisation over half a second (their largest errors in 5 robot-hours, 2026-11)."""
SLEW = 0.02
"""s; of a change of speed, what two samples 0.1 s apart leave open (measured, 2026-11)."""
WHEELS = 0.02
"""Largest difference of the two wheels' scales: each is worn by 1 % (`sim.sensorspec.Odometry`)."""
PLACE, TURN = 0.03, 0.005
"""m: the default robot's localisation bound. rad: the largest misfit of a heading, measured likewise."""
AGE_MAX = 0.2
"""s that a pose is moved to the scan's instant at most: older readings are stale by the monitors' bounds."""
NOTHING = 1.0e-3
"""m below the longest range; a ray that reads more met nothing, again and again."""
FEW = 8
"""Rays that a share is of at least."""
MOVES = 0.1
"""m/s or rad/s; a slower robot may read the same again."""
REPEATS = 3
"""Scans in a row: of ranges told in millimetres one in forty is the same twice by chance, told in centimetres a
quarter (at 0.01 m of noise)."""
LEAST = {"still": 0.125}
"""What is not too much on any robot, whatever a simulation's lidar says, which rounds nothing."""

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Sensed:
    """What one step's readings say of each other."""

    residuals: NDArray[np.float32]
    """(rows, RESIDUALS)"""
    fix: NDArray[np.float32]
    """How far the pose is off by the scan: x, y (m), yaw; (rows, 3)"""


@dataclass(frozen=True)
class Window:
    """The last steps of some robots, the newest last: up to SPAN_STEPS before it."""

    time: Rows
    """Of the pose, s, (rows, steps)"""
    late: Rows
    """How much later the twist was measured, s, (rows, steps)"""
    pose: Rows
    """(rows, steps, 3)"""
    twist: Rows
    """(rows, steps, 2)"""
    fix: Rows
    """(rows, steps, 3)"""
    valid: NDArray[np.bool_]
    """Whether the step belongs to the newest one's run, (rows, steps)"""

    @property
    def moves(self) -> NDArray[np.bool_]:
        """Whether the robot moved in one of the last REPEATS steps, (rows,)."""
        return np.asarray((np.abs(self.twist[:, -REPEATS:]) > MOVES).any((1, 2)))


def residuals(window: Window, found: NDArray[np.float32], still: Rows, track: float) -> NDArray[np.float32]:
    """The scores (rows, RESIDUALS) of the newest step; `found` is the fit of its scan (rows, walls.FOUND).

    `track` is the distance of the driven wheels, m.
    """
    scores = {
        "odometry": odometry(window, track),
        "beyond": found[:, BEYOND_AT],
        "rough": found[:, ROUGH_AT],
        "place": _off(found[:, X_AT : YAW_AT + 1].astype(float)),
        "bias": np.abs(found[:, BIAS_AT]),
        "drift": np.where(window.valid, _off(window.fix[:, -1:] - window.fix), 0.0).max(1),
        "still": np.where(window.moves, still, 0.0),
    }
    return np.stack([scores[name] for name in RESIDUALS], 1).astype(np.float32)


def odometry(window: Window, track: float) -> Rows:
    """Along, across and in heading: the pose's way less the twist's, in tolerances; the largest of the three, (rows,).

    The twist between two readings is their mean; what lies between the pose's instants and the twist's is taken off at
    the end and put on at the begin. The tolerance grows by the odometry's scale error, by wheels of two sizes (a turn
    of their difference over the track) and by SLEW.
    """
    run, rows = window.valid[:, :-1], np.arange(len(window.valid))
    if run.shape[1] == 0:
        return np.zeros(len(run))
    begin = window.valid.argmax(1)
    dt = np.diff(window.time + window.late, axis=1)
    step = np.diff(window.pose, axis=1)
    turned = wrapped(step[..., 2])
    heading = window.pose[:, :-1, 2] + 0.5 * turned
    c, s = np.cos(heading), np.sin(heading)
    told = 0.5 * (window.twist[:, 1:] + window.twist[:, :-1]) * dt[..., None]
    along, across = c * step[..., 0] + s * step[..., 1], c * step[..., 1] - s * step[..., 0]
    wrong = np.where(run[..., None], np.stack([along - told[..., 0], across, turned - told[..., 1]], -1), 0.0).sum(1)
    first, last = window.twist[rows, begin], window.twist[:, -1]
    if window.late.any():
        over = _between(window, -1, -2) - _between(window, begin, np.minimum(begin + 1, dt.shape[1]))
        wrong[:, [0, 2]] += np.where(run[:, -1:], over, 0.0)
    wrong = np.abs(wrong)
    way = np.where(run[..., None], np.abs(told), 0.0).sum(1)
    change = np.abs(last - first)
    room = ODOMETRY_SCALE * way + SLEW * change
    room[:, 1] += WHEELS / track * way[:, 0]
    tolerance = np.stack([WAY + room[:, 0], np.full(len(run), WAY), ANGLE + room[:, 1]], 1)
    return (wrong / tolerance).max(1)


def repeated(scans: Sequence[NDArray[np.float32]] | NDArray[np.float32], range_max: float) -> Rows:
    """Share of the rays that read the same in all of REPEATS scans (rows, rays), of those that met something, (rows,).

    0 where there are fewer.
    """
    newest = scans[-1]
    met = newest < range_max - NOTHING
    if len(scans) < REPEATS:
        return np.zeros(len(met))
    same = np.logical_and.reduce([met, *(newest == before for before in scans[-REPEATS:-1])])
    return same.sum(1) / np.maximum(met.sum(1), FEW)


def _between(window: Window, at: int | NDArray[np.intp], beside: int | NDArray[np.intp]) -> Rows:
    """The way of the twist between a step's pose and its own instant, by the slope to the step beside it, (rows, 2)."""
    rows = np.arange(len(window.valid))
    late = window.late[rows, at][:, None]
    apart = (window.time + window.late)[rows, at] - (window.time + window.late)[rows, beside]
    slope = (window.twist[rows, at] - window.twist[rows, beside]) / np.where(apart == 0.0, np.inf, apart)[:, None]
    return late * (window.twist[rows, at] - 0.5 * late * slope)


def wrapped(angle: Rows) -> Rows:
    """Angles within half a turn."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def _off(fix: Rows) -> Rows:
    """Distances and turns (..., 3) in tolerances, the larger of both, (...)."""
    return np.maximum(np.hypot(fix[..., 0], fix[..., 1]) / PLACE, np.abs(fix[..., 2]) / TURN)


class Senses:
    """A robot's: the walls of its site and which of its rays are looked at. Carries nothing from step to step."""

    def __init__(self, site: Site, spec: RobotSpec) -> None:
        self._walls = Walls(site, spec)
        self._rays = bin_rays(spec.lidar.rays)
        self._range_max, self._track = spec.lidar.range_max, spec.diff.track

    def reading(
        self,
        scan: NDArray[np.float32],
        pose: tuple[float, float, float],
        twist: tuple[float, float],
        stamps: tuple[int, int, int],
    ) -> Reading:
        """What the guard remembers of a step's readings; `scan` is of all rays, the stamps are of all three, ns."""
        scan_stamp, pose_stamp, twist_stamp = stamps
        bins = scan[self._rays].astype(np.float32).tobytes()
        return Reading(pose, pose_stamp, twist, twist_stamp, scan_stamp, bins)

    def look(self, memory: GuardMemory, cycle: int, now: Reading) -> Sensed:
        """The residuals of a step after those that are remembered, each with one row."""
        scan = np.frombuffer(now.scan, np.float32)[None]
        found = self._walls.fit(scan, np.array([_at_scan(now)], np.float32))
        fix = found[:, X_AT : YAW_AT + 1]
        follows = cycle == memory.cycle + 1
        trail = memory.trail if follows else ()
        scan_stamp = now.scan_stamp
        steps = [*((each.reading, each.fix) for each in trail), (now, fix[0].tolist())]
        window = Window(
            time=np.array([[(each.pose_stamp - now.pose_stamp) / SECOND for each, _ in steps]]),
            late=np.array([[(each.twist_stamp - each.pose_stamp) / SECOND for each, _ in steps]]),
            pose=np.array([[each.pose for each, _ in steps]]),
            twist=np.array([[each.twist for each, _ in steps]]),
            fix=np.array([[each for _, each in steps]]),
            valid=np.ones((1, len(steps)), bool),
        )
        scans = [scan]
        for each in reversed(trail):
            if each.reading.scan_stamp == scan_stamp or len(each.reading.scan) != len(now.scan):
                break  # the same scan, told again: its age says so
            scan_stamp = each.reading.scan_stamp
            scans.insert(0, np.frombuffer(each.reading.scan, np.float32)[None])
        return Sensed(residuals(window, found, repeated(scans, self._range_max), self._track), fix)


class RowSenses:
    """Many robots' in simulation, whose readings are all of one instant. Owns the last steps of each row."""

    def __init__(self, site: Site, spec: RobotSpec, rows: int) -> None:
        self._walls = Walls(site, spec, rows)
        self._rays = bin_rays(spec.lidar.rays)
        self._range_max, self._period = spec.lidar.range_max, spec.period / SECOND
        self._track = spec.diff.track
        self._steps = np.zeros((rows, SPAN_STEPS + 1, 8))
        self._age = np.zeros(rows, np.int64)
        self._scans = np.zeros((REPEATS, rows, len(self._rays)), np.float32)

    def look(self, raw: Raw, first: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The residuals (rows, RESIDUALS) of a step's readings; `first`: no step before belongs to the row."""
        self._age = np.where(first, 0, self._age + 1)
        scan = raw.scan[:, self._rays]
        found = self._walls.fit(scan, raw.pose)
        newest = np.concatenate([raw.pose, raw.twist, found[:, X_AT : YAW_AT + 1]], 1)
        self._steps = steps = np.concatenate([self._steps[:, 1:], newest[:, None]], 1, dtype=np.float64)
        back = np.arange(SPAN_STEPS, -1, -1)
        time = np.asarray(-self._period * back, np.float64)
        window = Window(
            time=np.broadcast_to(time, (len(first), len(back))),
            late=np.zeros((len(first), len(back))),
            pose=steps[..., :3],
            twist=steps[..., 3:5],
            fix=steps[..., 5:],
            valid=back <= self._age[:, None],
        )
        self._scans = np.concatenate([self._scans[1:], scan[None]])
        still = np.where(self._age >= REPEATS - 1, repeated(self._scans, self._range_max), 0.0)
        return residuals(window, found, still, self._track)


def _at_scan(now: Reading) -> tuple[float, float, float]:
    """The pose moved by the twist to the instant of the scan."""
    dt = max(-AGE_MAX, min(AGE_MAX, (now.scan_stamp - now.pose_stamp) / SECOND))
    x, y, yaw = now.pose
    v, w = now.twist
    heading = yaw + 0.5 * w * dt
    return (x + v * dt * math.cos(heading), y + v * dt * math.sin(heading), yaw + w * dt)
