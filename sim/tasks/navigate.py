"""The navigate task, batched: follow a corridor that is granted piece by piece, past people, to the end of a path.

An episode is one path over the floor's cells. The corridor shows the path as right of way would grant it: the cell
behind while the footprint still stands in it, the cell under the robot, and the cells up to a grant pointer that runs
two to six cells ahead and once in a while stalls for some seconds; robots of one world never hold the same cell.

success      the centre within 0.25 m of the path's last cell centre, slower than 0.3 m/s
terminated   success; a collision (contact while the robot moved); the centre outside the granted cells; numbers that
             diverged
truncated    the time limit

What a step earns is sim/tasks/navigatekernels.py's. What varies is `navigate_rows` behind the plant's (sim/varied.py),
drawn in sim/tasks/episodes.py and sim/rows.py. This module needs no physics library; `sim/env.py` steps it.
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

import warp as wp

from sim.bounds import check_number, check_whole
from sim.device import start_warp
from sim.fields import Recompute
from sim.generate import CorridorLibrary, corridor_library
from sim.launches import Launchable
from sim.pace import make_zones, see_limit
from sim.people import SPEED_HIGH, SPEED_LOW
from sim.randomization import Term
from sim.robot import SECOND, Lidar, RobotSpec
from sim.site import Site
from sim.tasks.contract import Contract
from sim.tasks.corridor import Paths, check_room, make_course, most_apart, path_arrays
from sim.tasks.episodes import Start, begin_rows, leave_way
from sim.tasks.navigate_contract import OBSERVATION, act, bin_hull, bin_rays, navigate_contract, observe
from sim.tasks.navigatekernels import Weights, advance
from sim.tasks.task import TaskConfig, make_corridor, make_outcome, struct_arrays
from sim.vary import Row

if TYPE_CHECKING:
    from sim.plant import Plant

SUCCESS_DISTANCE = 0.25
"""m"""


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

    def check_room(self, site: Site, robots: int) -> None:
        """As the base: where even places on all free cells are too few, which takes no time to see."""
        check_whole("robots", robots, 1)
        if robots > 1 and robots > most_apart(site):
            start_warp()
            check_room(site, path_arrays(site, self.library(site), "cpu"), robots)

    def library(self, site: Site) -> CorridorLibrary:
        """The paths of a floor that episodes are drawn from."""
        return library_of(site, self)

    def build(self, plant: Plant) -> Navigate:
        """The task on a plant."""
        return Navigate(plant, self)


def library_of(site: Site, config: NavigateConfig) -> CorridorLibrary:
    """The paths of a floor that episodes are drawn from."""
    return corridor_library(site, config.path_seed, config.paths, config.shortest, config.longest)


class Navigate:
    """`sim.tasks.task.Task`: the rows of a plant on their paths. Owns their course, corridor and outcome."""

    def __init__(
        self, plant: Plant, config: NavigateConfig, contract: Contract | None = None, paths: Paths | None = None
    ) -> None:
        """`contract` may have more fields behind those of navigate, for whoever writes them; `paths` are drawn from.

        Raises `SiteError` for a floor without such paths or without room for the robots.
        """
        spec, rows, device = plant.spec, plant.rows, plant.device
        self.plant, self.config = plant, config
        self.contract = contract or replace(navigate_contract(spec, limited=config.limited), task=config.task)
        self._limited = config.limited and contract is None
        self.action = wp.zeros((rows, self.contract.action_size), dtype=wp.float32, device=device)
        self.observation = wp.zeros((rows, self.contract.observation_size), dtype=wp.float32, device=device)
        self.paths = paths or path_arrays(plant.site, library_of(plant.site, config), device)
        if plant.robots > 1:
            check_room(plant.site, self.paths, plant.robots)
        self._half_width = config.half_width or plant.floor.cell / 2
        self.course = make_course(plant.worlds, plant.robots, device)
        if plant.spills is not None:
            plant.spills.ends = (self.course.path, self.paths.cells, self.paths.lengths)
        self.corridor = make_corridor(rows, device)
        self.outcome = make_outcome(rows, device)
        self._hull = wp.array(bin_hull(spec), dtype=wp.float32, device=device)
        self._bins = wp.array(bin_rays(spec.lidar.rays), dtype=wp.int32, device=device)
        drive = spec.diff
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

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The masked rows stand aside and hold no cell."""
        plant = self.plant
        inputs = [plant.robots, mask, plant.state, self.course, self.corridor]
        return [plant.leave(mask), plant.record(leave_way, plant.rows, inputs)]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """What the policy sees (sim/tasks/navigate_contract.py)."""
        plant, state, corridor, drive = self.plant, self.plant.state, self.corridor, self.plant.spec.diff
        launch = plant.record(
            observe,
            plant.rows,
            [state.scan, plant.senses.directions, self._bins, self._hull, state.measured_pose, state.measured_twist,
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
