"""Worlds of robots that begin and end together as PettingZoo knows environments, whatever the robots are.

`ParallelRows` shows one world of `sim.fleetview.FleetWorlds`; what builds it from a seed is handed in. sim/fleet_v1.py
is the module for the warehouse, sim/drive_v1.py the one for the road.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import OrderEnforcingWrapper, parallel_to_aec

from sim.fleetview import FleetWorlds
from sim.pictures import Pictures
from sim.rowenvs import Info, Observation, action_space, checked_action, fresh_seed, observation_space, rendering
from sim.worlds import ActionError


class ParallelRows(ParallelEnv):
    """The robots of one world. One whose episode ended leaves `agents`; the world begins anew when all have.

    `state()` is what all of them see at once, float32 (robots * observation,), zeros for those that take no part.
    """

    metadata: ClassVar[Info] = rendering(10) | {"is_parallelizable": True}

    def __init__(self, make: Callable[[int], FleetWorlds], robots: int, *, word: str, pictures: Pictures) -> None:
        """`make` builds one world of `robots` from a seed; `word` begins the names of agents: robot, car."""
        self._pictures, self.render_mode = pictures, pictures.mode
        self._make = make
        self._generator = np.random.default_rng()
        self._environment = self._make(fresh_seed(None, self._generator))
        contract = self._environment.contract
        self.possible_agents = [f"{word}_{number}" for number in range(robots)]
        self.agents: list[str] = []
        one = observation_space(contract)
        self._spaces = (one, action_space(contract))
        low, high = np.minimum(one.low, 0.0), np.maximum(one.high, 0.0)
        self.state_space = spaces.Box(np.tile(low, robots), np.tile(high, robots), dtype=np.float32)
        self._seen = np.zeros((robots, contract.observation_size), np.float32)
        self._begun = self._fresh = False

    def observation_space(self, agent: str) -> spaces.Box:
        """The same object for every robot."""
        return self._spaces[0]

    def action_space(self, agent: str) -> spaces.Box:
        """The same object for every robot."""
        return self._spaces[1]

    def state(self) -> Observation:
        """What the robots that take part saw last, float32 (robots * observation,)."""
        return self._seen.ravel().copy()

    def render(self) -> NDArray[np.uint8] | None:
        """A picture of the world, (height, width, 3); None without a render mode."""
        return self._pictures.frame(self._environment.environment if self._begun else None)

    def close(self) -> None:
        """Free what pictures needed."""
        self._pictures.close()

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # PettingZoo's own type
    ) -> tuple[dict[str, Observation], dict[str, Info]]:
        """The next episode, or with a seed the first one of that seed."""
        del options
        if seed is not None:
            self._environment = self._make(seed)
        begun = self._begun and self._fresh and seed is None
        step = self._environment.step_now if begun else self._environment.reset()
        self._begun, self._fresh = True, False
        self.agents = [name for name, takes_part in zip(self.possible_agents, step.mask[0], strict=True) if takes_part]
        rows = {name: self.possible_agents.index(name) for name in self.agents}
        return self._look({name: step.observation[0, row] for name, row in rows.items()}), {a: {} for a in self.agents}

    def _look(self, observations: dict[str, Observation]) -> dict[str, Observation]:
        """Copies of what agents see, which are also the state."""
        self._seen[...] = 0.0
        for name, seen in observations.items():
            self._seen[self.possible_agents.index(name)] = seen
        return {name: seen.copy() for name, seen in observations.items()}

    def step(
        self, actions: dict[str, NDArray[np.float32]]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Info]]:
        """One control step of the robots that still run; one without an action stands."""
        assert self._begun, "call reset first"
        table = np.zeros((1, len(self.possible_agents), *(self._spaces[1].shape or ())), np.float32)
        for agent, action in actions.items():
            if agent not in self.agents:
                raise ActionError(f"expected actions of robots that still run, got one of {agent!r}")
            table[0, self.possible_agents.index(agent)] = checked_action(action, self._spaces[1].shape)
        step = self._environment.step(table)
        self._fresh = bool(step.closed[0])
        rows = {name: self.possible_agents.index(name) for name in self.agents}
        ended = {name: bool(step.terminated[0, row] or step.truncated[0, row]) for name, row in rows.items()}
        observations = self._look(
            {name: (step.last_observation if ended[name] else step.observation)[0, row] for name, row in rows.items()}
        )
        rewards = {name: float(step.reward[0, row]) for name, row in rows.items()}
        terminations = {name: bool(step.terminated[0, row]) for name, row in rows.items()}
        truncations = {name: bool(step.truncated[0, row]) for name, row in rows.items()}
        infos: dict[str, Info] = {
            name: {
                "success": bool(step.success[0, row]),
                "collision": bool(step.collision[0, row]),
                "ending": int(step.ending[0, row]),
            }
            for name, row in rows.items()
        }
        self.agents = [name for name in self.agents if not ended[name]]
        return observations, rewards, terminations, truncations, infos


P = ParamSpec("P")


def in_turns(make: Callable[P, ParallelRows]) -> Callable[P, AECEnv]:
    """One robot after the other, with what `make` takes."""
    return lambda *args, **named: parallel_to_aec(make(*args, **named))


def in_order(make: Callable[P, AECEnv]) -> Callable[P, AECEnv]:
    """With PettingZoo's check of the order of calls."""
    return lambda *args, **named: OrderEnforcingWrapper(make(*args, **named))
