"""The rules that forklifts are driven by, as functions of one truck of one world: claims, lanes, turns, choices.

What the rules are and what they promise stands in `sim/forklifts.py`, whose kernels call them for every truck in turn.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum

import warp as wp

from sim.people import PARKED_AT, RADIUS
from sim.randomization import below, draw_from, unit
from sim.routes import AHEAD, NO_ROUTE, RIGHT, THERE

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

ASIDE = wp.constant(0.15)
"""m; what is so near beside the lane is in it."""
LEAD = wp.constant(0.5)
"""m that a claim reaches beyond the braking distance, so that a truck keeps its speed."""
LOAD_LEAST, LOAD_MOST = wp.constant(3.0), wp.constant(10.0)
"""Seconds at a stop."""
CREEP = wp.constant(0.3)
"""Backwards, m/s."""

AHEAD_C = wp.constant(AHEAD)
RIGHT_C = wp.constant(RIGHT)
THERE_C = wp.constant(THERE)
NO_ROUTE_C = wp.constant(NO_ROUTE)


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


@wp.func
def choose_stop(table: wp.array2d(dtype=wp.uint8), place: int, avoid: int, bits: wp.uint32) -> int:
    """A stop elsewhere whose route begins with another action than `avoid`; -1 where there is none."""
    stops = table.shape[0]
    start = below(bits, stops)
    chosen = wp.int32(-1)
    for k in range(stops):
        stop = (start + k) % stops
        action = int(table[stop, place])
        if chosen < 0 and action < THERE_C and action != avoid:
            chosen = stop
    return chosen


@wp.func
def choose_stop_ahead(table: wp.array2d(dtype=wp.uint8), place: int, bits: wp.uint32) -> int:
    """A stop whose route begins straight ahead; -1 where there is none."""
    stops = table.shape[0]
    start = below(bits, stops)
    chosen = wp.int32(-1)
    for k in range(stops):
        stop = (start + k) % stops
        if chosen < 0 and int(table[stop, place]) == AHEAD_C:
            chosen = stop
    return chosen


@wp.func
def straight_on(stop: int, place: int, done: float, yard: Yard) -> float:
    """Way to where the route turns or ends, at most five cells, m."""
    cells = wp.int32(0)
    there = place
    for _ in range(5):
        if int(yard.table[stop, there]) == AHEAD_C:
            cells += 1
            there = next_place(there, yard)
    return float(cells) * yard.cell - done


@wp.func
def drive_on(world: int, truck: int, dt: float, trucks: Forklifts, yard: Yard) -> None:
    """One step straight ahead, inside the claim and before whatever is in the lane."""
    place = trucks.place[world, truck]
    heading = place % 4
    u = along(heading)
    done = trucks.done[world, truck]
    at = centre_at(place, yard) + done * u
    v = trucks.speed[world, truck]
    line = straight_on(trucks.stop[world, truck], place, done, yard)
    lead = wp.min(v * v / (2.0 * yard.brake) + LEAD, line)
    take_claim(world, truck, lane(at, heading, yard.half_length, yard.half_length + lead, yard.half_width), trucks)
    room = wp.min(line, claimed_ahead(world, truck, at, heading, yard.half_length, trucks))
    room = wp.max(wp.min(room, free_ahead(world, at, u, yard) - yard.gap), 0.0)
    # v dt + v^2 / (2 b) <= room
    brakes = yard.brake * dt
    most = wp.sqrt(brakes * brakes + 2.0 * yard.brake * room) - brakes
    limit = wp.min(yard.limit[place / 4], yard.limit[next_place(place, yard) / 4])
    most = wp.min(most, wp.min(yard.speed, limit))
    v = wp.max(wp.min(v + yard.accel * dt, most), wp.max(v - brakes, 0.0))
    trucks.speed[world, truck] = v
    done += v * dt
    if line - v * dt < 1.0e-3 and v < brakes:
        done += line - v * dt  # a millimetre: asymptotes end nowhere
    if done >= yard.cell - 1.0e-5:
        place = next_place(place, yard)
        done = wp.max(done - yard.cell, 0.0)
        trucks.place[world, truck] = place
        if int(yard.table[trucks.stop[world, truck], place]) != AHEAD_C:
            done = 0.0
            trucks.speed[world, truck] = 0.0
            trucks.doing[world, truck] = CHOOSING_C
    trucks.done[world, truck] = done


@wp.func
def back_off(world: int, truck: int, dt: float, trucks: Forklifts, yard: Yard) -> None:
    """One step back towards the last centre, where nobody is behind."""
    place = trucks.place[world, truck]
    heading = place % 4
    u = along(heading)
    done = trucks.done[world, truck]
    at = centre_at(place, yard) + done * u
    trucks.speed[world, truck] = 0.0
    if free_ahead(world, at, -u, yard) > yard.gap and take_claim(
        world, truck, lane(at, heading, yard.half_length + done, yard.half_length, yard.half_width), trucks
    ):
        done = wp.max(done - CREEP * dt, 0.0)
        trucks.speed[world, truck] = -CREEP
        trucks.done[world, truck] = done
    if done == 0.0:
        trucks.speed[world, truck] = 0.0
        trucks.doing[world, truck] = CHOOSING_C


@wp.func
def unblock(world: int, truck: int, bits: wp.uint32, trucks: Forklifts, yard: Yard) -> None:
    """A truck that is stuck: back to the last centre, or to the one behind where it can turn; and another stop.

    Who cannot back off drives on, once it can. In the middle of a turn it waits.
    """
    place = trucks.place[world, truck]
    doing = trucks.doing[world, truck]
    done = trucks.done[world, truck]
    if doing == BACKING_C:
        stop = choose_stop_ahead(yard.table, place, bits)
        if stop >= 0:
            trucks.stop[world, truck] = stop
            trucks.doing[world, truck] = DRIVING_C
        return
    if doing == TURNING_C and done != 0.0:
        return
    waited_to_turn = doing != DRIVING_C
    stop = choose_stop(yard.table, place, AHEAD_C, bits)
    if doing != DRIVING_C:
        stop = choose_stop(yard.table, place, int(yard.table[wp.max(trucks.stop[world, truck], 0), place]), bits)
    trucks.doing[world, truck] = CHOOSING_C
    if done > 0.0:
        trucks.doing[world, truck] = BACKING_C
    elif stop < 0 or waited_to_turn:
        behind = 2 * place - next_place(place, yard)
        cell = behind / 4
        if cell >= 0 and cell < yard.turns.shape[0]:  # noqa: SIM102  # Warp evaluates both sides of "and"
            if yard.turns[cell] != wp.uint8(0) and choose_stop(yard.table, behind, NO_ROUTE_C, bits) >= 0:
                place = behind
                trucks.place[world, truck] = place
                trucks.done[world, truck] = yard.cell
                trucks.doing[world, truck] = BACKING_C
                stop = choose_stop(yard.table, place, AHEAD_C, bits)
    if stop >= 0:
        trucks.stop[world, truck] = stop


@wp.func
def turn_on(world: int, truck: int, dt: float, trucks: Forklifts, yard: Yard) -> None:
    """One step of a quarter turn; `done` is signed, and ends at a right angle."""
    place = trucks.place[world, truck]
    done = trucks.done[world, truck]
    at = centre_at(place, yard)
    right = int(yard.table[trucks.stop[world, truck], place]) == RIGHT_C
    quarter = wp.pi / 2.0
    if not alone(world, at, yard.reach, yard):
        return
    step = wp.min(yard.turn * dt, quarter - wp.abs(done))
    if right:
        done -= step
    else:
        done += step
    if wp.abs(done) >= quarter - 1.0e-5:
        heading = (place % 4 + 1) % 4
        if right:
            heading = (place % 4 + 3) % 4
        trucks.place[world, truck] = place / 4 * 4 + heading
        done = 0.0
        trucks.doing[world, truck] = CHOOSING_C
    trucks.done[world, truck] = done


@wp.func
def choose(world: int, truck: int, key: wp.uint64, trucks: Forklifts, yard: Yard) -> None:
    """On a cell's centre: unload and take the next stop, begin to drive or to turn."""
    place = trucks.place[world, truck]
    stop = trucks.stop[world, truck]
    action = wp.int32(NO_ROUTE_C)
    if stop >= 0:
        action = int(yard.table[stop, place])
    drawn = trucks.count[world, truck]
    if action >= THERE_C:
        trucks.count[world, truck] = drawn + 2
        trucks.stop[world, truck] = choose_stop(yard.table, place, NO_ROUTE_C, draw_from(key, drawn))
        trucks.pause[world, truck] = LOAD_LEAST + (LOAD_MOST - LOAD_LEAST) * unit(draw_from(key, drawn + 1))
    elif action == AHEAD_C:
        trucks.doing[world, truck] = DRIVING_C
        trucks.done[world, truck] = 0.0
    elif take_claim(world, truck, lane(centre_at(place, yard), place % 4, yard.reach, yard.reach, yard.reach), trucks):
        trucks.doing[world, truck] = TURNING_C
        trucks.done[world, truck] = 0.0
    else:
        trucks.speed[world, truck] = 0.0
