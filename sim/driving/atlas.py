"""Many roads as one set of arrays on a device: lanes, conflicts, crossings and routes.

Worlds draw their road per episode, so that all of them lie side by side here. Lanes are numbered through: lane l of
road r is `road_first[r] + l`; nothing leads from one road to another. Each road is in metres about its own middle
(`origin`), so that roads overlap in space, which nobody notices, because a world is on one road only.

    atlas.lanes       geometry and links (sim/frenet.py)
    atlas.conflicts   which stretches of which other lanes share ground with a lane, sorted by where they begin
    atlas.crossings   where people cross, and at which s each lane meets them
    atlas.routes      where episodes begin and end, and the way from every lane (sim/driving/routes.py)

Everything is fixed once made; two atlases of the same roads and seed are equal, whatever the other roads are.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import warp as wp

from sim.driving.maparrays import ConflictArrays, CrossingArrays, RoutesArrays
from sim.driving.routes import RoutePlan, plan_routes, route_arrays
from sim.frenet import lane_arrays, middle
from sim.road import Crossing, Lane, LaneKind, Road, RoadError
from sim.roadconflicts import find_conflicts, find_run_over

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class Atlas:
    """Owns the arrays of many roads; see the module."""

    def __init__(
        self,
        roads: Sequence[Road],
        *,
        routes: int | Sequence[Sequence[RoutePlan]] = 64,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """`routes`: how many to draw of each road, or those of each road (CommonRoad's goals), lanes as it counts them.

        Raises `RoadError` where there is no road, or a road on which no route can be driven.
        """
        if not roads:
            raise RoadError("expected at least one road, got none; name one")
        if not isinstance(routes, int) and (len(routes) != len(roads) or not all(routes)):
            raise RoadError("expected routes for each road, at least one; add them")
        self.roads = tuple(roads)
        self.device = device
        self.first = np.concatenate([[0], np.cumsum([len(road.lanes) for road in roads])]).astype(np.int32)
        """First lane of each road, (R + 1,), on the host."""
        self.lanes = lane_arrays(self.roads, device, [find_run_over(road) for road in self.roads])
        self.road_first: wp.array = wp.array(self.first, dtype=wp.int32, device=device)
        self.road_of = np.repeat(np.arange(len(roads), dtype=np.int32), np.diff(self.first))
        """Road of each lane, (L,), on the host."""
        self.lane_road: wp.array = wp.array(self.road_of, dtype=wp.int32, device=device)
        self.plans = [
            plan_routes(road, routes, seed) if isinstance(routes, int) else list(routes[number])
            for number, road in enumerate(self.roads)
        ]
        self.routes: RoutesArrays = route_arrays(self.roads, self.plans, self.first, device)
        self.conflicts = self._conflicts()
        self.crossings = self._crossings()

    def origin(self, road: int) -> tuple[float, float]:
        """What was taken off every x and y of a road, m."""
        return middle(self.roads[road])

    def route_of(self, road: int) -> range:
        """Numbers of a road's routes."""
        before = sum(len(plans) for plans in self.plans[:road])
        return range(before, before + len(self.plans[road]))

    def _conflicts(self) -> ConflictArrays:
        rows = [
            (first + each.lane, first + each.other, each)
            for first, road in zip(self.first.tolist(), self.roads, strict=False)
            for each in find_conflicts(road)
        ]
        rows.sort(key=lambda row: (row[0], row[2].begin, row[1]))
        arrays = ConflictArrays()
        arrays.first = self._counted([row[0] for row in rows])
        arrays.other = self._whole([row[1] for row in rows])
        arrays.kind = self._whole([int(row[2].kind) for row in rows])
        for name in ("begin", "end", "other_begin", "other_end"):
            setattr(arrays, name, self._floats([getattr(row[2], name) for row in rows]))
        return arrays

    def _crossings(self) -> CrossingArrays:
        ends, width, first, meetings = [], [], [0], []
        for number, road in enumerate(self.roads):
            x, y = self.origin(number)
            for crossing in road.crossings:
                for index, lane in enumerate(road.lanes):
                    met = _meeting(lane, crossing)
                    if met is not None:
                        meetings.append((int(self.first[number]) + index, len(ends), *met))
                ends.append((crossing.start[0] - x, crossing.start[1] - y, crossing.end[0] - x, crossing.end[1] - y))
                width.append(crossing.width)
            first.append(len(ends))
        meetings.sort(key=lambda row: (row[0], row[3]))
        arrays = CrossingArrays()
        arrays.first, arrays.width = self._whole(first), self._floats(width)
        arrays.ends = wp.array(np.array(ends, np.float32).reshape(-1, 4), dtype=wp.float32, device=self.device)
        arrays.lane_first = self._counted([row[0] for row in meetings])
        arrays.crossing = self._whole([row[1] for row in meetings])
        for column, name in enumerate(("s", "begin", "end", "along"), 2):
            setattr(arrays, name, self._floats([row[column] for row in meetings]))
        return arrays

    def _counted(self, lanes: Sequence[int]) -> wp.array:
        many = np.bincount(np.array(lanes, int), minlength=int(self.first[-1]))
        return self._whole(np.concatenate([[0], np.cumsum(many)]))

    def _whole(self, values: object) -> wp.array:
        return wp.array(np.array(values, np.int32), dtype=wp.int32, device=self.device)

    def _floats(self, values: object) -> wp.array:
        return wp.array(np.array(values, np.float32), dtype=wp.float32, device=self.device)


def _meeting(lane: Lane, crossing: Crossing) -> tuple[float, float, float, float] | None:
    """Where a lane for vehicles meets a crossing: s, begin, end on the lane and the place on the crossing, m."""
    if lane.kind not in (LaneKind.DRIVING, LaneKind.BICYCLE):
        return None
    start, along = np.array(crossing.start), np.subtract(crossing.end, crossing.start)
    length = float(np.hypot(*along))
    along = along / max(length, 1e-9)
    offset = lane.centre - start
    place, side = offset @ along, offset @ np.array([-along[1], along[0]])
    cuts = np.flatnonzero((side[:-1] > 0.0) != (side[1:] > 0.0))
    for cut in cuts:
        share = side[cut] / (side[cut] - side[cut + 1])
        on = float(place[cut] + share * (place[cut + 1] - place[cut]))
        if not 0.0 <= on <= length:
            continue
        s = float(lane.s[cut] + share * (lane.s[cut + 1] - lane.s[cut]))
        heading = float(np.interp(s, lane.s, lane.heading))
        cosine = abs(np.cos(heading) * along[0] + np.sin(heading) * along[1])
        sine = max(np.sqrt(max(1.0 - cosine * cosine, 0.0)), 0.2)  # a lane along a crossing meets it for 5 widths
        half = float((0.5 * crossing.width + 0.5 * np.interp(s, lane.s, lane.width) * cosine) / sine)
        return s, max(s - half, 0.0), min(s + half, lane.length), on
    return None
