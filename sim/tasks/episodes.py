"""What an episode of the navigate task varies: layout, path, start, grants, people.

Everything is a keyed draw (sim/randomization.py) of the row, its episode and the term, so that world i lives the same
life whatever the number of worlds, and nothing but the rows that begin is touched.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.people import PARKED_AT, PeopleArrays, place_person
from sim.randomization import Term, below, draw_from, stream, unit
from sim.rows import RobotArrays
from sim.tasks.aside import stand_aside
from sim.tasks.corridor import Course, Paths, centre_of, holds, track_path, write_corridor
from sim.tasks.task import Corridor
from sim.vary import VaryArrays, drawn

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

START_GAP = 2.0
"""Nobody begins nearer to a robot than this, m: room to see each other and to stop from any speed."""

START_GAP_C = wp.constant(START_GAP)
LAYOUT_TERM = wp.constant(int(Term.LAYOUT))
PATH_TERM = wp.constant(int(Term.PATH))
START_TERM = wp.constant(int(Term.START))
STALL_TERM = wp.constant(int(Term.STALL))
SPEED_TERM = wp.constant(int(Term.PERSON_SPEED))


TRIES_C = wp.constant(64)
"""Drawn paths before all are looked through."""


@wp.struct
class Start:
    """What the task's draws need."""

    table: VaryArrays
    """What varies; the numbers are its rows'."""
    layout: int
    lookahead: int
    stall_share: int
    stall_time: int
    start_offset: int
    person_share: int
    person_speed: int
    person_pause: int
    control_period: float


@wp.func
def choose_layout(layouts: int, row: int, start: Start, bits: wp.uint32) -> int:
    """One of the floor's layouts, from the share of them that the table's range covers."""
    low = start.table.ranges[start.layout, 0]
    high = start.table.ranges[start.layout, 1]
    pin = start.table.pinned[row]
    if pin == 2 * start.layout:
        high = low
    if pin == 2 * start.layout + 1:
        low = high
    first = wp.min(int(low * float(layouts)), layouts - 1)
    last = wp.min(int(wp.ceil(high * float(layouts))), layouts)
    return first + below(bits, wp.max(last - first, 1))


@wp.func
def off_the_way(row: int, robot: int, state: RobotArrays, course: Course, corridor: Corridor) -> None:
    """A robot that does not take part: beyond the walls, holding no cell, without a corridor."""
    stand_aside(row, robot, state)
    course.index[row] = 0
    course.granted[row] = -1
    corridor.count[row] = 0
    corridor.final[row] = wp.uint8(0)


@wp.func
def is_clear(
    path: int,
    apart: float,
    held: wp.bool,
    world: int,
    robots: int,
    robot: int,
    mask: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    paths: Paths,
    state: RobotArrays,
    course: Course,
) -> bool:
    """Whether a path's first cell is `apart` from the other robots, and, if `held` says so, granted to none of them."""
    at = centre_of(paths.cells[path, 0], width, height, cell)
    for other in range(robots):
        o = world * robots + other
        # rows that begin together are placed in turn: those not placed yet are nowhere
        if other != robot and (mask[o] == wp.uint8(0) or other < robot):
            dx = state.pose[o, 0] - at[0]
            dy = state.pose[o, 1] - at[1]
            if dx * dx + dy * dy < apart * apart:
                return False
            if held and holds(
                paths.cells, course.path[o], course.index[o], course.granted[o], paths.cells[path, 0]
            ):  # fmt: skip
                return False
    return True


@wp.func
def choose_path(
    key: wp.uint64,
    low: int,
    many: int,
    hulls: float,
    world: int,
    robots: int,
    robot: int,
    mask: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    paths: Paths,
    state: RobotArrays,
    course: Course,
) -> int:
    """One of the `many` paths from `low` on, which begins two cells from the other robots and on nobody's ground.

    Drawn TRIES times; then all of them are looked through, and on a floor too crowded for that once more for one whose
    hull, `hulls` from the others' middles, is clear of theirs, which there is while each robot can have two cells.
    """
    p = wp.int32(0)
    for attempt in range(TRIES_C):
        p = low + below(draw_from(key, attempt), many)
        if is_clear(p, 2.0 * cell, True, world, robots, robot, mask, width, height, cell, paths, state, course):
            return p
    first = below(draw_from(key, TRIES_C), many)
    for k in range(many):
        q = low + (first + k) % many
        if is_clear(q, 2.0 * cell, True, world, robots, robot, mask, width, height, cell, paths, state, course):
            return q
    for k in range(many):
        q = low + (first + k) % many
        if is_clear(q, hulls, False, world, robots, robot, mask, width, height, cell, paths, state, course):
            return q
    return p


