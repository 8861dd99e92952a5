"""What a task is to the simulator: what an action means, where episodes begin, what is observed, rewarded and ended.

`sim/env.py` steps a plant (`sim/plant.py`: bodies, people, drive, sensors) and a task on it, in this order:

    act        action -> the command that is proposed          (then the filter, if any, then physics)
    advance    progress, reward, endings, the next goal        (after physics; `state.step` counts this step already)
    begin      the next episode of the masked rows: their task state and `state.pose`, and the people around them
    observe    the observation of the masked rows, from what the sensors read
    leave      in a fleet: the masked rows, which have ended, stand aside until their world begins anew

Each is a list of recorded launches (or of anything else with `launch`) on arrays that never move; nothing in them reads
a value back to the host, so that a device runs the whole step from one graph. All state that a later step depends on is
in `arrays`, by name: snapshot, restore and the test of isolated resets walk over it.

A configuration is a frozen dataclass (`TaskConfig`) that builds its task on a plant. This module needs no physics.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, get_args

import warp as wp

from sim.bounds import MANY, PEOPLE_MAX, ConfigError, check_named, check_number, check_whole
from sim.crowd import CrowdKind
from sim.forklifts import ForkliftSpec
from sim.geometry import CORRIDOR_POINTS
from sim.launches import Launchable
from sim.loads import NO_LOADS, Loads
from sim.manners import Manners
from sim.moverrows import mover_rows
from sim.people import Profile
from sim.robot import SECOND, RobotSpec
from sim.sensorrows import sensor_rows
from sim.sensorspec import Sensors, check_sensors
from sim.specfile import check_spec
from sim.tasks.contract import Contract
from sim.varied import box_rows, plant_rows
from sim.vary import Row, Table, Variation

if TYPE_CHECKING:
    from sim.plant import Plant
    from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class Ending(IntEnum):
    """How an episode stands; the same codes for every task."""

    RUNNING = 0
    SUCCEEDED = 1
    COLLIDED = 2
    LEFT = 3
    """Out of the place that the task allows."""
    TIMED_OUT = 4
    """The only one that truncates."""
    DIVERGED = 5
    """Numbers that are not finite, in the world or in the action."""


RUNNING_C = wp.constant(int(Ending.RUNNING))
SUCCEEDED_C = wp.constant(int(Ending.SUCCEEDED))
COLLIDED_C = wp.constant(int(Ending.COLLIDED))
LEFT_C = wp.constant(int(Ending.LEFT))
TIMED_OUT_C = wp.constant(int(Ending.TIMED_OUT))
DIVERGED_C = wp.constant(int(Ending.DIVERGED))


@wp.struct
class Outcome:
    """What a control step did to each row's episode; every array (rows,)."""

    reward: wp.array(dtype=wp.float32)
    terminated: wp.array(dtype=wp.uint8)
    """The episode has no future."""
    truncated: wp.array(dtype=wp.uint8)
    """The time limit cut the episode."""
    ended: wp.array(dtype=wp.uint8)
    """Either of the two."""
    ending: wp.array(dtype=wp.uint8)
    """`Ending`."""
    success: wp.array(dtype=wp.uint8)
    collision: wp.array(dtype=wp.uint8)


@wp.struct
class Corridor:
    """The ground granted to each row, as policies and filters get it."""

    points: wp.array3d(dtype=wp.float32)
    """(rows, CORRIDOR_POINTS, 2), W."""
    half_width: wp.array2d(dtype=wp.float32)
    """(rows, CORRIDOR_POINTS)"""
    count: wp.array(dtype=wp.int32)
    """Way-points in use, (rows,)."""
    final: wp.array(dtype=wp.uint8)
    """Whether the corridor ends where the task's path ends, (rows,)."""


@wp.func
def close(row: int, how: int, reward: float, outcome: Outcome) -> None:
    """Write one row's outcome; `how` is its Ending."""
    outcome.reward[row] = reward
    outcome.ending[row] = wp.uint8(how)
    outcome.ended[row] = wp.uint8(0)
    outcome.terminated[row] = wp.uint8(0)
    outcome.truncated[row] = wp.uint8(0)
    outcome.success[row] = wp.uint8(0)
    outcome.collision[row] = wp.uint8(0)
    if how != RUNNING_C:
        outcome.ended[row] = wp.uint8(1)
        if how == TIMED_OUT_C:
            outcome.truncated[row] = wp.uint8(1)
        else:
            outcome.terminated[row] = wp.uint8(1)
        if how == SUCCEEDED_C:
            outcome.success[row] = wp.uint8(1)
        if how == COLLIDED_C:
            outcome.collision[row] = wp.uint8(1)


