"""The road's motor level as a task: follow the firmware's setpoint of acceleration and curvature, 50 times a second.

Commands are what the skills' policies send: they hold, jitter or jump every 40 to 100 ms, at all speeds. What is to be
followed is the firmware's own setpoint (sim/driving/drive.py), the command within the car's jerk and steering rate,
which the shield's prediction rests on; a policy that went ahead of it would break the shield's bound. The action
corrects what the firmware tells drive, brakes and steering, within the firmware's bounds, so that the hand-written
twin, the firmware alone, is the action 0.

reward       the error of the car's velocity against a car that follows exactly, and changes of the action
             (sim/driving/motorkernels.py)
success      the time limit, with a mean error of at most the specification's tracking bound e1
terminated   a contact; numbers that diverged

The observation is of the car's own sensors: speed, acceleration, yaw rate, steering, setpoints, answers before. No map,
no lane, nobody else: `motor_worlds` puts the cars on the ground of no road, blind, the cars of a world 500 m apart.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# Warp structs are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import warp as wp

from sim.bodies.specs import CAR
from sim.bounds import check_number
from sim.driving.atlas import Atlas
from sim.driving.drive import ACCEL_CORRECTION, SIDE_CORRECTION, STEER_CORRECTION, limits_of
from sim.driving.motorkernels import Following, advance, begin, command_cars, correct, observe
from sim.driving.motornet import make_motor, make_motor_draws, motor_rows
from sim.driving.motorsense import (
    ASK,
    DRIFT_UNIT,
    FORCE_UNIT,
    HISTORY,
    OBSERVATION,
    SPEED_UNIT,
    begin_motor,
)
from sim.driving.plant import RoadPlant
from sim.driving.scene import RoadBody
from sim.driving.variedcars import car_rows
from sim.launches import Launchable
from sim.roadgen import generate_rural
from sim.robot import SECOND, Lidar, RobotSpec
from sim.specfile import check_spec
from sim.tasks.contract import Contract, Field
from sim.tasks.task import make_outcome, struct_arrays
from sim.vary import Row, Table, Variation
from sim.worlds import Worlds

TIME_MAX = 6.0
"""Longest episode, s: in more, two cars of a world could meet (`motorkernels.START_GAP`)."""


def motor_car(spec: RobotSpec = CAR) -> RobotSpec:
    """A car whose commands come as often as its motor policy is asked, with the fewest rays: the task looks at none."""
    return replace(spec, period=ASK * spec.motor_period, lidar=Lidar(rays=8))


@dataclass(frozen=True)
class MotorConfig:
    """The task, whole. The specification's control period must be two motor periods."""

    spec: RobotSpec = field(default_factory=motor_car)
    time_limit: float = 6.0
    """s"""
    randomization: Variation = Variation()  # noqa: RUF009  # frozen
    """What is said of `rows`."""

    def check(self) -> None:
        """Raise for the first number that cannot be: SpecError of the car, ConfigError of another."""
        check_spec(self.spec)
        check_number("time_limit", self.time_limit, 0.0, TIME_MAX, above=True, remedy="give seconds")
        check_number("randomization.level", self.randomization.level, 0.0, 1.0)

    def rows(self) -> tuple[Row, ...]:
        """What varies: car and sensors."""
        level = self.randomization.level
        return (*car_rows(self.spec, level), *motor_rows(level))

    def table(self) -> Table:
        """What varies, with what this configuration says of it. Raises VaryError for a row out of its bounds."""
        return Table(self.rows()).changed(self.randomization.changes)


def motor_contract(spec: RobotSpec) -> Contract:
    """The contract of the motor level on one kind of car, whatever its lidar and control period."""
    period = ASK * spec.motor_period / SECOND

    def part(name: str, shape: tuple[int, ...], unit: str, most: float, latency: float = period) -> Field:
        return Field(name, shape, "float32", unit, "B", -most, most, period, latency)

    room = f"{STEER_CORRECTION} rad, or {SIDE_CORRECTION} m/s^2 across"
    return Contract(
        task="drive.motor",
        fields=(
            part("speed", (1,), f"{SPEED_UNIT} m/s", 2.0),
            part(
                "setpoint", (3,), f"{FORCE_UNIT} m/s^2: left to the command, next; jerk_max times a motor period", 2.0
            ),
            part("steering", (3,), f"{FORCE_UNIT} m/s^2 across now; {room}: left to the command, next change", 5.0),
            part("weaken", (1,), "1: brakes may be weakened", 1.0),
            part("error", (HISTORY, 3), f"{ACCEL_CORRECTION} m/s^2, {room}, of the yaw rate as much", 10.0),
            part("drift", (2,), f"{DRIFT_UNIT} m/s along, across", 10.0),
            part("told", (2, 2), "of the actions", 1.0),
            part("brakes", (1,), "0.1 of what they are told", 5.0),
        ),
        actions=(
            part("drive", (1,), f"{ACCEL_CORRECTION} m/s^2 beyond the setpoint", 1.0, 0.0),
            part("steer", (1,), f"{room}, beyond the setpoint", 1.0, 0.0),
        ),
        embodiment=replace(spec, lidar=Lidar(), period=ASK * spec.motor_period).embodiment_hash(),
    )


