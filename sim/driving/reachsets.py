"""Where others may be while a car stops, as outlines for pictures: what `RoadProfile` states of them, and the map.

    on a lane    from its rear end as it is to where its front could come, along the lane and all that follows it, as
                 wide as itself and the wandering of one who keeps its lane; one that strays, as wide as the lane
    on foot      a disc that grows at walking speed
    on no lane   a disc that grows with its own speed

The shield's sets (safety/roadsight.py) are intervals on lanes that are never outlines; these follow the same bounds and
decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from sim.actors import ActorKind
from sim.driving.drawn import normals
from sim.driving.profile import RoadProfile
from sim.driving.raster import disc
from sim.driving.state import ObjectColumn
from sim.frenet import middle
from sim.road import Floats, LaneKind, Road

COLUMNS = [
    int(column)
    for column in (
        ObjectColumn.X, ObjectColumn.Y, ObjectColumn.YAW, ObjectColumn.SPEED, ObjectColumn.LENGTH, ObjectColumn.WIDTH,
        ObjectColumn.LANE_S, ObjectColumn.LANE_D, ObjectColumn.LATERAL,
    )
]  # fmt: skip
"""Of a view's objects: what `ReachSets.outlines` takes as a row."""

NEAR = 90.0
"""m; reach sets of who is farther away are not drawn."""

LONG = 3.0
"""s up to which sets are drawn: later ones would cover the road."""

STEP = 2.0
"""Distance of an outline's points along a lane, m."""

BRANCHES = 4
"""Ways on from a lane that are followed."""


class ReachSets:
    """Outlines on one road. Owns its profile and where its middle is."""

    def __init__(self, road: Road, profile: RoadProfile | None = None) -> None:
        self._road, self._profile = road, profile if profile is not None else RoadProfile()
        self._origin = np.array(middle(road))

    def outlines(self, kinds: Sequence[int], rows: Floats, lanes: Sequence[int], time: float) -> tuple[Floats, ...]:
        """Of each object (n of them) within `time` s: rows of x, y, yaw, speed, length, width, s, d, speed across.

        `lanes`: of the road, -1 for none.
        """
        found: list[Floats] = []
        time = min(time, LONG)
        for kind, row, lane in zip(kinds, rows.tolist(), lanes, strict=True):
            if kind >= 0 and kind != ActorKind.STATIC:
                found += self._of(kind, row, int(lane), time)
        return tuple(found)

    def _of(self, kind: int, row: list[float], lane: int, time: float) -> list[Floats]:
        x, y, _, speed, length, width, s, d, across = row
        profile = self._profile
        if kind == ActorKind.PEDESTRIAN:
            return [disc((x, y), 0.5 * max(length, width) + profile.pedestrian * time)]
        bicycle = kind == ActorKind.BICYCLE
        accel = profile.cyclist_accel if bicycle else profile.accel
        if not 0 <= lane < len(self._road.lanes) or self._road.lanes[lane].kind != LaneKind.DRIVING:
            return [disc((x, y), 0.5 * length + min(speed * time, 12.0))]
        limit = self._road.lanes[lane].limit
        most = profile.cyclist if bicycle else profile.over_limit * limit if math.isfinite(limit) else profile.speed
        most = max(most, speed)
        rising = min((most - speed) / accel, time)
        way = speed * rising + 0.5 * accel * rising**2 + most * (time - rising)
        keeps = abs(across) <= profile.lateral
        side = 0.5 * width + profile.wander if keeps else math.inf
        return list(self._strips(lane, s - 0.5 * length, s + 0.5 * length + way, d, side))

    def _strips(self, lane: int, begin: float, end: float, d: float, side: float, depth: int = 0) -> Iterator[Floats]:
        """From `begin` to `end` along a lane and what follows it, `side` m to both sides of the driver's own line."""
        here = self._road.lanes[lane]
        first, last = max(begin, 0.0), min(end, here.length)
        if last - first > 0.1:
            at = np.linspace(first, last, max(int((last - first) / STEP), 1) + 1)
            points = here.at(at) - self._origin
            across = normals(points)
            half = 0.5 * np.interp(at, here.s, here.width)[:, None]
            left = points + across * np.clip(d + side, -half, half)
            right = points + across * np.clip(d - side, -half, half)
            yield np.concatenate([left, right[::-1]])
        if end > here.length and depth < 6:
            for following in here.successors[:BRANCHES]:
                yield from self._strips(following, begin - here.length, end - here.length, d, side, depth + 1)
