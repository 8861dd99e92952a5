"""A frozen motor policy inside the plant: a small perceptron that answers every row once a motor period.

It runs between the drive's law and the physics, at 50 Hz within one control step of whatever task drives, on the CPU
and in a device's graph alike (sim/perceptron.py). What it sees and does is that of the task track, by the same
functions (`sim/tasks/trackkernels.py`), so that it answers here as it did where it was trained.

`OnMotor` puts it under any task. Without a policy the hand-written law drives the same wheels.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import warp as wp

from sim.drive import DriveArrays
from sim.perceptron import Layers, Net, answer, make_net
from sim.rows import RobotArrays
from sim.tasks.navigate import Navigate, NavigateConfig
from sim.tasks.task import Launchable, Task, struct_arrays
from sim.tasks.trackkernels import OBSERVATION, Limits, limits_of, look
from sim.vary import Row
from sim.wheels import (
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


@wp.kernel
def step_motor(
    seed: int,
    draws: WheelDraws,
    base: Base,
    limits: Limits,
    net: Net,
    state: RobotArrays,
    drive: DriveArrays,
    qvel: wp.array2d(dtype=Any),
    wheels: WheelArrays,
    seen: wp.array2d(dtype=wp.float32),
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """One motor period of each row, after the drive's law: read, look, answer, turn."""
    row = wp.tid()
    if wheels.count[row] > 0:
        read_wheels(row, seed, draws, base, wheels.before[row, 0], wheels.before[row, 1], state, qvel, wheels)
    v = drive.setpoint[row, 0]
    w = drive.setpoint[row, 1]
    look(row, base, limits, v, w, wheels, seen)
    said = answer(row, seen, net)
    if state.active[row] == wp.uint8(0):
        said = wp.vec2(0.0, 0.0)  # a robot that stands aside stays there
    turn_wheels(row, base, said[0], said[1], drive, wheels, ctrl)
    wheels.before[row, 0] = v
    wheels.before[row, 1] = w


class OnMotor:
    """`sim.tasks.task.Task`: another task whose robots drive by a motor policy. Owns their wheels."""

    def __init__(self, task: Task, plant: Plant, layers: Layers | None) -> None:
        """The plant's table must have `sim.wheels.wheel_rows`."""
        self.task, self.plant = task, plant
        self.contract, self.corridor, self.outcome = task.contract, task.corridor, task.outcome
        self.action, self.observation = task.action, task.observation
        self.act, self.advance = task.act, task.advance
        rows, device = plant.rows, plant.device
        self.wheels = make_wheels(rows, device)
        self._draws = draws_of(plant)
        self._seen = wp.zeros((rows, OBSERVATION), dtype=wp.float32, device=device)
        net = make_net(layers, rows, device, OBSERVATION, "the task track")
        plant.every_period.append(
            plant.record(
                step_motor,
                rows,
                [plant.seed, self._draws, base_of(plant), limits_of(plant.spec), net,
                 plant.state, plant.drive, plant.backend.qvel, self.wheels, self._seen, plant.backend.ctrl],
            )
        )  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """The task's and the wheels'."""
        return {**self.task.arrays(), **struct_arrays("wheels", self.wheels)}

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """The task's, and other wheels."""
        wheels = self.plant.record(begin_wheels, self.plant.rows, [self._draws, mask, self.wheels])
        return [*self.task.begin(mask), wheels]

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The task's, with wheels at rest."""
        wheels = self.plant.record(begin_wheels, self.plant.rows, [self._draws, mask, self.wheels])
        return [*self.task.leave(mask), wheels]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """The task's."""
        return self.task.observe(mask)


@dataclass(frozen=True)
class NavigateOnMotor(NavigateConfig):
    """Navigate whose robots drive by a frozen motor policy; its contract is navigate's own."""

    motor: Layers | None = None
    """None: the hand-written law, on the same wheels."""

    def rows(self) -> tuple[Row, ...]:
        """Navigate's rows and the wheels'."""
        return (*super().rows(), *wheel_rows())

    def build(self, plant: Plant) -> OnMotor:  # type: ignore[override]  # the same protocol, composed
        """The task on a plant."""
        return OnMotor(Navigate(plant, self), plant, self.motor)
