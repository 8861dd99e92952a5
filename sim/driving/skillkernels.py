"""The driving skills' kernels: what an action means, what is seen, what is rewarded, how an episode ends.

A row follows a line: the middle of its lane, of the lane beside it that it was told to change to, or of the strip at
the road's side. `Wish` says which, and how much of the allowed speed is wanted. Rewards are per second unless said
otherwise; the terms are those of the field: progress, distance to the line, comfort along and across. Whom one follows,
and how near, is in what a brisk driver would drive (sim/driving/brisk.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.drive import DriveArrays
from sim.driving.brisk import UNLIMITED, Limits, brisk_speed, free_speed, lead_speed
from sim.driving.contract import ANSWER, BEND, CROSSERS, FAR, FORCE, GOAL, NEAR, PREVIEW, SIDE, SPEED, STEERING
from sim.driving.pathframe import STEP_C, Around, path_at, path_end
from sim.driving.state import OBJECTS, PATH_BEHIND, Footing, View
from sim.randomization import Term, draw, unit
from sim.rows import RobotArrays, is_lost
from sim.tasks.task import COLLIDED_C, DIVERGED_C, LEFT_C, RUNNING_C, SUCCEEDED_C, TIMED_OUT_C, Outcome, close

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBJECTS_C, BEHIND_C = wp.constant(OBJECTS), wp.constant(PATH_BEHIND)
SPEED_C, FORCE_C, NEAR_C, FAR_C = wp.constant(SPEED), wp.constant(FORCE), wp.constant(NEAR), wp.constant(FAR)
BEND_C, STEERING_C, SIDE_C, CROSSERS_C = (
    wp.constant(BEND),
    wp.constant(STEERING),
    wp.constant(SIDE),
    wp.constant(CROSSERS),
)
WALKER_C, BICYCLE_C = wp.constant(int(ActorKind.PEDESTRIAN)), wp.constant(int(ActorKind.BICYCLE))
LOOKS = wp.constant(wp.types.vector(length=len(PREVIEW), dtype=wp.float32)(*PREVIEW))
LOOKS_N, GOAL_C, ANSWER_C = wp.constant(len(PREVIEW)), wp.constant(GOAL), wp.constant(ANSWER)

LANE_SKILL, CHANGE_SKILL, PULL_SKILL, ROUTE = wp.constant(0), wp.constant(1), wp.constant(2), wp.constant(3)

SOON, LATER = wp.constant(0.1), wp.constant(0.6)
"""Times ahead whose curvature is steered for, s; of hand-driven towns the pair with the least distance to the line."""

BORDER_GAP = wp.constant(0.3)
"""Room that a car pulled over leaves to the lane's border where there is no shoulder, m."""

ON_LINE, STRAIGHT = wp.constant(0.35), wp.constant(0.06)
"""m and rad; so near a car is on a line: within a third of what a lane leaves beside it."""

WAITING = wp.constant(0.2)
"""What a second of a route costs, of what one at the limit earns."""

TOO_FAST = wp.constant(3.0)
"""How much more it costs to be faster than allowed than to be as much slower."""

PULL_SPEED, EASE = wp.constant(8.0), wp.constant(2.5)
"""m/s; at which a car goes to the side, and by how much less than its speed is allowed at once while it slows down."""

ANY_SPEED = wp.constant(1.0e3)
"""m/s: no bound."""

SLOW = wp.constant(3.0)
"""m/s; where less is allowed, speeds are compared as if this much were."""

SLOWEST, SLOWER = wp.constant(0.5), wp.constant(0.4)
"""Least share of the allowed speed that may be wished for; share of a skill's episodes that are driven at less than
all of it."""

JUMP = wp.constant(1.0)
"""m; d that jumps by more within a step belongs to another lane: no car moves sideways as fast."""

Nearest = wp.types.matrix(shape=(6, 4), dtype=wp.float32)
"""For each role: gap, relative speed, speed, speed across."""

Urgent = wp.types.matrix(shape=(4, 5), dtype=wp.float32)
"""Two on foot and two others: urgency, gap ahead, d, speed along, speed across."""


