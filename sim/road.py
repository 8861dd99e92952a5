"""A road network: lanes, how they follow and adjoin each other, where they conflict, and crossings for people.

A `Lane` is what one stream of vehicles drives on: a left and a right border in driving direction, (points, 2) in W, and
the centre between them; arc length s, heading and curvature follow from the centre. Lanes know each other by index:
successors and predecessors, the neighbour on either side (same direction, a change is allowed or not), the oncoming
lane. `Road` is the network; `graph` is its networkx DiGraph for routing (`sim/roadgraph.py`). Where two lanes share
ground without being neighbours, `Conflict` says from which s to which s of each (sim/roadconflicts.py).

Readers: sim/opendrive.py, sim/commonroad.py; generator: sim/roadgen.py. This module needs numpy alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError

Floats = NDArray[np.float64]

STEP = 0.5
"""Distance of two points of a lane's centre, m: a chord of an arc of 10 m radius, a tight turn, lies 3 mm inside it."""

LENGTH_MAX = 1.0e5
"""Longest lane and longest road of a file, m: 200,000 points of a centre; longer ones are wrong units, or hostile."""

METRES_MAX = 5.0e6
"""Of all lanes of a file together, m: ten million points of centres, 500 MB; a city of a million people has a fifth."""

COORDINATE_MAX = 1.0e8
"""m; maps in metres stay below 1e7, and farther out float64 keeps no millimetre of a lane's width squared."""

WIDTH_MAX = 100.0
"""Of a driving lane, m: a toll plaza in one lane; wider ones are wrong units, or hostile."""

GAP_MAX = 0.1
"""Largest distance between the end of a lane and the start of the next, m."""


class RoadError(MusterError):
    """A road, or the file that describes it, is not as it must be."""


