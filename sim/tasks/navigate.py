"""The navigate task, batched: follow a corridor that is granted piece by piece, past people, to the end of a path.

An episode is one path over the floor's cells. The corridor shows the path as right of way would grant it: the cell
behind while the footprint still stands in it, the cell under the robot, and the cells up to a grant pointer that runs
two to six cells ahead and once in a while stalls for some seconds; robots of one world never hold the same cell.

success      the centre within 0.25 m of the path's last cell centre, slower than 0.3 m/s
terminated   success; a collision (contact while the robot moved); the centre outside the granted cells; numbers that
             diverged
truncated    the time limit

reward = progress along the path - time - lateral offset beyond a free band - change of command
         - braking distance that reaches into a person + success - failure

`reset_rows` draws everything that an episode varies (sim/randomization.py), keyed by the row, its episode and the term,
so that world i lives the same life whatever the number of worlds.
This module needs no physics library; `sim/env.py` steps it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import warp as wp

from sim.generate import components, corridor_library
from sim.geometry import CORRIDOR_POINTS
from sim.people import PERSON_RADIUS, Profile, place_person
from sim.randomization import Term, below, draw_from, stream, unit
from sim.robot import Lidar, RobotSpec
from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SUCCESS_DISTANCE = 0.25
"""m"""

SUCCESS_SPEED = 0.3
"""m/s"""

POINTS_C = wp.constant(CORRIDOR_POINTS)
ARRIVED_C = wp.constant(SUCCESS_DISTANCE)
SLOW_C = wp.constant(SUCCESS_SPEED)
DISC_C = wp.constant(float(PERSON_RADIUS))
HEADWAY_GAP = wp.constant(0.15)
"""Distance to keep from a person at any speed, m."""
HEADWAY_TIME = wp.constant(0.25)
"""Two cycles and the drive's lag, s."""
HEADWAY_BRAKE = wp.constant(1.4)
"""m/s^2"""
HEADWAY_SIDE = wp.constant(0.10)
"""A person this far beside the hull's track counts as ahead, m."""
LAYOUT_TERM = wp.constant(int(Term.LAYOUT))
PATH_TERM = wp.constant(int(Term.PATH))
START_TERM = wp.constant(int(Term.START))
LOOKAHEAD_TERM = wp.constant(int(Term.LOOKAHEAD))
STALL_TERM = wp.constant(int(Term.STALL))
FRICTION_TERM = wp.constant(int(Term.FRICTION))
PAYLOAD_TERM = wp.constant(int(Term.PAYLOAD))
LAG_TERM = wp.constant(int(Term.MOTOR_LAG))
LATENCY_TERM = wp.constant(int(Term.LATENCY))
SPEED_TERM = wp.constant(int(Term.PERSON_SPEED))

RUNNING, SUCCEEDED, COLLIDED, LEFT, TIMED_OUT, DIVERGED = range(6)
"""How an episode stands: `Ending` as kernels write it."""


@dataclass(frozen=True)
class Reward:
    """Weights of the reward's terms."""

    progress: float = 2.0
    """Per metre along the path."""
    time: float = 0.03
    """Per step: at full speed a step earns 0.3 by progress."""
    lateral: float = 0.3
    """Per metre of lateral offset beyond the free band, each step."""
    lateral_free: float = 0.10
    """m; the shield's eroded corridor is 0.14 m to each side."""
    jerk: float = 0.01
    """Per squared change of the command, as shares of its range, each step."""
    headway: float = 0.6
    """Per metre that the braking distance reaches beyond a person's disc ahead, times the speed, each step."""
    success: float = 5.0
    failure: float = 5.0
    """Collision, or leaving the granted cells. Much more, and standing still becomes the first thing learned."""


