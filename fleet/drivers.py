"""Who proposes a car's commands: a hierarchy of frozen policies, or a driver by rule that a policy is compared with.

A `Driver` drives one environment until it is told that the drive is over, which the one who watches says after every
control step. Nobody here knows a shield: whatever is proposed goes through it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from agents.errors import PolicyError
from agents.layers import read_layers
from agents.policy import Policy
from fleet.driving_train import LEVELS, read_levels
from sim.driving.contract import SKILLS, drive_contract, manoeuvre_contract
from sim.driving.env import RoadEnv
from sim.driving.manoeuvre import PERIOD, Manoeuvres

TOP = "manoeuvre"
"""Folder of the level that chooses the skills."""


class Driver(Protocol):
    """Proposes commands."""

    name: str
    """For people: a policy's hash, a rule"""

    def drive(self, env: RoadEnv, watch: Callable[[], bool]) -> None:
        """Drive `env`, which has been reset; `watch` is called after every control step and says when it is over."""
        ...


class Learned:
    """The frozen policies of a folder: motor, skills and manoeuvre, as `muster driving-train` leaves them."""

    def __init__(self, place: Path) -> None:
        """Raises `PolicyError` for a folder that lacks a level, `ChainError` for levels not trained on each other."""
        missing = [level for level in LEVELS if not (place / level / "policy.json").exists()]
        if missing:
            raise PolicyError(
                f"expected driving policies in {place}, got none in {', '.join(missing)}; give a run of driving-train"
            )
        read_levels(place)
        self.motor = read_layers(place / "motor")
        """What the car that these policies were trained on is corrected by."""
        self._skills = {name: read_layers(place / name) for name in SKILLS}
        self._policies = {name: Policy.load(place / name) for name in SKILLS}
        self._top = Policy.load(place / TOP)
        self.name = f"policy {self._top.hash[:12]}"

    def drive(self, env: RoadEnv, watch: Callable[[], bool]) -> None:
        """As `Driver`. Raises `ContractError` for policies of another car."""
        for name, policy in self._policies.items():
            policy.check(drive_contract(name, env.spec))
        self._top.check(manoeuvre_contract(env.spec, PERIOD))
        choices = Manoeuvres(env, self._skills)
        over = False

        def look() -> None:
            nonlocal over
            over = over or watch()

        choices.watch = look
        while not over:
            choices.step(self._top.act(np.array(env.observation.numpy(), np.float32)))
