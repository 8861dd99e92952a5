"""How unlike everything that was driven an observation is: three scores, computed beside the policy in its graph.

    x = clip((o - shift) scale)        the policy's own normalised observation, x' that of the step before
    d = clip((x - x') / sigma)         the change, in standard deviations of changes
    e = log(mean over each field of d^2 + EPSILON)

    alone      a network's logit on x: wrong at a standstill and in the first step
    change     a network's logit on (x, d, e): frozen, late, contradicting what moved
    distance   sqrt(mean of (P (x, d) / s)^2): Mahalanobis in the principal space, no network to be fooled

The networks tell driven observations from corrupted ones (agents/exposure.py); the distance knows driven ones alone and
grows without bound. Scores have no unit: what is too much, `muster calibrate-guard` measures on driving that nothing
was fitted on. Needs torch and onnx: robots only run the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from agents.exposure import WINDOW, Fields, corrupt
from agents.normalize import CLIP
from agents.policy import RESIDUALS, SCORES

NEW = SCORES[: len(SCORES) - len(RESIDUALS)]
"""The scores that are computed here."""
EPSILON = 1e-4
"""Of the log energy: 1 % of a typical change is as good as none."""
HIDDEN = (128, 64)
"""Of both networks: 0.17 MB and 20 us a row (x86, one core, 2026-11)."""
FLOOR = 0.02
"""Smallest share of the largest principal deviation that a direction counts with: below it is rounding."""
BATCH = 2048
RATE = 2e-3


@dataclass(frozen=True)
class Novelty:
    """Fitted parameters, all float32; `nodes` makes operators of them."""

    sigma: NDArray[np.float32]
    """Standard deviation of the change of each normalised number, (n,)"""
    pool: NDArray[np.float32]
    """Mean over each field, (n, fields)"""
    mean: NDArray[np.float32]
    """Of (x, d), (2 n,)"""
    project: NDArray[np.float32]
    """Whitened principal directions of (x, d), (2 n, directions)"""
    alone: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    """Weights (out, in) and biases (out,) of the network on x"""
    change: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    """And of that on (x, d, e)"""


@dataclass(frozen=True)
class Limits:
    """What is too much of each score, (SCORES,): in one step, and as a mean over some; `middle` is what is usual."""

    middle: tuple[float, ...]
    single: tuple[float, ...]
    lasting: tuple[float, ...]


RAW = Limits((0.0,) * len(SCORES), (1.0,) * len(SCORES), (1.0,) * len(SCORES))
"""Scores as they come, to find their limits."""


def windows(observations: NDArray[np.float32], first: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(step, row) at which WINDOW observations of one episode end; `observations` (steps, rows, n), (windows, 2)."""
    age = np.zeros(first.shape[1], np.int64)
    found = []
    for step in range(len(observations)):
        age = np.where(first[step], 0, age + 1)
        rows = np.flatnonzero(age >= WINDOW - 1)
        found.append(np.stack([np.full(len(rows), step), rows], 1))
    return np.concatenate(found)