@dataclass(frozen=True)
class Randomization:
    """What varies between episodes, as ranges; `level` 0 switches sensor errors, latency and lag off."""

    level: float = 1.0
    friction: tuple[float, float] = (0.35, 0.9)
    """Friction coefficient between tyre and floor: dusty to clean concrete."""
    thrust: float = 240.0
    """Largest force of both drives together, N: 2.4 m/s^2 with full payload, above what the firmware commands."""
    start_offset: float = 0.15
    """Largest offset of the start from a cell's centre in x and y, m."""
    stall_share: float = 0.4
    """Share of episodes in which the grant pointer stalls once."""
    stall_longest: float = 4.0
    """s"""
    person_share: float = 0.75
    """Chance that each person is there."""


@dataclass(frozen=True)
class NavigateConfig:
    """The task, whole."""

    spec: RobotSpec = field(default_factory=lambda: RobotSpec(lidar=Lidar(rays=64)))
    people: int = 2
    """People per world."""
    profile: Profile = Profile.STILL
    paths: int = 4096
    """Paths in the library that episodes draw from."""
    shortest: int = 3
    """Cells of the shortest path."""
    longest: int = 16
    path_seed: int = 0
    time_limit: float = 60.0
    """s"""
    reward: Reward = field(default_factory=Reward)
    randomization: Randomization = field(default_factory=Randomization)


@dataclass(frozen=True)
class PathArrays:
    """Paths over one floor, sorted by the separate part of the floor (the layout) that they run in."""

    cells: wp.array
    """int32 (paths, longest)"""
    lengths: wp.array
    """int32 (paths,)"""
    first: wp.array
    """First path of each layout, int32 (layouts + 1,)."""


@dataclass(frozen=True)
class NavigateArrays:
    """Where each row stands in its episode."""

    episode: wp.array
    """Episodes begun, int32 (rows,)."""
    step: wp.array
    """Control steps taken in this episode, int32 (rows,)."""
    layout: wp.array
    """The layout of each world, int32 (worlds,)."""
    path: wp.array
    """int32 (rows,)"""
    index: wp.array
    """The cell of the path that the robot stands in, int32 (rows,)."""
    granted: wp.array
    """The last granted cell of the path, int32 (rows,)."""
    lookahead: wp.array
    """int32 (rows,)"""
    stall_at: wp.array
    """The cell of the path where the grant pointer stalls, int32 (rows,); -1 never."""
    stall_left: wp.array
    """Steps that the stall still lasts, int32 (rows,)."""
    remaining: wp.array
    """Distance along the path to its end, float32 (rows,), m."""
    points: wp.array
    """The corridor, float32 (rows, CORRIDOR_POINTS, 2), W."""
    half_width: wp.array
    """float32 (rows, CORRIDOR_POINTS)"""
    count: wp.array
    """int32 (rows,)"""
    final: wp.array
    """Whether the corridor ends where the path ends, uint8 (rows,)."""
    limits: wp.array
    """Force or torque range of each actuator, from the floor and the payload drawn, float32 (rows, actuators, 2)."""
    friction: wp.array
    """Friction coefficient drawn for the episode, float32 (rows,)."""
    payload: wp.array
    """float32 (rows,), kg"""


def make_paths(site: Site, config: NavigateConfig, device: str) -> PathArrays:
    """The path library of a floor."""
    library = corridor_library(site, config.path_seed, config.paths, config.shortest, config.longest)
    layout = components(site)[library.cells[:, 0]]
    order = np.argsort(layout, kind="stable")
    _, first = np.unique(layout[order], return_index=True)
    return PathArrays(
        cells=wp.array(np.ascontiguousarray(library.cells[order]), dtype=wp.int32, device=device),
        lengths=wp.array(library.lengths[order], dtype=wp.int32, device=device),
        first=wp.array(np.append(first, len(order)).astype(np.int32), dtype=wp.int32, device=device),
    )


