"""The navigate task, batched: follow a corridor that is granted piece by piece, past people, to the end of a path.

An episode is one path over the floor's cells. The corridor shows the path as right of way would grant it: the cell
behind while the footprint still stands in it, the cell under the robot, and the cells up to a grant pointer that runs
two to six cells ahead and once in a while stalls for some seconds; robots of one world never hold the same cell.

success      the centre within 0.25 m of the path's last cell centre, slower than 0.3 m/s
terminated   success; a collision (contact while the robot moved); the centre outside the granted cells; numbers that
             diverged
truncated    the time limit

reward = progress along the path - time - lateral offset beyond a free band - change of command
         - braking distance that reaches into a person - coming nearer to one close by + success - failure

What varies is `navigate_rows` behind the plant's (sim/varied.py), drawn in sim/tasks/episodes.py and sim/rows.py. This
module needs no physics library; `sim/env.py` steps it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import warp as wp

from sim.bounds import check_number, check_whole
from sim.drive import DriveArrays
from sim.fields import Recompute
from sim.generate import CorridorLibrary, components, corridor_library
from sim.launches import Launchable
from sim.pace import make_zones, see_limit
from sim.people import PERSON_RADIUS, SPEED_HIGH, SPEED_LOW
from sim.randomization import Term
from sim.robot import SECOND, Lidar, RobotSpec
from sim.rows import RobotArrays, is_lost
from sim.site import Site
from sim.tasks.contract import Contract
from sim.tasks.corridor import Course, Paths, cell_under, centre_of, holds, nearer, track_path, write_corridor
from sim.tasks.episodes import Start, begin_rows
from sim.tasks.navigate_contract import OBSERVATION, act, bin_hull, bin_rays, navigate_contract, observe
from sim.tasks.task import (
    COLLIDED_C,
    DIVERGED_C,
    LEFT_C,
    RUNNING_C,
    SUCCEEDED_C,
    TIMED_OUT_C,
    Corridor,
    Outcome,
    TaskConfig,
    close,
    make_corridor,
    make_outcome,
    struct_arrays,
)
from sim.vary import Row

if TYPE_CHECKING:
    from sim.plant import Plant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SUCCESS_DISTANCE = 0.25
"""m"""

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
    nearing: float = 2.0
    """Per metre per second at which the hull's nearest point comes nearer to a person, times the share of NEAR that is
    gone, each step: turning and creeping beside somebody too, where the braking distance is nothing."""
    success: float = 5.0
    failure: float = 5.0
    """Collision, or leaving the granted cells. Much more, and standing still becomes the first thing learned."""


PATHS_MAX, CELLS_MAX = 1_000_000, 1_000
"""Of a library and of one of its paths: 4 GB together, where the defaults take 0.3 MB."""

OWN = "own choice: "
"""How a source begins that no norm or datasheet gives."""


def navigate_rows() -> tuple[Row, ...]:
    """What the task itself varies."""
    none = Recompute.NONE
    return (
        Row(
            Term.LAYOUT, "layout", "uniform", 0.0, 1.0, "of the layouts", "", none,
            OWN + "every separate part of the floor", bounds=(0.0, 1.0), drawn=False,
        ),
        Row(
            Term.LOOKAHEAD, "lookahead", "choice", 2.0, 6.0, "cells", "", none,
            OWN + "as right of way grants them (coordination/rightofway.py looks 5 cells ahead)", bounds=(1.0, 16.0),
        ),
        Row(
            Term.STALL, "stall_share", "bernoulli", 0.4, 0.4, "of the episodes", "", none,
            OWN + "in which the grant pointer stalls once", bounds=(0.0, 1.0), nominal=0.0,
        ),
        Row(
            Term.STALL, "stall_time", "uniform", 0.0, 4.0, "s", "", none, OWN + "a robot that passes in front",
            bounds=(0.0, 30.0), counter=2, nominal=0.0,
        ),
        Row(
            Term.START, "start_offset", "uniform", -0.15, 0.15, "m", "", none,
            OWN + "of the start from a cell's centre in x and y", bounds=(-0.3, 0.3), drawn=False, nominal=0.0,
        ),
        Row(
            Term.PERSON_SPEED, "person_share", "bernoulli", 0.75, 0.75, "of the people", "", none,
            OWN + "who are there in an episode", bounds=(0.0, 1.0), drawn=False, nominal=0.0,
        ),
        Row(
            Term.PERSON_SPEED, "person_speed", "uniform", SPEED_LOW, SPEED_HIGH, "m/s", "", none,
            "norm: ISO 13855 counts 1.6 m/s as walking, which the shield assumes", bounds=(0.1, SPEED_HIGH), counter=3,
            drawn=False, nominal=SPEED_LOW,
        ),
        Row(
            Term.PERSON_SPEED, "person_pause", "uniform", 0.0, 1.5, "s", "", none, OWN + "before the first step",
            bounds=(0.0, 30.0), counter=4, drawn=False, nominal=0.0,
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class NavigateConfig(TaskConfig):
    """The task, whole."""

    spec: RobotSpec = field(default_factory=lambda: RobotSpec(lidar=Lidar(rays=64)))
    people: int = 2
    """People per world."""
    task: str = "navigate"
    """Name in the contract: a policy of one task is none of another's."""
    half_width: float = 0.0
    """Of the corridor, m; 0 for the path's cells as they are. A wider one leaves room to drive round things."""
    success_distance: float = SUCCESS_DISTANCE
    """From the path's end, m; 0 where something else decides on success."""
    paths: int = 4096
    """Paths in the library that episodes draw from."""
    shortest: int = 3
    """Cells of the shortest path."""
    longest: int = 16
    path_seed: int = 0
    limited: bool = False
    """Whether the policy sees the speed that it may be commanded (for floors with speed zones, sim/pace.py)."""
    reward: Reward = field(default_factory=Reward)

    def check(self) -> None:
        """As the base, and the paths' and the reward's numbers."""
        super().check()
        check_number("half_width", self.half_width, 0.0, remedy="give metres, or 0 for the path's cells")
        check_number("success_distance", self.success_distance, 0.0, remedy="give metres")
        check_whole("paths", self.paths, 1, PATHS_MAX)
        check_whole("longest", self.longest, 2, CELLS_MAX)
        check_whole("shortest", self.shortest, 1, self.longest, remedy="exchange them, or give fewer cells")
        check_whole("path_seed", self.path_seed, 0)
        for name, value in asdict(self.reward).items():
            check_number(f"reward.{name}", value, -math.inf)

    def rows(self) -> tuple[Row, ...]:
        """The plant's rows and navigate's."""
        return (*super().rows(), *navigate_rows())

    def build(self, plant: Plant) -> Navigate:
        """The task on a plant."""
        return Navigate(plant, self)


