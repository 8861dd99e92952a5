"""Before a policy drives: this robot sees what training saw, and the graph says what it said there.

Two comparisons on the golden observations of the manifest (fleet/guards/golden.py), bounded in time (2 ms):

    readings -> observation     by the feature code that the robot will use: units, order, mirrored, signs, embodiment
    observation -> action       by the graph: a stale normaliser, weights of another training, a library that differs

What the robot's sensors themselves get wrong shows in its first observations (fleet/guards/watch.py, Trip.START).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import PolicyError
from agents.policy import Policy
from fleet.guards.golden import Golden, read
from hierarchy.skills import sees_limit
from sim.robot import RobotSpec
from sim.tasks.contract import Contract
from sim.tasks.navigate_contract import OBSERVATION, NavigateObserver, bin_rays, navigate_contract

SEEN = 1e-4
"""Largest difference of a number of an observation: float32 on other processors, 1e-6 measured."""
BY_RAYS = {"clearance": 0.3}
"""Fields that depend on the directions of the robot's own rays, which are not training's: 1.5 m of the 5 m there."""
SAID = 1e-3
"""Largest difference of an action: 1e-6 between machines, and 0.1 % of its range moves nothing."""

Feature = Callable[[dict[str, NDArray[np.float32]], RobotSpec], NDArray[np.float32]]
"""Feature code: readings (1, ...) by name -> the observation (1, OBSERVATION)."""


@dataclass(frozen=True)
class Report:
    """What a preflight says of a policy that may drive."""

    guarded: bool
    golden: int
    line: str
    """For a person"""


def preflight(policy: Policy, spec: RobotSpec, feature: Feature | None = None) -> Report:
    """Compare; `feature` is the robot's own feature code, None for the one that it shares with training.

    A policy without golden observations passes, and the report says that nothing was compared. Raises PolicyError for a
    skew, which names the field, and ContractMismatch for a robot of another embodiment.
    """
    limited = sees_limit(policy, spec)
    name = policy.hash[:12]
    if "guard" not in policy.manifest:
        guarded = "has no guard" if not policy.guarded else "has a guard of an unknown calibration"
        return Report(policy.guarded, 0, f"policy {name} {guarded}: run `muster calibrate-guard` for one")
    contract = navigate_contract(spec, limited=limited)
    cases = read(policy.manifest["guard"])
    for case in cases:
        _compare_observation(case, (feature or observed)(case.raw, spec), contract, name)
        _compare_action(case, policy.act(case.observation), name)
    return Report(
        policy.guarded, len(cases), f"policy {name}: {len(cases)} golden observations seen and answered alike"
    )


def observed(raw: dict[str, NDArray[np.float32]], spec: RobotSpec) -> NDArray[np.float32]:
    """The observation of readings by the shared feature code, with this robot's rays."""
    observer: Any = NavigateObserver(spec)  # its arrays are views of Warp's, which have no types
    for name, values in raw.items():
        if name == "scan":
            observer.scan[...] = spec.lidar.range_max
            observer.scan[:, bin_rays(spec.lidar.rays)] = values
        else:
            getattr(observer, name)[...] = values
    return observer.observe()


def _compare_observation(case: Golden, seen: NDArray[np.float32], contract: Contract, name: str) -> None:
    size = case.observation.shape
    if seen.shape[0] != 1 or seen.shape[1] < min(size[1], OBSERVATION) or size[1] != contract.observation_size:
        raise PolicyError(
            f"expected observations of {contract.observation_size} numbers, the golden ones of policy {name} have "
            f"{size[1]} and this robot's {seen.shape[1]}: its feature code is another; calibrate the guard again"
        )
    for field, at in contract.slices().items():
        if at.start >= OBSERVATION:
            continue  # the speed limit is the site's, not a reading's
        wrong = np.abs(seen[0, at] - case.observation[0, at])
        if not np.all(wrong <= BY_RAYS.get(field, SEEN)):
            index = int(np.argmax(np.nan_to_num(wrong, nan=np.inf)))
            raise PolicyError(
                f"expected this robot to see {field}[{index}] of a golden observation of policy {name} as "
                f"{case.observation[0, at][index]:.4g}, as in training, it sees {seen[0, at][index]:.4g}: units, order "
                "or signs of its feature code are others; install the muster that the policy was trained with"
            )


def _compare_action(case: Golden, said: NDArray[np.float32], name: str) -> None:
    if said.shape != case.action.shape or not np.all(np.abs(said - case.action) <= SAID):
        raise PolicyError(
            f"expected policy {name} to answer a golden observation by {case.action[0].tolist()}, as in training, it "
            f"answers {said[0].tolist()}: its normaliser or weights are others; export the policy again"
        )
