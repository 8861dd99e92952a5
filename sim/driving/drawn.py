"""What pictures show of a road: strips of ground and of paint, without a drawing library.

`drawn_road(road)` gives them from below to above: verge, walkways, shoulders, asphalt, paint. A border is a dashed line
where it may be crossed to a neighbour or the oncoming lane, a solid one where not or where the road ends, a kerb beside
a walkway. Lines that run across another lane (lanes that fork or join share ground) are cut out there, and a junction
is paved between its arms. Coordinates are those of kernels and actors: metres about the middle of the road's bounds.

Pictures from above (sim/driving/picture.py) and from behind (sim/driving/chase.py) draw the same strips.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from sim.drawing import Colour
from sim.frenet import middle
from sim.road import Floats, Lane, LaneKind, Road

LINE, EDGE, KERB = 0.14, 0.20, 0.22
"""Widths of lines between lanes, at a road's edge and of a kerb, m (RMS: 0.12 to 0.15 and 0.25 m, rounded)."""

DASHES = ((27.0, 6.0, 12.0), (17.0, 4.0, 8.0), (0.0, 3.0, 6.0))
"""Limit (m/s) from which dashes are so long with gaps so long, m: motorway, rural road, town (RMS 1, table 1)."""

VERGE = 0.7
"""Gravel beside the asphalt, m."""

STRIPE = 0.5
"""Width of a zebra crossing's stripes and of the gaps between them, m (RMS)."""

MARGIN = 0.3
"""A line deeper than this inside another lane runs across it, m."""

PAVED = 60.0
"""Size up to which a junction is paved as a whole, m; what is larger has islands."""


class Ground(IntEnum):
    """What a strip is made of, from below to above."""

    VERGE = 0
    OTHER = 1
    WALKWAY = 2
    SHOULDER = 3
    BICYCLE = 4
    ASPHALT = 5
    KERB = 6
    PAINT = 7


COLOURS: dict[Ground, Colour] = {
    Ground.VERGE: (0.66, 0.66, 0.58, 1.0),
    Ground.OTHER: (0.62, 0.67, 0.53, 1.0),
    Ground.WALKWAY: (0.80, 0.79, 0.76, 1.0),
    Ground.SHOULDER: (0.38, 0.40, 0.43, 1.0),
    Ground.BICYCLE: (0.54, 0.36, 0.33, 1.0),
    Ground.ASPHALT: (0.30, 0.32, 0.35, 1.0),
    Ground.KERB: (0.86, 0.85, 0.82, 1.0),
    Ground.PAINT: (0.96, 0.96, 0.94, 1.0),
}
GRASS: Colour = (0.70, 0.76, 0.60, 1.0)
"""Everything beside the road."""

KINDS = {
    LaneKind.DRIVING: Ground.ASPHALT,
    LaneKind.SHOULDER: Ground.SHOULDER,
    LaneKind.BICYCLE: Ground.BICYCLE,
    LaneKind.WALKWAY: Ground.WALKWAY,
    LaneKind.OTHER: Ground.OTHER,
}


@dataclass(frozen=True, eq=False)
class Strip:
    """Ground between two borders that run the same way."""

    left: Floats
    """(points, 2), m"""
    right: Floats
    ground: Ground

    @property
    def outline(self) -> Floats:
        """Its corners all the way round, (2 points, 2)."""
        return np.concatenate([self.left, self.right[::-1]])


@dataclass(frozen=True, eq=False)
class DrawnRoad:
    """A road as strips, from below to above."""

    strips: tuple[Strip, ...]
    bounds: tuple[float, float, float, float]
    """Smallest x, y and largest x, y, m"""
    origin: tuple[float, float]
    """What was taken off the road's own coordinates, m"""


def drawn_road(road: Road) -> DrawnRoad:
    """The strips of a road."""
    strips = [*_ground(road), *_junctions(road), *_lines(road), *_crossings(road)]
    origin = np.array(middle(road))
    ordered = sorted(strips, key=lambda strip: strip.ground)
    moved = tuple(Strip(strip.left - origin, strip.right - origin, strip.ground) for strip in ordered)
    low_x, low_y, high_x, high_y = road.bounds
    half_x, half_y = 0.5 * (high_x - low_x), 0.5 * (high_y - low_y)
    return DrawnRoad(moved, (-half_x, -half_y, half_x, half_y), (float(origin[0]), float(origin[1])))


def band(line: Floats, width: float, ground: Ground) -> Strip:
    """A strip of a width, m, about a polyline (points, 2)."""
    across = normals(line) * (0.5 * width)
    return Strip(line + across, line - across, ground)


def normals(line: Floats) -> Floats:
    """Unit vectors to the left of a polyline at its points, (points, 2)."""
    along = np.gradient(line, axis=0)
    along = along / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    return np.stack([-along[:, 1], along[:, 0]], axis=-1)