@wp.struct
class Weights:
    """`Reward` as kernels read it."""

    progress: float
    time: float
    lateral: float
    lateral_free: float
    jerk: float
    headway: float
    nearing: float
    success: float
    failure: float


def make_paths(site: Site, config: NavigateConfig, device: str) -> Paths:
    """The path library of a floor."""
    library = corridor_library(site, config.path_seed, config.paths, config.shortest, config.longest)
    return path_arrays(site, library, device)


def path_arrays(site: Site, library: CorridorLibrary, device: str) -> Paths:
    """A library, sorted by layout, on a device."""
    layout = components(site)[library.cells[:, 0]]
    order = np.argsort(layout, kind="stable")
    _, first = np.unique(layout[order], return_index=True)
    paths = Paths()
    paths.cells = wp.array(np.ascontiguousarray(library.cells[order]), dtype=wp.int32, device=device)
    paths.lengths = wp.array(library.lengths[order], dtype=wp.int32, device=device)
    paths.first = wp.array(np.append(first, len(order)).astype(np.int32), dtype=wp.int32, device=device)
    return paths


def make_course(worlds: int, robots: int, device: str) -> Course:
    """No episode begun."""
    course = Course()
    rows = worlds * robots
    course.layout = wp.zeros(worlds, dtype=wp.int32, device=device)
    for name in ("path", "index", "granted", "lookahead", "stall_left"):
        setattr(course, name, wp.zeros(rows, dtype=wp.int32, device=device))
    course.stall_at = wp.full(rows, -1, dtype=wp.int32, device=device)
    course.remaining = wp.zeros(rows, dtype=wp.float32, device=device)
    return course