def make_navigate(worlds: int, robots: int, actuators: int, device: str) -> NavigateArrays:
    """Arrays for `worlds` worlds of robots with `actuators` actuators each, no episode begun."""
    rows = worlds * robots

    def integers(n: int = rows, value: int = 0) -> wp.array:
        return wp.full(n, value, dtype=wp.int32, device=device)

    def floats(*shape: int) -> wp.array:
        return wp.zeros(shape, dtype=wp.float32, device=device)

    return NavigateArrays(
        episode=integers(value=-1),
        step=integers(),
        layout=integers(worlds),
        path=integers(),
        index=integers(),
        granted=integers(),
        lookahead=integers(),
        stall_at=integers(value=-1),
        stall_left=integers(),
        remaining=floats(rows),
        points=floats(rows, CORRIDOR_POINTS, 2),
        half_width=floats(rows, CORRIDOR_POINTS),
        count=integers(),
        final=wp.zeros(rows, dtype=wp.uint8, device=device),
        limits=floats(rows, actuators, 2),
        friction=floats(rows),
        payload=floats(rows),
    )


@wp.func
def centre_of(cell_number: int, width: int, height: int, cell: float) -> wp.vec2:
    """Centre of a cell in W, m."""
    return wp.vec2((float(cell_number % width) + 0.5) * cell, (float(height - 1 - cell_number / width) + 0.5) * cell)


@wp.func
def cell_under(x: float, y: float, width: int, height: int, cell: float) -> int:
    """The cell under a point; -1 off the floor."""
    column = int(wp.floor(x / cell))
    row = height - 1 - int(wp.floor(y / cell))
    if column < 0 or column >= width or row < 0 or row >= height:
        return -1
    return row * width + column


@wp.func
def segment_gap(a: wp.vec2, b: wp.vec2, x: float, y: float) -> wp.vec2:
    """Squared distance from segment ab, and the share of it behind the foot of the perpendicular."""
    u = b - a
    square = u[0] * u[0] + u[1] * u[1]
    t = wp.float32(1.0)
    if square > 1.0e-9:
        t = wp.clamp(((x - a[0]) * u[0] + (y - a[1]) * u[1]) / square, 0.0, 1.0)
    dx = x - a[0] - t * u[0]
    dy = y - a[1] - t * u[1]
    return wp.vec2(dx * dx + dy * dy, t)


@wp.func
def track_path(
    cells: wp.array2d(dtype=wp.int32),
    path: int,
    length: int,
    index: int,
    granted: int,
    width: int,
    height: int,
    cell: float,
    x: float,
    y: float,
) -> wp.vec2:
    """Distance along the path to its end, and from the path's centre line near cell `index`, m."""
    here = centre_of(cells[path, index], width, height, cell)
    best = wp.float32(1.0e9)
    end = index
    share = wp.float32(1.0)
    if index > 0:
        gap = segment_gap(centre_of(cells[path, index - 1], width, height, cell), here, x, y)
        best = gap[0]
        share = gap[1]
    if index + 1 < length and index < granted:
        gap = segment_gap(here, centre_of(cells[path, index + 1], width, height, cell), x, y)
        if gap[0] <= best:
            best = gap[0]
            share = gap[1]
            end = index + 1
    if best > 1.0e8:
        dx = x - here[0]
        dy = y - here[1]
        best = dx * dx + dy * dy
    return wp.vec2(float(length - 1 - end) * cell + (1.0 - share) * cell, wp.sqrt(best))


@wp.func
def holds(cells: wp.array2d(dtype=wp.int32), path: int, index: int, granted: int, cell_number: int) -> bool:
    """Whether a robot at `index` of its path, granted up to `granted`, holds the cell."""
    found = wp.bool(False)
    for k in range(wp.max(index - 1, 0), granted + 1):
        if cells[path, k] == cell_number:
            found = True
    return found


