"""Trucks on their yard: where they are, what each has claimed, and what lies ahead in its lane.

Claims are rectangles along the lanes; a truck never enters what it has not claimed, and no two claims meet. The rules
that move trucks by these stand in sim/truckrules.py, what they promise in sim/forklifts.py.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum

import warp as wp

from sim.people import PARKED_AT, RADIUS

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

ASIDE = wp.constant(0.15)
"""m; what is so near beside the lane is in it."""


class Doing(IntEnum):
    """What a truck is at."""

    CHOOSING = 0
    """On a cell's centre."""
    DRIVING = 1
    TURNING = 2
    BACKING = 3


CHOOSING_C = wp.constant(int(Doing.CHOOSING))
DRIVING_C = wp.constant(int(Doing.DRIVING))
TURNING_C = wp.constant(int(Doing.TURNING))
BACKING_C = wp.constant(int(Doing.BACKING))


@wp.struct
class Forklifts:
    """The trucks of many worlds, (worlds, trucks)."""

    pose: wp.array3d(dtype=wp.float32)
    """p_WF of the middle of the box: x, y (m), yaw; (worlds, trucks, 3)."""
    claim: wp.array3d(dtype=wp.float32)
    """The rectangle that only this truck may be in: x_min, y_min, x_max, y_max in W; (worlds, trucks, 4)."""
    place: wp.array2d(dtype=wp.int32)
    """4 cell + heading (sim/routes.py) of the last centre; -1 for a truck that is not there."""
    stop: wp.array2d(dtype=wp.int32)
    """Row of the table of routes; -1 for none."""
    doing: wp.array2d(dtype=wp.int32)
    """`Doing`"""
    done: wp.array2d(dtype=wp.float32)
    """Way from the last centre, m, or of the turn, rad."""
    speed: wp.array2d(dtype=wp.float32)
    """m/s"""
    pause: wp.array2d(dtype=wp.float32)
    """Time left at a stop, s."""
    held: wp.array2d(dtype=wp.float32)
    """Time stood on the way, s."""
    count: wp.array2d(dtype=wp.int32)
    """Draws made."""
    life: wp.array2d(dtype=wp.int32)
    """Which life each lives: the episode of its draws."""


@wp.struct
class Yard:
    """Routes, rules and everybody in the way, as kernels read them."""

    table: wp.array2d(dtype=wp.uint8)
    places: wp.array(dtype=wp.int32)
    first: wp.array(dtype=wp.int32)
    turns: wp.array(dtype=wp.uint8)
    """Cells with room to turn."""
    part: wp.array(dtype=wp.int32)
    limit: wp.array(dtype=wp.float32)
    """Speed limit of each cell, m/s."""
    width: int
    height: int
    cell: float
    half_length: float
    half_width: float
    reach: float
    speed: float
    accel: float
    brake: float
    turn: float
    gap: float
    robots: int
    radius: float
    pose: wp.array2d(dtype=wp.float32)
    """Of the robots, (rows, 3)."""
    people: wp.array3d(dtype=wp.float32)
    """(worlds, people, 2)"""
    values: wp.array2d(dtype=wp.float32)
    """What was drawn for each row's episode, (rows, rows of the table)."""
    count: int
    """Which of them is how many trucks there are; -1: all."""


@wp.func
def along(heading: int) -> wp.vec2:
    """Unit vector of a heading: east, north, west, south."""
    if heading == 0:
        return wp.vec2(1.0, 0.0)
    if heading == 1:
        return wp.vec2(0.0, 1.0)
    if heading == 2:
        return wp.vec2(-1.0, 0.0)
    return wp.vec2(0.0, -1.0)


@wp.func
def centre_at(place: int, yard: Yard) -> wp.vec2:
    """Centre of a place's cell, m."""
    cell = place / 4
    return wp.vec2(
        (float(cell % yard.width) + 0.5) * yard.cell, (float(yard.height - 1 - cell / yard.width) + 0.5) * yard.cell
    )


