"""People on a warehouse floor: discs that walk from cell to cell, every step a keyed draw.

A person walks from the centre of a cell to the centre of a neighbour that is neither blocked nor person-free, chooses
the next one there (rarely the way back), and pauses now and then. What a person may do near robots is the site's
profile, the assumption that the shield is built on:

still (V = 0)      nobody moves so as to come nearer to a robot that moves (over MOVING) within its danger distance,
                   1.0 m + v 1.0 s + v^2 / 3 between surfaces; walking away is free
walking (V = 1.6)  people ignore robots until a step would bring them within GAP of a robot's circle

Under both, a person held up for one to two seconds turns round, so that nobody blocks an aisle for ever; one whom that
brings to a dead end stands there for a while before coming back. Without that a person in a dead end walks to and fro
in front of a robot that may not move while somebody so near could step under it. People are mocap bodies: they push
and are not pushed, and pass through each other.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import warp as wp

from sim.randomization import Term, draw_from, stream, unit

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PERSON_RADIUS = 0.25
"""Disc of a standing person seen from above, m (shoulder breadth, 95th percentile: 0.51 m, ISO 7250-1)."""

PERSON_HEIGHT = 1.7
"""m"""

SPEED_LOW, SPEED_HIGH = 0.6, 1.6
"""Walking speeds drawn, m/s (ISO 13855 counts 1.6 m/s as walking)."""

MOVING = 0.02
"""A robot faster than this (m/s or rad/s) moves: the threshold of the collision figure."""

GAP = 0.1
"""Nobody steps nearer to a robot's circle than this, m."""

PAUSE_CHANCE = 0.15
"""Chance of a pause at a cell's centre."""

PAUSE_LONGEST = 3.0
"""s"""

GIVE_WAY = 4.0
"""A person whom a robot turned round into a dead end stands there for one to two times as long, s: at the 0.1 m/s that
the shield allows half a metre from a person, a robot leaves the cell in front."""

PARKED = -20.0
"""x and y of people who are not on the floor, m: outside the outer walls."""

PARKED_AT = wp.constant(PARKED)
RADIUS = wp.constant(float(PERSON_RADIUS))
MOVING_AT = wp.constant(float(MOVING))
GAP_AT = wp.constant(float(GAP))
PAUSE_AT = wp.constant(float(PAUSE_CHANCE))
PAUSE_UP_TO = wp.constant(float(PAUSE_LONGEST))
GIVE_WAY_FOR = wp.constant(float(GIVE_WAY))
TURNED = wp.constant(-1.0)
WALK_TERM = wp.constant(int(Term.PERSON_WALK))
START_TERM = wp.constant(int(Term.PERSON_START))
SPEED_TERM = wp.constant(int(Term.PERSON_SPEED))


class Profile(IntEnum):
    """What a site assumes of its people."""

    STILL = 0
    WALKING = 1


@wp.struct
class PeopleArrays:
    """The people of many worlds, (worlds, people)."""

    position: wp.array3d(dtype=wp.float32)
    """Where they stand, (worlds, people, 2), m."""
    origin: wp.array2d(dtype=wp.int32)
    """Cell that each walks from; -1 for somebody who is not there."""
    target: wp.array2d(dtype=wp.int32)
    """Cell that each walks to."""
    walked: wp.array2d(dtype=wp.float32)
    """Distance from the origin's centre, m."""
    speed: wp.array2d(dtype=wp.float32)
    """m/s"""
    pause: wp.array2d(dtype=wp.float32)
    """Time left to stand, s."""
    held: wp.array2d(dtype=wp.float32)
    """Time held up by robots, s; negative from turning round to the next cell's centre."""
    count: wp.array2d(dtype=wp.int32)
    """Draws made."""
    life: wp.array2d(dtype=wp.int32)
    """Which life each lives: the episode of its draws."""