@wp.func
def write_corridor(
    row: int,
    cells: wp.array2d(dtype=wp.int32),
    path: int,
    length: int,
    index: int,
    granted: int,
    width: int,
    height: int,
    cell: float,
    radius: float,
    x: float,
    y: float,
    points: wp.array3d(dtype=wp.float32),
    half_width: wp.array2d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    final: wp.array(dtype=wp.uint8),
) -> None:
    """The corridor of a row: the cell behind while the footprint reaches into it, then all up to the grant pointer.

    No cell comes twice: a path that turns back is cut where it would enter a cell again, because two segments in the
    same place leave open which one the robot is on.
    """
    last = index
    repeated = wp.bool(False)
    for k in range(index + 1, wp.min(granted, index + POINTS_C - 1) + 1):
        for j in range(index, k):
            if cells[path, j] == cells[path, k]:
                repeated = True
        if not repeated:
            last = k
    first = index
    if index > 0:
        here = cells[path, index - 1]
        behind = centre_of(here, width, height, cell)
        reach = 0.5 * cell + radius
        if wp.abs(x - behind[0]) < reach and wp.abs(y - behind[1]) < reach:
            first = index - 1
            for k in range(index, last + 1):
                if cells[path, k] == here:
                    first = index
    last = wp.min(last, first + POINTS_C - 1)
    for k in range(POINTS_C):
        at = centre_of(cells[path, wp.min(first + k, last)], width, height, cell)
        points[row, k, 0] = at[0]
        points[row, k, 1] = at[1]
        half_width[row, k] = 0.5 * cell
    count[row] = last - first + 1
    final[row] = wp.uint8(0)
    if last == length - 1:
        final[row] = wp.uint8(1)


