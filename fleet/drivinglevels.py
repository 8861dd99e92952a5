"""The frozen driving policies of a folder, as `muster driving-train` leaves them: read and checked, for any driver.

    motor                     corrects the firmware: the car's own, which nobody drives by
    lane, change, pull_over   the skills
    manoeuvre                 chooses among them once a second

Environments drive with them (fleet/drivers.py), and cars on a bus (fleet/carcontrol.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.errors import ContractMismatch, PolicyError
from agents.policy import Policy
from hierarchy.curriculum import ChainError
from sim.bodies.specs import CAR
from sim.driving.choosing import PERIOD
from sim.driving.contract import SKILLS, drive_contract, manoeuvre_contract
from sim.perceptron import Layers
from sim.robot import RobotSpec
from sim.tasks.contract import Contract

LEVELS = ("motor", "lane", "change", "pull_over", "manoeuvre")
"""Bottom-up: the order of training, and the names of the folders."""

TOP = "manoeuvre"
"""Folder of the level that chooses the skills."""

MANIFEST = "policy.json"


@dataclass(frozen=True, eq=False)
class DrivingLevels:
    """Every level of a run, frozen."""

    name: str
    """For people: the hash of the topmost"""
    motor: Layers
    skills: Mapping[str, Layers]
    """By name, all of SKILLS"""
    top: Policy
    hashes: Mapping[str, str] = field(default_factory=dict)
    """sha256 by level"""


def contracts_of(spec: RobotSpec = CAR) -> dict[str, Contract]:
    """What the policies that a car asks must be for, by folder: its skills and what chooses among them."""
    return {**{name: drive_contract(name, spec) for name in SKILLS}, TOP: manoeuvre_contract(spec, PERIOD)}


def read_driving_levels(place: Path, spec: RobotSpec = CAR) -> DrivingLevels:
    """Every level of a folder, for a car.

    Raises `PolicyError` for a folder that lacks a level, `ChainError` for levels not trained on each other,
    `ContractMismatch` for policies of another car or of another version.
    """
    from agents.layers import read_layers  # here, because it takes onnx, which only cars and trainings have

    missing = [level for level in LEVELS if not (place / level / MANIFEST).exists()]
    if missing:
        raise PolicyError(
            f"expected driving policies in {place}, got none in {', '.join(missing)}; give a run of driving-train"
        )
    hashes = read_levels(place)
    top = Policy.load(place / TOP)
    for name, contract in contracts_of(spec).items():
        try:
            (top if name == TOP else Policy.load(place / name)).check(contract)
        except ContractMismatch as error:
            said = str(error).partition(" expected: {")[0]  # without both contracts, which are a page each
            raise ContractMismatch(f"{place / name}: {said}") from error
    skills = {name: read_layers(place / name) for name in SKILLS}
    return DrivingLevels(f"policy {top.hash[:12]}", read_layers(place / "motor"), skills, top, hashes)


def read_levels(root: Path) -> dict[str, str]:
    """The policies' hashes by level; PolicyError for a folder that lacks one, ChainError where they do not fit."""
    hashes = {level: Policy.load(root / level).hash for level in LEVELS}
    for level in LEVELS:
        below = json.loads((root / level / MANIFEST).read_text()).get("training", {}).get("below", {})
        for lower, trained in below.items():
            if trained != hashes[lower]:
                raise ChainError(
                    f"{root}: expected {level} to be trained on {lower} {hashes[lower][:12]}, its manifest names "
                    f"{trained[:12]}; train {level} again on it"
                )
    return hashes
