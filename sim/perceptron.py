"""Frozen policies inside the simulator: small perceptrons that answer every row within a recorded launch.

On the CPU and in a device's graph alike: weights in one flat array, no allocation.

    x_0 = clip((o - shift) scale, -10, 10)      x_i+1 = tanh(W_i x_i + b_i)      action = clip(W_n x_n + b_n, -1, 1)

sim knows no learners: who has a policy hands its layers over (agents/layers.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

WIDE = 8
"""Outputs that are summed side by side: one register of AVX2; the order of each output's own sum stays."""

WIDE_C = wp.constant(WIDE)

Eight = wp.types.vector(length=WIDE, dtype=wp.float32)

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
    numbers: wp.array(dtype=Eight)
    """Layer by layer, of eight outputs each: their biases, then their weights of each input."""
    sizes: wp.array(dtype=wp.int32)
    """Inputs, and the outputs of each layer."""
    layers: int
    """0: no policy, the answer is 0."""
    values: wp.array3d(dtype=wp.float32)
    """(rows, 2, widest layer): what goes into a layer and what comes out."""


def make_net(layers: Layers | None, rows: int, device: str, inputs: int, task: str) -> Net:
    """A net of two outputs for `rows` rows; None answers 0.

    Raises ValueError unless it maps the `inputs` numbers that `task` (for people) observes to two.
    """
    net = Net()
    if layers is None:
        zero = np.zeros(1, np.float32)
        layers, sizes = Layers(zero, zero, (), (), ""), [inputs]
    else:
        sizes = [layers.weights[0].shape[1], *(weight.shape[0] for weight in layers.weights)]
        if (sizes[0], sizes[-1]) != (inputs, 2):
            raise ValueError(
                f"expected a policy of {inputs} inputs and 2 outputs, got {sizes[0]} and {sizes[-1]}; give one that "
                f"was trained on {task}"
            )
    numbers = [_by_eights(weight, bias) for weight, bias in zip(layers.weights, layers.biases, strict=True)]
    flat = np.concatenate(numbers) if numbers else np.zeros((1, WIDE), np.float32)
    net.shift = wp.array(layers.shift, dtype=wp.float32, device=device)
    net.scale = wp.array(layers.scale, dtype=wp.float32, device=device)
    net.numbers = wp.array(flat, dtype=Eight, device=device)
    net.sizes = wp.array(np.array(sizes, np.int32), dtype=wp.int32, device=device)
    net.layers = len(layers.weights)
    net.values = wp.zeros((rows, 2, max(-(-size // WIDE) * WIDE for size in sizes)), dtype=wp.float32, device=device)
    return net


def _by_eights(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """A layer's numbers in the order in which `answer` reads them, (groups * (1 + inputs), WIDE)."""
    outputs = len(bias)
    table = np.zeros((-(-outputs // WIDE) * WIDE, 1 + weight.shape[1]), np.float32)
    table[:outputs, 0], table[:outputs, 1:] = bias, weight
    return table.reshape(-1, WIDE, table.shape[1]).swapaxes(1, 2).reshape(-1, WIDE)


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
        for first in range(0, net.sizes[layer + 1], WIDE_C):
            total = net.numbers[at]
            for k in range(inputs):
                total += net.numbers[at + 1 + k] * net.values[row, source, k]
            at += 1 + inputs
            for i in range(WIDE_C):
                said = total[i]
                if layer < net.layers - 1:
                    said = wp.tanh(said)
                net.values[row, 1 - source, first + i] = said
        source = 1 - source
    return wp.vec2(wp.clamp(net.values[row, source, 0], -1.0, 1.0), wp.clamp(net.values[row, source, 1], -1.0, 1.0))