@wp.kernel
def leave_way(
    robots: int, mask: wp.array(dtype=wp.uint8), state: RobotArrays, course: Course, corridor: Corridor
) -> None:
    """Masked rows hold no cell from here on (`sim.tasks.aside`)."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        off_the_way(row, row % robots, state, course, corridor)


@wp.kernel
def begin_rows(
    seed: int,
    robots: int,
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    radius: float,
    half_width: float,
    start: Start,
    mask: wp.array(dtype=wp.uint8),
    paths: Paths,
    state: RobotArrays,
    course: Course,
    corridor: Corridor,
    crowd: PeopleArrays,
) -> None:
    """Begin the next episode of each masked row.

    The layout and the people belong to the world: they are drawn when all its rows begin; a robot that begins while
    others go on gets a path in the same layout, away from them.
    """
    world = wp.tid()
    fresh = wp.bool(True)
    for robot in range(robots):
        if mask[world * robots + robot] == wp.uint8(0):
            fresh = False
    if fresh:
        row = world * robots
        key = stream(seed, LAYOUT_TERM, row, state.episode[row])
        course.layout[world] = choose_layout(paths.first.shape[0] - 1, row, start, draw_from(key, 0))
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0) and state.active[row] == wp.uint8(0):
            off_the_way(row, robot, state, course, corridor)
        elif mask[row] != wp.uint8(0):
            e = state.episode[row]
            low = paths.first[course.layout[world]]
            many = paths.first[course.layout[world] + 1] - low
            key = stream(seed, PATH_TERM, row, e)
            p = low + below(draw_from(key, 0), many)
            if robots > 1:
                offset = wp.max(
                    wp.abs(start.table.ranges[start.start_offset, 0]), wp.abs(start.table.ranges[start.start_offset, 1])
                )
                p = choose_path(
                    key, low, many, 2.0 * radius + wp.sqrt(2.0) * offset, world, robots, robot, mask, width, height,
                    cell, paths, state, course,
                )  # fmt: skip
            length = paths.lengths[p]
            course.path[row] = p
            course.index[row] = 0
            course.lookahead[row] = int(start.table.values[row, start.lookahead])
            course.granted[row] = wp.min(1, length - 1)
            if robots > 1 and length > 1:
                for other in range(robots):
                    o = world * robots + other
                    placed = other != robot and (mask[o] == wp.uint8(0) or other < robot)
                    if placed and holds(
                        paths.cells, course.path[o], course.index[o], course.granted[o], paths.cells[p, 1]
                    ):
                        course.granted[row] = 0
            key = stream(seed, STALL_TERM, row, e)
            course.stall_at[row] = -1
            course.stall_left[row] = 0
            if start.table.values[row, start.stall_share] > 0.0:
                course.stall_at[row] = below(draw_from(key, 1), length)
                course.stall_left[row] = int(start.table.values[row, start.stall_time] / start.control_period)
            # the body
            key = stream(seed, START_TERM, row, e)
            at = centre_of(paths.cells[p, 0], width, height, cell)
            x = at[0] + drawn(start.table, start.start_offset, row, draw_from(key, 0))
            y = at[1] + drawn(start.table, start.start_offset, row, draw_from(key, 1))
            yaw = wp.pi * (2.0 * unit(draw_from(key, 2)) - 1.0)
            state.pose[row, 0] = x
            state.pose[row, 1] = y
            state.pose[row, 2] = yaw
            track = track_path(paths.cells, p, length, 0, course.granted[row], width, height, cell, x, y)
            course.remaining[row] = track[0]
            write_corridor(
                row,
                paths.cells,
                p,
                length,
                0,
                course.granted[row],
                width,
                height,
                cell,
                radius,
                half_width,
                x,
                y,
                corridor,
            )
    if fresh:
        row = world * robots
        e = state.episode[row]
        for person in range(crowd.life.shape[1]):
            crowd.life[world, person] = e
            key = stream(seed, SPEED_TERM, row, e * 64 + person)
            crowd.origin[world, person] = -1
            if drawn(start.table, start.person_share, row, draw_from(key, 0)) > 0.0:
                # an anchor on a robot's path, beyond its start where there is a beyond
                r = world * robots + below(draw_from(key, 1), robots)
                if state.active[r] == wp.uint8(0):
                    r = row  # the first robot always takes part
                p = course.path[r]
                length = paths.lengths[p]
                spot = wp.min(2 + below(draw_from(key, 2), length), length - 1)
                found = place_person(flags, width, height, seed, row, e, person, paths.cells[p, spot], 10)
                if found >= 0:
                    at = centre_of(found, width, height, cell)
                    near = wp.bool(False)
                    for robot in range(robots):
                        dx = state.pose[world * robots + robot, 0] - at[0]
                        dy = state.pose[world * robots + robot, 1] - at[1]
                        if dx * dx + dy * dy < START_GAP_C * START_GAP_C:
                            near = True
                    if not near:
                        crowd.origin[world, person] = found
                        crowd.target[world, person] = found
                        crowd.position[world, person, 0] = at[0]
                        crowd.position[world, person, 1] = at[1]
            if crowd.origin[world, person] < 0:
                crowd.position[world, person, 0] = PARKED_AT
                crowd.position[world, person, 1] = PARKED_AT
            crowd.walked[world, person] = 0.0
            crowd.held[world, person] = 0.0
            crowd.count[world, person] = 0
            crowd.speed[world, person] = drawn(start.table, start.person_speed, row, draw_from(key, 3))
            crowd.pause[world, person] = drawn(start.table, start.person_pause, row, draw_from(key, 4))
