"""The contracts that a car has with its policies, by skill or level; apart, as robots on floors need none of it."""

from __future__ import annotations

from sim.driving.choosing import PERIOD
from sim.driving.contract import SKILLS, drive_contract, manoeuvre_contract
from sim.driving.motor import motor_contract
from sim.robot import RobotSpec


def known(spec: RobotSpec) -> dict[str, tuple[str, ...]]:
    """Hashes that fit, as `fleet.registry.pins.contracts` takes them."""
    found = {name: (drive_contract(name, spec).hash,) for name in SKILLS}
    return found | {"meta": (manoeuvre_contract(spec, PERIOD).hash,), "motor": (motor_contract(spec).hash,)}
