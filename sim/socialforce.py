"""The forces that people's motion is made of: published equations, one function each, no state.

    pair_force      how people turn and slow for each other: Moussaid, Helbing, Garnier, Johansson, Combe, Theraulaz,
                    Experimental study of the behavioural mechanisms underlying self-organization in human crowds, Proc.
                    R. Soc. B 276, 2009, eq. 4 to 6, fitted to people who passed each other in a corridor
    headway         the free distance that bounds the desired speed: Moussaid, Helbing, Theraulaz, How simple rules
                    determine pedestrian behavior and crowd disasters, PNAS 108, 2011, eq. 2
    nearest_wall    for the force of walls (2009) and for the gate that keeps people out of racks

Constants stand here with the paper that gives them: "1995" is Helbing, Molnar, Social force model for pedestrian
dynamics, Phys. Rev. E 51. `sim/crowd.py` adds them up and moves people.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.conduct import HERE_C
from sim.lidar import Boxes
from sim.manners import CROSSING_C, GIVING_WAY_C, STANDING_C, Around, CrowdArrays
from sim.people import RADIUS, PeopleArrays, walkable
from sim.rays import grid_range

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

TAU = wp.constant(0.5)
"""Relaxation time and headway, s (1995 and 2011; 0.54 +- 0.05 in 2009)."""
EXCESS = wp.constant(1.3)
"""Largest speed over the desired one (1995)."""
PAIR_STRENGTH = wp.constant(4.5)
"""m/s^2, +- 0.3 (2009)."""
PAIR_REACH = wp.constant(0.35)
"""m, +- 0.01 (2009)."""
VELOCITY_WEIGHT = wp.constant(2.0)
"""s/m, +- 0.2 (2009)."""
TURN_SHARPNESS = wp.constant(2.0)
"""1/m, +- 0.1 (2009): how wide the force that turns reaches."""
SLOW_SHARPNESS = wp.constant(3.0)
"""1/m, +- 0.7 (2009): how wide the force that slows reaches."""
SIDE_BIAS = wp.constant(0.005)
"""1/m (2009): who meet exactly head-on prefer one side."""
WALL_STRENGTH = wp.constant(3.0)
"""m/s^2 (2009)."""
WALL_REACH = wp.constant(0.1)
"""m (2009)."""
BODY = wp.constant(0.2)
"""Radius of a body among bodies, m: mass / 320 kg/m at 64 kg (2011). The disc that robots must not touch is larger."""
STIFFNESS = wp.constant(5000.0 / 64.0)
"""K / M, 1/s^2 (2011: 5,000 kg/s^2)."""
SIGHT = wp.constant(8.0)
"""m: further away A exp(-d / B) is below 0.25 m/s^2 even for people who run towards each other."""
AIM_INSET = wp.constant(0.35)
"""m from the edge of the next cell: a body's radius and 0.1 m."""
FELT = wp.constant(0.05)
"""m/s^2; only forces above it are worth a look for racks between two people."""


@wp.func
def pair_force(e: wp.vec2, distance: float, dv: wp.vec2) -> wp.vec2:
    """Force of a person at `distance` in direction e on one whose velocity differs by dv = v_i - v_j (2009), m/s^2."""
    interaction = VELOCITY_WEIGHT * dv + e
    size = wp.length(interaction)
    if size < 1.0e-4:
        return wp.vec2(0.0, 0.0)
    t = interaction / size
    n = wp.vec2(-t[1], t[0])
    b = PAIR_REACH * size
    theta = wp.atan2(t[0] * e[1] - t[1] * e[0], wp.dot(t, e)) + b * SIDE_BIAS
    slows = SLOW_SHARPNESS * b * theta
    turns = TURN_SHARPNESS * b * theta
    return (
        -PAIR_STRENGTH
        * wp.exp(-distance / b)
        * (wp.exp(-slows * slows) * t + wp.sign(theta) * wp.exp(-turns * turns) * n)
    )


