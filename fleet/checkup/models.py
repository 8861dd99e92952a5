"""The learned models that a robot answers by: onnxruntime, the kernels' compiler, a policy's directory.

Manifest, hashes, contract and embodiment are compared, and the policy is asked a few times, as `muster swap` does
before it lets one drive. A graph is somebody's file: it is loaded in a process of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fleet.checkup.apart import Lost, apart
from fleet.checkup.finding import Finding, Reading, Section, one_line, readable
from sim.errors import MusterError
from sim.robot import Ackermann, RobotSpec

SECTION = Section("models")

LOADING = 30.0
"""s in which libraries and policy must be loaded: importing warp and onnxruntime takes 3 on a slow board"""
SLOW = 0.010
"""s of one answer at most: a tenth of a control period; later than LATE (fleet/control.py) it is not used"""


@dataclass(frozen=True)
class PolicyFacts:
    """What was seen of a policy."""

    hash: str
    contract: str
    """Hash of its contract"""
    bytes: int
    """Of its graph"""
    complaint: str = ""
    """Why this robot cannot drive by it: contract, or answers; empty where it can"""
    compared: bool = True
    """Whether its contract was compared with the robot's"""
    answer: float = 0.0
    """What one answer took, the median, s"""


@dataclass(frozen=True)
class ModelFacts:
    """What was seen of the models."""

    runtime: str = ""
    """Version of onnxruntime; empty where it cannot be loaded"""
    runtime_error: str = ""
    kernels: str = ""
    """Version of warp, and where it keeps what it compiles"""
    kernels_error: str = ""
    policy: Reading[PolicyFacts] | None = None


def look(policy: Path | None, spec: RobotSpec) -> ModelFacts:
    """Load the libraries, and the policy where one is given."""
    runtime, kernels = apart(LOADING, _runtime), apart(LOADING, _kernels)
    reading = None
    if policy is not None and not isinstance(runtime, Lost):
        came = apart(LOADING, _policy, policy, spec)
        place = readable(policy)
        reading = Reading[PolicyFacts](place, error=came.reason) if isinstance(came, Lost) else Reading(place, came)
    return ModelFacts(
        runtime="" if isinstance(runtime, Lost) else runtime,
        runtime_error=runtime.reason if isinstance(runtime, Lost) else "",
        kernels="" if isinstance(kernels, Lost) else kernels,
        kernels_error=kernels.reason if isinstance(kernels, Lost) else "",
        policy=reading,
    )


def check(facts: ModelFacts) -> list[Finding]:
    """Judge them."""
    findings = [
        SECTION.judged(
            not facts.runtime_error, "onnxruntime", facts.runtime or facts.runtime_error, "a library that loads",
            "pip install --force-reinstall onnxruntime, for this Python and machine",
        ),
        SECTION.judged(
            not facts.kernels_error, "kernels", facts.kernels or facts.kernels_error,
            "warp, and a folder for what it compiles",
            "pip install --force-reinstall warp-lang; give a folder by WARP_CACHE_PATH that this user can write to",
        ),
    ]  # fmt: skip
    if facts.policy is not None:
        findings += _judged(facts.policy)
    return findings


def _judged(reading: Reading[PolicyFacts]) -> list[Finding]:
    policy = reading.value
    if policy is None:
        return [
            SECTION.mend(
                "policy", reading.error, "policy.onnx and policy.json of one training",
                "copy both files of the run that trained it",
            )
        ]  # fmt: skip
    if policy.complaint:
        return [
            SECTION.mend(
                "policy", policy.complaint, "a policy for this robot that answers within its contract",
                "train one for this --spec (muster train), or give the --spec that it was trained for",
            )
        ]  # fmt: skip
    about = f"{policy.hash[:12]}, contract {policy.contract[:12]}, {policy.bytes / 2**20:.2f} MiB"
    found = [SECTION.ok("policy", about)]
    if not policy.compared:
        found.append(
            SECTION.note("contract", "not compared: it drives a car", "the drive's", "drive it in shadow first")
        )
    quick = f"an answer in {policy.answer * 1e3:.2f} ms"
    wanted = f"at most {SLOW * 1e3:g} ms, a tenth of a control period"
    if policy.answer > SLOW:
        return [
            *found,
            SECTION.mend("inference", quick, wanted, "train a smaller network, or give the robot a faster core"),
        ]
    return [*found, SECTION.ok("inference", quick)]


def _runtime() -> str:
    import onnxruntime

    return onnxruntime.__version__


def _kernels() -> str:
    import os

    import warp

    from sim.device import start_warp

    start_warp()
    folder = Path(warp.config.kernel_cache_dir or "")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"warp {warp.config.version} cannot write its compiled kernels to {folder}")
    return f"warp {warp.config.version}, compiled into {folder}"


def _policy(place: Path, spec: RobotSpec) -> PolicyFacts:
    """Load a policy and ask it. Raises MusterError where its files are none."""
    import numpy as np

    from agents.policy import MANIFEST, MODEL, Policy
    from fleet.served import rehearse
    from hierarchy.skills import sees_limit
    from sim.tasks.navigate_contract import navigate_contract

    directory = place.parent if place.name in (MANIFEST, MODEL) else place
    policy = Policy.load(directory)
    size, car = (directory / MODEL).stat().st_size, isinstance(spec.drive, Ackermann)
    if car:
        return PolicyFacts(policy.hash, policy.contract_hash, size, compared=False)
    try:
        contract = navigate_contract(spec, limited=sees_limit(policy, spec))
        policy.check(contract)
        rehearse(policy, contract, bound=1.0)
    except MusterError as error:
        return PolicyFacts(policy.hash, policy.contract_hash, size, one_line(error))
    taken = []
    for _ in range(32):
        began = time.perf_counter()
        policy.act(np.zeros((1, contract.observation_size), np.float32))
        taken.append(time.perf_counter() - began)
    return PolicyFacts(policy.hash, policy.contract_hash, size, answer=sorted(taken)[len(taken) // 2])