@wp.struct
class Wish:
    """What each row is told to do, by a task or by a manoeuvre policy; and what follows of it."""

    side: wp.array(dtype=wp.int32)
    """Lanes that are still to be crossed to the left (negative: right), (rows,)"""
    pull: wp.array(dtype=wp.uint8)
    """Stop at the road's side, (rows,)"""
    pace: wp.array(dtype=wp.float32)
    """Share of the allowed speed, (rows,)"""
    line: wp.array(dtype=wp.float32)
    """The d of the line to follow, m, (rows,)"""
    brisk: wp.array(dtype=wp.float32)
    """What a brisk driver would drive there, m/s, (rows,)"""
    last_d: wp.array(dtype=wp.float32)
    """d at the observation before, m, (rows,)"""
    crossed: wp.array(dtype=wp.int32)
    """Lanes crossed in this episode without a wish, (rows,)"""
    most: wp.array(dtype=wp.float32)
    """No faster than this, m/s: an appointment (sim/driving/appointment.py) would be missed by coming early, (rows,)"""
    least: wp.array(dtype=wp.float32)
    """As fast as this at least where limits and bends allow it, m/s: who is late follows nearer, (rows,)"""


@wp.struct
class Course:
    """How each row's episode went so far."""

    way: wp.array(dtype=wp.float32)
    """Driven, m, (rows,)"""
    allowed: wp.array(dtype=wp.float32)
    """What limits, bends and vehicles ahead allowed, m, (rows,)"""
    settled: wp.array(dtype=wp.int32)
    """Steps on the wished line without a break, (rows,)"""
    refused: wp.array(dtype=wp.int32)
    """Steps in which a filter changed the command, (rows,)"""


@wp.func
def told(row: int, action: wp.array2d(dtype=wp.float32), view: View, limits: Limits, wish: Wish) -> wp.vec2:
    """The command that an action means: acceleration and curvature."""
    v = view.motion[row, 0]
    # 0 is what a brisk driver does, 1 and -1 all that drive and brakes give
    say = wp.clamp(action[row, 0], -1.0, 1.0)
    brisk = wp.clamp((wish.brisk[row] - v) / ANSWER_C, -limits.brake, limits.accel)
    a = brisk + wp.where(say > 0.0, say * (limits.accel - brisk), say * (limits.brake + brisk))
    span = wp.min(STEERING_C, SIDE_C / wp.max(v * v, 1.0))
    # the lane as the steering will have answered: bends of streets begin at once, steering takes most of a second
    soon = path_at(view, row, SOON * v)
    later = path_at(view, row, LATER * v)
    curvature = 0.5 * (soon.curvature + later.curvature)
    bend = curvature / wp.max(1.0 - curvature * view.where[row, 0], 0.3)
    kappa = bend + wp.clamp(action[row, 1], -1.0, 1.0) * span
    return wp.vec2(a, wp.clamp(kappa, -limits.bend, limits.bend))


@wp.kernel
def act(action: wp.array2d(dtype=wp.float32), view: View, limits: Limits, wish: Wish, state: RobotArrays) -> None:
    """Propose each row's command; who takes no part stands."""
    row = wp.tid()
    if state.active[row] == wp.uint8(0):
        state.proposed[row, 0] = 0.0
        state.proposed[row, 1] = 0.0
        return
    command = told(row, action, view, limits, wish)
    state.proposed[row, 0] = command[0]
    state.proposed[row, 1] = command[1]


@wp.func
def line_of(row: int, view: View, wish: Wish, limits: Limits) -> float:
    """The d of the line that a row's wish means where it is."""
    here = path_at(view, row, 0.0)
    if wish.pull[row] != wp.uint8(0):
        if here.right_lane > 0.0:
            return wp.float32(0.0)
        if here.shoulder >= limits.shoulder:
            return -(here.right + 0.5 * here.shoulder)
        return -wp.max(here.right - limits.half_width - BORDER_GAP, 0.0)
    if wish.side[row] > 0 and here.left_lane > 0.0:
        return here.left + 0.5 * here.left_lane
    if wish.side[row] < 0 and here.right_lane > 0.0:
        return -(here.right + 0.5 * here.right_lane)
    return wp.float32(0.0)


@wp.func
def count_lanes(row: int, view: View, wish: Wish) -> None:
    """Notice that a row has come into another lane: its d jumps by a lane's width."""
    d = view.where[row, 0]
    jump = d - wish.last_d[row]
    wish.last_d[row] = d
    if wp.abs(jump) < JUMP:
        return
    to_left = wp.int32(1)
    if jump > 0.0:
        to_left = -1
    if wish.side[row] * to_left > 0:
        wish.side[row] = wish.side[row] - to_left
    else:
        wish.crossed[row] = wish.crossed[row] + 1


