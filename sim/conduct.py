"""What people of a crowd do: walk to goals, stand, cross, give way, run.

Every choice is a keyed draw of the person's life. What they do is turned into motion by `sim/crowd.py`.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.manners import (
    CROSSING_C,
    CROSSING_SHARE,
    GIVING_WAY_C,
    HEEDING_SHARE,
    RUN_HIGH,
    RUN_LOW,
    RUNNING_C,
    RUNNING_SHARE,
    STANDING_C,
    STOPPING_SHARE,
    WALKING_C,
    Around,
    CrowdArrays,
    MannersArray,
    share_of,
)
from sim.people import GIVE_WAY_FOR, RADIUS, SPEED_HIGH, SPEED_LOW, PeopleArrays
from sim.randomization import Term, bell, below, draw_from, stream, unit
from sim.ways import HERE, NOWHERE

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SPEED_MEAN = wp.constant(1.34)
SPEED_DEVIATION = wp.constant(0.26)
"""Desired speed, m/s (Helbing and Molnar 1995; Weidmann 1993); drawn within [SPEED_LOW, SPEED_HIGH]."""
LOW_C = wp.constant(SPEED_LOW)
HIGH_C = wp.constant(SPEED_HIGH)
RUN_LOW_C = wp.constant(RUN_LOW)
RUN_HIGH_C = wp.constant(RUN_HIGH)

CROSS_NEAR = wp.constant(1.0)
CROSS_FAR = wp.constant(8.0)
"""Who crosses starts this far ahead of the robot, m."""
CROSS_ASIDE = wp.constant(4.0)
"""And at most this far beside its way, m."""
NEXT_TO = wp.constant(1.0)
"""A robot nearer than this between circles, m, may hold a person up."""
SLOW = wp.constant(0.2)
"""Share of the desired speed below which a person next to a robot counts as held up."""
BACK_OFF = wp.constant(2.0)
"""How far somebody gives way, m."""

HERE_C = wp.constant(HERE)
NOWHERE_C = wp.constant(NOWHERE)
WALK_TERM = wp.constant(int(Term.PERSON_WALK))
SPEED_TERM = wp.constant(int(Term.PERSON_SPEED))
TRAITS = wp.constant(1024)
"""First counter of a person's own draws: those below belong to the task that places people."""


@wp.func
def choose_goal(towards: wp.array2d(dtype=wp.uint8), here: int, avoid: int, bits: wp.uint32) -> int:
    """A goal that is not here, reached by a first move other than `avoid`; -1 where there is none."""
    goals = towards.shape[0]
    first = below(bits, goals)
    chosen = wp.int32(-1)
    for k in range(goals):
        goal = (first + k) % goals
        move = int(towards[goal, here])
        if chosen < 0 and move != HERE_C and move != NOWHERE_C and move != avoid:
            chosen = goal
    return chosen


@wp.func
def robot_to_cross(world: int, around: Around, x: float, y: float) -> int:
    """The row of the nearest robot that drives towards (x, y) and would pass beside it; -1 where there is none."""
    found = wp.int32(-1)
    nearest = wp.float32(CROSS_FAR)
    for robot in range(around.robots):
        row = world * around.robots + robot
        c = wp.cos(around.pose[row, 2])
        s = wp.sin(around.pose[row, 2])
        dx = x - around.pose[row, 0]
        dy = y - around.pose[row, 1]
        ahead = c * dx + s * dy
        aside = wp.abs(c * dy - s * dx)
        if (
            around.twist[row, 0] > 0.1
            and ahead > CROSS_NEAR
            and ahead < nearest
            and aside > RADIUS
            and aside < CROSS_ASIDE
        ):
            nearest = ahead
            found = row
    return found


@wp.func
def walks(speed: float) -> int:
    """The conduct of somebody on the way to a goal."""
    if speed > HIGH_C:
        return RUNNING_C
    return WALKING_C


@wp.func
def begin_leg(
    world: int,
    person: int,
    here: int,
    avoid: int,
    crossing: float,
    key: wp.uint64,
    around: Around,
    people: PeopleArrays,
    crowd: CrowdArrays,
) -> None:
    """The next goal, or first over a robot's way to the other side; who has nowhere to go stands for a second."""
    drawn = people.count[world, person]
    people.count[world, person] = drawn + 2
    crowd.goal[world, person] = choose_goal(around.towards, here, avoid, draw_from(key, drawn))
    crowd.conduct[world, person] = walks(people.speed[world, person])
    if crowd.goal[world, person] < 0:
        crowd.conduct[world, person] = STANDING_C
        people.pause[world, person] = 1.0
    if unit(draw_from(key, drawn + 1)) < crossing:
        x = people.position[world, person, 0]
        y = people.position[world, person, 1]
        row = robot_to_cross(world, around, x, y)
        if row >= 0:
            nx = -wp.sin(around.pose[row, 2])
            ny = wp.cos(around.pose[row, 2])
            aside = nx * (x - around.pose[row, 0]) + ny * (y - around.pose[row, 1])
            crowd.conduct[world, person] = CROSSING_C
            crowd.aim[world, person, 0] = x - 2.0 * aside * nx
            crowd.aim[world, person, 1] = y - 2.0 * aside * ny
            crowd.left[world, person] = 2.0 * wp.abs(aside) / people.speed[world, person] + 1.0


