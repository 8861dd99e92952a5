"""The track task, motor level: follow commanded speeds under randomized physics, one step a motor period (20 ms).

The command is what navigate's policies would send: it holds, jitters or jumps every 100 ms. What is to be followed is
the drive law's setpoint (`sim/drive.py`), the command slewed within the drive's accelerations, which the shield's
prediction rests on; a policy that went ahead of it would break the shield's bound. The action corrects both rims' speed
beyond what the law asks for (`sim/wheels.py`), so that the hand-written twin, the law alone, is the action 0.

error        e = sqrt((v - s_v)^2 + (r (w - s_w))^2), r the hull's radius: the speed error of a point of it, m/s
reward       -ERROR_WEIGHT e - CHANGE_WEIGHT |change of the action|^2
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
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from sim.drive import DriveArrays, slew
from sim.randomization import Term, below, draw_from, stream, unit
from sim.robot import SECOND, Lidar, RobotSpec
from sim.rows import RobotArrays, is_lost
from sim.site import Site, make_site
from sim.tasks.contract import Contract, Field
from sim.tasks.task import (
    COLLIDED_C,
    DIVERGED_C,
    RUNNING_C,
    TIMED_OUT_C,
    Launchable,
    Outcome,
    TaskConfig,
    close,
    make_outcome,
    struct_arrays,
)
from sim.vary import Row, Variation, vary
from sim.wheels import (
    HISTORY,
    Base,
    WheelArrays,
    WheelDraws,
    base_of,
    begin_wheels,
    draws_of,
    make_wheels,
    read_wheels,
    turn_wheels,
    wheel_rows,
)

if TYPE_CHECKING:
    from sim.plant import Plant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBSERVATION = 2 + 2 + 2 * HISTORY + HISTORY + 2 + 4
"""Numbers in an observation."""

WHEEL_UNIT = 0.1
"""m/s; a wheel error of this is a large one."""

GYRO_UNIT = 0.25
"""rad/s; at the hull as much as WHEEL_UNIT."""

ERROR_WEIGHT = wp.constant(10.0)
CHANGE_WEIGHT = wp.constant(0.02)
"""A jump over the whole range of one wheel costs as much as an error of 8 mm/s: motors are not to rattle."""

COMMAND_PERIODS = wp.constant(5)
"""Motor periods between two commands: the control period of 100 ms."""

JUMP, JITTER = wp.constant(0.15), wp.constant(0.45)
"""Chance that a command is drawn anew, and that it moves by up to JITTER_SHARE of its range; else it holds."""

JITTER_SHARE = wp.constant(0.15)

START_TRIES = wp.constant(16)
WHEEL_UNIT_C = wp.constant(WHEEL_UNIT)
GYRO_UNIT_C = wp.constant(GYRO_UNIT)
HISTORY_C = wp.constant(HISTORY)
COMMAND_TERM = wp.constant(int(Term.TRACK_COMMAND))
START_TERM = wp.constant(int(Term.TRACK_START))


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


@wp.struct
class Limits:
    """The drive's bounds, as kernels read them."""

    speed_max: float
    reverse_max: float
    turn_max: float
    accel: float
    turn_accel: float
    radius: float
    """Of the hull, m."""
    tolerated: float
    """Mean error of a success, m/s."""


def limits_of(spec: RobotSpec) -> Limits:
    """A specification's bounds, and what the drive's law makes of them."""
    limits, drive = Limits(), spec.drive
    limits.speed_max, limits.reverse_max, limits.turn_max = drive.speed_max, drive.reverse_max, drive.turn_max
    limits.accel, limits.turn_accel = drive.accel_max, drive.turn_accel_max
    limits.radius, limits.tolerated = spec.radius, spec.tracking_e1
    return limits


@wp.struct
class Following:
    """What the task remembers, one row each."""

    command: wp.array2d(dtype=wp.float32)
    """Of the next step, (rows, 2)."""
    error: wp.array(dtype=wp.float32)
    """Of the last step, m/s, (rows,)."""
    total: wp.array(dtype=wp.float32)
    """Of the episode so far, (rows,)."""