class LaneKind(IntEnum):
    """What a lane is for."""

    DRIVING = 0
    SHOULDER = 1
    """Vehicles may stop there: shoulder, stop lane, paved border."""
    BICYCLE = 2
    WALKWAY = 3
    OTHER = 4
    """Nobody drives or stops there: parking, verge, median."""


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane; indices count `Road.lanes`, -1 means none."""

    name: str
    """As the file calls it: a lanelet's id, or road.section.lane."""
    left: Floats
    """Left border in driving direction, (points, 2), m."""
    right: Floats
    limit: float = math.inf
    """Speed limit, m/s; inf where none is stated."""
    kind: LaneKind = LaneKind.DRIVING
    successors: tuple[int, ...] = ()
    predecessors: tuple[int, ...] = ()
    left_neighbour: int = -1
    """Lane to the left with the same direction"""
    right_neighbour: int = -1
    oncoming: int = -1
    """Lane beyond the left border that runs the other way"""
    may_change_left: bool = True
    """Whether the left border may be crossed (no solid line)"""
    may_change_right: bool = True
    junction: int = -1
    """Number of the junction that the lane runs through"""
    chords: float = 0.0
    """Way over which bends are averaged, m: a line drawn by chords bends at its vertices alone. 0: a curve"""

    @cached_property
    def centre(self) -> Floats:
        """Middle of both borders, (points, 2), m."""
        return 0.5 * (self.left + self.right)

    @cached_property
    def s(self) -> Floats:
        """Arc length of each point of the centre, (points,), m."""
        return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.centre, axis=0).T))])

    @property
    def length(self) -> float:
        """Arc length of the centre, m."""
        return float(self.s[-1])

    @cached_property
    def heading(self) -> Floats:
        """Direction at each point, continuous (never wrapped), (points,), rad."""
        order = 2 if len(self.s) > 2 else 1  # at the ends of a lane the chord of a bend is half a step off
        return np.unwrap(np.arctan2(*np.gradient(self.centre, self.s, axis=0, edge_order=order).T[::-1]))

    @cached_property
    def curvature(self) -> Floats:
        """At each point, positive to the left, (points,), 1/m."""
        if self.chords <= 0.0:
            return np.gradient(self.heading, self.s)
        begin = np.clip(self.s - 0.5 * self.chords, 0.0, self.length)
        end = np.clip(self.s + 0.5 * self.chords, 0.0, self.length)
        return (np.interp(end, self.s, self.heading) - np.interp(begin, self.s, self.heading)) / (end - begin)

    @cached_property
    def width(self) -> Floats:
        """Distance of both borders at each point, (points,), m."""
        return np.hypot(*(self.left - self.right).T)

    def at(self, s: float | Floats) -> Floats:
        """Points of the centre at arc lengths `s`, (..., 2), m; the ends beyond them."""
        return np.stack([np.interp(s, self.s, self.centre[:, axis]) for axis in (0, 1)], axis=-1)


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where people cross the road."""

    start: tuple[float, float]
    """Middle of its end on one side, m."""
    end: tuple[float, float]
    width: float
    """m"""

    @property
    def length(self) -> float:
        """From side to side, m."""
        return math.dist(self.start, self.end)


class ConflictKind(IntEnum):
    """How two lanes come to share ground."""

    CROSS = 0
    MERGE = 1
    """Both go on in the same lane."""
    SPLIT = 2
    """Both come from the same lane."""


@dataclass(frozen=True)
class Conflict:
    """Two lanes that share ground: vehicles on both would touch."""

    lane: int
    other: int
    begin: float
    """s on `lane` where the shared ground begins, m"""
    end: float
    other_begin: float
    other_end: float
    kind: ConflictKind


@dataclass(frozen=True, eq=False)
class Road:
    """A network of lanes."""

    name: str
    lanes: tuple[Lane, ...]
    crossings: tuple[Crossing, ...] = ()
    right_hand: bool = True
    """Traffic keeps to the right."""
    ignored: tuple[str, ...] = field(default=())
    """What the file states and this model has no room for, for people: "40 x signal, lines 20, 24, 28 and on"."""

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) of everything that the network states but its name."""
        digest = hashlib.sha256(f"muster road 1 {len(self.lanes)} {self.right_hand}".encode())
        for lane in self.lanes:
            for border in (lane.left, lane.right):
                digest.update(np.asarray(border, "<f8").tobytes())
            links = (lane.successors, lane.left_neighbour, lane.right_neighbour, lane.oncoming, lane.junction)
            changes = (lane.may_change_left, lane.may_change_right)
            digest.update(repr((lane.limit, int(lane.kind), links, changes)).encode())
            if lane.chords > 0.0:
                digest.update(repr(lane.chords).encode())
        digest.update(repr([(c.start, c.end, c.width) for c in self.crossings]).encode())
        return digest.hexdigest()

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x, y and largest x, y of all borders, m."""
        points = np.concatenate([border for lane in self.lanes for border in (lane.left, lane.right)])
        return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())

    def nearest(
        self, x: float, y: float, kinds: Iterable[LaneKind] = (LaneKind.DRIVING,)
    ) -> list[tuple[int, float, float]]:
        """Lanes that a point lies on: (index, s, d to the left), m, those whose middle is nearest first."""
        wanted, found = set(kinds), []
        for index, lane in enumerate(self.lanes):
            if lane.kind not in wanted:
                continue
            s, d = project(lane.centre, lane.s, np.array([[x, y]]))
            end = 0 if s[0] <= 0.0 else -1 if s[0] >= lane.length else None
            if end is not None:  # beyond an end, not beside the lane
                dx, dy = x - lane.centre[end, 0], y - lane.centre[end, 1]
                if abs(dx * math.cos(lane.heading[end]) + dy * math.sin(lane.heading[end])) > 1e-6:
                    continue
            if abs(d[0]) <= 0.5 * np.interp(s[0], lane.s, lane.width):
                found.append((index, float(s[0]), float(d[0])))
        return sorted(found, key=lambda each: abs(each[2]))


CELLS = 4_000_000
"""Pairs of a point and a piece of a line that are looked at together: 100 MB."""


def project(line: Floats, s: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Frenet coordinates of points (n, 2) on a polyline (m, 2) with arc lengths (m,): s and d (n,), d to the left, m.

    The nearest point of the line counts; beyond its ends s is held and d is the signed distance. The reference for
    the kernel in sim/frenet.py.
    """
    many = max(CELLS // len(line), 1)
    if len(points) > many:
        parts = [project(line, s, points[k : k + many]) for k in range(0, len(points), many)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    begin, step = line[:-1], np.diff(line, axis=0)
    length = np.maximum(np.hypot(*step.T), 1e-12)
    along = np.clip(((points[:, None] - begin) * step).sum(-1) / length**2, 0.0, 1.0)
    offset = points[:, None] - (begin + along[..., None] * step)
    distance = np.hypot(offset[..., 0], offset[..., 1])
    best = distance.argmin(axis=1)
    rows = np.arange(len(points))
    side = step[best, 0] * offset[rows, best, 1] - step[best, 1] * offset[rows, best, 0]
    return s[best] + along[rows, best] * length[best], np.copysign(distance[rows, best], side)


def resample(line: Floats, many: int) -> Floats:
    """`many` points of a polyline at equal arc lengths, its ends kept, (many, 2)."""
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0.0, s[-1], many)
    return np.stack([np.interp(at, s, line[:, axis]) for axis in (0, 1)], axis=-1)


def check_road(road: Road) -> Road:
    """The road itself; raises `RoadError` for what cannot be driven on."""
    if not any(lane.kind == LaneKind.DRIVING for lane in road.lanes):
        raise RoadError(f"{road.name}: expected at least one driving lane, got none; name another file")
    for index, lane in enumerate(road.lanes):
        if lane.left.shape != lane.right.shape or lane.left.ndim != 2 or len(lane.left) < 2:
            raise RoadError(
                f"{road.name}, lane {lane.name}: expected two borders with as many points each, at least 2, got "
                f"{len(lane.left)} and {len(lane.right)}; repair them"
            )
        if not (np.isfinite(lane.left).all() and np.isfinite(lane.right).all()) or np.diff(lane.s).min() <= 0.0:
            raise RoadError(
                f"{road.name}, lane {lane.name}: expected finite points that go on, got one twice; repair it"
            )
        reach = max(float(np.abs(border).max()) for border in (lane.left, lane.right))
        if reach > COORDINATE_MAX:
            raise RoadError(
                f"{road.name}, lane {lane.name}: expected coordinates of at most {COORDINATE_MAX:g} m, got "
                f"{reach:.4g}; give metres"
            )
        if lane.kind == LaneKind.DRIVING and lane.width.max() > WIDTH_MAX:
            raise RoadError(
                f"{road.name}, lane {lane.name}: expected a width of at most {WIDTH_MAX:g} m, got "
                f"{lane.width.max():.4g}; repair it"
            )
        if index in (lane.left_neighbour, lane.right_neighbour, lane.oncoming):
            raise RoadError(f"{road.name}, lane {lane.name}: expected another lane beside it, got itself; repair it")
        links = [*lane.successors, *lane.predecessors, lane.left_neighbour, lane.right_neighbour, lane.oncoming]
        if any(not -1 <= link < len(road.lanes) for link in links):
            raise RoadError(f"{road.name}, lane {lane.name}: expected links to lanes of this road; repair them")
        for successor in lane.successors:
            following = road.lanes[successor]
            gap = math.dist(lane.centre[-1].tolist(), following.centre[0].tolist())
            if gap > GAP_MAX:
                raise RoadError(
                    f"{road.name}: expected lane {following.name} to begin where lane {lane.name} ends, got a gap of "
                    f"{gap:.2f} m; close it"
                )
            if float((lane.centre[-1] - lane.centre[-2]) @ (following.centre[1] - following.centre[0])) < 0.0:
                raise RoadError(
                    f"{road.name}: expected lane {following.name} to go on as lane {lane.name} ends, it turns back; "
                    "repair the link"
                )
            if index not in following.predecessors:
                raise RoadError(f"{road.name}: lane {following.name} does not name its predecessor {lane.name}; add it")
    for crossing in road.crossings:
        if not max(map(abs, (*crossing.start, *crossing.end))) <= COORDINATE_MAX:
            raise RoadError(
                f"{road.name}: expected crossings at coordinates of at most {COORDINATE_MAX:g} m, got one from "
                f"{crossing.start} to {crossing.end}; give metres"
            )
    return road