def fit(
    observations: NDArray[np.float32],
    first: NDArray[np.bool_],
    fields: Fields,
    shift: NDArray[np.float32],
    scale: NDArray[np.float32],
    *,
    seed: int,
    updates: int,
) -> Novelty:
    """Fit to driving: `observations` (steps, rows, n) and where an episode begins, (steps, rows); the same each time.

    `shift` and `scale` (n,) are the policy's normaliser. Raises ValueError for less than one batch of windows.
    """
    ends = windows(observations, first)
    if len(ends) < BATCH:
        raise ValueError(f"expected at least {BATCH} windows of {WINDOW} steps, got {len(ends)}; drive longer")
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)

    def normal(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip((values - shift) * scale, -CLIP, CLIP).astype(np.float32)

    some = ends[generator.choice(len(ends), min(len(ends), 100_000), replace=False)]
    x = normal(observations[some[:, 0], some[:, 1]])
    dx = x - normal(observations[some[:, 0] - 1, some[:, 1]])
    sigma = np.maximum(dx.std(0), 1e-3).astype(np.float32)
    both = np.concatenate([x, np.clip(dx / sigma, -CLIP, CLIP)], 1)
    mean = both.mean(0)
    values, vectors = np.linalg.eigh(np.cov((both - mean).T).astype(np.float64))
    deviation = np.sqrt(np.maximum(values, 0.0))
    deviation = np.maximum(deviation, FLOOR * deviation[-1])
    size = observations.shape[-1]
    pool = np.zeros((size, len(fields)), np.float32)
    for index, at in enumerate(fields.values()):
        pool[at, index] = 1.0 / (at.stop - at.start)
    spread = (1.0 / np.maximum(scale, 1e-6)).clip(0.0, 2.0)
    alone, change = _network(size), _network(2 * size + len(fields))
    optimizer = torch.optim.Adam([*alone.parameters(), *change.parameters()], RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, updates)
    loss = nn.BCEWithLogitsLoss()
    truth = torch.cat([torch.zeros(BATCH), torch.ones(BATCH)])
    back = np.arange(WINDOW) - (WINDOW - 1)
    for _ in range(updates):
        picked = ends[generator.integers(len(ends), size=2 * BATCH)]
        window = observations[picked[:, :1] + back, picked[:, 1:]]
        newest, before = corrupt(window[BATCH:], fields, spread, generator)
        now = torch.from_numpy(normal(np.concatenate([window[:BATCH, -1], newest])))
        then = torch.from_numpy(normal(np.concatenate([window[:BATCH, -2], before])))
        d = ((now - then) / torch.from_numpy(sigma)).clamp(-CLIP, CLIP)
        e = (d.square() @ torch.from_numpy(pool) + EPSILON).log()
        told = loss(alone(now)[:, 0], truth) + loss(change(torch.cat([now, d, e], 1))[:, 0], truth)
        optimizer.zero_grad()
        told.backward()
        optimizer.step()
        schedule.step()
    return Novelty(
        sigma=sigma,
        pool=pool,
        mean=mean.astype(np.float32),
        project=(vectors / deviation / np.sqrt(2 * size)).astype(np.float32),
        alone=_weights(alone),
        change=_weights(change),
    )


def add_novelty(graph: bytes, novelty: Novelty, limits: Limits = RAW) -> bytes:
    """The policy's graph with inputs `before` (rows, n), `residuals` (rows, RESIDUALS) and output `novelty`.

    `novelty` is (rows, 2 SCORES): the three scores of novelty, and the residuals, which come as numbers.

    Each score is told twice, (score - middle) / (limit - middle): in units of its limit for one step, and of that for a
    mean. What trips the guard so stands in the graph, under its hash, and needs no other file. Both inputs may be left
    out where only the action is asked. Raises ValueError for a graph without muster's normaliser, or one that has
    novelty.
    """
    model = onnx.load_from_string(graph)
    inside = {name for node in model.graph.node for name in node.output}
    initial = {each.name for each in model.graph.initializer}
    if "layer0" not in inside or not {"shift", "scale", "low", "high"} <= initial or "novelty" in inside:
        raise ValueError("expected a policy's graph as agents/export.py writes it, without novelty")
    size = len(novelty.sigma)
    constants: dict[str, NDArray[np.float32]] = {
        # inputs with a default: policies are asked without them too
        "before": np.zeros((1, size), np.float32),
        "residuals": np.zeros((1, len(RESIDUALS)), np.float32),
        "nothing": np.array(0.0, np.float32),
        "sigma": novelty.sigma,
        "pool": novelty.pool,
        "mean": novelty.mean,
        "project": novelty.project,
        "epsilon": np.array(EPSILON, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Sub", ["before", "shift"], ["before_centred"]),
        node("Mul", ["before_centred", "scale"], ["before_scaled"]),
        node("Clip", ["before_scaled", "low", "high"], ["before0"]),
        node("Sub", ["layer0", "before0"], ["changed"]),
        node("Div", ["changed", "sigma"], ["change_scaled"]),
        node("Clip", ["change_scaled", "low", "high"], ["d"]),
        node("Mul", ["d", "d"], ["d_squared"]),
        node("MatMul", ["d_squared", "pool"], ["energy"]),
        node("Add", ["energy", "epsilon"], ["energy_floored"]),
        node("Log", ["energy_floored"], ["e"]),
        node("Concat", ["layer0", "d", "e"], ["seen"], axis=1),
        node("Concat", ["layer0", "d"], ["both"], axis=1),
        node("Sub", ["both", "mean"], ["both_centred"]),
        node("MatMul", ["both_centred", "project"], ["white"]),
        node("ReduceL2", ["white"], ["distance"], axes=[1], keepdims=1),
    ]
    for name, source, layers in (("alone", "layer0", novelty.alone), ("change", "seen", novelty.change)):
        for index, (weight, bias) in enumerate(layers):
            last = index == len(layers) - 1
            constants[f"{name}_w{index}"], constants[f"{name}_b{index}"] = weight, bias
            out = name if last else f"{name}_{index}"
            nodes.append(node("Gemm", [source, f"{name}_w{index}", f"{name}_b{index}"], [out], transB=1))
            if not last:
                nodes.append(node("Relu", [out], [f"{out}_on"]))
                source = f"{out}_on"
    middle, single, lasting = (np.array(each, np.float32) for each in (limits.middle, limits.single, limits.lasting))
    constants["middle"] = np.tile(middle, 2)
    constants["gain"] = (1.0 / (np.concatenate([single, lasting]) - constants["middle"])).astype(np.float32)
    told = [*NEW, "residuals_each"]
    nodes += [
        node("Mul", ["distance", "nothing"], ["column"]),  # of zeros, as long as the observations
        node("Add", ["residuals", "column"], ["residuals_each"]),
        node("Concat", [*told, *told], ["scores"], axis=1),
        node("Sub", ["scores", "middle"], ["scores_centred"]),
        node("Mul", ["scores_centred", "gain"], ["novelty"]),
    ]
    model.graph.node.extend(nodes)
    for name, many in (("before", size), ("residuals", len(RESIDUALS))):
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}_rows", many]))
    model.graph.output.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["rows", 2 * len(SCORES)]))
    model.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in constants.items())
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def normaliser(graph: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shift and scale, each (n,), of a policy's graph. Raises ValueError where it has none."""
    found: dict[str, Any] = {each.name: each for each in onnx.load_from_string(graph).graph.initializer}
    if not {"shift", "scale"} <= found.keys():
        raise ValueError("expected a policy's graph as agents/export.py writes it, with its normaliser")
    return numpy_helper.to_array(found["shift"]), numpy_helper.to_array(found["scale"])


def _network(size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden in HIDDEN:
        layers += [nn.Linear(size, hidden), nn.ReLU()]
        size = hidden
    return nn.Sequential(*layers, nn.Linear(size, 1))


def _weights(network: nn.Sequential) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
    linear = [module for module in network if isinstance(module, nn.Linear)]
    return tuple((each.weight.detach().numpy().copy(), each.bias.detach().numpy().copy()) for each in linear)
