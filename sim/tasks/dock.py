"""The dock task: come to rest before a station, a charger or a rack face, at the right place and looking at it.

An episode begins one to three cells away. The way there is a path like navigate's, with its corridor, so that the same
shield guards it; what decides is the final pose g = (x, y, yaw) in the middle of the path's last cell, facing what
stands beside it:

success      |p - g| < 0.05 m, |yaw error| < 5 degrees, slower than 0.05 m/s and 0.05 rad/s
terminated   success; a collision; the centre outside the granted cells; numbers that diverged
truncated    the time limit

The tolerance on the place is the specification's localisation bound (0.03 m) and 0.02 m for the drive; what must come
nearer, such as the contacts of a charger, is a matter of a local sensor, not of this task.

reward = navigate's + (e before - e after), e = |yaw error| (1 - |p - g| / 0.6 m, at least 0): a potential, so that it
changes no best policy (Ng, Harada, Russell, ICML 1999).

The observation is navigate's 89 numbers and `goal`: x and y in B / 1 m within [-1, 1], sine and cosine of the yaw
error.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.generate import CorridorLibrary, paths_to
from sim.launches import Launchable
from sim.robot import SECOND, RobotSpec
from sim.rows import RobotArrays
from sim.site import MOVES, Site, SiteError
from sim.tasks.contract import Contract, Field
from sim.tasks.corridor import Course, Paths, centre_of, path_arrays
from sim.tasks.navigate import Navigate, NavigateConfig
from sim.tasks.navigate_contract import OBSERVATION, navigate_contract
from sim.tasks.task import RUNNING_C, SUCCEEDED_C, TIMED_OUT_C, Outcome, close
from sim.vary import Variation, vary

if TYPE_CHECKING:
    from sim.plant import Plant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

DOCKED_DISTANCE = 0.05
"""m"""

DOCKED_YAW = float(np.deg2rad(5.0))
"""rad"""

DOCKED_SPEED = 0.05
"""m/s and rad/s"""

GOAL_AT = wp.constant(OBSERVATION)
SHAPING_RANGE = wp.constant(0.6)
"""Where the yaw begins to count, m: half a cell."""

DOCKS = 64
"""Places that one environment docks at, at most; drawn where a floor has more."""


@dataclass(frozen=True)
class DockConfig(NavigateConfig):
    """The task, whole."""

    task: str = "dock"
    people: int = 1
    success_distance: float = 0.0
    """Navigate's own rule decides nothing here."""
    paths: int = 1024
    shortest: int = 2
    longest: int = 4
    time_limit: float = 30.0
    """s"""
    randomization: Variation = field(default_factory=lambda: vary(stall_share=0.0))

    def library(self, site: Site) -> CorridorLibrary:
        """Paths that end at docks."""
        cells = docks_of(site, self.path_seed)[0]
        return paths_to(site, cells, self.path_seed, self.paths, self.shortest, self.longest)

    def build(self, plant: Plant) -> Dock:  # type: ignore[override]  # the same protocol, composed
        """The task on a plant."""
        return Dock(plant, self)


def dock_contract(spec: RobotSpec) -> Contract:
    """Navigate's contract and the goal's pose."""
    base = navigate_contract(spec)
    goal = Field("goal", (4,), "float32", "1 m, 1 m, 1, 1", "B", -1.0, 1.0, spec.period / SECOND, spec.sensor_age_bound)
    return replace(base, task="dock", fields=(*base.fields, goal))