@wp.func
def headway(e: wp.vec2, to: wp.vec2, radii: float) -> float:
    """Free distance in direction e before a disc at `to`, m; 1e9 where it is not in the way, below 0 in an overlap."""
    ahead = wp.dot(e, to)
    aside = e[0] * to[1] - e[1] * to[0]
    if ahead <= 0.0 or wp.abs(aside) >= radii:
        return 1.0e9
    return ahead - wp.sqrt(radii * radii - aside * aside)


@wp.func
def nearest_wall(flags: wp.array(dtype=wp.uint8), width: int, height: int, cell: float, x: float, y: float) -> wp.vec3:
    """Vector from the nearest cell that nobody enters to (x, y), and its length; at most one cell away, else 1e9."""
    column = int(wp.floor(x / cell))
    up = int(wp.floor(y / cell))
    best = wp.vec3(0.0, 0.0, 1.0e9)
    for k in range(9):
        i = column + k % 3 - 1
        j = up + k / 3 - 1
        if not walkable(flags, width, height, i, height - 1 - j):
            dx = x - wp.clamp(x, float(i) * cell, float(i + 1) * cell)
            dy = y - wp.clamp(y, float(j) * cell, float(j + 1) * cell)
            d = wp.sqrt(dx * dx + dy * dy)
            if d < best[2]:
                best = wp.vec3(dx, dy, d)
    return best


@wp.func
def heading_of(around: Around, goal: int, here: int, x: float, y: float) -> wp.vec2:
    """Unit vector to the next cell on the way, its near part kept in line; 0 where there is no way."""
    move = int(around.towards[goal, here])
    if move >= HERE_C:
        return wp.vec2(0.0, 0.0)
    right = wp.int32(0)
    up = wp.int32(0)
    if move <= 1 or move == 7:
        right = 1
    if move >= 3 and move <= 5:
        right = -1
    if move >= 1 and move <= 3:
        up = 1
    if move >= 5:
        up = -1
    left = float(here % around.width + right) * around.cell
    bottom = float(around.height - 1 - here / around.width + up) * around.cell
    tx = wp.clamp(x, left + AIM_INSET, left + around.cell - AIM_INSET)
    ty = wp.clamp(y, bottom + AIM_INSET, bottom + around.cell - AIM_INSET)
    return wp.normalize(wp.vec2(tx - x, ty - y))


@wp.func
def from_box(boxes: Boxes, world: int, number: int, x: float, y: float) -> wp.vec3:
    """Vector from the nearest point of a box to (x, y), and its length; 0 inside."""
    c = wp.cos(boxes.pose[world, number, 2])
    s = wp.sin(boxes.pose[world, number, 2])
    ex = x - boxes.pose[world, number, 0]
    ey = y - boxes.pose[world, number, 1]
    ahead = c * ex + s * ey
    aside = c * ey - s * ex
    dx = ahead - wp.clamp(ahead, -boxes.half_length, boxes.half_length)
    dy = aside - wp.clamp(aside, -boxes.half_width, boxes.half_width)
    return wp.vec3(c * dx - s * dy, s * dx + c * dy, wp.sqrt(dx * dx + dy * dy))


@wp.func
def sees(around: Around, x: float, y: float, way: wp.vec2, distance: float) -> bool:
    """Whether no rack stands between (x, y) and what is `distance` m away in direction `way`."""
    return (
        grid_range(around.flags, around.width, around.height, around.cell, x, y, way[0], way[1], distance) >= distance
    )


