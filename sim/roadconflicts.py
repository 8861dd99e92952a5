"""Where lanes of a road share ground without adjoining or following each other: crossing, merging and splitting ways.

Their middle strips touch, or, of two ways through one junction, the boxes of two cars on them do: a car that turns
sweeps more than its width, since its body stays straight and its front swings out. So two turns to the left against
each other can meet whose middle lines stay two lanes apart.

Kept apart from sim/road.py because the search needs scipy, which no robot has; a robot gets its conflicts with the map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.road import STEP, Conflict, ConflictKind, Floats, Lane, LaneKind, Road, RoadError

if TYPE_CHECKING:
    from scipy.spatial import KDTree

CAR_LENGTH, CAR_WIDTH = 5.0, 2.0
"""The longest car of traffic, m (sim/driving/spawning.py: 4 to 5 m by 1.75 to 1.9 m), and 5 cm to both sides."""

FOLLOWS = (1.0, 0.5 * CAR_LENGTH)
"""How far behind the point that follows the lane's middle a car ends, m: egos follow by the rear axle (a car's rear
overhang: sim/bodies/specs.py), others by the middle of their box."""

CLOSE = 7.0
"""m; cars at the ends of two ways reach 1.5 m more than their length towards each other."""

SAMPLE = 1.0
"""Distance of two places of a car on its lane, m; shared ground is longer by it at both ends."""

BRUSH = 0.3
"""m that borders of lanes may share: what a vehicle keeps of its lane's width to both sides."""

PAD = 1e-6
"""m; by so much boxes are larger that only sort out who cannot meet."""

PAIRS_MAX = 1_000_000
"""Of lanes whose boxes share an area: some minutes; in a city of 30,000 lanes there are twenty for each."""

TOUCH = 5.0
"""m; a shorter stretch is where the ends of two lanes touch."""


@lru_cache(maxsize=1024)
def find_conflicts(road: Road) -> tuple[Conflict, ...]:
    """Every pair of driving lanes that share ground without adjoining or following each other, both ways round."""
    return tuple(_conflicts(road))


@lru_cache(maxsize=1024)
def find_run_over(road: Road) -> Mapping[int, tuple[tuple[float, float], ...]]:
    """Stretches (s begin, s end) of shoulders, by lane, over which a driving lane that is not beside them leads.

    As where a ramp comes to a motorway: the shoulder goes on until the ramp's lane has taken its place.
    """
    lanes = road.lanes
    which = [k for k, lane in enumerate(lanes) if lane.kind in (LaneKind.SHOULDER, LaneKind.DRIVING)]
    reach = np.array([[0.5 * float(lanes[k].width.max()) + PAD] * 2 for k in which]).reshape(-1, 2)
    over: dict[int, NDArray[np.bool_]] = {}
    for a, b in _meeting(road, *_boxes_around([(lanes[k].centre,) for k in which], reach)):
        for shoulder, other in ((which[a], which[b]), (which[b], which[a])):
            kinds = lanes[shoulder].kind, lanes[other].kind
            if kinds == (LaneKind.SHOULDER, LaneKind.DRIVING) and not _adjoin(lanes, shoulder, other):
                here = _over(lanes[shoulder], lanes[other])
                over[shoulder] = over[shoulder] | here if shoulder in over else here
    found = {}
    for index in sorted(over):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], over[index], [False]])))
        pairs, s = edges.reshape(-1, 2), lanes[index].s
        ways = [(float(s[a]), float(s[b - 1])) for a, b in pairs]
        found[index] = tuple(way for way in ways if way[1] - way[0] > TOUCH)
    return {index: ways for index, ways in found.items() if ways}