@wp.func
def look(
    row: int,
    base: Base,
    limits: Limits,
    v: float,
    w: float,
    wheels: WheelArrays,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The observation of a row whose setpoint in the coming motor period is (v, w)."""
    out[row, 0] = v / limits.speed_max
    out[row, 1] = w / limits.turn_max
    out[row, 2] = (v - wheels.before[row, 0]) / (limits.accel * base.dt)
    out[row, 3] = (w - wheels.before[row, 1]) / (limits.turn_accel * base.dt)
    for k in range(2 * HISTORY_C):
        out[row, 4 + k] = wheels.wheel[row, k] / WHEEL_UNIT_C
    at = 4 + 2 * HISTORY_C
    for k in range(HISTORY_C):
        out[row, at + k] = wheels.gyro[row, k] / GYRO_UNIT_C
    at = at + HISTORY_C
    out[row, at] = wheels.drift[row, 0] / WHEEL_UNIT_C
    out[row, at + 1] = wheels.drift[row, 1] / GYRO_UNIT_C
    for k in range(4):
        out[row, at + 2 + k] = wheels.told[row, k]


@wp.func
def signed(key: wp.uint64, counter: int) -> float:
    """Uniform in [-1, 1)."""
    return 2.0 * unit(draw_from(key, counter)) - 1.0


@wp.func
def next_command(row: int, seed: int, limits: Limits, state: RobotArrays, following: Following) -> None:
    """Every COMMAND_PERIODS steps: hold, jitter or jump."""
    step = state.step[row]
    if step % COMMAND_PERIODS != 0:
        return
    key = stream(seed, COMMAND_TERM, row, state.episode[row])
    at = 3 * (step / COMMAND_PERIODS)
    how = unit(draw_from(key, at))
    if step == 0 or how < JUMP:
        v = -limits.reverse_max + (limits.speed_max + limits.reverse_max) * unit(draw_from(key, at + 1))
        following.command[row, 0] = v
        following.command[row, 1] = limits.turn_max * signed(key, at + 2)
    elif how < JUMP + JITTER:
        v = following.command[row, 0] + JITTER_SHARE * limits.speed_max * signed(key, at + 1)
        w = following.command[row, 1] + JITTER_SHARE * limits.turn_max * signed(key, at + 2)
        following.command[row, 0] = wp.clamp(v, -limits.reverse_max, limits.speed_max)
        following.command[row, 1] = wp.clamp(w, -limits.turn_max, limits.turn_max)


@wp.kernel
def tell(following: Following, command: wp.array2d(dtype=wp.float32)) -> None:
    """This step's command."""
    row = wp.tid()
    for k in range(2):
        command[row, k] = following.command[row, k]


@wp.kernel
def correct(
    base: Base,
    action: wp.array2d(dtype=wp.float32),
    drive: DriveArrays,
    wheels: WheelArrays,
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """The controls of one motor period; the drive's law has run."""
    row = wp.tid()
    turn_wheels(row, base, action[row, 0], action[row, 1], drive, wheels, ctrl)


@wp.kernel
def advance(
    seed: int,
    time_limit: int,
    draws: WheelDraws,
    base: Base,
    limits: Limits,
    state: RobotArrays,
    drive: DriveArrays,
    qvel: wp.array2d(dtype=Any),
    diverged: wp.array(dtype=wp.uint8),
    wheels: WheelArrays,
    following: Following,
    outcome: Outcome,
) -> None:
    """One motor period of each row: the error, the readings, the next command."""
    row = wp.tid()
    sv = drive.setpoint[row, 0]
    sw = drive.setpoint[row, 1]
    dv = state.twist[row, 0] - sv
    dw = limits.radius * (state.twist[row, 1] - sw)
    e = wp.sqrt(dv * dv + dw * dw)
    left = wheels.told[row, 0] - wheels.told[row, 2]
    right = wheels.told[row, 1] - wheels.told[row, 3]
    r = -ERROR_WEIGHT * e - CHANGE_WEIGHT * (left * left + right * right)
    following.error[row] = e
    following.total[row] = following.total[row] + e
    read_wheels(row, seed, draws, base, sv, sw, state, qvel, wheels)
    wheels.before[row, 0] = sv
    wheels.before[row, 1] = sw
    next_command(row, seed, limits, state, following)
    how = wp.int32(RUNNING_C)
    if is_lost(row, row / base.robots, state, diverged):
        how = DIVERGED_C
        r = 0.0
    elif state.collided[row] != wp.uint8(0):
        how = COLLIDED_C
    elif state.step[row] >= time_limit:
        how = TIMED_OUT_C
    close(row, how, r, outcome)
    if how == TIMED_OUT_C and following.total[row] <= limits.tolerated * float(time_limit):
        outcome.success[row] = wp.uint8(1)


@wp.kernel
def begin(
    seed: int,
    robots: int,
    width: int,
    height: int,
    cell: float,
    limits: Limits,
    mask: wp.array(dtype=wp.uint8),
    free: wp.array(dtype=wp.int32),
    state: RobotArrays,
    drive: DriveArrays,
    following: Following,
) -> None:
    """A place in the middle of a free cell, off the other robots, any yaw, and the first command; a thread a world."""
    world = wp.tid()
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0):
            key = stream(seed, START_TERM, row, state.episode[row])
            found = wp.bool(False)
            for attempt in range(START_TRIES):
                if not found:
                    place = free[below(draw_from(key, 1 + attempt), free.shape[0])]
                    x = (float(place % width) + 0.5) * cell
                    y = (float(height - 1 - place / width) + 0.5) * cell
                    found = wp.bool(True)
                    for other in range(robots):
                        o = world * robots + other
                        if other != robot and (mask[o] == wp.uint8(0) or other < robot):
                            dx = state.pose[o, 0] - x
                            dy = state.pose[o, 1] - y
                            if dx * dx + dy * dy < 9.0 * limits.radius * limits.radius:
                                found = wp.bool(False)
                    state.pose[row, 0] = x
                    state.pose[row, 1] = y
            state.pose[row, 2] = wp.pi * signed(key, 0)
            # the way of a command to the drive is not the motor level's: what counts here begins when it is there
            drive.latency[row] = 0
            following.error[row] = 0.0
            following.total[row] = 0.0
            next_command(row, seed, limits, state, following)


@wp.kernel
def observe(
    mask: wp.array(dtype=wp.uint8),
    base: Base,
    limits: Limits,
    drive: DriveArrays,
    wheels: WheelArrays,
    following: Following,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """What the motor level knows before the coming motor period."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    v = slew(drive.setpoint[row, 0], following.command[row, 0], limits.accel, drive.brake[row], base.dt)
    w = slew(drive.setpoint[row, 1], following.command[row, 1], limits.turn_accel, limits.turn_accel, base.dt)
    look(row, base, limits, v, w, wheels, out)


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
        self.act: Sequence[Launchable] = [plant.record(tell, rows, [self.following, plant.state.proposed])]
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
