"""From trained weights to the frozen artifact: an ONNX graph and its manifest.

    action = clip( W_n tanh( ... tanh( W_1 clip((o - shift) scale, -10, 10) + b_1 ) ... ) + b_n, -1, 1 )

The graph is written operator by operator rather than traced: twelve lines that say what a robot computes, the same
bytes for the same weights, and no dependence on a tracing exporter.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agents.networks import ActorCritic
from agents.normalize import CLIP, Moments
from agents.policy import MANIFEST, MANIFEST_VERSION, MODEL, Policy, graph_hash
from sim.files import write_atomic
from sim.tasks.contract import Contract

OPSET = 17
"""ONNX operator set: old enough for every onnxruntime since 2022; has all that the graph needs."""

IR_VERSION = 8
"""The ONNX file format that goes with that operator set."""


def export(
    directory: Path,
    network: ActorCritic,
    moments: Moments,
    contract: Contract,
    *,
    training: Mapping[str, Any],  # JSON values
    evaluation: Mapping[str, Any],  # JSON values
) -> Policy:
    """Write policy.onnx, then policy.json, into `directory`; returns the policy as a robot would load it.

    Raises FileError when a file cannot be written; a manifest never stands beside a graph that it does not describe.
    """
    graph = actor_graph(network, moments).SerializeToString(deterministic=True)
    manifest = {
        "muster": MANIFEST_VERSION,
        "onnx_sha256": graph_hash(graph),
        "contract": json.loads(contract.json()),
        "contract_hash": contract.hash,
        "training": dict(training),
        "evaluation": dict(evaluation),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "torch", "onnx", "onnxruntime")},
        },
    }
    (directory / MANIFEST).unlink(missing_ok=True)
    write_atomic(directory / MODEL, graph)
    write_atomic(directory / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return Policy.load(directory)


def actor_graph(network: ActorCritic, moments: Moments) -> onnx.ModelProto:
    """Normaliser, actor mean and clip as one graph: `observation` (rows, n) -> `action` (rows, k)."""
    shift, scale = moments.shift_scale()
    constants: dict[str, NDArray[np.float32]] = {
        "shift": _array(shift),
        "scale": _array(scale),
        "low": np.array(-CLIP, np.float32),
        "high": np.array(CLIP, np.float32),
        "minus_one": np.array(-1.0, np.float32),
        "one": np.array(1.0, np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["observation", "shift"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "low", "high"], ["layer0"]),
    ]
    name = "layer0"
    for index, module in enumerate(network.actor):
        after = f"layer{index + 1}"
        if isinstance(module, torch.nn.Linear):
            constants[f"weight{index}"] = _array(module.weight)
            constants[f"bias{index}"] = _array(module.bias)
            nodes.append(helper.make_node("Gemm", [name, f"weight{index}", f"bias{index}"], [after], transB=1))
        else:
            nodes.append(helper.make_node("Tanh", [name], [after]))
        name = after
    nodes.append(helper.make_node("Clip", [name, "minus_one", "one"], ["action"]))
    graph = helper.make_graph(
        nodes,
        "muster policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["rows", len(shift)])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["rows", len(network.log_std)])],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="muster")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().numpy().astype(np.float32)