def _boxes_around(lines: Sequence[Sequence[Floats]], reach: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Least and largest x, y of the points of some lines each, both (n, 2)."""
    low = [np.min([line.min(0) for line in each], axis=0) for each in lines]
    high = [np.max([line.max(0) for line in each], axis=0) for each in lines]
    return np.array(low).reshape(-1, 2) - reach, np.array(high).reshape(-1, 2) + reach


def _meeting(road: Road, low: Floats, high: Floats) -> list[tuple[int, int]]:
    """Pairs (smaller, larger) of boxes that share an area, in order: those sorted by x are looked at while they do."""
    order = np.argsort(low[:, 0], kind="stable")
    ends = np.searchsorted(low[order, 0], high[order, 0])
    found: list[tuple[int, int]] = []
    for k, a in enumerate(order):
        if len(found) > PAIRS_MAX:
            raise RoadError(
                f"{road.name}: expected lanes of which at most {PAIRS_MAX} pairs lie over each other, got more; cut "
                "the road into parts"
            )
        others = order[k + 1 : ends[k]]
        shared = (np.maximum(low[a], low[others]) < np.minimum(high[a], high[others])).all(-1)
        found += [(int(min(a, b)), int(max(a, b))) for b in others[shared]]
    return sorted(found)


def _over(lane: Lane, other: Lane) -> NDArray[np.bool_]:
    """Which points of a lane's middle are nearer to another's than half their widths, but for BRUSH; (P,)."""
    from scipy.spatial import KDTree

    reach = 0.5 * (lane.width.max() + other.width.max())
    low, high = other.centre.min(0) - reach, other.centre.max(0) + reach
    near = ((lane.centre >= low) & (lane.centre <= high)).all(-1)
    if not near.any():
        return near
    distance, point = KDTree(other.centre).query(lane.centre)
    return distance < 0.5 * (lane.width + other.width[point]) - BRUSH


def _conflicts(road: Road) -> Iterable[Conflict]:
    from scipy.spatial import KDTree

    lanes = road.lanes
    driving = [index for index, lane in enumerate(lanes) if lane.kind == LaneKind.DRIVING]
    borders = [(lanes[index].left, lanes[index].right) for index in driving]

    @cache
    def tree(index: int) -> KDTree:
        return KDTree(lanes[index].centre)

    @cache
    def soon(index: int) -> frozenset[int]:
        return _soon(lanes, index)

    for k, m in _meeting(road, *_boxes_around(borders)):
        a, b = driving[k], driving[m]
        if _adjoin(lanes, a, b) or b in soon(a) or a in soon(b):
            continue
        found = _shared(lanes[a], lanes[b], tree(b)), _shared(lanes[b], lanes[a], tree(a))
        if found[0] is None or found[1] is None:
            found = _swept(lanes, a, b) or (None, None)
        if found[0] is None or found[1] is None:
            continue
        kind = ConflictKind.CROSS
        if set(lanes[a].successors) & set(lanes[b].successors):
            kind = ConflictKind.MERGE
        elif set(lanes[a].predecessors) & set(lanes[b].predecessors):
            kind = ConflictKind.SPLIT
        yield Conflict(a, b, *found[0], *found[1], kind)
        yield Conflict(b, a, *found[1], *found[0], kind)


def _adjoin(lanes: Sequence[Lane], a: int, b: int) -> bool:
    """Neighbours, either way round, or one follows the other: they share a border or an end, no ground."""
    one, other = lanes[a], lanes[b]
    beside = (one.left_neighbour, one.right_neighbour, one.oncoming, *one.successors, *one.predecessors)
    back = (other.left_neighbour, other.right_neighbour, other.oncoming, *other.successors, *other.predecessors)
    return b in beside or a in back


def _soon(lanes: Sequence[Lane], index: int) -> frozenset[int]:
    """Lanes that follow a lane after others that are together shorter than CLOSE: their ends are near each other.

    So it is where a file cuts lanes closely; then they are one way, and share no more ground than two that follow.
    """
    found, seen = set[int](), set[int]()
    ways = [(following, CLOSE) for following in lanes[index].successors]
    while ways:
        between, left = ways.pop()
        left -= lanes[between].length
        if left > 0.0 and between not in seen:
            seen.add(between)
            found.update(lanes[between].successors)
            ways += [(following, left) for following in lanes[between].successors]
    return frozenset(found)


def _shared(lane: Lane, other: Lane, tree: KDTree) -> tuple[float, float] | None:
    """The s of a lane, first to last, at which its middle strip of half its width touches that of another (`tree`)."""
    distance, point = tree.query(lane.centre)
    touched = np.flatnonzero(distance < 0.25 * (lane.width + other.width[point]) + 0.5 * STEP)
    if len(touched) == 0:
        return None
    reach = 0.5 * float(other.width.max())  # vehicles are as wide as half a lane at least: widen by the other's half
    begin = max(float(lane.s[touched[0]]) - reach, 0.0)
    return begin, min(float(lane.s[touched[-1]]) + reach, lane.length)


Range = tuple[float, float]


def _swept(lanes: Sequence[Lane], a: int, b: int) -> tuple[Range, Range] | None:
    """The s of two ways through a junction, first to last, at which boxes of cars on both meet; None if they never do.

    Ways beside each other or one after the other share a border at most, whatever cars on them sweep.
    """
    one, other = lanes[a], lanes[b]
    if one.junction < 0 or one.junction != other.junction or _next_to(lanes, a, b) or _next_to(lanes, b, a):
        return None
    met = [
        corners
        for ours in (_boxes(one, behind) for behind in FOLLOWS)
        for theirs in (_boxes(other, behind) for behind in FOLLOWS)
        for corners in (_corners_within(ours, theirs), _corners_within(theirs, ours))
    ]
    points = np.concatenate(met)
    return (_stretch(one, points), _stretch(other, points)) if len(points) else None


def _next_to(lanes: Sequence[Lane], a: int, b: int) -> bool:
    """Whether a neighbour of lane a comes before or after lane b."""
    beside = (lanes[a].left_neighbour, lanes[a].right_neighbour, lanes[a].oncoming)
    return any(b in (*lanes[each].successors, *lanes[each].predecessors) for each in beside if each >= 0)


def _boxes(lane: Lane, behind: float) -> Floats:
    """Middle x, y and heading of the boxes of a car that follows a lane, (k, 3)."""
    s = np.linspace(0.0, lane.length, max(int(lane.length / SAMPLE), 1) + 1)
    heading = np.interp(s, lane.s, lane.heading)
    along = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return np.column_stack([lane.at(s) + (0.5 * CAR_LENGTH - behind) * along, heading])


def _corners_within(boxes: Floats, others: Floats) -> Floats:
    """Corners of boxes (k, 3) that lie within others (m, 3), (n, 2): bodies that sweep past each other meet so."""
    c, s = np.cos(boxes[:, 2]), np.sin(boxes[:, 2])
    along, across = np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)
    ends = [(x, y) for x in (-0.5 * CAR_LENGTH, 0.5 * CAR_LENGTH) for y in (-0.5 * CAR_WIDTH, 0.5 * CAR_WIDTH)]
    corners = np.concatenate([boxes[:, :2] + x * along + y * across for x, y in ends])
    away = corners[:, None, :] - others[None, :, :2]
    c, s = np.cos(others[:, 2]), np.sin(others[:, 2])
    inside = (np.abs(away[..., 0] * c + away[..., 1] * s) < 0.5 * CAR_LENGTH) & (
        np.abs(away[..., 1] * c - away[..., 0] * s) < 0.5 * CAR_WIDTH
    )
    return corners[inside.any(axis=1)]


def _stretch(lane: Lane, points: Floats) -> Range:
    """The s of a lane from the first to the last of points beside it."""
    from scipy.spatial import KDTree

    s = lane.s[KDTree(lane.centre).query(points)[1]]
    return max(float(s.min()) - SAMPLE, 0.0), min(float(s.max()) + SAMPLE, lane.length)