@wp.kernel
def feel_forces(around: Around, people: PeopleArrays, crowd: CrowdArrays) -> None:
    """What pushes each person: `crowd.push`, from the state that all of them are in."""
    world, person = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    here = people.origin[world, person]
    if here < 0 or crowd.lived[world, person] != people.life[world, person]:
        return
    x = people.position[world, person, 0]
    y = people.position[world, person, 1]
    v = wp.vec2(crowd.velocity[world, person, 0], crowd.velocity[world, person, 1])
    conduct = crowd.conduct[world, person]
    free = people.speed[world, person]
    e = wp.vec2(0.0, 0.0)
    heeding = crowd.heeds[world, person] != wp.uint8(0)
    if conduct >= CROSSING_C and conduct <= GIVING_WAY_C:
        e = wp.normalize(wp.vec2(crowd.aim[world, person, 0] - x, crowd.aim[world, person, 1] - y))
        heeding = False
    elif conduct != STANDING_C and crowd.goal[world, person] >= 0:
        e = heading_of(around, crowd.goal[world, person], here, x, y)
    room = wp.float32(1.0e9)
    push = wp.vec2(0.0, 0.0)
    for other in range(people.origin.shape[1]):
        if other != person and people.origin[world, other] >= 0:
            to = wp.vec2(people.position[world, other, 0] - x, people.position[world, other, 1] - y)
            distance = wp.length(to)
            if distance < SIGHT and distance > 1.0e-4:
                u = wp.vec2(0.0, 0.0)
                if crowd.lived[world, other] == people.life[world, other]:
                    u = wp.vec2(crowd.velocity[world, other, 0], crowd.velocity[world, other, 1])
                way = to / distance
                push -= STIFFNESS * wp.max(2.0 * BODY - distance, 0.0) * way
                if conduct != STANDING_C:
                    force = pair_force(way, distance, v - u)
                    gap = headway(e, to, 2.0 * BODY)
                    if wp.length(force) > FELT or gap < free * TAU:  # noqa: SIM102  # Warp evaluates both sides of "and"
                        if sees(around, x, y, way, distance):
                            push += force
                            room = wp.min(room, gap)
    if heeding and conduct != STANDING_C:
        for robot in range(around.robots):
            row = world * around.robots + robot
            to = wp.vec2(around.pose[row, 0] - x, around.pose[row, 1] - y)
            distance = wp.length(to)
            if distance < SIGHT and distance > 1.0e-4:
                c = wp.cos(around.pose[row, 2])
                s = wp.sin(around.pose[row, 2])
                u = wp.vec2(
                    c * around.twist[row, 0] - s * around.twist[row, 2],
                    s * around.twist[row, 0] + c * around.twist[row, 2],
                )
                way = to / distance
                # a robot is a person whose body is larger
                force = pair_force(way, wp.max(distance - around.radius + BODY, 0.0), v - u)
                gap = headway(e, to, around.radius + RADIUS)
                if wp.length(force) > FELT or gap < free * TAU:  # noqa: SIM102  # as above
                    if sees(around, x, y, way, distance):
                        push += force
                        room = wp.min(room, gap)
    if conduct != STANDING_C:
        for truck in range(around.boxes.pose.shape[1]):
            apart = from_box(around.boxes, world, truck, x, y)
            if apart[2] < SIGHT and apart[2] > 1.0e-4:
                # its nearest point is a person who stands
                to = wp.vec2(-apart[0], -apart[1])
                way = to / apart[2]
                gap = headway(e, to, RADIUS + BODY)
                if gap < SIGHT and sees(around, x, y, way, apart[2]):
                    push += pair_force(way, apart[2], v)
                    room = wp.min(room, gap)
    wall = nearest_wall(around.flags, around.width, around.height, around.cell, x, y)
    if conduct != STANDING_C and wall[2] < around.cell and wall[2] > 1.0e-4:
        push += WALL_STRENGTH * wp.exp(-wall[2] / WALL_REACH) / wall[2] * wp.vec2(wall[0], wall[1])
    desired = wp.clamp(room / TAU, 0.0, free)
    push += (desired * e - v) / TAU
    crowd.push[world, person, 0] = push[0]
    crowd.push[world, person, 1] = push[1]
