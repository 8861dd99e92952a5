"""A frozen motor policy inside the plant: a small perceptron that answers every row once a motor period.

It runs between the drive's law and the physics, at 50 Hz within one control step of whatever task drives, on the CPU
and in a device's graph alike: one recorded launch, weights in one flat array. What it sees and does is that of the
task track, by the same functions (`sim/tasks/trackkernels.py`), so that it answers here as it did where it was trained.

    x_0 = clip((o - shift) scale, -10, 10)      x_i+1 = tanh(W_i x_i + b_i)      action = clip(W_n x_n + b_n, -1, 1)

`OnMotor` puts it under any task. Without a policy the hand-written law drives the same wheels. sim knows no learners:
who has a policy hands its layers over (agents/layers.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.drive import DriveArrays
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

CLIP = wp.constant(10.0)
"""Of normalised observations, as in agents/normalize.py."""


@dataclass(frozen=True, eq=False)
class Layers:
    """A deterministic policy as plain numbers."""

    shift: NDArray[np.float32]
    """(observation,)"""
    scale: NDArray[np.float32]
    """(observation,)"""
    weights: tuple[NDArray[np.float32], ...]
    """(outputs, inputs) of each layer; tanh between layers."""
    biases: tuple[NDArray[np.float32], ...]
    """(outputs,) of each layer."""
    hash: str
    """Of the policy that they were read from."""


@wp.struct
class Net:
    """`Layers` as kernels read them."""

    shift: wp.array(dtype=wp.float32)
    scale: wp.array(dtype=wp.float32)
    numbers: wp.array(dtype=wp.float32)
    """Layer by layer: the bias of each output, then its weights."""
    sizes: wp.array(dtype=wp.int32)
    """Inputs, and the outputs of each layer."""
    layers: int
    """0: no policy, the answer is 0."""
    values: wp.array3d(dtype=wp.float32)
    """(rows, 2, widest layer): what goes into a layer and what comes out."""


def make_net(layers: Layers | None, rows: int, device: str) -> Net:
    """A net for `rows` rows; None for the hand-written law. Raises ValueError unless it maps track's observation."""
    net = Net()
    if layers is None:
        zero = np.zeros(1, np.float32)
        layers, sizes = Layers(zero, zero, (), (), ""), [OBSERVATION]
    else:
        sizes = [layers.weights[0].shape[1], *(weight.shape[0] for weight in layers.weights)]
        if (sizes[0], sizes[-1]) != (OBSERVATION, 2):
            raise ValueError(
                f"expected a motor policy of {OBSERVATION} inputs and 2 outputs, got {sizes[0]} and {sizes[-1]}; give "
                "one that was trained on the task track"
            )
    numbers = [
        np.concatenate([bias[:, None], weight], axis=1).reshape(-1)
        for weight, bias in zip(layers.weights, layers.biases, strict=True)
    ]
    flat = np.concatenate(numbers) if numbers else np.zeros(1, np.float32)
    net.shift = wp.array(layers.shift, dtype=wp.float32, device=device)
    net.scale = wp.array(layers.scale, dtype=wp.float32, device=device)
    net.numbers = wp.array(flat, dtype=wp.float32, device=device)
    net.sizes = wp.array(np.array(sizes, np.int32), dtype=wp.int32, device=device)
    net.layers = len(layers.weights)
    net.values = wp.zeros((rows, 2, max(sizes)), dtype=wp.float32, device=device)
    return net


@wp.func
def answer(row: int, seen: wp.array2d(dtype=wp.float32), net: Net) -> wp.vec2:
    """What the policy says to a row's observation, each within [-1, 1]."""
    if net.layers == 0:
        return wp.vec2(0.0, 0.0)
    for k in range(net.sizes[0]):
        net.values[row, 0, k] = wp.clamp((seen[row, k] - net.shift[k]) * net.scale[k], -CLIP, CLIP)
    at = wp.int32(0)
    source = wp.int32(0)
    for layer in range(net.layers):
        inputs = net.sizes[layer]
        for i in range(net.sizes[layer + 1]):
            total = net.numbers[at]
            for k in range(inputs):
                total += net.numbers[at + 1 + k] * net.values[row, source, k]
            at += 1 + inputs
            if layer < net.layers - 1:
                total = wp.tanh(total)
            net.values[row, 1 - source, i] = total
        source = 1 - source
    return wp.vec2(wp.clamp(net.values[row, source, 0], -1.0, 1.0), wp.clamp(net.values[row, source, 1], -1.0, 1.0))


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
        plant.every_period.append(
            plant.record(
                step_motor,
                rows,
                [plant.seed, self._draws, base_of(plant), limits_of(plant.spec), make_net(layers, rows, device),
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
