"""People as a social-force crowd: they walk to goals around racks, past each other and past robots.

Each person i is a point with velocity v_i that obeys (one kernel for the forces, one for the step)

    dv_i/dt = (v_des e_i - v_i) / tau  +  sum_j f_ij  +  sum_j c_ij  +  w_i

driving     towards e_i at the desired speed within tau (Helbing and Molnar, Social force model for pedestrian dynamics,
            Phys. Rev. E 51, 1995, eq. 2). Desired speeds are N(1.34, 0.26) m/s and nobody exceeds 1.3 times his own
            (ibid., section III); e_i follows a table of shortest ways over the floor's cells (sim/ways.py).
headway     v_des = min(v0, d / tau), d the free distance in direction e_i (Moussaid, Helbing and Theraulaz, How simple
            rules determine pedestrian behavior and crowd disasters, PNAS 108, 2011, eq. 2): what slows dense crowds.
persons     with D = LAMBDA (v_i - v_j) + e_ij, B = GAMMA |D|, theta the angle from D to e_ij plus B EPSILON:
            f_ij = -A exp(-d_ij / B) [exp(-(N' B theta)^2) t + sign(theta) exp(-(N B theta)^2) n], t = D / |D|, n to its
            left (Moussaid et al., Experimental study of the behavioural mechanisms underlying self-organization in
            human crowds, Proc. R. Soc. B 276, 2009, eq. 4 to 6, fitted to people who pass each other in a corridor)
bodies      c_ij = (K / M) max(0, r_i + r_j - d_ij) (2011, eq. 3)
walls       w_i = A_WALL exp(-d / B_WALL) away from the nearest cell that nobody enters (2009)

Robots are obstacles like persons, with their own radius and velocity, to those who heed them; the others walk on as if
there were none. Conduct: people walk, stand (at goals and on the way), cross (straight over the way of a robot that
comes, heeding nothing), give way (straight back from a robot that they met in a dead end), and run. Running is
outside the contract of both profiles: nobody runs unless `Manners.running` asks for it.

What the shield relies on does not rest on forces. Every step passes the same gate, and who does not get through it
stands still:

    no longer than SPEED_HIGH dt (RUN_HIGH dt for those who run), whatever the forces say
    the disc of PERSON_RADIUS stays out of blocked and person-free cells
    the profile's words about robots hold (`sim.people.comes_too_near`, and what `passes` says of V = 0)
    nobody steps nearer to a forklift that is nearer than GAP

People here repel, they do not exclude each other: discs may overlap in a dense crowd.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any, Literal

import warp as wp

from sim.conduct import HIGH_C, RUN_HIGH_C, WALK_TERM, begin_life, go_on
from sim.launches import Several, record
from sim.lidar import Boxes, make_boxes
from sim.manners import Around, CrowdArrays, Manners, MannersArray, pack_manners
from sim.people import GAP_AT, MOVING_AT, PARKED_AT, RADIUS, PeopleArrays, Profile, comes_too_near, walk_people
from sim.randomization import stream
from sim.rays import FloorArrays
from sim.site import Site
from sim.socialforce import EXCESS, feel_forces, from_box, nearest_wall
from sim.ways import Ways, find_ways

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CrowdKind = Literal["cells", "social_force"]
"""How people move: from cell to cell (sim/people.py), or as this module says."""

GOALS = 16
"""Goals in each separate part of the floor."""

ON_THEIR_WAY = wp.constant(int(Profile.WALKING))
STANDING_STILL = wp.constant(int(Profile.STILL))


def record_walk(
    kind: CrowdKind,
    site: Site,
    floor: FloorArrays,
    people: PeopleArrays,
    crowd: CrowdArrays,
    pose: wp.array,
    twist: wp.array,
    mocap: wp.array,
    *,
    robots: int,
    robot_radius: float,
    dt: float,
    profile: int,
    seed: int,
    manners: Manners,
    ways: Ways | None = None,
    boxes: Boxes | None = None,
    shares: wp.array | None = None,
    first_share: int = 0,
) -> Several:
    """The launches that move everybody one step of `dt` seconds on, by the model of that name.

    `pose` and `twist` (rows, 3) are the robots'; the first bodies of `mocap` (worlds, bodies, 3) are the people. The
    rest is for a crowd: its arrays, its manners, its `ways` (to GOALS goals drawn by the seed, through no automatic
    door, where none are given), and `boxes`, forklifts that it walks around. `shares` (rows, columns) are what its
    manners' shares are in each row's episode, from column `first_share` on. Nothing to launch for no people.
    """
    device = people.origin.device
    shape = people.origin.shape
    if not shape[1]:
        return Several(())
    grid = [floor.flags, floor.width, floor.height, floor.cell]
    those = [robots, robot_radius]
    if kind == "cells":
        inputs = [*grid, seed, dt, profile, *those, pose, twist, people.position, people.origin, people.target,
                  people.walked, people.speed, people.pause, people.held, people.count, people.life, mocap]  # fmt: skip
        return Several((record(walk_people, dim=shape, inputs=inputs, device=device),))
    ways = ways or find_ways(~(site.filled | site.person_free), GOALS, seed)
    towards = wp.array(ways.towards, dtype=wp.uint8, device=device)
    packed = pack_manners(manners, str(device), shares, first_share, robots)
    around = Around()
    around.flags, around.width, around.height, around.cell = grid
    around.towards = towards
    around.robots, around.radius = those
    around.pose, around.twist = pose, twist
    nobody = wp.zeros((shape[0], 0, 3), dtype=wp.float32, device=device)
    around.boxes = make_boxes(nobody, 0.0, 0.0) if boxes is None else boxes
    launches = (
        (feel_forces, [around, people, crowd]),
        (step_crowd, [seed, dt, profile, packed, around, people, crowd, mocap]),
    )
    return Several(tuple(record(kernel, dim=shape, inputs=inputs, device=device)
                      for kernel, inputs in launches))  # fmt: skip


@wp.func
def passes(world: int, profile: int, around: Around, x: float, y: float, nx: float, ny: float) -> bool:
    """The gate: whether a person may step from (x, y) to (nx, ny), by walls and by the profile's words.

    Under V = 0 a crowd keeps a stricter word than walkers by cells, who never slide around a robot: within the danger
    distance of one that moves, it walks away within 60 degrees of straight or not at all.
    """
    wall = nearest_wall(around.flags, around.width, around.height, around.cell, nx, ny)
    if wall[2] < RADIUS:
        return False
    if profile == STANDING_STILL:
        ux = nx - x
        uy = ny - y
        step = wp.sqrt(ux * ux + uy * uy)
        for robot in range(around.robots):
            row = world * around.robots + robot
            dx = x - around.pose[row, 0]
            dy = y - around.pose[row, 1]
            v = wp.sqrt(around.twist[row, 0] * around.twist[row, 0] + around.twist[row, 2] * around.twist[row, 2])
            distance = wp.sqrt(dx * dx + dy * dy)
            near = distance - around.radius - RADIUS < 1.0 + v + v * v / 3.0
            moves = v > MOVING_AT or wp.abs(around.twist[row, 1]) > MOVING_AT
            # sideways is no nearer, and yet leads into the way of a robot
            if near and moves and ux * dx + uy * dy < 0.5 * step * distance:
                return False
    for truck in range(around.boxes.pose.shape[1]):
        then = from_box(around.boxes, world, truck, nx, ny)[2]
        if then < RADIUS + GAP_AT and then < from_box(around.boxes, world, truck, x, y)[2]:
            return False
    return not comes_too_near(world, around.robots, around.radius, profile, around.pose, around.twist, x, y, nx, ny)


@wp.kernel
def step_crowd(
    seed: int,
    dt: float,
    profile: int,
    manners: MannersArray,
    around: Around,
    people: PeopleArrays,
    crowd: CrowdArrays,
    mocap: wp.array3d(dtype=Any),
) -> None:
    """One step of `dt` seconds for each person, through the gate that the module's text states; then what follows."""
    world, person = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    here = people.origin[world, person]
    if here < 0:
        mocap[world, person, 0] = mocap.dtype(PARKED_AT)
        mocap[world, person, 1] = mocap.dtype(PARKED_AT)
        return
    if crowd.lived[world, person] != people.life[world, person]:
        begin_life(seed, world, person, manners, people, crowd)
    key = stream(seed, WALK_TERM, world, people.life[world, person] * 64 + person)
    x = people.position[world, person, 0]
    y = people.position[world, person, 1]
    free = people.speed[world, person]
    v = wp.vec2(
        crowd.velocity[world, person, 0] + crowd.push[world, person, 0] * dt,
        crowd.velocity[world, person, 1] + crowd.push[world, person, 1] * dt,
    )
    top = wp.min(EXCESS * free, HIGH_C)
    words = profile
    if free > HIGH_C:
        top = wp.min(EXCESS * free, RUN_HIGH_C)
        words = ON_THEIR_WAY  # who runs stops for no robot that comes
    fast = wp.length(v)
    if fast > top:
        v = v * (top / fast)
    # the nearest robot or forklift: who is held up by it slides around it or along a wall, or stands
    gap = wp.float32(1.0e9)
    away = wp.vec2(0.0, 0.0)
    for robot in range(around.robots):
        row = world * around.robots + robot
        dx = x - around.pose[row, 0]
        dy = y - around.pose[row, 1]
        distance = wp.sqrt(dx * dx + dy * dy)
        if distance - around.radius - RADIUS < gap and distance > 1.0e-4:
            gap = distance - around.radius - RADIUS
            away = wp.vec2(dx / distance, dy / distance)
    for truck in range(around.boxes.pose.shape[1]):
        apart = from_box(around.boxes, world, truck, x, y)
        if apart[2] - RADIUS < gap and apart[2] > 1.0e-4:
            gap = apart[2] - RADIUS
            away = wp.vec2(apart[0] / apart[2], apart[1] / apart[2])
    moved = wp.vec2(0.0, 0.0)
    done = wp.bool(False)
    for attempt in range(4):
        if not done:
            u = v
            if attempt == 1:
                u = v - wp.min(wp.dot(v, away), 0.0) * away
            if attempt == 2:
                u = wp.vec2(v[0], 0.0)
            if attempt == 3:
                u = wp.vec2(0.0, v[1])
            nx = x + u[0] * dt
            ny = y + u[1] * dt
            if passes(world, words, around, x, y, nx, ny):
                moved = u
                done = wp.bool(True)
                x = nx
                y = ny
    crowd.velocity[world, person, 0] = moved[0]
    crowd.velocity[world, person, 1] = moved[1]
    people.position[world, person, 0] = x
    people.position[world, person, 1] = y
    mocap[world, person, 0] = mocap.dtype(x)
    mocap[world, person, 1] = mocap.dtype(y)
    up = int(wp.floor(y / around.cell))
    people.origin[world, person] = (around.height - 1 - up) * around.width + int(wp.floor(x / around.cell))
    go_on(world, person, here, gap, away, dt, key, manners, around, people, crowd)
