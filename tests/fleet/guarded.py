"""The hand policy with a guard made by hand, as files: an offset, or its change, is new where it is large.

    alone = |lateral| / 0.3      change = |lateral - lateral'| / 0.1      distance = 0

and, where it is asked for, the residuals of the readings in units of LIMITS.
Golden observations are made of readings by the shared feature code, as `muster calibrate-guard` does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agents.policy import MANIFEST, MODEL, RESIDUALS, Policy, graph_hash
from fleet.guards.golden import make
from fleet.guards.preflight import observed
from fleet.guards.raw import Raw
from sim.geometry import CORRIDOR_POINTS
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import TRACK_AT, navigate_contract
from tests.fleet.hand_policy import write_hand_policy

LIMITS = {
    "odometry": 2.5, "beyond": 0.15, "rough": 0.15, "place": 2.5, "bias": 0.02, "drift": 2.5, "still": 0.125,
}  # fmt: skip
"""About what calibration finds; more for odometry, whose fake robots obey at once."""

SPEC = replace(RobotSpec(), lidar=replace(RobotSpec().lidar, rays=64))


def write_guarded_policy(directory: Path, alone: float = 0.3, change: float = 0.1, *, sensing: bool = False) -> Policy:
    """Write policy.onnx and policy.json with limits of lateral offset and its change, m."""
    policy = write_hand_policy(directory)
    model = onnx.load(directory / MODEL)
    size = navigate_contract(RobotSpec()).observation_size
    pick = np.zeros((size, 1), np.float32)
    pick[int(TRACK_AT)] = 1.0
    constants = {
        "before": np.zeros((1, size), np.float32),
        "pick": pick,
        "per_alone": np.array(1.0 / alone, np.float32),
        "per_change": np.array(1.0 / change, np.float32),
        "nothing": np.array(0.0, np.float32),
    }
    node = helper.make_node
    model.graph.node.extend(
        [
            node("MatMul", ["observation", "pick"], ["lateral"]),
            node("MatMul", ["before", "pick"], ["lateral_before"]),
            node("Sub", ["lateral", "lateral_before"], ["lateral_change"]),
            node("Abs", ["lateral"], ["offset"]),
            node("Abs", ["lateral_change"], ["offset_change"]),
            node("Mul", ["offset", "per_alone"], ["alone"]),
            node("Mul", ["offset_change", "per_change"], ["change"]),
            node("Mul", ["offset", "nothing"], ["distance"]),
        ]
    )
    scores = ["alone", "change", "distance"]
    model.graph.input.append(helper.make_tensor_value_info("before", TensorProto.FLOAT, ["pairs", size]))
    if sensing:
        constants["residuals"] = np.zeros((1, len(RESIDUALS)), np.float32)
        constants["per_residual"] = np.array([1.0 / LIMITS[name] for name in RESIDUALS], np.float32)
        model.graph.input.append(helper.make_tensor_value_info("residuals", TensorProto.FLOAT, [1, len(RESIDUALS)]))
        model.graph.node.append(node("Mul", ["residuals", "per_residual"], ["contradictions"]))
        scores.append("contradictions")
    model.graph.node.append(node("Concat", [*scores, *scores], ["novelty"], axis=1))
    many = 2 * (3 + len(RESIDUALS)) if sensing else 6
    model.graph.output.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["rows", many]))
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    data = model.SerializeToString(deterministic=True)
    (directory / MODEL).write_bytes(data)
    manifest: dict[str, Any] = {**policy.manifest, "onnx_sha256": graph_hash(data)}
    (directory / MANIFEST).write_text(json.dumps(manifest))
    guarded = Policy.load(directory)
    manifest["guard"] = {"golden": make(guarded, [(raw, observed(plain(raw), SPEC)) for raw in readings()])}
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return Policy.load(directory)


@dataclass(frozen=True)
class _Case:
    x: float
    y: float
    yaw: float
    v: float
    w: float


def readings() -> list[Raw]:
    """Two robots that drive and turn in a corridor that bends, between things at different distances."""
    cases = (_Case(0.4, 0.1, 0.3, 0.8, 0.6), _Case(1.1, -0.12, -0.2, 0.5, -0.9))
    points = np.zeros((1, CORRIDOR_POINTS, 2), np.float32)
    points[0, :, 0] = np.minimum(1.2 * np.arange(CORRIDOR_POINTS), 2.4)
    points[0, :, 1] = np.maximum(1.2 * (np.arange(CORRIDOR_POINTS) - 2), 0.0)
    return [
        Raw(
            scan=(1.5 + np.sin(np.arange(64) * 0.17 + index)[None]).astype(np.float32),
            pose=np.array([[case.x, case.y, case.yaw]], np.float32),
            twist=np.array([[case.v, case.w]], np.float32),
            last_command=np.array([[case.v + 0.1, case.w - 0.2]], np.float32),
            points=points,
            half_width=np.full((1, CORRIDOR_POINTS), 0.6, np.float32),
            count=np.array([5], np.int32),
            final=np.array([1], np.uint8),
        )
        for index, case in enumerate(cases)
    ]


def plain(raw: Raw) -> dict[str, np.ndarray]:
    """Readings by name."""
    return dict(vars(raw))
