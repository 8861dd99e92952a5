"""Ground that other lanes share with the path ahead, and from when on somebody may be there.

A vehicle that keeps its lane comes to such an area along that lane or the lanes that lead there: at the earliest as
fast as it can accelerate. Until then the car may be inside, afterwards only at rest. Two rules keep traffic going:

    merging    where both lanes go on as one, the one that is ahead on the way to their end leads: RSS behind it; are we
               that one, whoever cannot stop before the area any more must be able to stay behind us, as in a lane that
               we enter, from when we come onto shared ground
    yielding   a vehicle that can stop before an area does not enter it while we are inside already

The second is what traffic does (never two in one area) and what the law asks of drivers.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds
from safety.roadreach import reach_time
from safety.roadsight import (
    ACROSS,
    ALONG,
    AREAS,
    BEHIND_C,
    CAP,
    ENTERS,
    FASTEST,
    GOES_LEFT,
    GOES_RIGHT,
    HIGH_D,
    HIGH_S,
    KEEPER,
    LOOSE,
    LOW_D,
    LOW_S,
    OAGE,
    OBJECTS_C,
    OLANE_S,
    OLENGTH,
    OSPREAD,
    PICKS_UP,
    POINTS_C,
    REACTS,
    REAR,
    SPLIT,
    STATIC_KIND,
    STEP_C,
    SV,
    WALKER_KIND,
    RoadAsk,
    RoadSight,
)
from sim.frenet import LINKS, Lanes
from sim.road import ConflictKind

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

AREAS_C = wp.constant(AREAS)
LINKS_C = wp.constant(LINKS)
MERGE = wp.constant(int(ConflictKind.MERGE))

BROAD = wp.constant(50.0)
"""m to both sides: judged along the way alone."""

NO_WAY = wp.constant(1.0e9)
"""Distance to a lane that is not reached."""


@wp.func
def way_to(lanes: Lanes, lane: int, s: float, target: int, most: float) -> float:
    """Metres from s on a lane to the start of `target` along its successors (three at most); NO_WAY without any."""
    if lane == target:
        return -s
    best = wp.float32(NO_WAY)
    first = lanes.length[lane] - s
    if first > most:
        return best
    links = wp.int32(LINKS_C)  # a variable, so that Warp does not write 84 cases out
    for i in range(links):
        one = lanes.successors[lane, i]
        if one >= 0:
            if one == target:
                best = wp.min(best, first)
            second = first + lanes.length[one]
            if second <= most:
                for j in range(links):
                    two = lanes.successors[one, j]
                    if two >= 0:
                        if two == target:
                            best = wp.min(best, second)
                        third = second + lanes.length[two]
                        if third <= most:
                            for k in range(links):
                                if lanes.successors[two, k] == target:
                                    best = wp.min(best, third)
    return best


@wp.func
def add_area(row: int, begin: float, end: float, time: float, sight: RoadSight) -> None:
    """One area more; the last place takes all that do not fit."""
    n = sight.area_count[row]
    if n < AREAS_C:
        sight.areas[row, n, 0] = begin
        sight.areas[row, n, 1] = end
        sight.areas[row, n, 2] = time
        sight.area_count[row] = n + 1
        return
    n = AREAS_C - 1
    sight.areas[row, n, 0] = wp.min(sight.areas[row, n, 0], begin)
    sight.areas[row, n, 1] = wp.max(sight.areas[row, n, 1], end)
    sight.areas[row, n, 2] = wp.min(sight.areas[row, n, 2], time)


@wp.func
def share(row: int, j: int, c: int, begin: float, end: float, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> None:
    """What object j means for one shared area of the path."""
    view = ask.view
    lane = view.object_lane[row, j]
    spread = view.objects[row, j, OSPREAD] + b.localisation
    half = 0.5 * view.objects[row, j, OLENGTH]
    s = view.objects[row, j, OLANE_S]
    fastest = sight.objects[row, j, FASTEST]
    picks_up = sight.objects[row, j, PICKS_UP]
    cap = sight.objects[row, j, CAP]
    age = view.objects[row, j, OAGE]
    # nothing further than this can matter within the longest plan (some 8 s)
    way = way_to(ask.lanes, lane, s, ask.conflicts.other[c], 8.0 * cap)
    if way >= NO_WAY:
        return
    nose = way + ask.conflicts.other_begin[c] - half - spread
    tail = way + ask.conflicts.other_end[c] + half + spread
    if tail < 0.0:
        return  # it has left the area
    merges = ask.conflicts.kind[c] == MERGE
    if merges and way + ask.conflicts.other_end[c] - half < end - b.front:
        # ahead on the way to the end of both: from now on it leads
        low = end - tail
        if sight.object_mode[row, j] != KEEPER or low < sight.objects[row, j, LOW_S]:
            sight.object_mode[row, j] = KEEPER
            sight.objects[row, j, LOW_S] = low
            sight.objects[row, j, HIGH_S] = wp.max(low + 2.0 * (half + spread), sight.objects[row, j, HIGH_S])
            sight.objects[row, j, LOW_D] = -2.0
            sight.objects[row, j, HIGH_D] = 2.0
            sight.objects[row, j, ALONG] = 1.0
            sight.objects[row, j, ACROSS] = 0.0
            sight.objects[row, j, GOES_LEFT] = 0.0
            sight.objects[row, j, GOES_RIGHT] = 0.0
        return
    inside = b.front > begin and -b.rear < end
    stops = nose > fastest * (b.reaction + age) + 0.5 * fastest * fastest / b.other_brake_least
    if inside and stops:
        return
    if merges and not stops:
        mode = sight.object_mode[row, j]
        if mode != KEEPER and mode != LOOSE:
            # we lead on the way to the end of both: it must be able to stay behind us
            high = end - way - ask.conflicts.other_end[c] + half + spread
            sight.object_mode[row, j] = REAR
            sight.objects[row, j, LOW_S] = high - 2.0 * (half + spread)
            sight.objects[row, j, HIGH_S] = high
            sight.objects[row, j, LOW_D] = -BROAD
            sight.objects[row, j, HIGH_D] = BROAD
            sight.objects[row, j, ALONG] = 1.0
            sight.objects[row, j, ACROSS] = 0.0
            sight.objects[row, j, GOES_LEFT] = 0.0
            sight.objects[row, j, GOES_RIGHT] = 0.0
            sight.objects[row, j, ENTERS] = begin
            if inside:
                sight.objects[row, j, REACTS] = 0.0
        return
    add_area(row, begin, end, wp.max(reach_time(nose, fastest, picks_up, cap) - age, 0.0), sight)


@wp.func
def look_areas(row: int, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> None:
    """Gather the areas that other lanes share with the path as far as the car can come."""
    view = ask.view
    sight.area_count[row] = 0
    v = sight.start[row, SV]
    most = b.front + 10.0 + v * (b.latency + b.period + 1.0) + 0.5 * v * v / b.comfort
    before = wp.int32(-1)
    for k in range(POINTS_C):
        lane = view.path_lane[row, k]
        s = (float(k) - float(BEHIND_C)) * STEP_C
        if lane >= 0 and lane != before and s <= most:
            before = lane
            start = s - view.path_s[row, k]
            for c in range(ask.conflicts.first[lane], ask.conflicts.first[lane + 1]):
                begin = start + ask.conflicts.begin[c] - b.localisation
                end = start + ask.conflicts.end[c] + b.localisation
                if end > -b.rear and begin < most and ask.conflicts.kind[c] != SPLIT:
                    for j in range(OBJECTS_C):
                        kind = view.object_kind[row, j]
                        other = view.object_lane[row, j]
                        drives = kind > STATIC_KIND and kind != WALKER_KIND
                        if drives and other >= 0 and not on_way(row, other, ask):
                            share(row, j, c, begin, end, ask, b, sight)


@wp.func
def on_way(row: int, lane: int, ask: RoadAsk) -> bool:
    """Whether a lane is one of the path's."""
    for k in range(POINTS_C):  # noqa: SIM110 (Warp knows no generators)
        if ask.view.path_lane[row, k] == lane:
            return True
    return False
