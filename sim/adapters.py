"""The environment as Gymnasium and PettingZoo know environments: thin views, for other people's tools.

    NavigateVectorEnv    gymnasium.vector.VectorEnv over all rows; the row that ended is reset in the same step
    NavigateEnv          gymnasium.Env with one row
    FleetParallelEnv     pettingzoo.ParallelEnv: the robots of one world, gone when their episode ends

They copy what they return, because callers of those interfaces keep it; training uses `BatchEnv` itself. With
`render_mode="rgb_array"` each draws what it simulates (sim/rendering.py).
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from sim.env import ActionError, BatchEnv
from sim.fleetenv import FleetEnv
from sim.rendering import RENDER_MODES, Pictures
from sim.site import Site
from sim.tasks.contract import Contract
from sim.tasks.fleet import FleetConfig
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import navigate_contract

Info = dict[str, Any]  # Gymnasium's own type
Observation = NDArray[np.float32]

RENDERING: Info = {"render_modes": list(RENDER_MODES), "render_fps": 10}
"""A frame for each control period of 100 ms."""


def observation_space(contract: Contract) -> spaces.Box:
    """The flat observation with each field's bounds."""
    low = np.concatenate([np.full(field.size, field.low, np.float32) for field in contract.fields])
    high = np.concatenate([np.full(field.size, field.high, np.float32) for field in contract.fields])
    return spaces.Box(low, high, dtype=np.float32)


def action_space(contract: Contract) -> spaces.Box:
    """The flat action."""
    return spaces.Box(-1.0, 1.0, (contract.action_size,), np.float32)


def _numbers(action: NDArray[np.float32], shape: tuple[int, ...] | None) -> NDArray[np.float32]:
    """The action, whole and finite: who speaks through these interfaces wants to hear of a broken policy at once."""
    numbers = np.asarray(action, np.float32)
    if numbers.shape != shape:
        raise ActionError(f"expected an action of shape {shape}, got {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ActionError(f"expected finite numbers as an action, got {numbers[~np.isfinite(numbers)][0]}")
    return numbers


def _fresh_seed(seed: int | None, generator: np.random.Generator) -> int:
    return int(generator.integers(2**31)) if seed is None else seed


class NavigateVectorEnv(gymnasium.vector.VectorEnv):
    """Every row of a `BatchEnv` as one of `num_envs` environments (autoreset mode SAME_STEP)."""

    metadata = RENDERING | {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}

    def __init__(
        self,
        site: Site,
        config: NavigateConfig,
        num_envs: int,
        *,
        robots: int = 1,
        threads: int = 2,
        render_mode: str | None = None,
    ) -> None:
        """`num_envs` rows, in worlds of `robots`, which must divide it."""
        if num_envs < 1 or num_envs % robots:
            raise ValueError(f"expected num_envs to be a multiple of {robots} robots per world, got {num_envs}")
        self.num_envs = num_envs
        self._robots, self._pictures, self.render_mode = robots, Pictures(render_mode), render_mode
        contract = navigate_contract(config.spec, limited=config.limited)
        self.single_observation_space = observation_space(contract)
        self.single_action_space = action_space(contract)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._make = lambda seed: BatchEnv(
            site, config, worlds=num_envs // robots, robots=robots, seed=seed, threads=threads
        )
        self._generator = np.random.default_rng()
        self.environment: BatchEnv | None = None

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,  # Gymnasium's own type
    ) -> tuple[Observation, Info]:
        """All rows anew; `seed` also fixes every later episode. A list's first entry counts."""
        del options
        first = seed[0] if isinstance(seed, list) else seed
        if self.environment is None or first is not None:
            self.environment = self._make(_fresh_seed(first, self._generator))
        return self.environment.reset().copy(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """One control step; `infos` holds final_obs where rows ended, and success."""
        assert self.environment is not None, "call reset first"
        step = self.environment.step(_numbers(actions, self.action_space.shape))
        ended = np.logical_or(step.terminated, step.truncated)
        info: Info = {"success": step.success.copy(), "collision": step.collision.copy()}
        if ended.any():
            last = np.full(self.num_envs, None, dtype=object)
            for row in np.flatnonzero(ended):
                last[row] = step.final_observation[row].copy()
            info |= {"final_obs": last, "_final_obs": ended}
        return (
            step.observation.copy(),
            step.reward.astype(np.float64),
            step.terminated.astype(bool),
            step.truncated.astype(bool),
            info,
        )

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture (height, width, 3) for each row, of its world; None without a render mode."""
        worlds = [self._pictures.frame(self.environment, world) for world in range(self.num_envs // self._robots)]
        frames = tuple(frame for frame in worlds if frame is not None for _ in range(self._robots))
        return frames or None

    def close_extras(self, **kwargs: Any) -> None:  # Gymnasium's own signature
        """Free what pictures needed."""
        self._pictures.close()


class NavigateEnv(gymnasium.Env):
    """One robot in one world, as Gymnasium's classic interface."""

    metadata = RENDERING

    def __init__(self, site: Site, config: NavigateConfig, *, render_mode: str | None = None) -> None:
        self._pictures, self.render_mode = Pictures(render_mode), render_mode
        contract = navigate_contract(config.spec, limited=config.limited)
        self.observation_space = observation_space(contract)
        self.action_space = action_space(contract)
        self._make = lambda seed: BatchEnv(site, config, worlds=1, seed=seed, threads=1)
        self._environment: BatchEnv | None = None
        self._ended = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """The next episode, or with a seed the first one of that seed."""
        super().reset(seed=seed)
        if self._environment is None or seed is not None:
            self._environment = self._make(_fresh_seed(seed, self.np_random))
            return self._environment.reset()[0].copy(), {}
        if self._ended:  # the row has begun its next episode already
            self._ended = False
            return self._environment.observation.numpy()[0].copy(), {}
        return self._environment.reset()[0].copy(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, Info]:
        """One control step; after the last one the observation is what the robot saw at its end."""
        assert self._environment is not None, "call reset first"
        step = self._environment.step(_numbers(action, self.action_space.shape)[None])
        self._ended = bool(step.terminated[0] or step.truncated[0])
        seen = step.final_observation if self._ended else step.observation
        info: Info = {"success": bool(step.success[0]), "collision": bool(step.collision[0])}
        return seen[0].copy(), float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), info

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]  # Gymnasium's RenderFrame is any type
        """A picture of the world, (height, width, 3); None without a render mode."""
        return self._pictures.frame(self._environment)

    def close(self) -> None:
        """Free what pictures needed."""
        self._pictures.close()


