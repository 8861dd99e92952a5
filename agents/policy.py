"""A frozen policy: what a robot runs. onnxruntime and numpy alone; torch is never needed here.

A policy is two files side by side. `policy.onnx` maps float32 observations (rows, n), as the observation kernel writes
them, to actions (rows, k) in [-1, 1]; the observation normaliser is part of the graph. `policy.json` is its manifest:
the sha256 of the graph, the contract (ordered observation fields, actions, embodiment) with its hash, and where the
weights came from (training configuration, seed, evaluation). `load` verifies both hashes; `check` refuses a robot
whose contract is not the one trained for, showing where they differ.

One thread and no spinning: onnxruntime's default pools would starve the control loop (50 us a row are enough).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from agents.errors import ContractMismatch, PolicyError
from sim.files import FileError, read_file
from sim.tasks.contract import Contract

MODEL = "policy.onnx"
MANIFEST = "policy.json"
MANIFEST_VERSION = 1
"""Of the manifest's layout; stands under `muster`."""
RESIDUALS = ("odometry", "beyond", "rough", "place", "bias", "drift", "still")
"""Of the input `residuals`, where a graph has it: how much a robot's readings contradict each other and its map."""
SCORES = ("alone", "change", "distance", *RESIDUALS)
"""Of the output `novelty`, where a graph has it (agents/novelty.py): of the observation, of its change, of both; and
the residuals. All in units of their limits. Graphs of 2026-11-22 have the first three alone."""
CHANGES = (1, 2)
"""Those of the scores that say nothing without a step before."""


@dataclass(frozen=True)
class Policy:
    """A deterministic policy that has been verified against its manifest."""

    manifest: dict[str, Any]
    """`policy.json` as it stands."""
    hash: str
    """sha256 (hex) of the graph: the policy's identity in logs."""
    session: onnxruntime.InferenceSession = field(repr=False)

    @classmethod
    def load(cls, place: Path | str) -> Policy:
        """Read the policy of a run directory, or the one that `place` names (policy.onnx or policy.json).

        Raises PolicyError when a file is missing, damaged or does not match the other.
        """
        place = Path(place)
        directory = place.parent if place.name in (MANIFEST, MODEL) else place
        manifest = _read_manifest(directory / MANIFEST)
        graph = _read(directory / MODEL)
        digest = graph_hash(graph)
        if digest != manifest["onnx_sha256"]:
            raise PolicyError(
                f"expected {directory / MODEL} to have sha256 {manifest['onnx_sha256'][:12]}..., as {MANIFEST} says, "
                f"it has {digest[:12]}...; copy both files of one training run"
            )
        return cls(manifest=manifest, hash=digest, session=open_session(graph, directory / MODEL))

    @property
    def contract_hash(self) -> str:
        """sha256 (hex) of the contract that it was trained for."""
        return self.manifest["contract_hash"]

    def check(self, contract: Contract) -> None:
        """Raise ContractMismatch, with both hashes and where the contracts differ first, unless `contract` is its own.

        Its own stands in full in the manifest; both together are 4 kB, which hide what is to be done.
        """
        if contract.hash == self.contract_hash:
            return
        mine, yours = self.manifest["contract"], json.loads(contract.json())
        raise ContractMismatch(
            f"expected a policy for contract {contract.hash[:12]}, this one was trained for {self.contract_hash[:12]} "
            f"(they differ in {_difference(yours, mine)}); train one for this robot, or give the one it was trained for"
        )

    def act(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions in [-1, 1] of observations (rows, observation): (rows, action), float32."""
        return cast(NDArray[np.float32], self.session.run(["action"], {"observation": observation})[0])

    @property
    def guarded(self) -> bool:
        """Whether it tells how new an observation is to it (`judge`); policies from before 2026-11-22 do not."""
        return any(output.name == "novelty" for output in self.session.get_outputs())

    @property
    def sensing(self) -> bool:
        """Whether its graph takes residuals of the readings too (fleet/guards/senses.py)."""
        return any(each.name == "residuals" for each in self.session.get_overridable_initializers())

    def judge(
        self,
        observation: NDArray[np.float32],
        before: NDArray[np.float32],
        residuals: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Actions (rows, action), and what the guard's scores are, (rows, 2 SCORES), float32.

        Each score in units of its limit for one step, then each in units of its limit for a mean over some steps.
        `residuals` (rows, RESIDUALS) are for graphs that take them; none count as 0.
        """
        given = {"observation": observation, "before": before}
        if residuals is not None:
            given["residuals"] = residuals
        action, novelty = self.session.run(["action", "novelty"], given)
        return cast(NDArray[np.float32], action), cast(NDArray[np.float32], novelty)


def graph_hash(graph: bytes) -> str:
    """sha256 (hex) of a serialised graph."""
    return hashlib.sha256(graph).hexdigest()


def open_session(graph: bytes, path: Path) -> onnxruntime.InferenceSession:
    """A graph, ready to answer on one thread; `path` is what errors name. Raises PolicyError."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own classes, which share no public base
        raise PolicyError(
            f"expected an ONNX graph, {path} is none ({str(error).splitlines()[0]}); export the policy again"
        ) from error


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"expected JSON, {path} is damaged ({error}); copy both files of one training run") from error
    wanted = {"muster", "onnx_sha256", "contract", "contract_hash"}
    if not isinstance(manifest, dict) or not wanted <= manifest.keys():
        missing = sorted(wanted - manifest.keys()) if isinstance(manifest, dict) else sorted(wanted)
        raise PolicyError(f"expected a policy manifest, {path} lacks {', '.join(missing)}; export the policy again")
    if manifest["muster"] != MANIFEST_VERSION:
        raise PolicyError(
            f"expected manifest version {MANIFEST_VERSION}, {path} has {manifest['muster']!r}; export the policy again"
        )
    for key in ("onnx_sha256", "contract_hash"):
        if not isinstance(manifest[key], str):
            raise PolicyError(f"expected {key} as text, {path} has {_short(manifest[key])}; export the policy again")
    text = json.dumps(manifest["contract"], sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(text.encode()).hexdigest() != manifest["contract_hash"]:
        raise PolicyError(f"expected the contract in {path} to match its hash, it was edited; export the policy again")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except FileError as error:
        raise PolicyError(
            f"expected a trained policy ({MODEL} and {MANIFEST}), {str(error).rpartition(';')[0]}; "
            "train one with `muster launch launch/warehouse_train.launch.yaml` or name the run directory of one"
        ) from error


def _difference(expected: Any, came: Any, where: str = "") -> str:  # any JSON value
    """Path of the first difference of two JSON values, with both."""
    if isinstance(expected, dict) and isinstance(came, dict):
        for key in sorted(expected.keys() | came.keys()):
            if expected.get(key) != came.get(key):
                return _difference(expected.get(key), came.get(key), f"{where}.{key}".lstrip("."))
    if isinstance(expected, list) and isinstance(came, list) and len(expected) == len(came):
        for index, (one, other) in enumerate(zip(expected, came, strict=True)):
            if one != other:
                return _difference(one, other, f"{where}[{index}]")
    return f"{where or 'everything'}: expected {_short(expected)}, came {_short(came)}"


def _short(value: Any) -> str:  # any JSON value
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
