"""The learned models that a robot answers by: onnxruntime, the kernels' compiler, a policy's directory.

Manifest, hashes, contract and embodiment are compared, and the policy is asked a few times, as `muster swap` does
before it lets one drive. A graph is somebody's file: it is loaded in a process of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.checkup.apart import Lost, apart
from fleet.checkup.finding import Finding, Reading, Section, one_line, readable
from sim.errors import MusterError
from sim.robot import Ackermann, RobotSpec

if TYPE_CHECKING:
    from agents.policy import Policy
    from sim.tasks.contract import Contract

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


def look(policy: Path | None, spec: RobotSpec | None) -> ModelFacts:
    """Load the libraries, and the policy where one is given, for the default robot or car where no `spec` is."""
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
                "train one for this --spec (muster train, driving-train), or give the --spec that it was trained for",
            )
        ]  # fmt: skip
    about = f"{policy.hash[:12]}, contract {policy.contract[:12]}, {policy.bytes / 2**20:.2f} MiB"
    found = [SECTION.ok("policy", about)]
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


def _policy(place: Path, spec: RobotSpec | None) -> PolicyFacts:
    """Load a policy and ask it. Raises MusterError where its files are none."""
    from agents.policy import MANIFEST, MODEL, Policy
    from fleet.drivinglevels import TOP
    from hierarchy.skills import sees_limit
    from sim.tasks.navigate_contract import navigate_contract

    directory = place.parent if place.name in (MANIFEST, MODEL) else place
    if (directory / TOP).is_dir() or (spec is not None and isinstance(spec.drive, Ackermann)):
        return _driving(directory, spec)
    spec = spec or RobotSpec()
    policy, size = Policy.load(directory), (directory / MODEL).stat().st_size
    try:
        contract = navigate_contract(spec, limited=sees_limit(policy, spec))
        policy.check(contract)
        taken = _asked(policy, contract)
    except MusterError as error:
        return PolicyFacts(policy.hash, policy.contract_hash, size, one_line(error))
    return PolicyFacts(policy.hash, policy.contract_hash, size, answer=taken)


def _driving(directory: Path, spec: RobotSpec | None) -> PolicyFacts:
    """The levels of a car: each against its contract, and asked. Raises MusterError where there are none."""
    from agents.errors import ContractMismatch, PolicyError
    from agents.policy import MODEL, Policy
    from fleet.drivinglevels import TOP, contracts_of, read_driving_levels
    from sim.bodies.specs import CAR

    places = {name: directory / name for name in contracts_of(CAR)}
    try:
        if spec is not None and not isinstance(spec.drive, Ackermann):
            raise ContractMismatch(
                f"expected a policy for {spec.name}, a differential drive, {directory} holds driving policies"
            )
        read_driving_levels(directory, spec or CAR)
        policies = {name: Policy.load(place) for name, place in places.items()}
        taken = max(_asked(policies[name], contract) for name, contract in contracts_of(spec or CAR).items())
    except ModuleNotFoundError as error:
        raise PolicyError(
            f"driving policies take {error.name}, which is not installed; pip install 'muster[car]'"
        ) from error
    except MusterError as error:
        if not all((place / MODEL).is_file() for place in places.values()):
            raise
        top = Policy.load(places[TOP])
        return PolicyFacts(top.hash, top.contract_hash, (places[TOP] / MODEL).stat().st_size, one_line(error))
    size = sum((place / MODEL).stat().st_size for place in places.values())
    return PolicyFacts(policies[TOP].hash, policies[TOP].contract_hash, size, answer=taken)


def _asked(policy: Policy, contract: Contract) -> float:
    """What an answer takes, the median, s. Raises PolicyError for answers that are none."""
    import numpy as np

    from fleet.served import rehearse

    rehearse(policy, contract, bound=1.0)
    taken = []
    for _ in range(32):
        began = time.perf_counter()
        policy.act(np.zeros((1, contract.observation_size), np.float32))
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]