class Task(Protocol):
    """One task on one plant. Owns its arrays, which stay where they are."""

    contract: Contract
    """What a policy for it must agree to."""
    action: wp.array
    """float32 (rows, actions), within [-1, 1]; the environment writes it before `act`."""
    observation: wp.array
    """float32 (rows, observations)"""
    outcome: Outcome
    corridor: Corridor | None
    """The ground that a filter keeps the robot on; None for a task without one, which no filter can judge."""
    act: Sequence[Launchable]
    """The action as a command, into `state.proposed`."""
    advance: Sequence[Launchable]
    """Into `outcome`; `sim.rows.is_lost` and `state.collided` say what happened."""

    def arrays(self) -> Mapping[str, wp.array]:
        """Everything that later steps depend on, by name."""
        ...

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """The next episode of the rows whose mask is set (uint8 (rows,)): `state.pose`, people, the task's own arrays.

        `state.episode` counts it already. What belongs to a world and not to a row is drawn anew when all rows of the
        world begin. Every other row stays bit-identical. A row that is not active gets the place that `leave` gives.
        """
        ...

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The masked rows, whose episodes have ended, stand aside (sim/tasks/aside.py), with what is theirs.

        Bodies follow by `Plant.place`. From then on their rows are not active: they are told to stand, earn nothing and
        do not end.
        """
        ...

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """The observation of the rows whose mask is set."""
        ...


@dataclass(frozen=True)
class TaskConfig:
    """What every task's configuration has."""

    spec: RobotSpec = RobotSpec()  # noqa: RUF009  # frozen
    people: int = 0
    """People per world."""
    profile: Profile = Profile.STILL
    """What the site assumes of them."""
    crowd: CrowdKind = "cells"
    """How they move: from cell to cell, or by social forces (sim/crowd.py)."""
    manners: Manners = Manners()  # noqa: RUF009  # frozen
    """How a crowd behaves that moves by social forces."""
    forklifts: int = 0
    """Forklifts per world (sim/forklifts.py); a site with them assumes that people walk."""
    forklift: ForkliftSpec = ForkliftSpec()  # noqa: RUF009  # frozen
    loads: Loads = NO_LOADS
    """Movable pods, loose boxes, shelves."""
    time_limit: float = 60.0
    """s"""
    randomization: Variation = Variation()  # noqa: RUF009  # frozen
    """What is said of `rows`."""
    sensors: Sensors = Sensors()  # noqa: RUF009  # frozen
    """Which sensors are simulated in time: rates, latencies, faults (sim/sensorspec.py); none by default."""

    def check(self) -> None:
        """Raise for the first number that no environment can have; tasks add their own.

        ConfigError, SpecError of the robot, SensorError of the sensors; `table` raises VaryError for what varies.
        """
        check_spec(self.spec)
        check_number("time_limit", self.time_limit, 0.0, above=True, remedy="give seconds")
        steps = round(self.time_limit * SECOND / self.spec.period)
        if not 1 <= steps <= MANY:
            raise ConfigError(
                f"time_limit: expected one control step of {self.spec.period / SECOND:g} s or more, up to {MANY}, got "
                f"{self.time_limit:g} s; give more seconds, or fewer"
            )
        check_people(self.people, self.forklifts, self.crowd, self.profile)
        for name, value in asdict(self.manners).items():
            check_number(f"manners.{name}", value, 0.0, 3600.0 if name.endswith("_longest") else 1.0)
        for name, value in asdict(self.forklift).items():
            check_number(f"forklift.{name}", value, 0.0, 100.0, above=name != "gap")
        check_number("randomization.level", self.randomization.level, 0.0, 1.0)
        check_sensors(self.sensors)

    def rows(self) -> tuple[Row, ...]:
        """What varies: the plant's rows, and the task's own behind them."""
        return plant_rows(self.spec, self.randomization.level)

    def table(self) -> Table:
        """What varies, with what this configuration says of it. Raises VaryError for a row out of its bounds."""
        sensors = sensor_rows(self.sensors, self.randomization.level)
        movers = mover_rows(self.people, self.crowd, self.manners, self.forklifts)
        table = Table((*self.rows(), *sensors, *box_rows(self.loads), *movers))
        return table.changed(self.randomization.changes)

    def check_room(self, site: Site, robots: int) -> None:
        """Raise SiteError at once for more robots than can begin on a floor; what is left, building the task finds."""

    def loads_on(self, site: Site, robots: int) -> Loads:
        """The loads of a plant on a floor; a task that needs some finds places for them here."""
        return self.loads

    def build(self, plant: Plant) -> Task:
        """The task on a plant, with every launch recorded."""
        raise NotImplementedError


def check_people(people: int, forklifts: int, crowd: str, profile: int) -> None:
    """Raise ConfigError for those who move about a floor: how many, how, and what the site assumes of them."""
    check_whole("people", people, 0, PEOPLE_MAX)
    check_whole("forklifts", forklifts, 0, PEOPLE_MAX)
    check_named("crowd", crowd, get_args(CrowdKind))
    if profile not in tuple(Profile):
        known = ", ".join(f"{each} ({each.name.lower()})" for each in Profile)
        raise ConfigError(f"profile: expected one of {known}, got {profile}; take one of sim.people.Profile")


def make_outcome(rows: int, device: str) -> Outcome:
    """Nothing happened yet."""
    outcome = Outcome()
    outcome.reward = wp.zeros(rows, dtype=wp.float32, device=device)
    for name in ("terminated", "truncated", "ended", "ending", "success", "collision"):
        setattr(outcome, name, wp.zeros(rows, dtype=wp.uint8, device=device))
    return outcome


def make_corridor(rows: int, device: str) -> Corridor:
    """No ground granted yet."""
    corridor = Corridor()
    corridor.points = wp.zeros((rows, CORRIDOR_POINTS, 2), dtype=wp.float32, device=device)
    corridor.half_width = wp.zeros((rows, CORRIDOR_POINTS), dtype=wp.float32, device=device)
    corridor.count = wp.zeros(rows, dtype=wp.int32, device=device)
    corridor.final = wp.zeros(rows, dtype=wp.uint8, device=device)
    return corridor


def struct_arrays(prefix: str, group: Any) -> dict[str, wp.array]:  # an instance of a Warp struct
    """The arrays of a Warp struct as "prefix.field" -> array."""
    found = {name: getattr(group, name) for name in group._cls.vars}
    return {f"{prefix}.{name}": value for name, value in found.items() if isinstance(value, wp.array)}
