"""What varies from car to car and from day to day: tyres, load, brakes, steering, drive.

Ranges that follow from the specification keep what the shield relies on: latency and lags together stay within
`latency_bound`, brakes give at least what they are told, tyres hold brake_min and lateral_max together. A load is mass
and inertia of the full body (sim/variedfields.py) and known to the firmware, as cars know theirs; the kinematic body is
moved by accelerations, so that it feels tyres, brakes and lags alone.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math

import warp as wp

from sim.bodies.parts import GRAVITY
from sim.drive import DriveArrays
from sim.driving.drive import GRIP_SHARE, CarArrays
from sim.fields import Recompute
from sim.launches import Launchable, record
from sim.randomization import Term
from sim.robot import SECOND, RobotSpec
from sim.vary import Row, Table, VaryArrays, draw_episode

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SERVO_RESERVE = 0.02
"""Of the specification's latency bound, what motor periods, tyres and springs take, s."""

BRAKE_SPREAD = (1.03, 1.20)
"""What brakes give over what they are told; the least covers what lags and tyres take."""

SPECIFIED = "specification: "


def latency_periods(spec: RobotSpec) -> int:
    """Whole motor periods that the latency bound leaves to a command's way, beside the slower of the two lags."""
    slower = max(spec.car.drive_lag, spec.car.steer_lag)
    left = spec.latency_bound - SERVO_RESERVE - slower
    return max(int(left / (spec.motor_period / SECOND) + 1e-6), 0)


def friction_least(spec: RobotSpec) -> float:
    """The friction coefficient below which brake_min and lateral_max could not both be had."""
    return math.hypot(spec.car.brake_min, spec.car.lateral_max) / (GRIP_SHARE * GRAVITY)


def car_rows(spec: RobotSpec, level: float = 1.0) -> tuple[Row, ...]:
    """The rows of every car; `level` shrinks load, latency and lags, 0 switches them off."""
    drive, none = spec.car, Recompute.NONE
    least = friction_least(spec)
    periods = float(latency_periods(spec))
    told = drive.brake_min
    return (
        Row(
            Term.FRICTION, "tyre_friction", "uniform", max(0.75, least), max(1.05, least), "1", "geom_friction", none,
            "own choice: dry asphalt from worn to new tyres; the guaranteed braking is one on dry roads",
            bounds=(least, 1.5), nominal=max(0.9, least),
        ),
        Row(
            Term.PAYLOAD, "payload", "uniform", 0.0, level * spec.payload_max, "kg", "", none,
            SPECIFIED + "empty to payload_max", bounds=(0.0, spec.payload_max), nominal=0.0,
        ),
        Row(
            Term.MASS, "payload_mass", "uniform", 1.0, 1.0, "of the payload", "body_mass", Recompute.SET_CONST,
            "a load is mass and inertia of the car", bounds=(0.0, 1.0), nominal=1.0, counter=2, operation="load",
        ),
        Row(
            Term.MASS, "mass", "uniform", 1.0, 1.0, "of the model's", "body_mass", Recompute.SET_CONST,
            "own choice: what a car of one make may be heavier or lighter; off", bounds=(0.5, 2.0), nominal=1.0,
            operation="scale",
        ),
        Row(
            Term.MASS, "inertia", "uniform", 1.0, 1.0, "of the model's", "body_inertia", Recompute.INERT0,
            "own choice: luggage away from the middle; off", bounds=(0.5, 2.0), nominal=1.0, counter=1,
            operation="scale",
        ),
        Row(
            Term.BRAKE, "brake_strength", "uniform", BRAKE_SPREAD[0] * told, BRAKE_SPREAD[1] * told, "m/s^2", "", none,
            f"{SPECIFIED}brake_min times {BRAKE_SPREAD[0]} to {BRAKE_SPREAD[1]}; weaker brakes break the shield's "
            "assumption", bounds=(BRAKE_SPREAD[0] * told, 2.0 * told), nominal=BRAKE_SPREAD[0] * told,
        ),
        Row(
            Term.MOTOR_LAG, "drive_lag", "uniform", 0.0, level * drive.drive_lag, "s", "", none,
            SPECIFIED + "drive_lag", bounds=(0.0, drive.drive_lag), nominal=0.0,
        ),
        Row(
            Term.MOTOR_LAG, "steer_lag", "uniform", 0.0, level * drive.steer_lag, "s", "", none,
            SPECIFIED + "steer_lag", bounds=(0.0, drive.steer_lag), nominal=0.0, counter=1,
        ),
        Row(
            Term.LATENCY, "latency", "choice", 0.0, periods if level > 0.0 else 0.0, "motor periods", "", none,
            SPECIFIED + "latency_bound less the slower lag and 0.02 s", bounds=(0.0, periods), nominal=0.0,
        ),
    )  # fmt: skip


@wp.struct
class CarDraws:
    """The table, and which of its rows is which."""

    table: VaryArrays
    tyre_friction: int
    payload: int
    brake_strength: int
    drive_lag: int
    steer_lag: int
    latency: int


def make_car_draws(table: Table, arrays: VaryArrays) -> CarDraws:
    """Where the rows of a table are. Raises VaryError where one of `car_rows` is missing."""
    draws = CarDraws()
    draws.table = arrays
    for name in ("tyre_friction", "payload", "brake_strength", "drive_lag", "steer_lag", "latency"):
        setattr(draws, name, table.index(name))
    return draws


@wp.kernel
def renew_cars(
    seed: int,
    mask: wp.array(dtype=wp.uint8),
    episode: wp.array(dtype=wp.int32),
    vary: CarDraws,
    drive: DriveArrays,
    cars: CarArrays,
) -> None:
    """What each masked row's car is like in its episode: all rows of the table are drawn, the car's are applied."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    draw_episode(seed, row, episode[row], vary.table)
    cars.friction[row] = vary.table.values[row, vary.tyre_friction]
    cars.load[row] = vary.table.values[row, vary.payload]
    cars.steer_lag[row] = vary.table.values[row, vary.steer_lag]
    drive.lag[row] = vary.table.values[row, vary.drive_lag]
    drive.brake[row] = vary.table.values[row, vary.brake_strength]
    drive.latency[row] = int(vary.table.values[row, vary.latency])


def record_renew(
    seed: int, mask: wp.array, episode: wp.array, draws: CarDraws, drive: DriveArrays, cars: CarArrays, device: str
) -> Launchable:
    """The launch that draws the masked rows' episodes; `episode` (rows,) must already count the new one."""
    return record(renew_cars, mask.shape[0], [seed, mask, episode, draws, drive, cars], device)