class Navigate:
    """`sim.tasks.task.Task`: the rows of a plant on their paths. Owns their course, corridor and outcome."""

    def __init__(
        self, plant: Plant, config: NavigateConfig, contract: Contract | None = None, paths: Paths | None = None
    ) -> None:
        """`contract` may have more fields behind those of navigate, for whoever writes them; `paths` are drawn from."""
        spec, rows, device = plant.spec, plant.rows, plant.device
        self.plant, self.config = plant, config
        self.contract = contract or replace(navigate_contract(spec, limited=config.limited), task=config.task)
        self._limited = config.limited and contract is None
        self.action = wp.zeros((rows, self.contract.action_size), dtype=wp.float32, device=device)
        self.observation = wp.zeros((rows, self.contract.observation_size), dtype=wp.float32, device=device)
        self.paths = paths or make_paths(plant.site, config, device)
        self._half_width = config.half_width or plant.floor.cell / 2
        self.course = make_course(plant.worlds, plant.robots, device)
        self.corridor = make_corridor(rows, device)
        self.outcome = make_outcome(rows, device)
        self._hull = wp.array(bin_hull(spec), dtype=wp.float32, device=device)
        self._bins = wp.array(bin_rays(spec.lidar.rays), dtype=wp.int32, device=device)
        drive = spec.drive
        self.act: Sequence[Launchable] = [
            plant.record(
                act, rows, [self.action, drive.speed_max, drive.reverse_max, drive.turn_max, plant.state.proposed]
            )
        ]
        weights = Weights()
        for name, value in asdict(config.reward).items():
            setattr(weights, name, float(value))
        floor, limit = plant.floor, round(config.time_limit * SECOND / spec.period)
        self.advance: Sequence[Launchable] = [
            plant.record(
                advance,
                plant.worlds,
                [plant.robots, floor.width, floor.height, floor.cell, spec.radius, spec.length / 2, spec.width / 2,
                 config.half_width, config.success_distance, drive.speed_max, drive.turn_max, limit, weights,
                 self.paths, plant.state, plant.drive, plant.people.position, plant.diverged, self.course,
                 self.corridor, self.outcome],
            )
        ]  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """Course, corridor, and what was seen last."""
        return {
            **struct_arrays("course", self.course),
            **struct_arrays("corridor", self.corridor),
            "observation": self.observation,
        }

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """A path, a place on it and people around it for the masked rows."""
        plant = self.plant
        start = Start()
        start.table = plant.varies
        for row in navigate_rows():
            setattr(start, row.name, plant.table.index(row.name))
        start.control_period = plant.spec.period / SECOND
        launch = plant.record(
            begin_rows,
            plant.worlds,
            [plant.seed, plant.robots, *plant.grid, plant.spec.radius, self._half_width, start, mask, self.paths,
             plant.state, self.course, self.corridor, plant.people],
        )  # fmt: skip
        return [launch]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """What the policy sees (sim/tasks/navigate_contract.py)."""
        plant, state, corridor, drive = self.plant, self.plant.state, self.corridor, self.plant.spec.drive
        launch = plant.record(
            observe,
            plant.rows,
            [state.scan, plant.directions, self._bins, self._hull, state.measured_pose, state.measured_twist,
             plant.drive.released, corridor.points, corridor.half_width, corridor.count, corridor.final,
             drive.speed_max, drive.turn_max, mask, self.observation],
        )  # fmt: skip
        if not self._limited:
            return [launch]
        zones = plant.zones or make_zones(plant.site, plant.spec, plant.device)
        limit = plant.record(
            see_limit,
            plant.rows,
            [zones, state.measured_pose, state.measured_twist, corridor.points, corridor.count, drive.speed_max,
             OBSERVATION, mask, self.observation],
        )  # fmt: skip
        return [launch, limit]


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
