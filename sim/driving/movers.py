"""What traffic knows: its own state beside `ActorArrays`, and what it precomputes of an atlas.

Slots of a world: egos first, then vehicles of traffic, then walkers, then what scenarios and recordings drive. Traffic
moves the vehicles and the walkers, and looks at everybody. The paths that it writes for everybody (`path`, `path_at`)
say which lanes come next and how far they are, so that who is ahead of whom is a comparison of lane numbers.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.driving.atlas import Atlas
from sim.frenet import LINKS
from sim.road import ConflictKind, LaneKind, Road
from sim.roadconflicts import find_conflicts

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

HOPS = 6
"""Lanes of a path: a town's block and the junctions at both of its ends, or sections of a highway."""

CLAIMS = 3
"""Lanes with conflicts in a row that are claimed at once; junctions of files are made of up to three."""

PACE_LATERAL = 2.0
"""Lateral acceleration in bends that `MapArrays.pace` is for, m/s^2: which limits are signed for (sim/roadgen.py)."""

PACE_BRAKE = 1.5
"""Deceleration towards bends and lower limits, m/s^2: a comfortable one (Treiber and Kesting, 2013, table 11.2)."""

PACE_MAX = 60.0
"""m/s; more than any limit"""

SPOT = 10.0
"""Distance of two places at which vehicles may appear, m."""

NEAR_END = 8.0
"""A crossing that ends this near to a junction belongs to it: who waits for the junction waits before the crossing."""


class Manner(IntEnum):
    """Columns of `MoverArrays.manner`."""

    SHARE = 0
    """Of the speed limit"""
    HEADWAY = 1
    """s"""
    ACCEL = 2
    """m/s^2"""
    BRAKE = 3
    """Comfortable, m/s^2"""
    POLITE = 4
    THRESHOLD = 5
    """Gain of acceleration for which lanes are changed, m/s^2"""
    TOP = 6
    """Largest speed of all, m/s"""
    WANDER = 7
    """Amplitude, m"""
    PHASE = 8
    """Of the wandering, rad"""


@wp.struct
class MoverArrays:
    """State of traffic, (worlds, actors, ...)."""

    clock: wp.array(dtype=wp.int32)
    """Control steps since the episode's begin, (W,)"""
    key: wp.array2d(dtype=wp.int32)
    """What a driver's choices of ways are keyed by"""
    life: wp.array2d(dtype=wp.int32)
    """How many vehicles the slot has been"""
    present: wp.array2d(dtype=wp.uint8)
    """Whether the slot takes part in this episode"""
    manner: wp.array3d(dtype=wp.float32)
    """`Manner`"""
    path: wp.array3d(dtype=wp.int32)
    """The lane and those that come next, -1 beyond what is looked at; HOPS"""
    path_at: wp.array3d(dtype=wp.float32)
    """From the actor's middle to the beginning of each of them, m"""
    also: wp.array2d(dtype=wp.int32)
    """Lane beside it that it occupies or claims too, -1 for none"""
    also_s: wp.array2d(dtype=wp.float32)
    before: wp.array2d(dtype=wp.int32)
    """Lane that it came from, -1"""
    side: wp.array2d(dtype=wp.int32)
    """Changes lanes: 1 to the left, -1 to the right, 0 not"""
    crossed: wp.array2d(dtype=wp.int32)
    """Whether its middle is beyond the border already"""
    pending: wp.array2d(dtype=wp.int32)
    """A change that begins with the next step"""
    rest: wp.array2d(dtype=wp.int32)
    """Control steps until it thinks about changing again"""
    aim: wp.array2d(dtype=wp.float32)
    """d that it steers for, m"""
    slant: wp.array2d(dtype=wp.float32)
    """Sine of its angle to the lane, to the left"""
    driven: wp.array2d(dtype=wp.float32)
    """Way since it appeared, m"""
    claim: wp.array3d(dtype=wp.int32)
    """Lanes with conflicts that it may drive on, -1; CLAIMS"""
    want: wp.array3d(dtype=wp.int32)
    """Lanes with conflicts that come next on its path"""
    leave: wp.array2d(dtype=wp.int32)
    """Lane after those"""
    line: wp.array2d(dtype=wp.float32)
    """From its front to where it waits for them, m; inf where none come"""
    ticket: wp.array2d(dtype=wp.int32)
    """Since when it asks for them, by `clock`; -1"""
    ready: wp.array2d(dtype=wp.int32)
    """Whether it is the first to ask and the lane after them has room"""
    granted: wp.array2d(dtype=wp.int32)
    """Whether it gets them with the next step"""
    stood: wp.array2d(dtype=wp.int32)
    """Control steps that it has stood for"""
    ahead: wp.array2d(dtype=wp.int32)
    """Slot of whom it follows, -1"""
    gap: wp.array2d(dtype=wp.float32)
    """To that one, m"""
    accel: wp.array2d(dtype=wp.float32)
    """What it does until the next step, m/s^2"""
    allowed: wp.array2d(dtype=wp.float32)
    """Speed from which limits and bends ahead can be met, m/s"""
    base: wp.array3d(dtype=wp.float32)
    """Frame of its lane when the control step began: s, x, y, heading, its cosine and sine, curvature; BASE"""
    crossing: wp.array2d(dtype=wp.int32)
    """Crossing of the atlas that a walker is on its way over, -1"""
    along: wp.array2d(dtype=wp.float32)
    """Way that a walker has made: ahead of the crossing, on it and behind it, m"""
    pace: wp.array2d(dtype=wp.float32)
    """Walking speed of a walker, m/s"""
    walk: wp.array2d(dtype=wp.int32)
    """From which end of its crossing a walker sets out: 1 the first, -1 the second; 0: nobody is on the way"""


