"""The rules that forklifts are driven by, as functions of one truck of one world: driving, turning, backing, choosing.

What the rules are and what they promise stands in `sim/forklifts.py`, whose kernels call them for every truck in turn.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.randomization import below, draw_from, unit
from sim.routes import AHEAD, NO_ROUTE, RIGHT, THERE
from sim.yard import (
    BACKING_C,
    CHOOSING_C,
    DRIVING_C,
    TURNING_C,
    Forklifts,
    Yard,
    alone,
    along,
    centre_at,
    claimed_ahead,
    free_ahead,
    lane,
    next_place,
    take_claim,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

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
