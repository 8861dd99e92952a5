"""Lanes of a file that bend sharper than a car can: nobody drives on them, and whoever drives is told.

Files from strangers have corners drawn by a few points, curves whose inner lane folds, and lanes that end across the
next one. `drivable` takes such lanes and links out of a road, so that routes and traffic go other ways; a place that
has no other way is refused where routes are looked for. Generated roads have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.leftout import word
from sim.road import Lane, LaneKind, Road, RoadError

WAY = 5.0
"""m over which a bend is judged: a corner of 73 degrees is the sharpest that a car with a turning radius of 4 m takes
with 0.9 m beside the lane's centre, which is what 3.6 m of a lane leave one of 1.85 m."""

FIRST = 3
"""Names that are told."""


def drivable(road: Road, curvature: float) -> Road:
    """The road without driving lanes and links that turn more than `curvature`, 1/m, allows; itself if it has none.

    What was left out stands in `Road.ignored`. Raises `RoadError` where no driving lane is left.
    """
    lanes = road.lanes
    sharp = [n for n, lane in enumerate(lanes) if lane.kind == LaneKind.DRIVING and bend(lane) > curvature]
    links = {
        (n, after)
        for n, lane in enumerate(lanes)
        for after in lane.successors
        if {lane.kind, lanes[after].kind} == {LaneKind.DRIVING} and _turn(lane, lanes[after]) > WAY * curvature
    }
    if not sharp and not links:
        return road
    radius = f"the car takes a radius of {1.0 / curvature:.1f} m"
    told = []
    if sharp:
        least = 1.0 / max(bend(lanes[n]) for n in sharp)
        told.append(f"lanes that bend too sharply, down to {least:.1f} m where {radius}: {_names(lanes, sharp)}")
    if links:
        before = sorted({lane for lane, _ in links})
        told.append(f"links across which the heading turns too far ({radius}), from {_names(lanes, before)}")
    if not any(lane.kind == LaneKind.DRIVING for n, lane in enumerate(lanes) if n not in sharp):
        raise RoadError(f"{road.name}: expected a lane that a car can follow, got {told[0]}; widen the bends")
    kept = tuple(
        replace(
            lane,
            kind=LaneKind.OTHER if n in sharp else lane.kind,
            successors=tuple(after for after in lane.successors if (n, after) not in links),
            predecessors=tuple(before for before in lane.predecessors if (before, n) not in links),
        )
        for n, lane in enumerate(lanes)
    )
    return replace(road, lanes=kept, ignored=(*road.ignored, *told))


def bend(lane: Lane) -> float:
    """The largest change of a lane's heading within WAY, over WAY, 1/m."""
    begin = np.clip(lane.s - 0.5 * WAY, 0.0, lane.length)
    end = np.clip(lane.s + 0.5 * WAY, 0.0, lane.length)
    turned = np.interp(end, lane.s, lane.heading) - np.interp(begin, lane.s, lane.heading)
    return float(np.abs(turned).max()) / WAY


def _turn(lane: Lane, after: Lane) -> float:
    """Between the end of a lane and the beginning of the next, rad."""
    return abs(math.remainder(float(after.heading[0] - lane.heading[-1]), math.tau))


def _names(lanes: Sequence[Lane], which: Sequence[int]) -> str:
    return ", ".join(word(lanes[n].name) for n in which[:FIRST]) + (" and on" if len(which) > FIRST else "")