def hull(points: Floats) -> Floats:
    """The convex hull of points (n, 2), counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))

    def chain(points: Iterable[tuple[float, ...]]) -> list[tuple[float, ...]]:
        found: list[tuple[float, ...]] = []
        for x, y in points:
            while len(found) > 1:
                (ax, ay), (bx, by) = found[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0.0:
                    break
                found.pop()
            found.append((x, y))
        return found

    return np.array(chain(ordered)[:-1] + chain(reversed(ordered))[:-1])


def _ground(road: Road) -> Iterator[Strip]:
    for lane in road.lanes:
        yield Strip(lane.left, lane.right, KINDS[lane.kind])
        if lane.kind in (LaneKind.DRIVING, LaneKind.SHOULDER):
            out = normals(lane.centre) * VERGE
            yield Strip(lane.left + out, lane.right - out, Ground.VERGE)


def _junctions(road: Road) -> Iterator[Strip]:
    """What lies between the arms of each junction: asphalt, with walkways around it where its arms have some."""
    for number in sorted({lane.junction for lane in road.lanes} - {-1}):
        inside = [lane for lane in road.lanes if lane.junction == number and lane.kind == LaneKind.DRIVING]
        ends = [border[end] for lane in inside for border in (lane.left, lane.right) for end in (0, -1)]
        if not ends or float(np.ptp(np.array(ends), axis=0).max()) > PAVED:
            continue
        arms = {index for lane in inside for index in (*lane.successors, *lane.predecessors)}
        beside = [road.lanes[arm].right_neighbour for arm in arms]
        walks = [road.lanes[lane] for lane in beside if lane >= 0 and road.lanes[lane].kind == LaneKind.WALKWAY]
        near = np.array(ends).mean(axis=0)
        corners = list(ends)
        for walk in walks:
            end = min((0, -1), key=lambda end, walk=walk: float(np.hypot(*(walk.centre[end] - near))))
            corners += [walk.left[end], walk.right[end]]
        for points, ground in ((corners if walks else [], Ground.WALKWAY), (ends, Ground.ASPHALT)):
            if points:
                outline = hull(np.array(points))
                half = len(outline) // 2 + 1
                left, right = outline[:half], outline[half - 1 :][::-1]
                right = np.concatenate([outline[:1], right]) if len(right) < len(left) else right
                if len(left) == len(right):
                    yield Strip(left, right, ground)


def _lines(road: Road) -> Iterator[Strip]:
    """Paint and kerbs along the borders of driving lanes, each once."""
    inside = _Inside(road)
    for index, lane in enumerate(road.lanes):
        if lane.kind != LaneKind.DRIVING or lane.junction >= 0:
            continue
        for side, border, neighbour, may in (
            (1.0, lane.left, lane.left_neighbour, lane.may_change_left),
            (-1.0, lane.right, lane.right_neighbour, lane.may_change_right),
        ):
            beyond = neighbour
            if beyond < 0 and side > 0.0:
                beyond = lane.oncoming
            other = road.lanes[beyond] if beyond >= 0 else None
            if other is not None and other.kind == LaneKind.DRIVING:
                if neighbour >= 0 and side < 0.0:
                    continue  # drawn as the other's left border
                if neighbour < 0 and beyond < index and road.lanes[beyond].oncoming == index:
                    continue
                back = other.may_change_right if neighbour >= 0 else other.may_change_left
                line = _dashes(border, lane) if may or back else [border]
                width, ground = LINE, Ground.PAINT
            elif other is not None and other.kind == LaneKind.WALKWAY:
                line, width, ground = [border], KERB, Ground.KERB
            else:
                line, width, ground = [border - side * 0.5 * EDGE * normals(border)], EDGE, Ground.PAINT
            for piece in line:
                for clear in inside.clear(piece):
                    yield band(clear, width, ground)


def _dashes(border: Floats, lane: Lane) -> list[Floats]:
    """The pieces of a border that are painted."""
    limit = lane.limit if math.isfinite(lane.limit) else 0.0
    dash, gap = next((dash, gap) for least, dash, gap in DASHES if limit >= least)
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(border, axis=0).T))])
    pieces = []
    for begin in np.arange(0.5 * gap, s[-1] - 0.5 * dash, dash + gap):
        end = min(begin + dash, s[-1])
        at = np.concatenate([[begin], s[(s > begin) & (s < end)], [end]])
        pieces.append(np.stack([np.interp(at, s, border[:, axis]) for axis in (0, 1)], axis=-1))
    return pieces


class _Inside:
    """Which points lie inside driving lanes, not at a border. Owns a tree of all points of their centres."""

    def __init__(self, road: Road) -> None:
        from scipy.spatial import KDTree

        lanes = [lane for lane in road.lanes if lane.kind == LaneKind.DRIVING]
        self._tree = KDTree(np.concatenate([lane.centre for lane in lanes]))
        self._half = np.concatenate([0.5 * lane.width for lane in lanes]) - MARGIN
        self._reach = float(self._half.max())

    def __call__(self, points: Floats) -> np.ndarray:
        """Whether each of (n, 2) points lies deeper than MARGIN inside a lane, (n,)."""
        near, point = self._tree.query(points, k=32, distance_upper_bound=max(self._reach, 0.01))
        half = np.append(self._half, -np.inf)[point]  # what is too far away is numbered as one beyond the last
        return (near < half).any(axis=1)

    def clear(self, line: Floats) -> Iterator[Floats]:
        """The runs of a polyline that lie in no lane, with at least two points each."""
        free = np.flatnonzero(~self(line))
        for run in np.split(free, np.flatnonzero(np.diff(free) > 1) + 1):
            if len(run) > 1:
                yield line[run]


def _crossings(road: Road) -> Iterator[Strip]:
    """Zebra stripes along the driving direction, where the crossing lies on the road."""
    inside = _Inside(road)
    for crossing in road.crossings:
        a, b = np.array(crossing.start), np.array(crossing.end)
        length = float(np.hypot(*(b - a)))
        if length <= 0.0:
            continue
        across = (b - a) / length
        along = np.array([-across[1], across[0]]) * 0.5 * crossing.width
        at = a + np.arange(STRIPE, length, 2.0 * STRIPE)[:, None] * across
        for place in at[inside(at)] if len(at) else ():
            half = 0.5 * STRIPE * across
            yield Strip(
                np.array([place - along - half, place + along - half]),
                np.array([place - along + half, place + along + half]),
                Ground.PAINT,
            )
