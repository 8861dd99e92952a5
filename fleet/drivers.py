"""Who proposes a car's commands: a hierarchy of frozen policies, or a driver by rule that a policy is compared with.

A `Driver` drives one environment until it is told that the drive is over, which the one who watches says after every
control step. Nobody here knows a shield: whatever is proposed goes through it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from fleet.drivinglevels import read_driving_levels
from sim.driving.appointment import Appointments
from sim.driving.env import RoadEnv
from sim.driving.idmdriver import Following
from sim.driving.manoeuvre import Manoeuvres
from sim.driving.recorded import Recorded
from sim.perceptron import Layers

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

    hashes: Mapping[str, str]
    """Of its policies, by level"""

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
        self.hashes: Mapping[str, str] = {}

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
        levels = read_driving_levels(place)
        self.by_rule = False
        self.motor: Layers | None = levels.motor
        """What the car that these policies were trained on is corrected by."""
        self._skills, self._top, self.name, self.hashes = levels.skills, levels.top, levels.name, levels.hashes

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
