"""The track task, motor level: follow commanded speeds under randomized physics, one step a motor period (20 ms).

The command is what navigate's policies would send: it holds, jitters or jumps every 100 ms. What is to be followed is
the drive law's setpoint (`sim/drive.py`), the command slewed within the drive's accelerations, which the shield's
prediction rests on; a policy that went ahead of it would break the shield's bound. The action corrects both rims' speed
beyond what the law asks for (`sim/wheels.py`), so that the hand-written twin, the law alone, is the action 0.

reward       the speed error of a point of the hull, and changes of the action (sim/tasks/trackkernels.py)
success      the time limit, with a mean error of at most the specification's tracking bound e1 (0.037 m/s)
terminated   a collision; numbers that diverged

The observation, 19 numbers: setpoint, its change, wheel errors, gyro errors, drift, corrections told before. It needs
no lidar, no map and no localisation; a floor without racks spares collisions. Made for the wheeled body; the planar
one works, with fewer things to be wrong about.
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

from sim.bounds import check_whole
from sim.robot import SECOND, Lidar, RobotSpec
from sim.site import Site, SiteError, make_site
from sim.tasks.contract import Contract, Field
from sim.tasks.task import Launchable, TaskConfig, make_outcome, struct_arrays
from sim.tasks.trackkernels import (
    GYRO_UNIT,
    OBSERVATION,
    WHEEL_UNIT,
    Following,
    advance,
    begin,
    correct,
    limits_of,
    observe,
    tell,
)
from sim.vary import Row, Variation, vary
from sim.wheels import HISTORY, base_of, begin_wheels, draws_of, make_wheels, wheel_rows

if TYPE_CHECKING:
    from sim.plant import Plant


def motor_body() -> RobotSpec:
    """The default robot stepped once a motor period, with the fewest rays: the task looks at none."""
    spec = RobotSpec(lidar=Lidar(rays=8))
    return replace(spec, period=spec.motor_period)


@dataclass(frozen=True)
class TrackConfig(TaskConfig):
    """The task, whole. The specification's control period must be its motor period."""

    spec: RobotSpec = field(default_factory=motor_body)
    time_limit: float = 6.0
    """s"""
    randomization: Variation = vary(motor_strength=(0.85, 1.0))  # noqa: RUF009  # frozen
    """Motors of one make differ by some 10 %, and batteries sag."""

    def rows(self) -> tuple[Row, ...]:
        """The plant's rows and the wheels'."""
        return (*super().rows(), *wheel_rows())

    def check_room(self, site: Site, robots: int) -> None:
        """Raise `SiteError` for a floor with fewer free cells than robots."""
        check_whole("robots", robots, 1)
        if robots > len(site.free_cells):
            raise SiteError(
                f"{site.name}: expected a free cell for each of {robots} robots, got {len(site.free_cells)}; "
                "take fewer robots or a larger floor"
            )

    def build(self, plant: Plant) -> Track:
        """The task on a plant."""
        return Track(plant, self)


def track_site() -> Site:
    """A floor without racks, 108 m wide: nothing to run into within an episode."""
    return make_site("open floor", np.zeros((9, 9), bool), cell=12.0)


def track_contract(spec: RobotSpec) -> Contract:
    """The contract of the motor level on one kind of robot, whatever its lidar and control period."""
    period = spec.motor_period / SECOND

    def field(name: str, shape: tuple[int, ...], unit: str, low: float, high: float) -> Field:
        return Field(name, shape, "float32", unit, "B", low, high, period, period)

    return Contract(
        task="track",
        fields=(
            field("setpoint", (2,), "speed_max, turn_max", -2.0, 2.0),
            field("change", (2,), "accel_max, turn_accel_max, times a motor period", -4.0, 4.0),
            field("wheel_error", (HISTORY, 2), f"{WHEEL_UNIT} m/s", -100.0, 100.0),
            field("gyro_error", (HISTORY,), f"{GYRO_UNIT} rad/s", -100.0, 100.0),
            field("drift", (2,), f"{WHEEL_UNIT} m/s, {GYRO_UNIT} rad/s", -100.0, 100.0),
            field("told", (2, 2), "0.2 m/s", -1.0, 1.0),
        ),
        actions=(
            Field("left", (1,), "float32", "0.2 m/s on the rim beyond the law's", "B", -1.0, 1.0, period, 0.0),
            Field("right", (1,), "float32", "0.2 m/s on the rim beyond the law's", "B", -1.0, 1.0, period, 0.0),
        ),
        embodiment=replace(spec, lidar=Lidar(), period=spec.motor_period).embodiment_hash(),
    )


