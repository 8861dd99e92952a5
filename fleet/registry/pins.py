"""What of a robot's control configuration a release pins: the robot, the shield's parameters, and the rest.

Three hashes, because they mean different work when they change: another robot or other parameters of the shield send
a rollout back to the closed course; another configuration is another release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from fleet.codehash import code_hash
from fleet.control import ControlConfig
from fleet.registry.manifest import Manifest, digest
from hierarchy.chooser import choose_contract
from sim.robot import Ackermann, RobotSpec
from sim.tasks.navigate_contract import navigate_contract

SHIELD, ROAD = "fleet.guard", "fleet.driveguard"
"""The modules from which the code of the shield on a robot is reached, and of that on a car."""
OF_ONE = ("robot", "authority", "calibrated", "leased")
"""What a robot's own permit and name decide, not the release."""


@dataclass(frozen=True)
class Pins:
    """Hashes, hex."""

    embodiment: str
    shield: str
    config: str


def pins(config: ControlConfig) -> Pins:
    """Of a control configuration."""
    car = isinstance(config.spec.drive, Ackermann)
    shield = {"person_speed": config.person_speed, "body": config.body, "code": code_hash(ROAD if car else SHIELD)}
    rest = {name: value for name, value in asdict(config).items() if name not in OF_ONE}
    return Pins(config.spec.embodiment_hash(), _hash(shield), _hash(rest))


def contracts(
    spec: RobotSpec, manifests: Iterable[Manifest], known: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, str]:
    """The contract that this robot has with each policy, by skill or level.

    `known`: hashes that fit, by name; those of a robot on a floor where not given. A policy that was trained for
    another one finds the robot's own there, so that the release does not close.
    """
    known = known or {
        "navigate": (navigate_contract(spec).hash, navigate_contract(spec, limited=True).hash),
        "meta": (choose_contract(spec).hash,),
    }
    found = {}
    for manifest in manifests:
        name = manifest.name if manifest.level == "skill" else manifest.level
        fits = known.get(name, (manifest.contract if manifest.embodiment == spec.embodiment_hash() else "0" * 64,))
        found[name] = manifest.contract if manifest.contract in fits else fits[0]
    return found


def _hash(values: dict) -> str:  # JSON values
    return digest(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
