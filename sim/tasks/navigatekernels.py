"""The kernels of the navigate task: a control step of rows on their paths, its reward, endings and next corridor.

    reward = progress along the path - time - lateral offset beyond a free band - change of command
             - braking distance that reaches into a person - coming nearer to one close by + success - failure

What the terms weigh is `sim.tasks.navigate.Reward`; where a row is on its path, sim/tasks/corridor.py.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.drive import DriveArrays
from sim.people import PERSON_RADIUS
from sim.rows import RobotArrays, is_lost
from sim.tasks.corridor import Course, Paths, cell_under, centre_of, holds, nearer, track_path, write_corridor
from sim.tasks.task import (
    COLLIDED_C,
    DIVERGED_C,
    LEFT_C,
    RUNNING_C,
    SUCCEEDED_C,
    TIMED_OUT_C,
    Corridor,
    Outcome,
    close,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SUCCESS_SPEED = 0.3
"""m/s"""

SLOW_C = wp.constant(SUCCESS_SPEED)
DISC_C = wp.constant(float(PERSON_RADIUS))
HEADWAY_GAP = wp.constant(0.15)
"""Distance to keep from a person at any speed, m."""
HEADWAY_TIME = wp.constant(0.25)
"""Two cycles and the drive's lag, s."""
HEADWAY_BRAKE = wp.constant(1.4)
"""m/s^2"""
HEADWAY_REACH = wp.constant(1.0)
"""No price reaches further beyond hull and disc than this, m."""
NEAR = wp.constant(0.20)
"""Gap to a person's disc within which coming nearer has a price, m."""
HEADWAY_SIDE = wp.constant(0.10)
"""A person this far beside the hull's track counts as ahead, m."""

LATERAL_REST = 0.2
"""m/s; what a lateral offset costs at rest: the rest of its price comes with speed, so that cutting a corner costs more
than it gains and starting beside the middle little."""

REST_C = wp.constant(LATERAL_REST)


@wp.struct
class Weights:
    """`sim.tasks.navigate.Reward` as kernels read it."""

    progress: float
    time: float
    lateral: float
    lateral_free: float
    jerk: float
    headway: float
    nearing: float
    success: float
    failure: float


@wp.func
def price_of_person(
    bx: float, by: float, v: float, w: float, half_length: float, half_body: float, weights: Weights
) -> float:
    """What a person at (bx, by) in B costs in a step, by the hull's speeds v and w."""
    price = wp.float32(0.0)
    ahead = bx - half_length - DISC_C
    if v > 0.05 and ahead > -half_length and wp.abs(by) < half_body + DISC_C + HEADWAY_SIDE:
        need = HEADWAY_GAP + HEADWAY_TIME * v + v * v / (2.0 * HEADWAY_BRAKE)
        price += weights.headway * v * wp.clamp(need - ahead, 0.0, 1.0)
    px = wp.clamp(bx, -half_length, half_length)
    py = wp.clamp(by, -half_body, half_body)
    dx = bx - px
    dy = by - py
    distance = wp.sqrt(dx * dx + dy * dy)
    gap = distance - DISC_C
    if gap < NEAR and distance > 0.0:
        closing = ((v - w * py) * dx + w * px * dy) / distance
        price += weights.nearing * wp.max(closing, 0.0) * wp.min(1.0 - gap / NEAR, 1.0)
    return price