BASE = 7
"""Columns of `MoverArrays.base`."""

WHOLE = ("key", "life", "also", "before", "side", "crossed", "pending", "rest", "leave", "ticket", "ready", "granted",
         "stood", "ahead", "crossing", "walk")  # fmt: skip
FLOATS = ("also_s", "aim", "slant", "driven", "line", "gap", "accel", "allowed", "along", "pace")
DEEP = {"path": (wp.int32, HOPS), "path_at": (wp.float32, HOPS), "claim": (wp.int32, CLAIMS),
        "want": (wp.int32, CLAIMS), "manner": (wp.float32, len(Manner)), "base": (wp.float32, BASE)}  # fmt: skip


def make_movers(worlds: int, actors: int, device: str) -> MoverArrays:
    """Nobody there yet."""
    arrays = MoverArrays()
    arrays.clock = wp.zeros(worlds, dtype=wp.int32, device=device)
    arrays.present = wp.zeros((worlds, actors), dtype=wp.uint8, device=device)
    for name in WHOLE:
        start = -1 if name in ("also", "before", "leave", "ticket", "ahead", "crossing") else 0
        setattr(arrays, name, wp.full((worlds, actors), start, dtype=wp.int32, device=device))
    for name in FLOATS:
        setattr(arrays, name, wp.zeros((worlds, actors), dtype=wp.float32, device=device))
    for name, (kind, width) in DEEP.items():
        start = -1 if kind is wp.int32 else 0
        setattr(arrays, name, wp.full((worlds, actors, width), start, dtype=kind, device=device))
    return arrays


def mover_arrays(movers: MoverArrays) -> dict[str, wp.array]:
    """Everything that later steps depend on, by name: for snapshots."""
    return {name: getattr(movers, name) for name in ("clock", "present", *WHOLE, *FLOATS, *DEEP)}


@wp.struct
class MapArrays:
    """What traffic precomputes of an atlas's lanes."""

    onward: wp.array2d(dtype=wp.int32)
    """Successors that vehicles drive on, (L, LINKS)"""
    many: wp.array(dtype=wp.int32)
    """How many of them, (L,)"""
    straight: wp.array(dtype=wp.int32)
    """The one that turns least, -1; (L,)"""
    pace: wp.array(dtype=wp.float32)
    """Speed for the bends of the lane from a point on, m/s, (P,)"""
    entry: wp.array(dtype=wp.float32)
    """Where the first ground begins that other lanes cross or merge on, inf for none; m, (L,)"""
    stop: wp.array(dtype=wp.float32)
    """Where to wait for that, m; 0: at the end of the lane before; (L,)"""
    line: wp.array(dtype=wp.float32)
    """Where to wait for what comes after the lane: its end, or the crossing there, m, (L,)"""
    past: wp.array(dtype=wp.float32)
    """Where a vehicle's rear is out of the way of what lies before the lane, m, (L,)"""
    way: wp.array(dtype=wp.float32)
    """Metres from a lane's beginning until a lane ends, going straight on; (L,)"""
    wall: wp.array(dtype=wp.int32)
    """Whether the lane ends although the road goes on: who is on it must change; (L,)"""
    spot_first: wp.array(dtype=wp.int32)
    """Of the places of each road at which vehicles may appear, (R + 1,)"""
    spot_lane: wp.array(dtype=wp.int32)
    spot_s: wp.array(dtype=wp.float32)
    fast: wp.array(dtype=wp.int32)
    """Whether a road is too fast for bicycles, (R,)"""
    tight: wp.array(dtype=wp.int32)
    """Whether lanes of a road cross each other, so that long vehicles would not get round its corners; (R,)"""


FAR = 1e6
"""Longer than any road, m."""

BICYCLES = 65.0 / 3.6
"""Roads with a faster limit have no bicycles, m/s: where nobody can overtake them, they would lead every queue."""


