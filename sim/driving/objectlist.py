"""The object list of a car: who is seen and how exactly, and the tracker that holds who is missed.

    list_object    one actor, or the ghost, as this step's list has it, into the ring of lists
    hear           the newest list that has come, latency steps old, into the tracks
    show           the tracks, nearest first, into the view

An object is seen if any part of its circle is within range, its middle is in the field of view, and its middle or one
of its two outermost corners (a tenth drawn in) has a line of sight between the other boxes. Its place is off by noise
along the line of sight and across it, so that SPREAD = sqrt(range bound^2 + (distance times bearing bound)^2).
Association is the simulator's: a track is an actor's, and takes a new number where the actor jumps, because traffic
put another there.

A list that does not come changes nothing but ages; who is missing in lists that do come for longer than `hold` is
dropped.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.pathframe import BEHIND_C, HEADING_C, POINTS_C, STEP_C, X_C, Y_C
from sim.driving.sensestate import (
    ACCEL_NOISE,
    BEARING_NOISE,
    COLUMNS,
    GHOST,
    LATENCY,
    LIST_FROZEN,
    LIST_LOST,
    LIST_STALE,
    MISS,
    RANGE_NOISE,
    SPEED_NOISE,
    YAW_NOISE,
    Lists,
    Own,
    SenseNumbers,
    Tracks,
    drawn_value,
    fault_is,
    fault_size,
)
from sim.driving.sensing import ROUNDING
from sim.driving.state import OBJECTS, ActorArrays, ObjectColumn, View
from sim.frenet import Lanes, lane_frame
from sim.randomization import Term, bell, draw_from, stream, unit
from sim.rays import box_range

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBJECT_TERM = wp.constant(int(Term.OBJECT_LIST))
CAR_C = wp.constant(int(ActorKind.CAR))
DRAWS = wp.constant(8)
"""Draws for each object and step."""
INSET = wp.constant(0.9)
"""Share of half a box at which corners are looked at: one of which a tenth shows is no detection yet."""
GHOST_LENGTH, GHOST_WIDTH = wp.constant(4.5), wp.constant(1.8)
"""m"""
JUMP = wp.constant(8.0)
"""m beyond what noise and speed explain: another object in the same slot."""
COLUMNS_C, OBJECTS_C, ROUNDING_C = wp.constant(COLUMNS), wp.constant(OBJECTS), wp.constant(ROUNDING)
(X, Y, YAW, SPEED, ACCEL, LENGTH, WIDTH, AGE, LANE_S, LANE_D, LATERAL, SPREAD) = (
    wp.constant(int(each)) for each in ObjectColumn
)


@wp.func
def in_sight(actors: ActorArrays, world: int, own: int, other: int, x: float, y: float, px: float, py: float) -> bool:
    """Whether nobody's box but those of two actors lies between (x, y) and (px, py)."""
    dx = px - x
    dy = py - y
    far = wp.sqrt(dx * dx + dy * dy)
    if far < 1.0e-3:
        return True
    dx /= far
    dy /= far
    for j in range(actors.kind.shape[1]):
        if j != own and j != other:
            bx = actors.pose[world, j, 0] - x
            by = actors.pose[world, j, 1] - y
            half_length = 0.5 * actors.size[world, j, 0]
            half_width = 0.5 * actors.size[world, j, 1]
            across = dx * by - dy * bx
            if across * across < half_length * half_length + half_width * half_width:  # few: asked first
                along = dx * bx + dy * by
                if along > 0.0 and along < far and actors.kind[world, j] >= 0:
                    c = wp.cos(actors.pose[world, j, 2])
                    s = wp.sin(actors.pose[world, j, 2])
                    hit = box_range(
                        -c * bx - s * by, s * bx - c * by, c * dx + s * dy, c * dy - s * dx, half_length, half_width
                    )
                    if hit < far:
                        return False
    return True


@wp.func
def seen(
    actors: ActorArrays, world: int, own: int, other: int, x: float, y: float, px: float, py: float, yaw: float,
    half_length: float, half_width: float,
) -> bool:  # fmt: skip
    """Whether the middle of a box or its leftmost or rightmost corner is in sight from (x, y)."""
    if in_sight(actors, world, own, other, x, y, px, py):
        return True
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    left = wp.vec3(0.0, 0.0, -1.0e9)
    right = wp.vec3(0.0, 0.0, 1.0e9)
    for corner in range(4):
        a = INSET * half_length * float(1 - 2 * (corner & 1))
        b = INSET * half_width * float(1 - (corner & 2))
        qx = px + c * a - s * b
        qy = py + s * a + c * b
        side = (px - x) * (qy - y) - (py - y) * (qx - x)
        if side > left[2]:
            left = wp.vec3(qx, qy, side)
        if side < right[2]:
            right = wp.vec3(qx, qy, side)
    if in_sight(actors, world, own, other, x, y, left[0], left[1]):
        return True
    return in_sight(actors, world, own, other, x, y, right[0], right[1])