def docks_of(site: Site, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Cells to dock in and the yaw in each: stations and chargers, or cells before a rack on a floor without any.

    A dock faces the first rack or wall beside it, east, north, west, south; one in the open faces east. Raises
    `SiteError` for a floor with nothing to dock at.
    """
    solid = np.pad(site.blocked, 1, constant_values=True)
    cells = np.concatenate([site.stations, site.chargers]).astype(np.int64)
    if not len(cells):
        free = site.free_cells
        row, column = np.divmod(free, site.width)
        beside = sum(solid[row + 1 + down, column + 1 + right].astype(int) for down, right in MOVES)
        cells = free[beside == 1]
    if not len(cells):
        raise SiteError(
            f"{site.name}: expected a station, a charger or a cell with one wall or rack beside it to dock at, "
            "got none; mark a station on the floor"
        )
    if len(cells) > DOCKS:
        cells = np.sort(np.random.default_rng([seed, 0xD0C]).choice(cells, DOCKS, replace=False))
    yaw = np.zeros(len(cells), np.float32)
    for number, (row, column) in enumerate(zip(*np.divmod(cells, site.width), strict=True)):
        for down, right in sorted(MOVES, key=lambda move: np.arctan2(-move[0], move[1]) % (2 * np.pi)):
            if solid[row + 1 + down, column + 1 + right]:
                yaw[number] = np.arctan2(-down, right)
                break
    return cells.astype(np.int32), yaw


@wp.func
def goal_of(
    course: Course, paths: Paths, yaw: wp.array(dtype=wp.float32), row: int, width: int, height: int, cell: float
) -> wp.vec3:
    """The pose to dock in."""
    last = paths.cells[course.path[row], paths.lengths[course.path[row]] - 1]
    at = centre_of(last, width, height, cell)
    return wp.vec3(at[0], at[1], yaw[last])


@wp.func
def yaw_error(pose: wp.array2d(dtype=wp.float32), row: int, goal: float) -> float:
    """Within (-pi, pi]."""
    d = goal - pose[row, 2]
    return wp.atan2(wp.sin(d), wp.cos(d))


@wp.func
def shaping(pose: wp.array2d(dtype=wp.float32), row: int, goal: wp.vec3) -> float:
    """The potential e."""
    dx = goal[0] - pose[row, 0]
    dy = goal[1] - pose[row, 1]
    near = wp.max(1.0 - wp.sqrt(dx * dx + dy * dy) / SHAPING_RANGE, 0.0)
    return wp.abs(yaw_error(pose, row, goal[2])) * near


@wp.kernel
def begin_docking(
    mask: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    paths: Paths,
    yaw: wp.array(dtype=wp.float32),
    course: Course,
    state: RobotArrays,
    potential: wp.array(dtype=wp.float32),
) -> None:
    """The potential where masked rows begin."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        potential[row] = shaping(state.pose, row, goal_of(course, paths, yaw, row, width, height, cell))


@wp.kernel
def judge_docking(
    width: int,
    height: int,
    cell: float,
    docked_distance: float,
    docked_yaw: float,
    docked_speed: float,
    bonus: float,
    paths: Paths,
    yaw: wp.array(dtype=wp.float32),
    course: Course,
    state: RobotArrays,
    potential: wp.array(dtype=wp.float32),
    outcome: Outcome,
) -> None:
    """After navigate's own step: the shaping, and success where it stands right."""
    row = wp.tid()
    if state.active[row] == wp.uint8(0):
        return
    goal = goal_of(course, paths, yaw, row, width, height, cell)
    e = shaping(state.pose, row, goal)
    how = int(outcome.ending[row])
    r = outcome.reward[row]
    if how == RUNNING_C or how == TIMED_OUT_C:  # noqa: SIM109  # Warp knows no tuples of constants
        r += potential[row] - e
        dx = goal[0] - state.pose[row, 0]
        dy = goal[1] - state.pose[row, 1]
        v = wp.sqrt(state.twist[row, 0] * state.twist[row, 0] + state.twist[row, 2] * state.twist[row, 2])
        placed = dx * dx + dy * dy < docked_distance * docked_distance
        turned = wp.abs(yaw_error(state.pose, row, goal[2])) < docked_yaw
        if placed and turned and v < docked_speed and wp.abs(state.twist[row, 1]) < docked_speed:
            how = SUCCEEDED_C
            r += bonus
        close(row, how, r, outcome)
    potential[row] = e


@wp.kernel
def observe_goal(
    mask: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    paths: Paths,
    yaw: wp.array(dtype=wp.float32),
    course: Course,
    pose: wp.array2d(dtype=wp.float32),
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The goal as the localised robot sees it, behind navigate's fields."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    goal = goal_of(course, paths, yaw, row, width, height, cell)
    dx = goal[0] - pose[row, 0]
    dy = goal[1] - pose[row, 1]
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    d = goal[2] - pose[row, 2]
    out[row, GOAL_AT] = wp.clamp(c * dx + s * dy, -1.0, 1.0)
    out[row, GOAL_AT + 1] = wp.clamp(c * dy - s * dx, -1.0, 1.0)
    out[row, GOAL_AT + 2] = wp.sin(d)
    out[row, GOAL_AT + 3] = wp.cos(d)


class Dock:
    """`sim.tasks.task.Task`: navigate's rows on their ways, and how they come to rest. Owns the potential."""

    def __init__(self, plant: Plant, config: DockConfig) -> None:
        site, device = plant.site, plant.device
        cells, yaw = docks_of(site, config.path_seed)
        library = config.library(site)
        facing = np.zeros(site.blocked.size, np.float32)
        facing[cells] = yaw
        self.plant = plant
        self.way = Navigate(plant, config, dock_contract(plant.spec), path_arrays(site, library, device))
        self.contract, self.corridor, self.outcome = self.way.contract, self.way.corridor, self.way.outcome
        self.action, self.observation, self.act = self.way.action, self.way.observation, self.way.act
        self.course, self.paths = self.way.course, self.way.paths
        self.potential = wp.zeros(plant.rows, dtype=wp.float32, device=device)
        self._yaw = wp.array(facing, dtype=wp.float32, device=device)
        floor = plant.floor
        self._floor = [floor.width, floor.height, floor.cell]
        judge = plant.record(
            judge_docking,
            plant.rows,
            [*self._floor, DOCKED_DISTANCE, DOCKED_YAW, DOCKED_SPEED, config.reward.success, self.paths, self._yaw,
             self.course, plant.state, self.potential, self.outcome],
        )  # fmt: skip
        self.advance: Sequence[Launchable] = [*self.way.advance, judge]

    def arrays(self) -> dict[str, wp.array]:
        """Navigate's and the potential."""
        return self.way.arrays() | {"potential": self.potential}

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """A way to a dock."""
        inputs = [mask, *self._floor, self.paths, self._yaw, self.course, self.plant.state, self.potential]
        return [*self.way.begin(mask), self.plant.record(begin_docking, self.plant.rows, inputs)]

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """As navigate's."""
        return self.way.leave(mask)

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """Navigate's fields and the goal."""
        pose = self.plant.state.measured_pose
        inputs = [mask, *self._floor, self.paths, self._yaw, self.course, pose, self.observation]
        return [*self.way.observe(mask), self.plant.record(observe_goal, self.plant.rows, inputs)]