@wp.func
def next_place(place: int, yard: Yard) -> int:
    """The place one cell ahead."""
    heading = place % 4
    if heading == 0:
        return place + 4
    if heading == 1:
        return place - 4 * yard.width
    if heading == 2:
        return place - 4
    return place + 4 * yard.width


@wp.func
def lane(at: wp.vec2, heading: int, behind: float, ahead: float, half_width: float) -> wp.vec4:
    """Rectangle from `behind` at's back to `ahead` of it, x_min, y_min, x_max, y_max."""
    u = along(heading)
    a = at - behind * u
    b = at + ahead * u
    return wp.vec4(
        wp.min(a[0], b[0]) - half_width * wp.abs(u[1]),
        wp.min(a[1], b[1]) - half_width * wp.abs(u[0]),
        wp.max(a[0], b[0]) + half_width * wp.abs(u[1]),
        wp.max(a[1], b[1]) + half_width * wp.abs(u[0]),
    )


@wp.func
def take_claim(world: int, truck: int, wanted: wp.vec4, trucks: Forklifts) -> bool:
    """Claim a rectangle, unless it meets another truck's claim; whether that went well."""
    for other in range(trucks.place.shape[1]):
        if (
            other != truck
            and trucks.place[world, other] >= 0
            and wanted[0] < trucks.claim[world, other, 2]
            and wanted[2] > trucks.claim[world, other, 0]
            and wanted[1] < trucks.claim[world, other, 3]
            and wanted[3] > trucks.claim[world, other, 1]
        ):
            return False
    for k in range(4):
        trucks.claim[world, truck, k] = wanted[k]
    return True


@wp.func
def claimed_ahead(world: int, truck: int, at: wp.vec2, heading: int, half_length: float, trucks: Forklifts) -> float:
    """How far the nose may still go inside the claim, m."""
    if heading == 0:
        return trucks.claim[world, truck, 2] - at[0] - half_length
    if heading == 1:
        return trucks.claim[world, truck, 3] - at[1] - half_length
    if heading == 2:
        return at[0] - half_length - trucks.claim[world, truck, 0]
    return at[1] - half_length - trucks.claim[world, truck, 1]


@wp.func
def disc_ahead(at: wp.vec2, u: wp.vec2, x: float, y: float, radius: float, yard: Yard) -> float:
    """Distance from the nose to a disc in the lane along u, m; 1e9 for one beside or behind it."""
    to = wp.vec2(x - at[0], y - at[1])
    ahead = wp.dot(u, to)
    aside = wp.abs(u[0] * to[1] - u[1] * to[0])
    if ahead <= 0.0 or aside >= yard.half_width + ASIDE + radius:
        return 1.0e9
    return wp.max(ahead - radius - yard.half_length, 0.0)


@wp.func
def free_ahead(world: int, at: wp.vec2, u: wp.vec2, yard: Yard) -> float:
    """Distance to the nearest person or robot in the lane along u, m."""
    free = wp.float32(1.0e9)
    for person in range(yard.people.shape[1]):
        x = yard.people[world, person, 0]
        if x > PARKED_AT:
            free = wp.min(free, disc_ahead(at, u, x, yard.people[world, person, 1], RADIUS, yard))
    for robot in range(yard.robots):
        row = world * yard.robots + robot
        free = wp.min(free, disc_ahead(at, u, yard.pose[row, 0], yard.pose[row, 1], yard.radius, yard))
    return free


@wp.func
def alone(world: int, at: wp.vec2, reach: float, yard: Yard) -> bool:
    """Whether no person and no robot is within `reach` of a point."""
    for person in range(yard.people.shape[1]):
        to = wp.vec2(yard.people[world, person, 0] - at[0], yard.people[world, person, 1] - at[1])
        if wp.length(to) < reach + RADIUS:
            return False
    for robot in range(yard.robots):
        row = world * yard.robots + robot
        to = wp.vec2(yard.pose[row, 0] - at[0], yard.pose[row, 1] - at[1])
        if wp.length(to) < reach + yard.radius:
            return False
    return True