def make_people(worlds: int, people: int, device: str) -> PeopleArrays:
    """`people` people for each world, nobody on the floor yet."""
    shape = (worlds, people)
    arrays = PeopleArrays()
    arrays.position = wp.array(np.full((*shape, 2), PARKED, np.float32), dtype=wp.float32, device=device)
    arrays.origin = wp.array(np.full(shape, -1, np.int32), dtype=wp.int32, device=device)
    for name in ("target", "count", "life"):
        setattr(arrays, name, wp.zeros(shape, dtype=wp.int32, device=device))
    for name in ("walked", "speed", "pause", "held"):
        setattr(arrays, name, wp.zeros(shape, dtype=wp.float32, device=device))
    return arrays


@wp.func
def walkable(flags: wp.array(dtype=wp.uint8), width: int, height: int, column: int, row: int) -> bool:
    """Whether people may enter the cell: on the floor, not blocked, not person-free."""
    if column < 0 or column >= width or row < 0 or row >= height:
        return False
    return flags[row * width + column] == wp.uint8(0)


@wp.func
def neighbour(move: int, column: int, row: int) -> wp.vec2i:
    """The cell one of the four moves away: east, north, west, south."""
    if move == 0:
        return wp.vec2i(column + 1, row)
    if move == 1:
        return wp.vec2i(column, row - 1)
    if move == 2:
        return wp.vec2i(column - 1, row)
    return wp.vec2i(column, row + 1)


@wp.func
def next_cell(flags: wp.array(dtype=wp.uint8), width: int, height: int, here: int, before: int, bits: wp.uint32) -> int:
    """A neighbour to walk to, the way back only where there is no other; `here` itself where there is none."""
    column = here % width
    row = here / width
    open_count = wp.int32(0)
    for move in range(4):
        n = neighbour(move, column, row)
        if walkable(flags, width, height, n[0], n[1]) and n[1] * width + n[0] != before:
            open_count += 1
    if open_count == 0:
        if before >= 0 and before != here:
            return before
        return here
    chosen = int((wp.uint64(bits) * wp.uint64(open_count)) >> wp.uint64(32))
    for move in range(4):
        n = neighbour(move, column, row)
        if walkable(flags, width, height, n[0], n[1]) and n[1] * width + n[0] != before:
            if chosen == 0:
                return n[1] * width + n[0]
            chosen -= 1
    return here


@wp.func
def comes_too_near(
    world: int,
    robots: int,
    robot_radius: float,
    profile: int,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    x: float,
    y: float,
    nx: float,
    ny: float,
) -> bool:
    """Whether the profile forbids a step from (x, y) to (nx, ny): the one place where its words become numbers."""
    forbidden = wp.bool(False)
    for robot in range(robots):
        row = world * robots + robot
        gx = pose[row, 0] - x
        gy = pose[row, 1] - y
        now = wp.sqrt(gx * gx + gy * gy)
        gx = pose[row, 0] - nx
        gy = pose[row, 1] - ny
        then = wp.sqrt(gx * gx + gy * gy)
        if then < now:
            between = then - robot_radius - RADIUS
            if between < GAP_AT:
                forbidden = True
            if profile == 0:
                v = wp.sqrt(twist[row, 0] * twist[row, 0] + twist[row, 2] * twist[row, 2])
                danger = 1.0 + v + v * v / 3.0
                if (v > MOVING_AT or wp.abs(twist[row, 1]) > MOVING_AT) and between < danger:
                    forbidden = True
    return forbidden