def map_arrays(atlas: Atlas) -> MapArrays:
    """The precomputed arrays of an atlas."""
    lanes = [lane for road in atlas.roads for lane in road.lanes]
    many = len(lanes)
    onward, count, straight = (
        np.full((many, LINKS), -1, np.int32),
        np.zeros(many, np.int32),
        np.full(many, -1, np.int32),
    )
    entry, line, past = np.full(many, np.inf), np.array([lane.length for lane in lanes]), np.full(many, 1.0)
    stop, way, wall = np.zeros(many), np.zeros(many), np.zeros(many, np.int32)
    for number, road in enumerate(atlas.roads):
        first = int(atlas.first[number])
        for index, lane in enumerate(road.lanes):
            on = [k for k in lane.successors if road.lanes[k].kind == LaneKind.DRIVING][:LINKS]
            onward[first + index, : len(on)], count[first + index] = np.add(on, first), len(on)
            turns = [abs(road.lanes[k].heading[-1] - road.lanes[k].heading[0]) for k in on]
            straight[first + index] = first + on[int(np.argmin(turns))] if on else -1
        for each in find_conflicts(road):
            if each.kind != ConflictKind.SPLIT:
                entry[first + each.lane] = min(entry[first + each.lane], each.begin)
    crossings = atlas.crossings
    lane_first, begin, end = (getattr(crossings, name).numpy() for name in ("lane_first", "begin", "end"))
    for index, lane in enumerate(lanes):
        stop[index] = 0.0 if lane.junction >= 0 or not entry[index] > 3.0 else entry[index] - 1.0
        line[index] = max(lane.length - 0.5, 0.5 * lane.length)
        for row in range(lane_first[index], lane_first[index + 1]):
            if lane.length - end[row] < NEAR_END and begin[row] > 6.0:
                line[index] = min(line[index], begin[row] - 0.5)
            if begin[row] < NEAR_END:
                past[index] = max(past[index], end[row] + 0.5)
    enter = atlas.lanes.enter.numpy()
    for index in range(many):
        here, seen = index, 0
        while here >= 0 and way[index] < 5000.0 and seen < 200:
            way[index] += lanes[here].length
            here, seen = straight[here], seen + 1
        beside = [side for side in enter[index] if side >= 0]
        wall[index] = count[index] == 0 and any(count[side] > 0 for side in beside)
    arrays = MapArrays()
    spots = [_spots(road, entry[atlas.first[n] : atlas.first[n + 1]]) for n, road in enumerate(atlas.roads)]
    rows = [(lane + atlas.first[number], s) for number, each in enumerate(spots) for lane, s in each]
    fast = [max(x.limit for x in road.lanes if x.kind == LaneKind.DRIVING) > BICYCLES for road in atlas.roads]
    whole = {
        "onward": onward, "many": count, "straight": straight, "wall": wall,
        "spot_first": np.concatenate([[0], np.cumsum([len(each) for each in spots])]),
        "spot_lane": [lane for lane, _ in rows], "fast": fast,
        "tight": [bool(find_conflicts(road)) for road in atlas.roads],
    }  # fmt: skip
    floats = {
        "pace": _pace(atlas), "entry": np.minimum(entry, FAR), "stop": stop, "line": line, "past": past, "way": way,
        "spot_s": [s for _, s in rows],
    }  # fmt: skip
    for name, values in whole.items():
        setattr(arrays, name, wp.array(np.array(values, np.int32), dtype=wp.int32, device=atlas.device))
    for name, values in floats.items():
        setattr(arrays, name, wp.array(np.array(values, np.float32), dtype=wp.float32, device=atlas.device))
    return arrays


def _pace(atlas: Atlas) -> NDArray[np.float64]:
    """sqrt(a / curvature) at each point, and no more than one can brake from towards the bends that follow."""
    points, first = atlas.lanes.points.numpy(), atlas.lanes.first.numpy()
    spacing = atlas.lanes.spacing.numpy()
    square = np.minimum(PACE_LATERAL / np.maximum(np.abs(points[:, 3]), 1e-6), PACE_MAX**2).astype(float)
    for lane in range(len(spacing)):
        part = slice(first[lane], first[lane + 1])
        way = 2.0 * PACE_BRAKE * spacing[lane] * np.arange(first[lane + 1] - first[lane])
        square[part] = np.minimum.accumulate((square[part] + way)[::-1])[::-1] - way
    return np.sqrt(np.maximum(square, 1.0))


def _spots(road: Road, entry: NDArray[np.float64]) -> list[tuple[int, float]]:
    """Places on driving lanes that nothing crosses, or on all of them where there are no others."""
    driving = [index for index, lane in enumerate(road.lanes) if lane.kind == LaneKind.DRIVING]
    free = [index for index in driving if not np.isfinite(entry[index]) and road.lanes[index].junction < 0] or driving
    return [
        (index, float(s))
        for index in free
        for s in np.arange(0.5 * min(SPOT, road.lanes[index].length), road.lanes[index].length, SPOT)
    ]