@wp.func
def place_ghost(numbers: SenseNumbers, row: int, time: float, own: Own, view: View) -> bool:
    """Whether a row sees a ghost; it stands where the path was at its onset."""
    if not fault_is(numbers, row, GHOST, time):
        return False
    if own.ghost_lane[row] < 0:
        k = BEHIND_C + int(fault_size(numbers, row, GHOST) / STEP_C)
        k = wp.min(k, POINTS_C - 1)
        if view.path_lane[row, k] < 0:
            return False
        own.ghost_lane[row] = view.path_lane[row, k]
        own.ghost[row, 0] = view.path[row, k, X_C]
        own.ghost[row, 1] = view.path[row, k, Y_C]
        own.ghost[row, 2] = view.path[row, k, HEADING_C]
        own.ghost[row, 3] = view.path_s[row, k]
    return True


@wp.func
def list_object(
    numbers: SenseNumbers,
    lanes: Lanes,
    actors: ActorArrays,
    robots: int,
    row: int,
    k: int,
    episode: int,
    step: int,
    own: Own,
    view: View,
    lists: Lists,
) -> None:
    """What the list of this step has of actor k, or of the ghost behind the last actor."""
    slot = step % lists.kind.shape[1]
    many = actors.kind.shape[1]
    world = row / robots
    me = row % robots
    lists.kind[row, slot, k] = -1
    if k == me:
        return
    ox = actors.pose[world, me, 0]
    oy = actors.pose[world, me, 1]
    kind = wp.int32(CAR_C)
    lane = wp.int32(-1)
    pose = wp.vec3(0.0, 0.0, 0.0)
    motion = wp.vec2(0.0, 0.0)
    place = wp.vec3(0.0, 0.0, 0.0)
    length = wp.float32(GHOST_LENGTH)
    width = wp.float32(GHOST_WIDTH)
    if k < many:
        kind = actors.kind[world, k]
        if kind < 0:
            return
        lane = actors.lane[world, k]
        pose = wp.vec3(actors.pose[world, k, 0], actors.pose[world, k, 1], actors.pose[world, k, 2])
        motion = wp.vec2(actors.motion[world, k, 0], actors.motion[world, k, 1])
        place = wp.vec3(actors.place[world, k, 0], actors.place[world, k, 1], actors.place[world, k, 2])
        length = actors.size[world, k, 0]
        width = actors.size[world, k, 1]
    else:
        if not place_ghost(numbers, row, numbers.dt * float(step), own, view):
            return
        lane = own.ghost_lane[row]
        pose = wp.vec3(own.ghost[row, 0], own.ghost[row, 1], own.ghost[row, 2])
        place = wp.vec3(own.ghost[row, 3], 0.0, 0.0)
    dx = pose[0] - ox
    dy = pose[1] - oy
    far = wp.sqrt(dx * dx + dy * dy)
    if far - 0.5 * wp.sqrt(length * length + width * width) > numbers.range:
        return
    if numbers.half_fov < wp.pi:
        turn = wp.atan2(dy, dx) - actors.pose[world, me, 2]
        if wp.abs(wp.atan2(wp.sin(turn), wp.cos(turn))) > numbers.half_fov:
            return
    key = stream(numbers.seed, OBJECT_TERM, row, episode)
    base = DRAWS * (step * (many + 1) + k)
    if step > 0 and unit(draw_from(key, base)) < drawn_value(numbers, row, MISS):
        return  # at the episode's beginning the tracker knows who is there already
    if k < many:
        clear = seen(actors, world, me, k, ox, oy, pose[0], pose[1], pose[2], 0.5 * length, 0.5 * width)
        if not clear:
            return
    ux = wp.float32(1.0)
    uy = wp.float32(0.0)
    if far > 1.0e-3:
        ux = dx / far
        uy = dy / far
    along = drawn_value(numbers, row, RANGE_NOISE) * bell(draw_from(key, base + 1))
    across = far * drawn_value(numbers, row, BEARING_NOISE) * bell(draw_from(key, base + 2))
    nx = along * ux - across * uy
    ny = along * uy + across * ux
    sigma = drawn_value(numbers, row, SPEED_NOISE)
    wide = far * numbers.bearing_bound
    lists.kind[row, slot, k] = kind
    lists.lane[row, slot, k] = lane
    lists.value[row, slot, k, X] = pose[0] + nx
    lists.value[row, slot, k, Y] = pose[1] + ny
    lists.value[row, slot, k, YAW] = pose[2] + drawn_value(numbers, row, YAW_NOISE) * bell(draw_from(key, base + 3))
    lists.value[row, slot, k, SPEED] = wp.max(motion[0] + sigma * bell(draw_from(key, base + 4)), 0.0)
    noise = drawn_value(numbers, row, ACCEL_NOISE) * bell(draw_from(key, base + 5))
    lists.value[row, slot, k, ACCEL] = motion[1] + noise
    lists.value[row, slot, k, LENGTH] = length
    lists.value[row, slot, k, WIDTH] = width
    lists.value[row, slot, k, SPREAD] = wp.sqrt(numbers.range_bound * numbers.range_bound + wide * wide) + ROUNDING_C
    if lane >= 0:
        heading = lane_frame(lanes, lane, place[0]).heading
        c = wp.cos(heading)
        s = wp.sin(heading)
        lists.value[row, slot, k, LANE_S] = place[0] + c * nx + s * ny
        lists.value[row, slot, k, LANE_D] = place[1] + c * ny - s * nx
        lists.value[row, slot, k, LATERAL] = place[2] + sigma * bell(draw_from(key, base + 6))
    else:
        lists.value[row, slot, k, LANE_S] = 0.0
        lists.value[row, slot, k, LANE_D] = 0.0
        lists.value[row, slot, k, LATERAL] = 0.0