@wp.kernel
def walk_people(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    seed: int,
    dt: float,
    profile: int,
    robots: int,
    robot_radius: float,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    position: wp.array3d(dtype=wp.float32),
    origin: wp.array2d(dtype=wp.int32),
    target: wp.array2d(dtype=wp.int32),
    walked: wp.array2d(dtype=wp.float32),
    speed: wp.array2d(dtype=wp.float32),
    pause: wp.array2d(dtype=wp.float32),
    held: wp.array2d(dtype=wp.float32),
    count: wp.array2d(dtype=wp.int32),
    life: wp.array2d(dtype=wp.int32),
    mocap: wp.array3d(dtype=Any),
) -> None:
    """One step of `dt` seconds for each person; robots (rows, 3) as they are at its start."""
    world, person = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    here = origin[world, person]
    if here < 0:
        mocap[world, person, 0] = mocap.dtype(PARKED_AT)
        mocap[world, person, 1] = mocap.dtype(PARKED_AT)
        return
    x = position[world, person, 0]
    y = position[world, person, 1]
    # the key of its draws costs as much as the rest of a step, and few steps draw
    if pause[world, person] > 0.0:
        pause[world, person] = pause[world, person] - dt
    else:
        there = target[world, person]
        if there == here:
            drawn = count[world, person]
            key = stream(seed, WALK_TERM, world, life[world, person] * 64 + person)
            there = next_cell(flags, width, height, here, -1, draw_from(key, drawn))
            count[world, person] = drawn + 1
            target[world, person] = there
        row = here / width
        hx = (float(here - row * width) + 0.5) * cell
        hy = (float(height - 1 - row) + 0.5) * cell
        row = there / width
        tx = (float(there - row * width) + 0.5) * cell
        ty = (float(height - 1 - row) + 0.5) * cell
        along = wp.min(walked[world, person] + speed[world, person] * dt, cell)
        share = along / cell
        nx = hx + (tx - hx) * share
        ny = hy + (ty - hy) * share
        blocked = comes_too_near(world, robots, robot_radius, profile, pose, twist, x, y, nx, ny)
        if blocked:
            waited = wp.max(held[world, person], 0.0) + dt
            key = stream(seed, WALK_TERM, world, life[world, person] * 64 + person)
            limit = 1.0 + unit(draw_from(key, -1 - count[world, person]))
            if waited > limit:
                # turn round: the same place on the way back
                origin[world, person] = there
                target[world, person] = here
                walked[world, person] = cell - walked[world, person]
                count[world, person] = count[world, person] + 1
                waited = TURNED
            held[world, person] = waited
        else:
            gives_way = held[world, person] < 0.0
            if not gives_way:
                held[world, person] = 0.0
            x = nx
            y = ny
            position[world, person, 0] = x
            position[world, person, 1] = y
            walked[world, person] = along
            if along >= cell and there != here:
                drawn = count[world, person]
                key = stream(seed, WALK_TERM, world, life[world, person] * 64 + person)
                origin[world, person] = there
                target[world, person] = next_cell(flags, width, height, there, here, draw_from(key, drawn))
                walked[world, person] = 0.0
                stands = unit(draw_from(key, drawn + 1))
                if gives_way:
                    held[world, person] = 0.0
                if gives_way and target[world, person] == here:
                    pause[world, person] = GIVE_WAY_FOR * (1.0 + unit(draw_from(key, drawn + 2)))
                elif stands < PAUSE_AT:
                    pause[world, person] = PAUSE_UP_TO * unit(draw_from(key, drawn + 2))
                count[world, person] = drawn + 3
    mocap[world, person, 0] = mocap.dtype(x)
    mocap[world, person, 1] = mocap.dtype(y)


@wp.func
def place_person(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    seed: int,
    world: int,
    life: int,
    person: int,
    anchor: int,
    longest: int,
) -> int:
    """A cell to start in: the last cell that people may enter on a random walk of up to `longest` moves from `anchor`.

    The walk itself passes person-free cells but no walls, so the person stands in the anchor's part of the floor; -1
    where it met no cell that people may enter.
    """
    key = stream(seed, START_TERM, world, life * 64 + person)
    steps = 2 + int((wp.uint64(draw_from(key, 0)) * wp.uint64(longest)) >> wp.uint64(32))
    here = anchor
    before = wp.int32(-1)
    found = wp.int32(-1)
    for k in range(steps):
        column = here % width
        row = here / width
        pick = int(draw_from(key, k + 1) >> wp.uint32(30))
        moved = wp.bool(False)
        for turn in range(4):
            n = neighbour((pick + turn) % 4, column, row)
            if not moved and n[0] >= 0 and n[0] < width and n[1] >= 0 and n[1] < height:
                cell = n[1] * width + n[0]
                # the way back only as the last resort of four
                if (flags[cell] & wp.uint8(1)) == wp.uint8(0) and (cell != before or turn == 3):
                    before = here
                    here = cell
                    moved = True
        if walkable(flags, width, height, here % width, here / width):
            found = here
    return found
