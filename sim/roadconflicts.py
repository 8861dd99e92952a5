"""Where lanes of a road share ground without adjoining or following each other: crossing, merging and splitting ways.

Kept apart from sim/road.py because the search needs scipy, which no robot has; a robot gets its conflicts with the map.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from sim.road import STEP, Conflict, ConflictKind, Lane, LaneKind, Road


@lru_cache(maxsize=1024)
def find_conflicts(road: Road) -> tuple[Conflict, ...]:
    """Every pair of driving lanes that share ground without adjoining or following each other, both ways round."""
    return tuple(_conflicts(road.lanes))


def _conflicts(lanes: Sequence[Lane]) -> Iterable[Conflict]:
    driving = [index for index, lane in enumerate(lanes) if lane.kind == LaneKind.DRIVING]
    boxes = {
        index: (
            np.minimum(lanes[index].left, lanes[index].right).min(0),
            np.maximum(lanes[index].left, lanes[index].right).max(0),
        )
        for index in driving
    }
    for first, a in enumerate(driving):
        for b in driving[first + 1 :]:
            low = np.maximum(boxes[a][0], boxes[b][0])
            high = np.minimum(boxes[a][1], boxes[b][1])
            if (low >= high).any() or _adjoin(lanes, a, b):
                continue
            found = _shared(lanes[a], lanes[b]), _shared(lanes[b], lanes[a])
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


def _shared(lane: Lane, other: Lane) -> tuple[float, float] | None:
    """The s of a lane, first to last, at which its middle strip of half its width touches that of the other."""
    from scipy.spatial import KDTree

    distance, point = KDTree(other.centre).query(lane.centre)
    touched = np.flatnonzero(distance < 0.25 * (lane.width + other.width[point]) + 0.5 * STEP)
    if len(touched) == 0:
        return None
    reach = 0.5 * float(other.width.max())  # vehicles are as wide as half a lane at least: widen by the other's half
    begin = max(float(lane.s[touched[0]]) - reach, 0.0)
    return begin, min(float(lane.s[touched[-1]]) + reach, lane.length)
