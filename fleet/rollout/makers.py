"""Policies without training, for the demo: a law of two lines as the files that training would leave.

    turn  = clip(-2.0 sin(heading error) - 1.5 (lateral offset - side))
    speed = share clip(3 cos(heading error) - 2, 0, 1) clip(0.1 + 6.0 remaining, 0, 1)

`share` is of the robot's full speed, `side` (m, left positive) where in its corridor it drives. Both are what the demo
plants. Writing a policy needs the `onnx` package; running one does not.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from agents.policy import MANIFEST, MANIFEST_VERSION, MODEL, Policy, graph_hash
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import navigate_contract


@dataclass(frozen=True)
class Law:
    """What a made policy does."""

    share: float = 0.60
    """Of the robot's full speed, 0 to 1"""
    side: float = 0.0
    """Left of the corridor's middle, m"""


BASELINE = Law()
GOOD = Law(share=0.63, side=-0.05)
"""5 % faster, and 0.05 m farther from where people stand"""
REGRESSED = Law(share=0.582, side=0.10)
"""3 % slower, and 0.10 m nearer to where people stand: little enough that no single decision shows it"""


def write_policy(directory: Path, law: Law, spec: RobotSpec | None = None) -> Policy:
    """Write policy.onnx and policy.json into a directory, which is made; the policy that they are."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    contract = navigate_contract(spec or RobotSpec())
    at = {name: place.start for name, place in contract.slices().items()}
    size = contract.observation_size
    turn, facing, near = (np.zeros((size, 1), np.float32) for _ in range(3))
    turn[at["track"] + 1], turn[at["track"]] = -2.0, -1.5
    facing[at["track"] + 2] = 3.0
    near[at["remaining"]] = 6.0
    constants = {
        "turn": turn,
        "facing": facing,
        "near": near,
        "side": np.array([1.5 * law.side], np.float32),
        "two": np.array([2.0], np.float32),
        "ground": np.array([0.1], np.float32),
        "share": np.array([law.share], np.float32),
        "zero": np.array(0.0, np.float32),
        "one": np.array(1.0, np.float32),
        "minus_one": np.array(-1.0, np.float32),
    }
    steps = (
        ("MatMul", ("observation", "turn"), "straight"),
        ("Add", ("straight", "side"), "turning"),
        ("Clip", ("turning", "minus_one", "one"), "w"),
        ("MatMul", ("observation", "facing"), "cosine"),
        ("Sub", ("cosine", "two"), "ahead"),
        ("Clip", ("ahead", "zero", "one"), "aligned"),
        ("MatMul", ("observation", "near"), "left"),
        ("Add", ("left", "ground"), "to_go"),
        ("Clip", ("to_go", "zero", "one"), "slow"),
        ("Mul", ("aligned", "slow"), "product"),
        ("Mul", ("product", "share"), "v"),
    )
    nodes = [helper.make_node(kind, list(inputs), [output]) for kind, inputs, output in steps]
    nodes.append(helper.make_node("Concat", ["v", "w"], ["action"], axis=1))
    graph = helper.make_graph(
        nodes,
        "made policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["rows", size])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    manifest = {
        "muster": MANIFEST_VERSION,
        "onnx_sha256": graph_hash(data),
        "contract": json.loads(contract.json()),
        "contract_hash": contract.hash,
        "training": {"made": asdict(law)},
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL).write_bytes(data)
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return Policy.load(directory)
