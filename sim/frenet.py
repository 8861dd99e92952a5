"""Lanes as arrays and Frenet coordinates as Warp functions, the same code on CPU and CUDA.

`lane_arrays(road, device)` lays every lane's centre out with points at equal distances, so that an arc length is an
index; of several roads it lays out all of them, one after the other (sim/driving/atlas.py says which lanes are whose).
In a kernel

    lane_frame(lanes, lane, s)                     -> x, y, heading, curvature, room to the left, room to the right
    lane_project(lanes, lane, x, y, guess)         -> s, d: from a guess of s downhill along the centre
    lane_search(lanes, lane, x, y)                 -> s, d: the nearest point of the whole lane, for a first guess

d is positive to the left. Coordinates are float32 about the middle of a road's bounds (`middle`), so that a town
10 km wide is resolved to half a millimetre. `project_rows` is the launchable form; `sim.road.project` the reference.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from collections.abc import Mapping, Sequence

import numpy as np
import warp as wp

from sim.prefetch import fetch_row
from sim.road import STEP, Lane, LaneKind, Road

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LINKS = 4
"""Successors of a lane that arrays have room for; a junction's arm has three ways on, rarely four."""

BEND_BEHIND, BEND_AHEAD = 10.0, 100.0
"""m of a lane over which `Lanes.bend` looks: half a lorry, and some 4 s at a town's or a bend's speed."""

LINKS_C, BEND_AHEAD_C = wp.constant(LINKS), wp.constant(BEND_AHEAD)


@wp.struct
class Lanes:
    """Every lane of one road or of several; P points of L lanes."""

    points: wp.array2d(dtype=wp.float32)
    """x, y, heading, curvature, half width to the left, to the right; (P, 6)"""
    bend: wp.array(dtype=wp.float32)
    """The tightest |curvature|, 1/m, of a point's lane from BEND_BEHIND m behind it to BEND_AHEAD m on; (P,)"""
    closed: wp.array(dtype=wp.uint8)
    """1 where a shoulder is none, because another way leads over it; (P,)"""
    first: wp.array(dtype=wp.int32)
    """Index of a lane's first point, (L + 1,)"""
    spacing: wp.array(dtype=wp.float32)
    """Distance of its points, m, (L,)"""
    length: wp.array(dtype=wp.float32)
    """m, (L,)"""
    limit: wp.array(dtype=wp.float32)
    """m/s, (L,)"""
    kind: wp.array(dtype=wp.int32)
    """`sim.road.LaneKind`, (L,)"""
    successors: wp.array2d(dtype=wp.int32)
    """-1 where there are fewer, (L, LINKS)"""
    beside: wp.array2d(dtype=wp.int32)
    """Left neighbour, right neighbour, oncoming lane, (L, 3)"""
    enter: wp.array2d(dtype=wp.int32)
    """The driving lane to the left, to the right, that runs the same way and may be entered, else -1; (L, 2)"""
    junction: wp.array(dtype=wp.int32)
    """Number of the junction of its road that a lane runs through, -1 for none; (L,)"""
    origin: wp.vec2d
    """What was taken off every x and y of a single road, m; of several each has its own: `middle`"""


Stretches = Mapping[int, Sequence[tuple[float, float]]]
"""s from and to, m, by the index of a road's lane."""


def middle(road: Road) -> tuple[float, float]:
    """The middle of a road's bounds, m: what is taken off every x and y on a device."""
    low_x, low_y, high_x, high_y = road.bounds
    return 0.5 * (low_x + high_x), 0.5 * (low_y + high_y)


