"""A meta training under way: all that its future depends on, as one checkpoint and back.

Learner (network, optimiser, normaliser, dice), worlds of legs (clocks, tasks, dice, price of a second), the policy that
did best so far, and how many iterations there were. A training that goes on from a checkpoint (`agents/checkpoint.py`)
ends with the policy of one that was never interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.checkpoint import Checkpoint, check_settings, find_checkpoint, load_checkpoint, select
from agents.choices import ChoiceLearner, ChoiceLosses
from agents.errors import CheckpointError
from agents.learned import network_arrays, network_tensors
from fleet.legs import LegWorlds
from hierarchy.chooser import choose_contract
from sim.robot import RobotSpec

RENEW = 8
"""Iterations after which all worlds begin anew, so that early and late hours of a fleet are both seen."""


class MetaRun:
    """Owns a training under way: learner, worlds, and the policy that did best on the check floors so far."""

    def __init__(self, learner: ChoiceLearner, worlds: LegWorlds) -> None:
        self.learner, self.worlds = learner, worlds
        self.observation = worlds.reset()
        self.iteration = 0
        self.best, self.kept = -np.inf, learner.network.state_dict()

    def iterate(self, iterations: int) -> tuple[float, ChoiceLosses]:
        """One iteration of `iterations`; lines per robot second in it, charge at its price."""
        worlds = self.worlds
        if self.iteration % RENEW == 0:
            self.observation = worlds.reset()
        lines, spent = worlds.lines.sum(), worlds.spent.sum()
        self.observation, losses = self.learner.iterate(worlds, self.observation, self.iteration / iterations)
        rate = float((worlds.lines.sum() - lines) / (worlds.spent.sum() - spent))
        worlds.rate += 0.2 * (rate - worlds.rate)
        self.iteration += 1
        return rate, losses

    def look(self, found: float) -> None:
        """The policy as it is now delivered `found` lines an hour on the check floors: keep it if none did better."""
        if found > self.best:
            self.best = found
            self.kept = {name: value.clone() for name, value in self.learner.network.state_dict().items()}

    def arrays(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """All of it, for a checkpoint."""
        parts = {"learner": self.learner.state(), "worlds": self.worlds.state(), "kept": network_arrays(self.kept)}
        arrays = {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()}
        return arrays | {"best": np.array(self.best)}

    def load(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint."""
        arrays = saved.arrays
        try:
            self.learner.load(select(arrays, "learner"))
            self.observation = self.worlds.load(select(arrays, "worlds"))
            self.kept = network_tensors(select(arrays, "kept"), self.learner.network)
            self.best = float(arrays["best"])
            self.iteration = int(saved.header["steps"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"expected a checkpoint of a meta training, got one that does not fit ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}); train anew or resume with the version of its run"
            ) from error


def read_run(directory: Path, spec: RobotSpec, identity: dict[str, Any]) -> Checkpoint:  # JSON values
    """The newest checkpoint; raises CheckpointError for none and for another training's."""
    path = find_checkpoint(directory)
    saved = load_checkpoint(path)
    expected = choose_contract(spec).hash
    if saved.header.get("contract_hash") != expected:
        raise CheckpointError(
            f"{path} was trained for contract {str(saved.header.get('contract_hash'))[:12]}, expected {expected[:12]}; "
            "train anew"
        )
    check_settings(path, saved, identity)
    return saved
