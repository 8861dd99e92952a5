"""Who proposes a car's commands: a hierarchy of frozen policies, or a driver by rule that a policy is compared with.

A `Driver` drives one environment until it is told that the drive is over, which the one who watches says after every
control step. Nobody here knows a shield: whatever is proposed goes through it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from agents.errors import ContractMismatch, PolicyError
from agents.layers import read_layers
from agents.policy import Policy
from fleet.driving_train import LEVELS, read_levels
from sim.bodies.specs import CAR
from sim.driving.appointment import Appointments
from sim.driving.contract import SKILLS, drive_contract, manoeuvre_contract
from sim.driving.env import RoadEnv
from sim.driving.idmdriver import Following
from sim.driving.manoeuvre import PERIOD, Manoeuvres
from sim.driving.recorded import Recorded
from sim.perceptron import Layers

TOP = "manoeuvre"
"""Folder of the level that chooses the skills."""

IDM = "idm"
"""In place of a folder of policies: the driver by rule."""


class Driver(Protocol):
    """Proposes commands."""

    name: str
    """For people: a policy's hash, a rule"""

    motor: Layers | None
    """A frozen motor policy that the car is corrected by; None: the firmware alone"""

    by_rule: bool
    """Whether it drives as traffic does, in an environment made for that"""

    def drive(self, env: RoadEnv, watch: Callable[[], bool], recorded: Recorded | None = None) -> None:
        """Drive `env`, which has been reset; `watch` is called after every control step and says when it is over.

        `recorded`: the problem that it has to solve, of `problem_env`.
        """
        ...


def driver_of(word: str) -> Driver:
    """The driver that a word of the command line names: `idm`, or a folder of policies. Raises as `Learned` does."""
    return Idm() if word == IDM else Learned(Path(word))


class Idm:
    """The driver by rule: IDM and MOBIL, as traffic drives, from the truth (sim/driving/idmdriver.py)."""

    def __init__(self) -> None:
        self.name, self.by_rule = "IDM/MOBIL, no policy", True
        self.motor: Layers | None = None

    def drive(self, env: RoadEnv, watch: Callable[[], bool], recorded: Recorded | None = None) -> None:
        """As `Driver`. Raises ValueError for an environment that was not made for a driver by rule."""
        filter = env.filter
        if not isinstance(filter, Following):
            raise ValueError("expected an environment for a driver by rule, got another; make it with by_rule=True")
        filter.drive(env)
        over = False
        while not over:
            filter.wish(env)
            env.step()
            over = watch()


class Learned:
    """The frozen policies of a folder: motor, skills and manoeuvre, as `muster driving-train` leaves them."""

    def __init__(self, place: Path) -> None:
        """Read every level.

        Raises `PolicyError` for a folder that lacks a level, `ChainError` for levels not trained on each other,
        `ContractMismatch` for policies of another car or of another version.
        """
        missing = [level for level in LEVELS if not (place / level / "policy.json").exists()]
        if missing:
            raise PolicyError(
                f"expected driving policies in {place}, got none in {', '.join(missing)}; give a run of driving-train"
            )
        read_levels(place)
        self.by_rule = False
        self.motor: Layers | None = read_layers(place / "motor")
        """What the car that these policies were trained on is corrected by."""
        self._skills = {name: read_layers(place / name) for name in SKILLS}
        self._policies = {name: Policy.load(place / name) for name in SKILLS}
        self._top = Policy.load(place / TOP)
        self.name = f"policy {self._top.hash[:12]}"
        for name, policy in (*self._policies.items(), (TOP, self._top)):
            contract = manoeuvre_contract(CAR, PERIOD) if name == TOP else drive_contract(name, CAR)
            try:
                policy.check(contract)
            except ContractMismatch as error:
                said = str(error).partition(" expected: {")[0]  # without both contracts, which are a page each
                raise ContractMismatch(f"{place / name}: {said}") from error

    def drive(self, env: RoadEnv, watch: Callable[[], bool], recorded: Recorded | None = None) -> None:
        """As `Driver`."""
        appointments = None if recorded is None else Appointments(env, [recorded])
        choices = Manoeuvres(env, self._skills, appointments=appointments)
        over = False

        def look() -> None:
            nonlocal over
            over = over or watch()

        choices.watch = look
        while not over:
            choices.step(self._top.act(np.array(env.observation.numpy(), np.float32)))