def lane_arrays(road: Road | Sequence[Road], device: str = "cpu", closed: Sequence[Stretches] = ()) -> Lanes:
    """The lanes of a road on a device, or of several roads one after the other, each about its own middle.

    `closed`: of each road, stretches of shoulders, by their lane's index, over which other ways lead.
    """
    roads = [road] if isinstance(road, Road) else list(road)
    rows, bend, shut, first, spacing, successors, beside, enter = [], [], [], [0], [], [], [], []
    for number, each in enumerate(roads):
        origin, before = middle(each), len(successors)

        def here(link: int, before: int = before) -> int:
            return before + link if link >= 0 else -1

        for index, lane in enumerate(each.lanes):
            many = max(int(np.ceil(lane.length / STEP)), 1) + 1
            at = np.linspace(0.0, lane.length, many)
            columns = (lane.centre[:, 0] - origin[0], lane.centre[:, 1] - origin[1], lane.heading, lane.curvature)
            half = (0.5 * lane.width, 0.5 * lane.width)
            rows.append(np.stack([np.interp(at, lane.s, column) for column in (*columns, *half)], axis=-1))
            none = np.zeros(many, np.uint8)
            for begin, end in closed[number].get(index, ()) if closed else ():
                none[(at >= begin) & (at <= end)] = 1
            shut.append(none)
            first.append(first[-1] + many)
            spacing.append(lane.length / (many - 1))
            bend.append(_tightest(np.abs(rows[-1][:, 3]), spacing[-1]))
            links = [here(link) for link in lane.successors[:LINKS]]
            successors.append(links + [-1] * (LINKS - len(links)))
            beside.append([here(link) for link in (lane.left_neighbour, lane.right_neighbour, lane.oncoming)])
            enter.append([here(link) for link in enterable(each.lanes, lane)])
    lane_list = [lane for each in roads for lane in each.lanes]

    def floats(values: object) -> wp.array:
        return wp.array(np.asarray(values, np.float32), device=device)

    def whole(values: object) -> wp.array:
        return wp.array(np.asarray(values, np.int32), device=device)

    lanes = Lanes()
    lanes.points, lanes.spacing = floats(np.concatenate(rows)), floats(spacing)
    lanes.bend = floats(np.concatenate(bend))
    lanes.closed = wp.array(np.concatenate(shut), dtype=wp.uint8, device=device)
    lanes.first, lanes.successors, lanes.beside = whole(first), whole(successors), whole(beside)
    lanes.enter, lanes.junction = whole(enter), whole([lane.junction for lane in lane_list])
    lanes.length = floats([lane.length for lane in lane_list])
    lanes.limit = floats([lane.limit for lane in lane_list])
    lanes.kind = whole([int(lane.kind) for lane in lane_list])
    lanes.origin = wp.vec2d(*middle(roads[0])) if len(roads) == 1 else wp.vec2d()
    return lanes


def _tightest(curvature: np.ndarray, spacing: float) -> np.ndarray:
    """The largest of |curvature| (P,) around each point, from BEND_BEHIND m behind it to BEND_AHEAD m on; (P,)."""
    before, after = int(np.ceil(BEND_BEHIND / spacing)), int(np.ceil(BEND_AHEAD / spacing))
    padded = np.concatenate([np.zeros(before), curvature, np.zeros(after)])
    return np.lib.stride_tricks.sliding_window_view(padded, before + 1 + after).max(-1)


def enterable(lanes: Sequence[Lane], lane: Lane) -> tuple[int, int]:
    """The driving lane to the left and to the right that a vehicle on `lane` may change to, -1 for none."""
    sides = ((lane.left_neighbour, lane.may_change_left), (lane.right_neighbour, lane.may_change_right))
    return tuple(  # type: ignore[return-value] # two sides
        index if index >= 0 and allowed and lanes[index].kind == LaneKind.DRIVING else -1 for index, allowed in sides
    )


@wp.struct
class Frame:
    """A point of a lane's centre."""

    x: float
    y: float
    heading: float
    curvature: float
    left: float
    right: float


@wp.struct
class Strip:
    """What the points of a lane are looked up by."""

    first: int
    """Its first point; -1: there is no lane"""
    last: int
    """The last point but one, counted from the first"""
    spacing: float
    length: float


@wp.func
def strip_of(lanes: Lanes, lane: int) -> Strip:
    """How to look up points of a lane: once for many points of it."""
    strip = Strip()
    strip.first = lanes.first[lane]
    strip.last = lanes.first[lane + 1] - strip.first - 2
    strip.spacing = lanes.spacing[lane]
    strip.length = lanes.length[lane]
    return strip


@wp.func
def strip_frame(lanes: Lanes, strip: Strip, s: float) -> Frame:
    """The centre at arc length s, held at both ends; x and y about `origin`."""
    at = wp.clamp(s, 0.0, strip.length) / strip.spacing
    low = wp.min(int(wp.floor(at)), strip.last)
    share = at - float(low)
    i = strip.first + low
    frame = Frame()
    frame.x = lanes.points[i, 0] + share * (lanes.points[i + 1, 0] - lanes.points[i, 0])
    frame.y = lanes.points[i, 1] + share * (lanes.points[i + 1, 1] - lanes.points[i, 1])
    frame.heading = lanes.points[i, 2] + share * (lanes.points[i + 1, 2] - lanes.points[i, 2])
    frame.curvature = lanes.points[i, 3] + share * (lanes.points[i + 1, 3] - lanes.points[i, 3])
    frame.left = lanes.points[i, 4] + share * (lanes.points[i + 1, 4] - lanes.points[i, 4])
    frame.right = lanes.points[i, 5] + share * (lanes.points[i + 1, 5] - lanes.points[i, 5])
    return frame