@wp.kernel
def advance(
    robots: int,
    width: int,
    height: int,
    cell: float,
    radius: float,
    half_length: float,
    half_body: float,
    wide: float,
    arrived: float,
    speed_max: float,
    turn_max: float,
    time_limit: int,
    weights: Weights,
    paths: Paths,
    state: RobotArrays,
    drive: DriveArrays,
    people: wp.array3d(dtype=wp.float32),
    diverged: wp.array(dtype=wp.uint8),
    course: Course,
    corridor: Corridor,
    outcome: Outcome,
) -> None:
    """One control step of each world's rows: progress, reward, endings, and the next corridor.

    `wide` is the corridor's half width where it is not the cells' own (0), `arrived` how near to the end is there.
    """
    world = wp.tid()
    for robot in range(robots):
        row = world * robots + robot
        if state.active[row] == wp.uint8(0):
            close(row, RUNNING_C, 0.0, outcome)
            continue
        x = state.pose[row, 0]
        y = state.pose[row, 1]
        p = course.path[row]
        length = paths.lengths[p]
        i = course.index[row]
        g = course.granted[row]
        under = cell_under(x, y, width, height, cell)
        if wide > 0.0:
            while i + 1 <= g and nearer(paths.cells, p, i, width, height, cell, x, y):
                i += 1
        elif i + 1 <= g and under == paths.cells[p, i + 1]:
            i += 1
        elif i + 2 <= g and under == paths.cells[p, i + 2] and under != paths.cells[p, i]:
            i += 2  # over the common corner of two cells, past the one between
        outside = not holds(paths.cells, p, i, g, under)
        track = track_path(paths.cells, p, length, i, g, width, height, cell, x, y)
        if wide > 0.0:
            outside = track[1] > wide
        dv = (drive.released[row, 0] - drive.before[row, 0]) / speed_max
        dw = (drive.released[row, 1] - drive.before[row, 1]) / turn_max
        r = weights.progress * wp.clamp(course.remaining[row] - track[0], -cell, cell) - weights.time
        r -= weights.lateral * wp.max(track[1] - weights.lateral_free, 0.0) * (REST_C + wp.abs(state.twist[row, 0]))
        r -= weights.jerk * (dv * dv + dw * dw)
        v = state.twist[row, 0]
        c = wp.cos(state.pose[row, 2])
        s = wp.sin(state.pose[row, 2])
        for person in range(people.shape[1]):
            ex = people[world, person, 0] - x
            ey = people[world, person, 1] - y
            reach = half_length + half_body + DISC_C + NEAR + HEADWAY_REACH
            if ex * ex + ey * ey < reach * reach:
                r -= price_of_person(
                    c * ex + s * ey, c * ey - s * ex, v, state.twist[row, 1], half_length, half_body, weights
                )
        goal = centre_of(paths.cells[p, length - 1], width, height, cell)
        gx = x - goal[0]
        gy = y - goal[1]
        speed = wp.sqrt(state.twist[row, 0] * state.twist[row, 0] + state.twist[row, 2] * state.twist[row, 2])
        how = wp.int32(RUNNING_C)
        if is_lost(row, world, state, diverged):
            how = DIVERGED_C
        elif state.collided[row] != wp.uint8(0):
            how = COLLIDED_C
        elif outside:
            how = LEFT_C
        elif g == length - 1 and gx * gx + gy * gy < arrived * arrived and speed < SLOW_C:
            how = SUCCEEDED_C
        elif state.step[row] >= time_limit:
            how = TIMED_OUT_C
        if how == SUCCEEDED_C:
            r += weights.success
        if how == COLLIDED_C:
            r -= weights.failure
        if how == LEFT_C:
            r -= weights.failure
        if how == DIVERGED_C:
            r = 0.0  # nothing that the engine computed there means anything
        close(row, how, r, outcome)
        # the grant pointer runs on, one cell a step
        if g < wp.min(i + course.lookahead[row], length - 1):
            if g == course.stall_at[row] and course.stall_left[row] > 0:
                course.stall_left[row] = course.stall_left[row] - 1
            else:
                free = wp.bool(True)
                wanted = paths.cells[p, g + 1]
                for other in range(robots):
                    o = world * robots + other
                    if other != robot and holds(
                        paths.cells, course.path[o], course.index[o], course.granted[o], wanted
                    ):
                        free = False
                if free:
                    g += 1
        half_width = wp.where(wide > 0.0, wide, 0.5 * cell)
        if g != course.granted[row]:  # only then another segment may lie ahead
            track = track_path(paths.cells, p, length, i, g, width, height, cell, x, y)
        course.index[row] = i
        course.granted[row] = g
        course.remaining[row] = track[0]
        write_corridor(row, paths.cells, p, length, i, g, width, height, cell, radius, half_width, x, y, corridor)