@wp.func
def take(near: Nearest, role: int, gap: float, along: float, v: float, across: float) -> Nearest:
    """The nearer of what fills a role and another vehicle."""
    if gap < near[role, 0]:
        near[role, 0] = gap
        near[role, 1] = along - v
        near[role, 2] = along
        near[role, 3] = across
    return near


@wp.kernel
def observe(
    mask: wp.array(dtype=wp.uint8),
    step: wp.array(dtype=wp.int32),
    view: View,
    around: Around,
    drive: DriveArrays,
    limits: Limits,
    wish: Wish,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The masked rows' observation, in the order of `sim.driving.contract.fields`; also where their lines run."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    if step[row] == 0:
        wish.last_d[row] = view.where[row, 0]
    count_lanes(row, view, wish)
    line = line_of(row, view, wish, limits)
    wish.line[row] = line
    v = view.motion[row, 0]
    d = view.where[row, 0]
    here = path_at(view, row, 0.0)
    out[row, 0] = v / SPEED_C
    out[row, 1] = view.motion[row, 1] / FORCE_C
    out[row, 2] = v * v * view.motion[row, 2] / FORCE_C
    out[row, 3] = view.motion[row, 3]
    out[row, 4] = drive.released[row, 0] / FORCE_C
    out[row, 5] = (drive.released[row, 1] - here.curvature) / BEND_C
    out[row, 6] = wp.clamp((d - line) / NEAR_C, -5.0, 5.0)
    out[row, 7] = view.where[row, 1]
    out[row, 8] = wp.clamp((here.left - d - limits.half_width) / NEAR_C, -5.0, 5.0)
    out[row, 9] = wp.clamp((here.right + d - limits.half_width) / NEAR_C, -5.0, 5.0)
    out[row, 10] = float(wp.clamp(wish.side[row], -3, 3))
    out[row, 11] = float(wish.pull[row])
    out[row, 12] = wish.pace[row]
    lead = lead_speed(row, view, around, v, limits)
    free = free_speed(row, view, limits)
    brisk = brisk_speed(free, lead, wish.pace[row], wish.least[row], wish.most[row])
    if wish.pull[row] != wp.uint8(0):
        wanted = wp.where(wp.abs(d - line) < ON_LINE, 0.0, PULL_SPEED)
        brisk = wp.min(brisk, wp.max(wanted, v - EASE))
    wish.brisk[row] = brisk
    out[row, 13] = brisk / SPEED_C
    out[row, 14] = wp.clamp((brisk - v) / FORCE_C, -3.0, 3.0)
    k = wp.int32(15)
    for i in range(LOOKS_N):
        point = path_at(view, row, wp.max(LOOKS[i] * v, 2.0 * float(i + 1)))
        out[row, k] = wp.clamp(point.curvature / BEND_C, -5.0, 5.0)
        out[row, k + 1] = wp.min(point.limit, UNLIMITED) / SPEED_C
        k += 2
    out[row, k] = wp.where(here.left_lane > 0.0, 1.0, 0.0)
    out[row, k + 1] = wp.where(here.right_lane > 0.0, 1.0, 0.0)
    out[row, k + 2] = wp.where(here.shoulder >= limits.shoulder, 1.0, 0.0)
    out[row, k + 3] = wp.clamp(float(path_end(view, row) - BEHIND_C) * STEP_C / 100.0, 0.0, 1.0)
    k += 4
    for i in range(GOAL_C):
        out[row, k + i] = 0.0
    if limits.skill == ROUTE:  # who chooses knows where the route goes; a skill that is asked for does not ask why
        out[row, k] = wp.clamp(view.goal[row, 0] / 500.0, 0.0, 4.0)
        out[row, k + 1] = wp.clamp(view.goal[row, 1], -4.0, 4.0)
        out[row, k + 2] = wp.clamp(view.goal[row, 2] / 300.0, 0.0, 4.0)
    k += GOAL_C
    near = Nearest()
    for role in range(6):
        near[role, 0] = 2.0 * FAR_C
    urgent = Urgent()
    for i in range(4):
        urgent[i, 0] = 1.0e6
    for j in range(OBJECTS_C):
        kind = view.object_kind[row, j]
        if kind >= 0:
            s = around.objects[row, j, 0]
            side = around.objects[row, j, 1]
            along = around.objects[row, j, 2]
            across = around.objects[row, j, 3]
            ahead = s - limits.front - around.objects[row, j, 4]
            behind = -limits.rear - s - around.objects[row, j, 4]
            beside = path_at(view, row, s)
            half = around.objects[row, j, 5]
            # a vehicle that goes our way counts for each lane that it reaches into
            if kind != WALKER_C and along > -0.5 and wp.abs(across) < wp.max(along, 2.0):
                if side - half < beside.left and side + half > -beside.right:
                    if s > 0.0:
                        near = take(near, 0, wp.max(ahead, 0.0), along, v, across)
                    else:
                        near = take(near, 1, wp.max(behind, 0.0), along, v, across)
                if beside.left_lane > 0.0 and side + half > beside.left and side < beside.left + beside.left_lane:
                    if s > 0.0:
                        near = take(near, 2, wp.max(ahead, 0.0), along, v, across)
                    else:
                        near = take(near, 3, wp.max(behind, 0.0), along, v, across)
                if beside.right_lane > 0.0 and side - half < -beside.right and side > -beside.right - beside.right_lane:
                    if s > 0.0:
                        near = take(near, 4, wp.max(ahead, 0.0), along, v, across)
                    else:
                        near = take(near, 5, wp.max(behind, 0.0), along, v, across)
            elif s > -5.0 and s < 2.0 * FAR_C and wp.abs(side) < 2.0 * FAR_C:
                first = wp.int32(CROSSERS_C)
                if kind >= BICYCLE_C:  # bicycles and people
                    first = 0
                # urgent is who is near the lane in time, not in space
                urgency = wp.abs(side) / (wp.abs(across) + 1.0) + 0.2 * wp.max(ahead, 0.0) / (v + 1.0)
                slot = wp.int32(-1)
                for i in range(CROSSERS_C):
                    if slot < 0 and urgency < urgent[first + i, 0]:
                        slot = first + i
                if slot >= 0:
                    for i in range(CROSSERS_C):
                        back = first + CROSSERS_C - 1 - i
                        if back > slot:
                            for c in range(5):
                                urgent[back, c] = urgent[back - 1, c]
                    urgent[slot, 0] = urgency
                    urgent[slot, 1] = ahead
                    urgent[slot, 2] = side
                    urgent[slot, 3] = along
                    urgent[slot, 4] = across
    for role in range(6):
        out[row, k] = wp.min(near[role, 0] / FAR_C, 2.0)
        out[row, k + 1] = near[role, 1] / (0.5 * SPEED_C)
        out[row, k + 2] = near[role, 2] / SPEED_C
        out[row, k + 3] = near[role, 3]
        k += 4
    for i in range(2 * CROSSERS_C):
        if urgent[i, 0] < 1.0e6:
            out[row, k] = wp.clamp(urgent[i, 1] / FAR_C, -1.0, 2.0)
            out[row, k + 1] = wp.clamp(urgent[i, 2] / 10.0, -5.0, 5.0)
            out[row, k + 2] = urgent[i, 3] / 10.0
            out[row, k + 3] = urgent[i, 4] / 10.0
        else:
            out[row, k] = 2.0
            out[row, k + 1] = 5.0
            out[row, k + 2] = 0.0
            out[row, k + 3] = 0.0
        k += 4


@wp.kernel
def advance(
    robots: int,
    limits: Limits,
    diverged: wp.array(dtype=wp.uint8),
    view: View,
    footing: Footing,
    drive: DriveArrays,
    state: RobotArrays,
    motion: wp.array2d(dtype=wp.float32),
    wish: Wish,
    course: Course,
    outcome: Outcome,
) -> None:
    """Progress, reward and ending of each row, by what truly happened in this step."""
    row = wp.tid()
    if state.active[row] == wp.uint8(0):
        close(row, RUNNING_C, 0.0, outcome)
        return
    dt = limits.dt
    v = state.twist[row, 0]
    d = footing.place[row, 1]
    theta = footing.place[row, 2]
    here = path_at(view, row, 0.0)
    brisk = wish.brisk[row]
    course.way[row] = course.way[row] + v * dt
    course.allowed[row] = course.allowed[row] + brisk * dt
    aside = d - wish.line[row]
    if wp.abs(aside) > 6.0:
        aside = 6.0 * wp.sign(aside)
    across = v * v * motion[row, 1]
    along = motion[row, 0]
    jerk = (drive.released[row, 0] - drive.before[row, 0]) / FORCE_C
    swing = v * v * (drive.released[row, 1] - drive.before[row, 1]) / FORCE_C
    reward = -dt * (
        0.3 * wp.min(aside * aside, 4.0) + 1.0 * theta * theta + 0.02 * across * across + 0.01 * along * along
    )
    reward -= 0.05 * jerk * jerk + 0.1 * swing * swing
    # as fast as one may, neither slower nor faster: limit, bends and who drives ahead are in `brisk`
    off = wp.where(v > brisk, TOO_FAST * (v - brisk), brisk - v)
    if limits.skill == ROUTE:  # who chooses is paid for getting on: standing still, however well, earns nothing
        reward += dt * (
            wp.min(v / wp.max(here.limit, SLOW), 1.0) - WAITING - wp.min(wp.max(v - brisk, 0.0) / SLOW, 1.0)
        )
    else:
        reward += dt * wp.max(1.0 - off / wp.max(brisk, SLOW), -2.0)
    refused = (
        wp.abs(drive.released[row, 0] - state.proposed[row, 0]) > 1.0e-3
        or wp.abs(drive.released[row, 1] - state.proposed[row, 1]) > 1.0e-5
    )
    if refused:
        course.refused[row] = course.refused[row] + 1
        reward -= 0.02
    on_line = wp.abs(aside) < ON_LINE and wp.abs(theta) < STRAIGHT
    if limits.skill == PULL_SKILL:
        on_line = on_line and v < 0.1
    if on_line:
        course.settled[row] = course.settled[row] + 1
    else:
        course.settled[row] = 0
    how = wp.int32(RUNNING_C)
    out_left = d - here.left
    out_right = -d - here.right
    if wish.pull[row] != wp.uint8(0):
        out_right -= here.shoulder
    over = out_left > 0.0 or out_right > 0.0
    strayed = footing.lane[row] < 0 or (wish.side[row] == 0 and over and wp.abs(d - wish.last_d[row]) < JUMP)
    done = limits.skill == PULL_SKILL and float(course.settled[row]) * dt >= 0.5
    if limits.skill == CHANGE_SKILL:
        strayed = strayed or wish.crossed[row] > 0
        done = wish.side[row] == 0 and float(course.settled[row]) * dt >= 1.0
    if limits.skill == LANE_SKILL:
        strayed = strayed or wish.crossed[row] > 0
    arrived = False
    if limits.skill == ROUTE and limits.open_ended == 0:
        arrived = footing.left[row] <= 0.0
        strayed = strayed or not wp.isfinite(footing.left[row])  # past the last lane that leads to the goal
    world = row / robots
    if is_lost(row, world, state, diverged):
        how = DIVERGED_C
    elif state.collided[row] != wp.uint8(0):
        how = COLLIDED_C
        reward -= 10.0 + 0.3 * v
    elif strayed:
        how = LEFT_C
        reward -= 10.0
    elif arrived:
        how = SUCCEEDED_C
        if limits.skill == ROUTE:
            reward += 5.0
    elif done:
        how = SUCCEEDED_C
        reward += 5.0
    elif state.step[row] >= limits.steps:
        how = TIMED_OUT_C
    close(row, how, reward, outcome)
    # who kept his lane until the time was up and drove as one can has done what the lane skill is for
    if how == TIMED_OUT_C and limits.skill == LANE_SKILL and course.way[row] >= 0.7 * course.allowed[row]:
        outcome.success[row] = wp.uint8(1)


@wp.kernel
def begin(
    seed: int,
    mask: wp.array(dtype=wp.uint8),
    limits: Limits,
    episode: wp.array(dtype=wp.int32),
    side: wp.array(dtype=wp.int32),
    wish: Wish,
    course: Course,
) -> None:
    """Nothing driven; of the masked rows only what the skill is for is wished, and of skills a pace."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    wish.side[row] = 0
    wish.pull[row] = wp.uint8(0)
    wish.pace[row] = 1.0
    if limits.skill != ROUTE and unit(draw(seed, int(Term.ROAD_PACE), row, episode[row], 0)) < SLOWER:
        wish.pace[row] = SLOWEST + (1.0 - SLOWEST) * unit(draw(seed, int(Term.ROAD_PACE), row, episode[row], 1))
    wish.most[row] = ANY_SPEED
    wish.least[row] = 0.0
    if limits.skill == CHANGE_SKILL:
        wish.side[row] = side[row]
    if limits.skill == PULL_SKILL:
        wish.pull[row] = wp.uint8(1)
    wish.line[row] = 0.0
    wish.crossed[row] = 0
    course.way[row] = 0.0
    course.allowed[row] = 0.0
    course.settled[row] = 0
    course.refused[row] = 0
