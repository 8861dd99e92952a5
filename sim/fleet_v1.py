"""The fleet as a module of PettingZoo: `parallel_env` for robots that act together, `env` for one after the other.

    from sim import fleet_v1

    env = fleet_v1.parallel_env("avoid", robots=8, shared=True)
    observations, infos = env.reset(seed=1)
    while env.agents:
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)

The tasks are all that a robot has (`TASKS`); what a fleet is stands in sim/tasks/fleet.py. What a robot needs for its
task it has of its own: its pod (carry), its shelf, item and tote (pick), its dock among those of the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ParamSpec

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import OrderEnforcingWrapper, parallel_to_aec

from sim.adapters import RENDERING, Info, Observation, action_space, checked_action, fresh_seed, observation_space
from sim.env import ActionError
from sim.errors import nearest
from sim.fleetenv import FleetEnv
from sim.gym import FLOOR, configured, floor_of, ids
from sim.rendering import Pictures
from sim.robot import SECOND
from sim.scene import Body
from sim.site import Site
from sim.tasks.fleet import FleetConfig, fleet
from sim.tasks.task import TaskConfig
from sim.tasks.track import TrackConfig, track_site

TASKS = tuple(ids().values())
"""By name, as Gymnasium's ids have them."""


class FleetParallelEnv(ParallelEnv):
    """The robots of one world. One whose episode ended leaves `agents`; the world begins anew when all have.

    `state()` is what all of them see at once, float32 (robots * observation,), zeros for those that take no part.
    """

    metadata = RENDERING | {"name": "fleet_v1", "is_parallelizable": True}

    def __init__(
        self,
        site: Site,
        config: FleetConfig,
        robots: int = 4,
        *,
        body: Body = "planar",
        render_mode: str | None = None,
    ) -> None:
        """`config` by `sim.tasks.fleet.fleet`; `robots` bodies, of which each episode may use fewer.

        Raises `SiteError` for a floor where the task cannot be, or not for so many robots.
        """
        self._pictures, self.render_mode = Pictures(render_mode), render_mode
        self._make = lambda seed: FleetEnv(site, config, worlds=1, robots=robots, seed=seed, body=body, threads=1)
        self._generator = np.random.default_rng()
        self._environment = self._make(fresh_seed(None, self._generator))
        contract = self._environment.contract
        self.possible_agents = [f"robot_{number}" for number in range(robots)]
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


def parallel_env(
    task: str = "navigate",
    robots: int = 4,
    *,
    site: str | Site | None = None,
    config: TaskConfig | None = None,
    body: Body | None = None,
    fewest: int = 0,
    shared: bool = False,
    max_cycles: int | None = None,
    render_mode: str | None = None,
) -> FleetParallelEnv:
    """`robots` robots in one world, each with `task`, whose configuration `config` replaces.

    `site` as `muster` takes it, None the demo's floor; `body` None the planar one. Track has an open floor and the
    wheeled body instead, which it is made for. `fewest` robots take part at least (0: always all); `shared` gives all
    the mean of their rewards; `max_cycles` control steps end an episode (None: the task's time limit). Raises
    ValueError for a task that is no robot's and for a configuration of another one, `SiteError` for a floor without
    room for the task, and what reading a site raises.
    """
    if task not in TASKS:
        raise ValueError(f"expected the task of one robot, got {task!r}{nearest(task, TASKS)}")
    each = configured(task, config)
    if max_cycles is not None:
        each = replace(each, time_limit=max_cycles * each.spec.period / SECOND)
    motor = isinstance(each, TrackConfig)
    floor = floor_of(site or FLOOR) if site is not None or not motor else track_site()
    made: Body = "wheeled" if motor else "planar"
    return FleetParallelEnv(
        floor, fleet(each, fewest=fewest, shared=shared), robots, body=body or made, render_mode=render_mode
    )


def _in_turns(make: Callable[P, FleetParallelEnv]) -> Callable[P, AECEnv]:
    """One robot after the other, with what `make` takes."""
    return lambda *args, **named: parallel_to_aec(make(*args, **named))


def _in_order(make: Callable[P, AECEnv]) -> Callable[P, AECEnv]:
    """With PettingZoo's check of the order of calls."""
    return lambda *args, **named: OrderEnforcingWrapper(make(*args, **named))


raw_env = _in_turns(parallel_env)
"""As `parallel_env`, one robot after the other."""

env = _in_order(raw_env)
"""As `raw_env`, with PettingZoo's check of the order of calls."""