@wp.kernel
def advance(
    robots: int,
    width: int,
    height: int,
    cell: float,
    radius: float,
    time_limit: int,
    speed_max: float,
    turn_max: float,
    w_progress: float,
    w_time: float,
    w_lateral: float,
    lateral_free: float,
    w_jerk: float,
    w_headway: float,
    half_length: float,
    half_body: float,
    w_success: float,
    w_failure: float,
    cells: wp.array2d(dtype=wp.int32),
    lengths: wp.array(dtype=wp.int32),
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    people: wp.array3d(dtype=wp.float32),
    released: wp.array2d(dtype=wp.float32),
    before: wp.array2d(dtype=wp.float32),
    collided: wp.array(dtype=wp.uint8),
    diverged: wp.array(dtype=wp.uint8),
    step: wp.array(dtype=wp.int32),
    path: wp.array(dtype=wp.int32),
    index: wp.array(dtype=wp.int32),
    granted: wp.array(dtype=wp.int32),
    lookahead: wp.array(dtype=wp.int32),
    stall_at: wp.array(dtype=wp.int32),
    stall_left: wp.array(dtype=wp.int32),
    remaining: wp.array(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    half_width: wp.array2d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    final: wp.array(dtype=wp.uint8),
    reward: wp.array(dtype=wp.float32),
    terminated: wp.array(dtype=wp.uint8),
    truncated: wp.array(dtype=wp.uint8),
    ended: wp.array(dtype=wp.uint8),
    ending: wp.array(dtype=wp.uint8),
) -> None:
    """One control step of each world's rows: progress, reward, endings, and the next corridor."""
    world = wp.tid()
    for robot in range(robots):
        row = world * robots + robot
        x = pose[row, 0]
        y = pose[row, 1]
        p = path[row]
        length = lengths[p]
        i = index[row]
        g = granted[row]
        under = cell_under(x, y, width, height, cell)
        if i + 1 <= g and under == cells[p, i + 1]:
            i += 1
        elif i + 2 <= g and under == cells[p, i + 2] and under != cells[p, i]:
            i += 2  # over the common corner of two cells, past the one between
        outside = not holds(cells, p, i, g, under)
        track = track_path(cells, p, length, i, g, width, height, cell, x, y)
        dv = (released[row, 0] - before[row, 0]) / speed_max
        dw = (released[row, 1] - before[row, 1]) / turn_max
        r = w_progress * wp.clamp(remaining[row] - track[0], -cell, cell) - w_time
        r -= w_lateral * wp.max(track[1] - lateral_free, 0.0)
        r -= w_jerk * (dv * dv + dw * dw)
        v = twist[row, 0]
        if v > 0.05:
            c = wp.cos(pose[row, 2])
            s = wp.sin(pose[row, 2])
            for person in range(people.shape[1]):
                ex = people[world, person, 0] - x
                ey = people[world, person, 1] - y
                ahead = c * ex + s * ey - half_length - DISC_C
                beside = wp.abs(c * ey - s * ex)
                if ahead > -half_length and beside < half_body + DISC_C + HEADWAY_SIDE:
                    need = HEADWAY_GAP + HEADWAY_TIME * v + v * v / (2.0 * HEADWAY_BRAKE)
                    r -= w_headway * v * wp.clamp(need - ahead, 0.0, 1.0)
        goal = centre_of(cells[p, length - 1], width, height, cell)
        gx = x - goal[0]
        gy = y - goal[1]
        speed = wp.sqrt(twist[row, 0] * twist[row, 0] + twist[row, 2] * twist[row, 2])
        how = wp.int32(0)
        step[row] = step[row] + 1
        if diverged[world] != wp.uint8(0):
            how = 5
        elif collided[row] != wp.uint8(0):
            how = 2
        elif outside:
            how = 3
        elif g == length - 1 and gx * gx + gy * gy < ARRIVED_C * ARRIVED_C and speed < SLOW_C:
            how = 1
        elif step[row] >= time_limit:
            how = 4
        if how == 1:
            r += w_success
        if how == 2 or how == 3:
            r -= w_failure
        if how == 5:
            r = 0.0  # nothing that the engine computed there means anything
        reward[row] = r
        ending[row] = wp.uint8(how)
        ended[row] = wp.uint8(0)
        terminated[row] = wp.uint8(0)
        truncated[row] = wp.uint8(0)
        if how != 0:
            ended[row] = wp.uint8(1)
            if how == 4:
                truncated[row] = wp.uint8(1)
            else:
                terminated[row] = wp.uint8(1)
        # the grant pointer runs on, one cell a step
        if g < wp.min(i + lookahead[row], length - 1):
            if g == stall_at[row] and stall_left[row] > 0:
                stall_left[row] = stall_left[row] - 1
            else:
                free = wp.bool(True)
                for other in range(robots):
                    o = world * robots + other
                    if other != robot and holds(cells, path[o], index[o], granted[o], cells[p, g + 1]):
                        free = False
                if free:
                    g += 1
        index[row] = i
        granted[row] = g
        remaining[row] = track_path(cells, p, length, i, g, width, height, cell, x, y)[0]
        write_corridor(row, cells, p, length, i, g, width, height, cell, radius, x, y, points, half_width, count, final)


@wp.kernel
def reset_rows(
    everything: int,
    seed: int,
    robots: int,
    people: int,
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    radius: float,
    mass: float,
    payload_max: float,
    lag_room: float,
    motor_period: float,
    control_period: float,
    level: float,
    friction_low: float,
    friction_high: float,
    thrust: float,
    start_offset: float,
    stall_share: float,
    stall_longest: float,
    person_share: float,
    slowest: float,
    fastest: float,
    qpos_stride: int,
    qvel_stride: int,
    rest_height: float,
    half_track: float,
    wheel_radius: float,
    mask: wp.array(dtype=wp.uint8),
    cells: wp.array2d(dtype=wp.int32),
    lengths: wp.array(dtype=wp.int32),
    first: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    layout: wp.array(dtype=wp.int32),
    path: wp.array(dtype=wp.int32),
    index: wp.array(dtype=wp.int32),
    granted: wp.array(dtype=wp.int32),
    lookahead: wp.array(dtype=wp.int32),
    stall_at: wp.array(dtype=wp.int32),
    stall_left: wp.array(dtype=wp.int32),
    remaining: wp.array(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    half_width: wp.array2d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    final: wp.array(dtype=wp.uint8),
    limits: wp.array3d(dtype=wp.float32),
    friction: wp.array(dtype=wp.float32),
    payload: wp.array(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array(dtype=wp.uint8),
    released: wp.array2d(dtype=wp.float32),
    before: wp.array2d(dtype=wp.float32),
    latency: wp.array(dtype=wp.int32),
    lag: wp.array(dtype=wp.float32),
    setpoint: wp.array2d(dtype=wp.float32),
    output: wp.array2d(dtype=wp.float32),
    position: wp.array3d(dtype=wp.float32),
    origin: wp.array2d(dtype=wp.int32),
    target: wp.array2d(dtype=wp.int32),
    walked: wp.array2d(dtype=wp.float32),
    person_speed: wp.array2d(dtype=wp.float32),
    pause: wp.array2d(dtype=wp.float32),
    held: wp.array2d(dtype=wp.float32),
    person_count: wp.array2d(dtype=wp.int32),
    life: wp.array2d(dtype=wp.int32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
) -> None:
    """Begin the next episode of each masked row.

    The layout and the people belong to the world: they are drawn when all its rows begin (`everything` 1, or one robot
    per world); a robot that begins alone among others gets a path in the same layout, away from them.
    """
    world = wp.tid()
    fresh = bool(everything == 1)
    if robots == 1 and mask[world] != wp.uint8(0):
        fresh = True
    if fresh:
        row = world * robots
        key = stream(seed, LAYOUT_TERM, row, episode[row] + 1)
        layout[world] = below(draw_from(key, 0), first.shape[0] - 1)
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0):
            e = episode[row] + 1
            episode[row] = e
            step[row] = 0
            low = first[layout[world]]
            many = first[layout[world] + 1] - low
            key = stream(seed, PATH_TERM, row, e)
            p = low + below(draw_from(key, 0), many)
            if robots > 1:
                chosen = wp.bool(False)
                for attempt in range(64):
                    if not chosen:
                        q = low + below(draw_from(key, attempt), many)
                        p = q
                        chosen = wp.bool(True)
                        at = centre_of(cells[q, 0], width, height, cell)
                        for other in range(robots):
                            o = world * robots + other
                            # rows that begin together are placed in turn: those not placed yet are nowhere
                            if other != robot and (everything == 0 or other < robot):
                                dx = pose[o, 0] - at[0]
                                dy = pose[o, 1] - at[1]
                                if dx * dx + dy * dy < 4.0 * cell * cell:
                                    chosen = wp.bool(False)
                                if holds(cells, path[o], index[o], granted[o], cells[q, 0]):
                                    chosen = wp.bool(False)
            length = lengths[p]
            path[row] = p
            index[row] = 0
            key = stream(seed, LOOKAHEAD_TERM, row, e)
            lookahead[row] = 2 + below(draw_from(key, 0), 5)
            granted[row] = wp.min(1, length - 1)
            if robots > 1 and length > 1:
                for other in range(robots):
                    o = world * robots + other
                    placed = other != robot and (everything == 0 or other < robot)
                    if placed and holds(cells, path[o], index[o], granted[o], cells[p, 1]):
                        granted[row] = 0
            key = stream(seed, STALL_TERM, row, e)
            stall_at[row] = -1
            stall_left[row] = 0
            if unit(draw_from(key, 0)) < stall_share:
                stall_at[row] = below(draw_from(key, 1), length)
                stall_left[row] = int(unit(draw_from(key, 2)) * stall_longest / control_period)
            # the body
            key = stream(seed, START_TERM, row, e)
            at = centre_of(cells[p, 0], width, height, cell)
            x = at[0] + start_offset * (2.0 * unit(draw_from(key, 0)) - 1.0)
            y = at[1] + start_offset * (2.0 * unit(draw_from(key, 1)) - 1.0)
            yaw = wp.pi * (2.0 * unit(draw_from(key, 2)) - 1.0)
            pose[row, 0] = x
            pose[row, 1] = y
            pose[row, 2] = yaw
            q0 = robot * qpos_stride
            u0 = robot * qvel_stride
            qpos[world, q0] = qpos.dtype(x)
            qpos[world, q0 + 1] = qpos.dtype(y)
            if qpos_stride == 3:
                qpos[world, q0 + 2] = qpos.dtype(yaw)
            else:
                qpos[world, q0 + 2] = qpos.dtype(rest_height)
                qpos[world, q0 + 3] = qpos.dtype(wp.cos(0.5 * yaw))
                qpos[world, q0 + 4] = qpos.dtype(0.0)
                qpos[world, q0 + 5] = qpos.dtype(0.0)
                qpos[world, q0 + 6] = qpos.dtype(wp.sin(0.5 * yaw))
                qpos[world, q0 + 7] = qpos.dtype(0.0)
                qpos[world, q0 + 8] = qpos.dtype(0.0)
            for k in range(qvel_stride):
                qvel[world, u0 + k] = qvel.dtype(0.0)
                warmstart[world, u0 + k] = warmstart.dtype(0.0)
            for k in range(3):
                twist[row, k] = 0.0
            for k in range(2):
                released[row, k] = 0.0
                before[row, k] = 0.0
                setpoint[row, k] = 0.0
                output[row, k] = 0.0
            touching[row] = wp.uint8(0)
            # what the drive and the floor are like
            load = level * payload_max * unit(draw_from(stream(seed, PAYLOAD_TERM, row, e), 0))
            rub = friction_low + (friction_high - friction_low) * unit(
                draw_from(stream(seed, FRICTION_TERM, row, e), 0)
            )
            payload[row] = load
            friction[row] = rub
            pull = mass * wp.min(rub * 9.81, thrust / (mass + load))
            slip = mass * rub * 9.81
            for k in range(limits.shape[1]):
                limit = pull
                if limits.shape[1] == 2:
                    limit = pull * 0.5 * wheel_radius  # the torque at which a wheel under half the weight slips
                elif k == 1:
                    limit = slip
                elif k == 2:
                    limit = slip * half_track
                limits[row, k, 0] = -limit
                limits[row, k, 1] = limit
            # latency in whole substeps; the motor lag gets what the specification's bound leaves
            late = wp.int32(0)
            if level > 0.0:
                late = below(draw_from(stream(seed, LATENCY_TERM, row, e), 0), int(lag_room / motor_period) + 1)
            latency[row] = late
            room = wp.max(lag_room - float(late) * motor_period, 0.0)
            empty = room * mass / (mass + payload_max)
            lag[row] = level * empty * unit(draw_from(stream(seed, LAG_TERM, row, e), 0)) * (mass + load) / mass
            track = track_path(cells, p, length, 0, granted[row], width, height, cell, x, y)
            remaining[row] = track[0]
            write_corridor(
                row,
                cells,
                p,
                length,
                0,
                granted[row],
                width,
                height,
                cell,
                radius,
                x,
                y,
                points,
                half_width,
                count,
                final,
            )
    if fresh:
        row = world * robots
        e = episode[row]
        for person in range(people):
            life[world, person] = e
            key = stream(seed, SPEED_TERM, row, e * 64 + person)
            origin[world, person] = -1
            if unit(draw_from(key, 0)) < person_share:
                # an anchor on a robot's path, beyond its start where there is a beyond
                r = world * robots + below(draw_from(key, 1), robots)
                p = path[r]
                length = lengths[p]
                spot = wp.min(2 + below(draw_from(key, 2), length), length - 1)
                found = place_person(flags, width, height, seed, row, e, person, cells[p, spot], 10)
                if found >= 0:
                    at = centre_of(found, width, height, cell)
                    near = wp.bool(False)
                    for robot in range(robots):
                        dx = pose[world * robots + robot, 0] - at[0]
                        dy = pose[world * robots + robot, 1] - at[1]
                        if dx * dx + dy * dy < 4.0:
                            near = True
                    if not near:
                        origin[world, person] = found
                        target[world, person] = found
                        position[world, person, 0] = at[0]
                        position[world, person, 1] = at[1]
            if origin[world, person] < 0:
                position[world, person, 0] = -20.0
                position[world, person, 1] = -20.0
            walked[world, person] = 0.0
            held[world, person] = 0.0
            person_count[world, person] = 0
            person_speed[world, person] = slowest + (fastest - slowest) * unit(draw_from(key, 3))
            pause[world, person] = 1.5 * unit(draw_from(key, 4))