@wp.func
def lane_frame(lanes: Lanes, lane: int, s: float) -> Frame:
    """The same of a lane by its number."""
    return strip_frame(lanes, strip_of(lanes, lane), s)


@wp.func
def bend_ahead(lanes: Lanes, lane: int, s: float) -> float:
    """The tightest curvature that a vehicle at s of a lane meets there or at the beginning of the next lanes, 1/m."""
    last = lanes.first[lane + 1] - 1 - lanes.first[lane]
    bend = lanes.bend[lanes.first[lane] + wp.clamp(int(s / lanes.spacing[lane]), 0, last)]
    if lanes.length[lane] - s < BEND_AHEAD_C:
        for i in range(LINKS_C):
            following = lanes.successors[lane, i]
            if following >= 0:
                bend = wp.max(bend, lanes.bend[lanes.first[following]])
    return bend


@wp.func
def fetch_frame(lanes: Lanes, lane: int, s: float) -> None:
    """Ask for what `lane_frame` will read."""
    i = lanes.first[lane] + int(s / lanes.spacing[lane])
    fetch_row(lanes.points, i)
    fetch_row(lanes.points, i + 2)


@wp.func
def segment(lanes: Lanes, i: int, x: float, y: float) -> wp.vec3:
    """Nearest point of the segment from point i on: share along it, signed distance to the left, squared distance."""
    ax = lanes.points[i, 0]
    ay = lanes.points[i, 1]
    dx = lanes.points[i + 1, 0] - ax
    dy = lanes.points[i + 1, 1] - ay
    px = x - ax
    py = y - ay
    share = wp.clamp((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    ox = px - share * dx
    oy = py - share * dy
    squared = ox * ox + oy * oy
    d = wp.sqrt(squared)
    if dx * oy - dy * ox < 0.0:
        d = -d
    return wp.vec3(share, d, squared)


@wp.func
def downhill(lanes: Lanes, i: int, end: int, step: int, x: float, y: float) -> int:
    """The segment at which the distance rises first, going from i by `step` until `end`."""
    k = int(i)
    here = segment(lanes, k, x, y)
    while k != end:
        other = segment(lanes, k + step, x, y)
        if other[2] >= here[2]:
            return k
        here = other
        k += step
    return k


@wp.func
def lane_project(lanes: Lanes, lane: int, x: float, y: float, guess: float) -> wp.vec2:
    """Frenet s and d of the nearest point downhill from `guess` along the centre."""
    first = lanes.first[lane]
    last = lanes.first[lane + 1] - 2  # of the segments
    i = wp.clamp(first + int(guess / lanes.spacing[lane]), first, last)
    i = downhill(lanes, i, last, 1, x, y)
    i = downhill(lanes, i, first, -1, x, y)
    best = segment(lanes, i, x, y)
    return wp.vec2((float(i - first) + best[0]) * lanes.spacing[lane], best[1])


@wp.func
def lane_search(lanes: Lanes, lane: int, x: float, y: float) -> wp.vec2:
    """Frenet s and d of the nearest point of the whole lane."""
    first = lanes.first[lane]
    best = segment(lanes, first, x, y)
    found = int(first)
    for i in range(first + 1, lanes.first[lane + 1] - 1):
        other = segment(lanes, i, x, y)
        if other[2] < best[2]:
            best = other
            found = i
    return wp.vec2((float(found - first) + best[0]) * lanes.spacing[lane], best[1])


@wp.kernel
def project_rows(
    lanes: Lanes,
    lane: wp.array(dtype=wp.int32),
    place: wp.array2d(dtype=wp.float32),
    guess: wp.array(dtype=wp.float32),
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """Frenet coordinates of rows: place x, y, yaw about the origin; guess of s, below 0 for none; out s, d, yaw."""
    row = wp.tid()
    here = lane[row]
    found = wp.vec2()
    if guess[row] < 0.0:
        found = lane_search(lanes, here, place[row, 0], place[row, 1])
    else:
        found = lane_project(lanes, here, place[row, 0], place[row, 1], guess[row])
    out[row, 0] = found[0]
    out[row, 1] = found[1]
    turn = place[row, 2] - lane_frame(lanes, here, found[0]).heading
    out[row, 2] = wp.atan2(wp.sin(turn), wp.cos(turn))