@wp.func
def take(row: int, slot: int, k: int, stamp: int, closing: float, dt: float, lists: Lists, tracks: Tracks) -> None:
    """What a list says of one object becomes its track."""
    dx = lists.value[row, slot, k, X] - tracks.value[row, k, X]
    dy = lists.value[row, slot, k, Y] - tracks.value[row, k, Y]
    may = JUMP + closing * dt * float(stamp - tracks.stamp[row, k])
    if tracks.stamp[row, k] >= 0 and (tracks.kind[row, k] < 0 or dx * dx + dy * dy > may * may):
        tracks.number[row, k] = tracks.number[row, k] + 1
    for column in range(COLUMNS_C):
        tracks.value[row, k, column] = lists.value[row, slot, k, column]
    tracks.kind[row, k] = lists.kind[row, slot, k]
    tracks.lane[row, k] = lists.lane[row, slot, k]
    tracks.stamp[row, k] = stamp


@wp.func
def hear(numbers: SenseNumbers, row: int, episode: int, step: int, lists: Lists, tracks: Tracks) -> None:
    """The newest list that has come, if it is newer than the last one."""
    time = numbers.dt * float(step)
    late = int(wp.ceil(drawn_value(numbers, row, LATENCY) / numbers.dt - 0.01))
    if fault_is(numbers, row, LIST_STALE, time):
        late += int(wp.ceil(fault_size(numbers, row, LIST_STALE) / numbers.dt - 0.01))
    newest = wp.max(step - wp.min(late, lists.kind.shape[1] - 1), 0)
    if newest <= tracks.listed[row] or fault_is(numbers, row, LIST_FROZEN, time):
        return
    if fault_is(numbers, row, LIST_LOST, time):
        key = stream(numbers.seed, OBJECT_TERM, row, episode)
        if unit(draw_from(key, -1 - newest)) < fault_size(numbers, row, LIST_LOST):
            return
    slot = newest % lists.kind.shape[1]
    for k in range(lists.kind.shape[2]):
        if lists.kind[row, slot, k] >= 0:
            take(row, slot, k, newest, numbers.closing, numbers.dt, lists, tracks)
        elif tracks.kind[row, k] >= 0 and newest - tracks.stamp[row, k] > numbers.hold:
            tracks.kind[row, k] = -1
    tracks.listed[row] = newest


@wp.func
def show(numbers: SenseNumbers, row: int, step: int, tracks: Tracks, view: View) -> None:
    """The tracks as the view's objects, nearest first."""
    many = wp.int32(0)
    for k in range(tracks.kind.shape[1]):
        if tracks.kind[row, k] >= 0:
            dx = tracks.value[row, k, X] - view.pose[row, 0]
            dy = tracks.value[row, k, Y] - view.pose[row, 1]
            away = dx * dx + dy * dy
            i = wp.int32(many)
            while i > 0 and tracks.away[row, wp.max(i - 1, 0)] > away:
                tracks.away[row, i] = tracks.away[row, i - 1]
                tracks.order[row, i] = tracks.order[row, i - 1]
                i -= 1
            tracks.away[row, i] = away
            tracks.order[row, i] = k
            many += 1
    for i in range(OBJECTS_C):
        if i < many:
            k = tracks.order[row, i]
            for column in range(COLUMNS_C):
                view.objects[row, i, column] = tracks.value[row, k, column]
            view.objects[row, i, AGE] = numbers.dt * float(step - tracks.stamp[row, k])
            view.object_kind[row, i] = tracks.kind[row, k]
            view.object_lane[row, i] = tracks.lane[row, k]
            view.object_id[row, i] = tracks.number[row, k] * tracks.kind.shape[1] + k
        elif view.object_kind[row, i] >= 0:
            for column in range(COLUMNS_C):
                view.objects[row, i, column] = 0.0
            view.object_kind[row, i] = -1
            view.object_lane[row, i] = -1
            view.object_id[row, i] = -1
    age = numbers.dt * float(step - tracks.listed[row])
    view.list_age[row] = age
    nearer = (numbers.closing + wp.max(view.motion[row, 0], 0.0)) * age
    view.range[row] = wp.max(numbers.range - numbers.reserve - nearer, 0.0)