class FleetParallelEnv(ParallelEnv):
    """The robots of one world. One whose episode ended leaves `agents`; the world begins anew when all have."""

    metadata = RENDERING | {"name": "muster_fleet_v1"}

    def __init__(self, site: Site, config: FleetConfig, robots: int = 4, *, render_mode: str | None = None) -> None:
        """`config` by `sim.tasks.fleet.fleet`; `robots` bodies, of which each episode may use fewer."""
        self._pictures, self.render_mode = Pictures(render_mode), render_mode
        contract = FleetEnv(site, config, worlds=1, robots=robots, threads=1).contract
        self.possible_agents = [f"r{number}" for number in range(robots)]
        self.agents: list[str] = []
        self._spaces = (observation_space(contract), action_space(contract))
        self._make = lambda seed: FleetEnv(site, config, worlds=1, robots=robots, seed=seed, threads=1)
        self._generator = np.random.default_rng()
        self._environment: FleetEnv | None = None
        self._fresh = False

    def observation_space(self, agent: str) -> spaces.Box:
        """The same object for every robot."""
        return self._spaces[0]

    def action_space(self, agent: str) -> spaces.Box:
        """The same object for every robot."""
        return self._spaces[1]

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # PettingZoo's own type
    ) -> tuple[dict[str, Observation], dict[str, Info]]:
        """The next episode, or with a seed the first one of that seed."""
        del options
        if self._environment is None or seed is not None:
            self._environment = self._make(_fresh_seed(seed, self._generator))
            self._fresh = False
        step = self._environment.step_now if self._fresh else self._environment.reset()
        self._fresh = False
        self.agents = [name for name, takes_part in zip(self.possible_agents, step.mask[0], strict=True) if takes_part]
        rows = {name: self.possible_agents.index(name) for name in self.agents}
        return {name: step.observation[0, row].copy() for name, row in rows.items()}, {a: {} for a in self.agents}

    def step(
        self, actions: dict[str, NDArray[np.float32]]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Info]]:
        """One control step of the robots that still run; one without an action stands."""
        assert self._environment is not None, "call reset first"
        table = np.zeros((1, len(self.possible_agents), *(self._spaces[1].shape or ())), np.float32)
        for agent, action in actions.items():
            if agent not in self.agents:
                raise ActionError(f"expected actions of robots that still run, got one of {agent!r}")
            table[0, self.possible_agents.index(agent)] = _numbers(action, self._spaces[1].shape)
        step = self._environment.step(table)
        self._fresh = bool(step.closed[0])
        rows = {name: self.possible_agents.index(name) for name in self.agents}
        ended = {name: bool(step.terminated[0, row] or step.truncated[0, row]) for name, row in rows.items()}
        observations = {
            name: (step.last_observation if ended[name] else step.observation)[0, row].copy()
            for name, row in rows.items()
        }
        rewards = {name: float(step.reward[0, row]) for name, row in rows.items()}
        terminations = {name: bool(step.terminated[0, row]) for name, row in rows.items()}
        truncations = {name: bool(step.truncated[0, row]) for name, row in rows.items()}
        infos: dict[str, Info] = {name: {"success": bool(step.success[0, row])} for name, row in rows.items()}
        self.agents = [name for name in self.agents if not ended[name]]
        return observations, rewards, terminations, truncations, infos

    def render(self) -> NDArray[np.uint8] | None:
        """A picture of the world, (height, width, 3); None without a render mode."""
        return self._pictures.frame(None if self._environment is None else self._environment.environment)

    def close(self) -> None:
        """Free what pictures needed."""
        self._pictures.close()
