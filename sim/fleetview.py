"""Many robots in one world, batched: agents padded to the largest fleet, masks that say who takes part.

Worlds whose task is `sim.tasks.together.Fleet`, their rows seen as (worlds, robots). A robot that ends is told so once
(`terminated`, `truncated`, its last observation) and takes no part until its world begins anew, which is when its last
robot has ended. The warehouse's are made by `sim.fleetenv.FleetEnv`, the road's by `sim.driving.fleetenv.CarsEnv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.tasks.contract import Contract
from sim.tasks.together import Fleet
from sim.worlds import ActionError, Worlds

Array = Any  # numpy views on the CPU, Warp arrays on a device


@dataclass(frozen=True)
class FleetStep:
    """What one control step gave; the arrays are the environment's own, and the next step overwrites them."""

    observation: Array
    """For the next action, zeros for agents that take no part; float32 (worlds, robots, observation)."""
    mask: Array
    """Who acts next: bool, on a device uint8 (worlds, robots)."""
    acted: Array
    """Whose numbers this step are; bool, on a device uint8 (worlds, robots)."""
    reward: Array
    """0 for those that did not act; float32 (worlds, robots)."""
    terminated: Array
    """uint8 (worlds, robots)"""
    truncated: Array
    """uint8 (worlds, robots)"""
    success: Array
    """uint8 (worlds, robots)"""
    collision: Array
    """uint8 (worlds, robots)"""
    ending: Array
    """`sim.tasks.task.Ending`, uint8 (worlds, robots)."""
    last_observation: Array
    """What each agent saw when it ended last; float32 (worlds, robots, observation)."""
    closed: Array
    """Worlds whose episode ended in this step; bool, on a device uint8 (worlds,)."""


class FleetWorlds:
    """A fleet's task in many worlds. Owns the environment below, which may be used as it is."""

    def __init__(self, environment: Worlds) -> None:
        """`environment` has a task of `Fleet`."""
        self.environment = env = environment
        assert isinstance(env.task, Fleet)
        worlds, robots = env.worlds, env.robots
        shape = (worlds, robots)
        self.worlds, self.robots = worlds, robots
        self.action = env.action.reshape((*shape, env.action_size))
        outcome = env.task.outcome
        host = env.device == "cpu"

        def shown(array: wp.array, flag: bool = False) -> Array:
            seen = array.reshape((*shape, *array.shape[1:]))
            if not host:
                return seen
            return seen.numpy().view(bool) if flag else seen.numpy()

        who = env.task.who
        self._step = FleetStep(
            observation=shown(env.observation),
            mask=shown(env.state.active, flag=True),
            acted=shown(who.acted, flag=True),
            reward=shown(outcome.reward),
            terminated=shown(outcome.terminated),
            truncated=shown(outcome.truncated),
            success=shown(outcome.success),
            collision=shown(outcome.collision),
            ending=shown(outcome.ending),
            last_observation=shown(env.task.last),
            closed=who.closed.numpy().view(bool) if host else who.closed,
        )

    @property
    def contract(self) -> Contract:
        """Of one robot."""
        return self.environment.contract

    @property
    def step_now(self) -> FleetStep:
        """The arrays as they stand."""
        return self._step

    def reset(self, worlds: NDArray[np.bool_] | None = None) -> FleetStep:
        """Begin the next episode of the worlds that are set, bool (worlds,), None for all."""
        rows = None if worlds is None else np.repeat(np.asarray(worlds, bool), self.robots)
        self.environment.reset(rows)
        return self._step

    def step(self, action: NDArray[np.float32] | wp.array | None = None) -> FleetStep:
        """One control step; action (worlds, robots, actions), or None where `self.action` holds it already.

        Raises ActionError for another shape.
        """
        if action is not None:
            action = action if isinstance(action, wp.array) else np.asarray(action, np.float32)
            if tuple(np.shape(action)) != self.action.shape:
                raise ActionError(f"expected an action of shape {self.action.shape}, got {np.shape(action)}")
            self.environment.step(action.reshape((-1, self.action.shape[2])))
        else:
            self.environment.step()
        return self._step

    def snapshot(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """As `sim.worlds.Worlds.snapshot`."""
        return self.environment.snapshot()

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """As `sim.worlds.Worlds.restore`."""
        self.environment.restore(saved)


def check_fewest(fewest: int, robots: int) -> None:
    """Raise ValueError where a world has fewer robots than are to take part."""
    if fewest > robots:
        raise ValueError(f"expected at least {fewest} robots in a world, got {robots}")