@wp.func
def begin_life(
    seed: int, world: int, person: int, manners: MannersArray, people: PeopleArrays, crowd: CrowdArrays
) -> None:
    """Who this is: desired speed, whether he heeds robots, whether he runs."""
    life = people.life[world, person]
    key = stream(seed, SPEED_TERM, world, life * 64 + person)
    speed = wp.clamp(SPEED_MEAN + SPEED_DEVIATION * bell(draw_from(key, TRAITS)), LOW_C, HIGH_C)
    if unit(draw_from(key, TRAITS + 1)) < share_of(manners, world, RUNNING_SHARE):
        speed = RUN_LOW_C + (RUN_HIGH_C - RUN_LOW_C) * unit(draw_from(key, TRAITS + 2))
    people.speed[world, person] = speed
    crowd.heeds[world, person] = wp.uint8(0)
    if unit(draw_from(key, TRAITS + 3)) < share_of(manners, world, HEEDING_SHARE):
        crowd.heeds[world, person] = wp.uint8(1)
    crowd.lived[world, person] = life
    crowd.conduct[world, person] = STANDING_C
    crowd.goal[world, person] = -1
    crowd.left[world, person] = 0.0
    for k in range(2):
        crowd.velocity[world, person, k] = 0.0
        crowd.push[world, person, k] = 0.0
        crowd.aim[world, person, k] = 0.0


@wp.func
def go_on(
    world: int,
    person: int,
    before: int,
    gap: float,
    away: wp.vec2,
    dt: float,
    key: wp.uint64,
    manners: MannersArray,
    around: Around,
    people: PeopleArrays,
    crowd: CrowdArrays,
) -> None:
    """What a person does next, after a step from cell `before`; the nearest robot is `gap` m away, against `away`."""
    x = people.position[world, person, 0]
    y = people.position[world, person, 1]
    free = people.speed[world, person]
    under = people.origin[world, person]
    conduct = crowd.conduct[world, person]
    if conduct == STANDING_C:
        people.held[world, person] = 0.0
        people.pause[world, person] = people.pause[world, person] - dt
        if people.pause[world, person] <= 0.0:
            if crowd.goal[world, person] >= 0:
                crowd.conduct[world, person] = walks(free)
            else:
                crosses = share_of(manners, world, CROSSING_SHARE)
                begin_leg(world, person, under, HERE_C, crosses, key, around, people, crowd)
        return
    drawn = people.count[world, person]
    if conduct >= CROSSING_C and conduct <= GIVING_WAY_C:
        left = crowd.left[world, person] - dt
        crowd.left[world, person] = left
        dx = crowd.aim[world, person, 0] - x
        dy = crowd.aim[world, person, 1] - y
        if left <= 0.0 or dx * dx + dy * dy < RADIUS * RADIUS:
            if conduct == GIVING_WAY_C:
                crowd.conduct[world, person] = STANDING_C
                crowd.goal[world, person] = -1
                people.pause[world, person] = GIVE_WAY_FOR * (1.0 + unit(draw_from(key, drawn)))
                people.count[world, person] = drawn + 1
            else:
                begin_leg(world, person, under, HERE_C, 0.0, key, around, people, crowd)
        return
    move = int(around.towards[crowd.goal[world, person], under])
    if move >= HERE_C:
        crowd.conduct[world, person] = STANDING_C
        crowd.goal[world, person] = -1
        people.pause[world, person] = manners.stay_longest * unit(draw_from(key, drawn))
        people.count[world, person] = drawn + 1
        return
    if under != before:
        people.count[world, person] = drawn + 2
        if unit(draw_from(key, drawn)) < share_of(manners, world, STOPPING_SHARE):
            crowd.conduct[world, person] = STANDING_C
            people.pause[world, person] = manners.stop_longest * unit(draw_from(key, drawn + 1))
            return
    speed = wp.length(wp.vec2(crowd.velocity[world, person, 0], crowd.velocity[world, person, 1]))
    if gap < NEXT_TO and speed < SLOW * free:
        waited = people.held[world, person] + dt
        people.held[world, person] = waited
        if waited > 1.0 + unit(draw_from(key, -1 - drawn)):
            people.held[world, person] = 0.0
            begin_leg(world, person, under, move, 0.0, key, around, people, crowd)
            if crowd.goal[world, person] < 0:
                crowd.conduct[world, person] = GIVING_WAY_C
                crowd.aim[world, person, 0] = x + BACK_OFF * away[0]
                crowd.aim[world, person, 1] = y + BACK_OFF * away[1]
                crowd.left[world, person] = BACK_OFF / free + 1.0
    else:
        people.held[world, person] = 0.0
