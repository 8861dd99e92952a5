"""The road as a module of PettingZoo: `parallel_env` for cars that act together, `env` for one after the other.

    from sim import drive_v1

    env = drive_v1.parallel_env("lane", cars=4, road="highway:3", shared=True)
    observations, infos = env.reset(seed=1)
    while env.agents:
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)

The cars of a world drive the same road among the same traffic, each on its own route, and see each other as they see
everybody else. One whose episode ended leaves the road; the world begins anew when all have.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from sim.driving.adapters import RENDERING
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig
from sim.driving.fleetenv import CarsEnv, Together
from sim.driving.gym import ROAD, Roads, atlas_of, configured, skill_of
from sim.driving.rendering import RoadPainter
from sim.driving.scene import RoadBody
from sim.driving.skill import PLACES
from sim.fleetview import check_fewest
from sim.parallel import ParallelRows, in_order, in_turns
from sim.pictures import Pictures
from sim.robot import SECOND
from sim.rowenvs import Info

TASKS = tuple(PLACES)
"""By name."""


class CarsParallelEnv(ParallelRows):
    """The cars of one world. One whose episode ended leaves `agents`; the world begins anew when all have.

    `state()` is what all of them see at once, float32 (cars * observation,), zeros for those that take no part.
    """

    metadata: ClassVar[Info] = RENDERING | {"name": "drive_v1", "is_parallelizable": True}

    def __init__(
        self,
        atlas: Atlas,
        config: RoadConfig,
        together: Together = Together(),  # noqa: B008  # frozen
        cars: int = 4,
        *,
        body: RoadBody = "kinematic",
        render_mode: str | None = None,
    ) -> None:
        """`cars` bodies, of which each episode may use fewer. Raises what `CarsEnv` does."""
        super().__init__(
            lambda seed: CarsEnv(atlas, config, together, worlds=1, cars=cars, seed=seed, body=body, threads=1),
            cars,
            word="car",
            pictures=Pictures(render_mode, RoadPainter),
        )


def parallel_env(
    task: str = "lane",
    cars: int = 4,
    *,
    road: Roads = ROAD,
    config: RoadConfig | None = None,
    body: RoadBody = "kinematic",
    fewest: int = 0,
    shared: bool = False,
    max_cycles: int | None = None,
    render_mode: str | None = None,
) -> CarsParallelEnv:
    """`cars` of ours in one world, each with `task`, whose configuration `config` replaces.

    `road` as `gymnasium.make` takes it (sim/driving/gym.py). `fewest` cars take part at least (0: always all); `shared`
    gives all the mean of their rewards; `max_cycles` control steps end an episode (None: the task's time limit). Raises
    ValueError for a task that is none and a configuration of another one, and what reading a road raises.
    """
    each = configured(skill_of(task), config)
    if max_cycles is not None:
        each = replace(each, time_limit=max_cycles * each.spec.period / SECOND)
    check_fewest(fewest, cars)
    together = Together(fewest, shared)
    together.check()
    return CarsParallelEnv(atlas_of(road), each, together, cars, body=body, render_mode=render_mode)


raw_env = in_turns(parallel_env)
"""As `parallel_env`, one car after the other."""

env = in_order(raw_env)
"""As `raw_env`, with PettingZoo's check of the order of calls."""
