"""Driving policies for tests that need a run of `muster driving-train` without training one."""

from __future__ import annotations

from pathlib import Path

import torch

from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from sim.bodies.specs import CAR
from sim.driving.choosing import PERIOD
from sim.driving.contract import SKILLS, drive_contract, manoeuvre_contract
from sim.driving.motor import motor_contract


def write_driving_policies(place: Path, seed: int = 0) -> Path:
    """Untrained policies of every level, which say next to nothing: the car rolls on along its lane."""
    contracts = {"motor": motor_contract(CAR), **{name: drive_contract(name, CAR) for name in SKILLS}}
    contracts["manoeuvre"] = manoeuvre_contract(CAR, PERIOD)
    for number, (name, contract) in enumerate(contracts.items()):
        network = ActorCritic(
            contract.observation_size,
            contract.action_size,
            (8,),
            generator=torch.Generator().manual_seed(seed + number),
        )
        (place / name).mkdir(parents=True)
        export(place / name, network, Moments(contract.observation_size), contract, training={}, evaluation={})
    return place
