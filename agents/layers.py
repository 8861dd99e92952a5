"""A frozen policy's numbers, read back from its graph: for simulators that run it by other means than onnxruntime.

`agents/export.py` writes the graph operator by operator with named constants; only such a graph is read.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper

from agents.errors import PolicyError
from agents.policy import MODEL, Policy
from sim.perceptron import Layers


def read_layers(place: Path) -> Layers:
    """Normaliser, weights and biases of the policy in a directory; raises PolicyError for one that is not ours."""
    policy = Policy.load(place)
    directory = place.parent if place.is_file() else place
    graph = onnx.load_model_from_string((directory / MODEL).read_bytes()).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    order = sorted(int(name.removeprefix("weight")) for name in constants if name.startswith("weight"))
    if not order or not {"shift", "scale"} <= constants.keys():
        raise PolicyError(f"expected a graph that muster exported, {directory / MODEL} has no layers; export it again")
    return Layers(
        shift=constants["shift"],
        scale=constants["scale"],
        weights=tuple(constants[f"weight{index}"] for index in order),
        biases=tuple(constants[f"bias{index}"] for index in order),
        hash=policy.hash,
    )