class Track:
    """`sim.tasks.task.Task`: owns wheels, commands and errors of a plant's rows."""

    corridor = None

    def __init__(self, plant: Plant, config: TrackConfig) -> None:
        """Raises ValueError for a control period that is no motor period, and for people, whom nothing places."""
        spec, rows, device = plant.spec, plant.rows, plant.device
        if spec.period != spec.motor_period:
            raise ValueError(
                f"expected a control period of {spec.motor_period / SECOND:g} s, the motor's, got "
                f"{spec.period / SECOND:g} s; take sim.tasks.track.motor_body() or shorten the period"
            )
        if config.people or config.forklifts:
            raise ValueError("expected a floor without people and forklifts: the motor level sees none")
        self.plant, self.config = plant, config
        self.contract = track_contract(spec)
        self.action = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        self.observation = wp.zeros((rows, OBSERVATION), dtype=wp.float32, device=device)
        self.outcome = make_outcome(rows, device)
        self.wheels = make_wheels(rows, device)
        self.following = Following()
        self.following.command = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        self.following.error = wp.zeros(rows, dtype=wp.float32, device=device)
        self.following.total = wp.zeros(rows, dtype=wp.float32, device=device)
        self._free = wp.array(plant.site.free_cells.astype(np.int32), dtype=wp.int32, device=device)
        self._base, self._limits, self._draws = base_of(plant), limits_of(spec), draws_of(plant)
        self.act: Sequence[Launchable] = [plant.record(tell, rows, [plant.state, self.following, plant.state.proposed])]
        backend, state = plant.backend, plant.state
        self.steps = round(config.time_limit * SECOND / spec.period)
        """Motor periods of a whole episode."""
        plant.every_period.append(
            plant.record(correct, rows, [self._base, self.action, plant.drive, self.wheels, backend.ctrl])
        )
        self.advance: Sequence[Launchable] = [
            plant.record(
                advance,
                rows,
                [plant.seed, self.steps, self._draws, self._base,
                 self._limits, state, plant.drive, backend.qvel, plant.diverged, self.wheels, self.following,
                 self.outcome],
            )
        ]  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """Wheels, commands, errors, and what was seen last."""
        return {
            **struct_arrays("wheels", self.wheels),
            **struct_arrays("following", self.following),
            "observation": self.observation,
        }

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """Other wheels, a place and a command for the masked rows."""
        plant = self.plant
        floor = [plant.floor.width, plant.floor.height, plant.floor.cell]
        return [
            plant.record(begin_wheels, plant.rows, [self._draws, mask, self.wheels]),
            plant.record(
                begin,
                plant.worlds,
                [plant.seed, plant.robots, *floor, self._limits, mask, self._free, plant.state, plant.drive,
                 self.following],
            ),
        ]  # fmt: skip

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The masked rows stand aside, wheels and motors at rest."""
        plant = self.plant
        return [plant.leave(mask), plant.record(begin_wheels, plant.rows, [self._draws, mask, self.wheels])]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """The motor level's own sensors; nothing of the lidar."""
        plant = self.plant
        return [
            plant.record(
                observe,
                plant.rows,
                [mask, self._base, self._limits, plant.drive, self.wheels, self.following, self.observation],
            )
        ]