class Blind:
    """`sim.driving.plant.Sense` of cars that look at nothing outside themselves."""

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """Nothing."""
        return []

    def look(self, mask: wp.array) -> Sequence[Launchable]:
        """Nothing."""
        return []

    def arrays(self) -> Mapping[str, wp.array]:
        """Nothing."""
        return {}


class MotorTask:
    """`sim.tasks.task.Task`: owns sensors, commands and errors of a plant's rows."""

    corridor = None

    def __init__(self, plant: RoadPlant, config: MotorConfig) -> None:
        """Raises ValueError for a control period that is not two motor periods."""
        spec, rows, device = plant.spec, plant.rows, plant.device
        if spec.period != ASK * spec.motor_period:
            raise ValueError(
                f"expected a control period of {ASK * spec.motor_period / SECOND:g} s, two of the motor's, got "
                f"{spec.period / SECOND:g} s; take sim.driving.motor.motor_car()"
            )
        self.plant, self.config = plant, config
        self.contract = motor_contract(spec)
        self.action = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        self.observation = wp.zeros((rows, OBSERVATION), dtype=wp.float32, device=device)
        self.outcome = make_outcome(rows, device)
        self.motor = make_motor(rows, device)
        self.following = make_following(rows, device)
        self.steps = round(config.time_limit * SECOND / spec.period)
        """Of a whole episode."""
        self._draws, self._limits = make_motor_draws(plant.table, plant.varies), limits_of(spec)
        self._dt = spec.motor_period / SECOND
        state, drive, cars = plant.state, plant.drive, plant.cars
        self.act: Sequence[Launchable] = [plant.record(command_cars, rows, [state, self.following, state.proposed])]
        plant.every_period.append(
            plant.record(
                correct,
                rows,
                [self._dt, self._limits, self.action, state, drive, cars, self.motor, self.following],
            )
        )
        self.advance: Sequence[Launchable] = [
            plant.record(
                advance,
                rows,
                [plant.robots, self._dt, plant.seed, self.steps, spec.tracking_e1, self._draws, self._limits, state,
                 drive, cars, plant.diverged, self.motor, self.following, self.outcome],
            )
        ]  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """Sensors, commands, errors, and what was seen last."""
        return {
            **struct_arrays("motor", self.motor),
            **struct_arrays("following", self.following),
            "observation": self.observation,
        }

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """Other sensors, a speed and a command for the masked rows."""
        plant = self.plant
        return [
            plant.record(begin_motor, plant.rows, [self._draws, mask, plant.cars, self.motor]),
            plant.record(
                begin,
                plant.rows,
                [plant.robots, plant.seed, self._limits, mask, plant.state, plant.footing, plant.start_speed,
                 self.following],
            ),
        ]  # fmt: skip

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The masked rows stand aside, uncorrected."""
        plant = self.plant
        return [plant.leave(mask), plant.record(begin_motor, plant.rows, [self._draws, mask, plant.cars, self.motor])]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """The car's own sensors."""
        plant = self.plant
        return [
            plant.record(
                observe,
                plant.rows,
                [mask, self._dt, self._limits, plant.state, plant.drive, self.motor, self.following, self.observation],
            )
        ]


def make_following(rows: int, device: str) -> Following:
    """Nothing commanded."""
    following = Following()
    for name, width in (("command", 2), ("truth", 3)):
        setattr(following, name, wp.zeros((rows, width), dtype=wp.float32, device=device))
    for name in ("hold", "drawn"):
        setattr(following, name, wp.zeros(rows, dtype=wp.int32, device=device))
    for name in ("error", "total"):
        setattr(following, name, wp.zeros(rows, dtype=wp.float32, device=device))
    return following


def motor_worlds(
    config: MotorConfig,
    *,
    worlds: int,
    robots: int = 1,
    seed: int = 0,
    body: RoadBody = "full",
    threads: int = 1,
    device: str = "cpu",
) -> Worlds:
    """Worlds of the task, with nobody else; call `reset` before the first step.

    Raises what `MotorConfig.check` and `RoadPlant` do for numbers that cannot be.
    """
    config.check()
    # plants stand on an atlas; what road it has does not matter, because no car is on it
    plant = RoadPlant(
        Atlas([generate_rural(1)], routes=1, device=device), config.spec, worlds=worlds, robots=robots, actors=robots,
        vary=config.table(), seed=seed, body=body, threads=threads, device=device,
    )  # fmt: skip
    plant.complete(Blind(), [])
    task = MotorTask(plant, config)
    return Worlds(plant, task, about={"task": task.contract.task, "seed": seed})
