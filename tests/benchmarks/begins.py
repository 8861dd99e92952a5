"""Where the drives of campaigns begin: at speeds from which every limit and bend ahead can be kept.

A shield promises what follows from a state in which it has a plan. An episode that begins at a town's limit in front of
a corner has none: whatever is done, the car leaves its lane.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from sim.driving.atlas import Atlas
from sim.driving.starts import Place, route_places
from sim.road import Road

FAR = 120.0
"""How far is looked ahead, m: a stop from 22 m/s by GENTLY."""

GENTLY, ACROSS = 2.0, 1.5
"""m/s^2, along and across: half of what the shield's plans use."""

SHARES = (0.4, 0.6, 0.8, 1.0)
"""Of the speed that may be begun with, in turn."""


def fastest(road: Road, lane: int, s: float, ahead: float = 0.0) -> float:
    """The largest speed at `s` of a lane that limits and bends ahead allow, whichever way is taken, m/s."""
    here = road.lanes[lane]
    turn = np.abs(np.gradient(np.unwrap(here.heading), here.s))
    way = here.s - s
    seen = (way >= 0.0) & (way + ahead <= FAR)
    cap = np.minimum(here.limit**2, ACROSS / np.maximum(turn, 1e-6))
    best = math.sqrt(
        float((cap + 2.0 * GENTLY * (way + ahead))[seen].min(initial=here.limit**2 + 2.0 * GENTLY * ahead))
    )
    rest = ahead + here.length - s
    if rest > FAR:
        return best
    return min([best, *(fastest(road, after, 0.0, rest) for after in here.successors)])


def calm_places(atlas: Atlas, road: int) -> Iterable[Place]:
    """Where routes begin, each with a speed."""
    for number, place in enumerate(route_places(atlas, road)):
        share = SHARES[number % len(SHARES)]
        yield Place(
            place.lane, place.low, place.high, route=place.route,
            speed=share * fastest(atlas.roads[road], place.lane, place.low),
        )  # fmt: skip
