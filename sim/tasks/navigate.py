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

What an episode varies is drawn in sim/tasks/episodes.py. This module needs no physics library; `sim/env.py` steps it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import warp as wp

from sim.generate import components, corridor_library
from sim.geometry import CORRIDOR_POINTS
from sim.people import PERSON_RADIUS, Profile
from sim.robot import Lidar, RobotSpec
from sim.site import Site
from sim.tasks.corridor import cell_under, centre_of, holds, track_path, write_corridor

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SUCCESS_DISTANCE = 0.25
"""m"""

SUCCESS_SPEED = 0.3
"""m/s"""

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

LATERAL_REST = 0.2
"""m/s; what a lateral offset costs at rest: the rest of its price comes with speed, so that cutting a corner costs more
than it gains and starting beside the middle little."""

REST_C = wp.constant(LATERAL_REST)

RUNNING, SUCCEEDED, COLLIDED, LEFT, TIMED_OUT, DIVERGED = (wp.constant(ending) for ending in range(6))
"""How an episode stands."""


@dataclass(frozen=True)
class Reward:
    """Weights of the reward's terms."""

    progress: float = 2.0
    """Per metre along the path."""
    time: float = 0.03
    """Per step: at full speed a step earns 0.3 by progress."""
    lateral: float = 1.0
    """Per metre of lateral offset beyond the free band, each step, times the speed (and LATERAL_REST of it at rest)."""
    lateral_free: float = 0.10
    """m; the shield's eroded corridor is 0.14 m to each side."""
    jerk: float = 0.01
    """Per squared change of the command, as shares of its range, each step."""
    headway: float = 1.2
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
        r -= w_lateral * wp.max(track[1] - lateral_free, 0.0) * (REST_C + wp.abs(twist[row, 0]))
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
        how = wp.int32(RUNNING)
        step[row] = step[row] + 1
        if diverged[world] != wp.uint8(0):
            how = DIVERGED
        elif collided[row] != wp.uint8(0):
            how = COLLIDED
        elif outside:
            how = LEFT
        elif g == length - 1 and gx * gx + gy * gy < ARRIVED_C * ARRIVED_C and speed < SLOW_C:
            how = SUCCEEDED
        elif step[row] >= time_limit:
            how = TIMED_OUT
        if how == SUCCEEDED:
            r += w_success
        if how == COLLIDED:
            r -= w_failure
        if how == LEFT:
            r -= w_failure
        if how == DIVERGED:
            r = 0.0  # nothing that the engine computed there means anything
        reward[row] = r
        ending[row] = wp.uint8(how)
        ended[row] = wp.uint8(0)
        terminated[row] = wp.uint8(0)
        truncated[row] = wp.uint8(0)
        if how != RUNNING:
            ended[row] = wp.uint8(1)
            if how == TIMED_OUT:
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
