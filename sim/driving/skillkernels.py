"""The driving skills' kernels: what an action means, what is rewarded, how an episode begins and ends.

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

from sim.drive import DriveArrays
from sim.driving.brisk import Limits
from sim.driving.contract import ANSWER, FORCE, SIDE, STEERING
from sim.driving.pathframe import path_at, path_project
from sim.driving.state import Footing, View
from sim.driving.wish import (
    ANY_SPEED,
    CHANGE_SKILL,
    JUMP,
    LANE_SKILL,
    ON_LINE,
    PULL_SKILL,
    ROUTE,
    SLOWER,
    SLOWEST,
    STRAIGHT,
    Course,
    Wish,
)
from sim.frenet import Lanes, lane_frame
from sim.randomization import Term, draw, unit
from sim.road import LaneKind
from sim.rows import RobotArrays, is_lost
from sim.tasks.task import COLLIDED_C, DIVERGED_C, LEFT_C, RUNNING_C, SUCCEEDED_C, TIMED_OUT_C, Outcome, close

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

FORCE_C, STEERING_C, SIDE_C, ANSWER_C = (
    wp.constant(FORCE),
    wp.constant(STEERING),
    wp.constant(SIDE),
    wp.constant(ANSWER),
)

SOON, LATER = wp.constant(0.1), wp.constant(0.6)
"""Times ahead whose curvature is steered for, s; of hand-driven towns the pair with the least distance to the line."""

WAITING = wp.constant(0.2)
"""What a second of a route costs, of what one at the limit earns."""

TOO_FAST = wp.constant(3.0)
"""How much more it costs to be faster than allowed than to be as much slower."""

STOOD = wp.constant(15.0)
"""What a stop at the side is worth: three times what standing there on and on would earn, the horizon being 5 s."""

DRIVING_C, SHOULDER_C = wp.constant(int(LaneKind.DRIVING)), wp.constant(int(LaneKind.SHOULDER))

SLOW = wp.constant(3.0)
"""m/s; where less is allowed, speeds are compared as if this much were."""


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


@wp.kernel
def advance(
    robots: int,
    limits: Limits,
    lanes: Lanes,
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
    stands = footing.lane[row]
    driving = wp.bool(True)
    on_shoulder = wp.bool(False)
    if stands >= 0 and lanes.kind[stands] != DRIVING_C:  # its place is that beside the lane which the path runs on
        driving = wp.bool(False)
        edge = lane_frame(lanes, stands, footing.place[row, 0]).right
        on_shoulder = lanes.kind[stands] == SHOULDER_C and -d < edge
        d = path_project(view, row, state.pose[row, 0], state.pose[row, 1])[1]
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
    off_line = wp.min(aside * aside, 4.0)
    if limits.skill == PULL_SKILL:  # a shoulder lies further off: the way there must be worth going
        off_line += 2.0 * wp.max(wp.abs(aside) - 2.0, 0.0)
    reward = -dt * (0.3 * off_line + 1.0 * theta * theta + 0.02 * across * across + 0.01 * along * along)
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
    over = (out_left > 0.0 or out_right > 0.0) and not on_shoulder  # told to or not, who is on one is on the road
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
        # past the last lane that leads to the goal; a shoulder leads nowhere, but one comes back from it
        strayed = strayed or (driving and not wp.isfinite(footing.left[row]))
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
        reward += wp.where(limits.skill == PULL_SKILL, STOOD, 5.0)
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
