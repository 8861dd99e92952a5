"""A policy made by hand, as the files that training would leave: follows the corridor's centre line at up to 0.9 m/s.

    turn  = clip(-2.0 sin(heading error) - 1.5 lateral offset)
    speed = 0.6 clip(3 cos(heading error) - 2, 0, 1) clip(0.05 + 2.0 remaining, 0, 1)

For tests that need a robot that drives, without training one. Writing it needs the `onnx` package; running it does not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agents.policy import MANIFEST, MANIFEST_VERSION, MODEL, Policy, graph_hash
from sim.robot import RobotSpec
from sim.tasks.contract import Contract
from sim.tasks.navigate_contract import navigate_contract


def write_hand_policy(
    directory: Path, spec: RobotSpec | None = None, contract: Contract | None = None, *, speed: float = 0.6
) -> Policy:
    """Write policy.onnx and policy.json; another `contract` makes a policy that fits no robot, `speed` a faster one."""
    mine = navigate_contract(spec or RobotSpec())
    at = {name: place.start for name, place in mine.slices().items()}
    size = mine.observation_size
    turn, facing, near = (np.zeros((size, 1), np.float32) for _ in range(3))
    turn[at["track"] + 1], turn[at["track"]] = -2.0, -1.5
    facing[at["track"] + 2] = 3.0
    near[at["remaining"]] = 2.0
    constants = {
        "turn": turn,
        "facing": facing,
        "near": near,
        "two": np.array([2.0], np.float32),
        "ground": np.array([0.05], np.float32),
        "share": np.array([speed], np.float32),
        "zero": np.array(0.0, np.float32),
        "one": np.array(1.0, np.float32),
        "minus_one": np.array(-1.0, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["observation", "turn"], ["turning"]),
        helper.make_node("Clip", ["turning", "minus_one", "one"], ["w"]),
        helper.make_node("MatMul", ["observation", "facing"], ["cosine"]),
        helper.make_node("Sub", ["cosine", "two"], ["ahead"]),
        helper.make_node("Clip", ["ahead", "zero", "one"], ["aligned"]),
        helper.make_node("MatMul", ["observation", "near"], ["left"]),
        helper.make_node("Add", ["left", "ground"], ["to_go"]),
        helper.make_node("Clip", ["to_go", "zero", "one"], ["slow"]),
        helper.make_node("Mul", ["aligned", "slow"], ["product"]),
        helper.make_node("Mul", ["product", "share"], ["v"]),
        helper.make_node("Concat", ["v", "w"], ["action"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "hand policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["rows", size])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    named = contract or mine
    manifest = {
        "muster": MANIFEST_VERSION,
        "onnx_sha256": graph_hash(data),
        "contract": json.loads(named.json()),
        "contract_hash": named.hash,
    }
    (directory / MODEL).write_bytes(data)
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return Policy.load(directory)
