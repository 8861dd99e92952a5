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

from dataclasses import replace
from typing import ClassVar

from sim.adapters import RENDERING
from sim.errors import nearest
from sim.fleetenv import FleetEnv
from sim.gym import FLOOR, configured, floor_of, ids
from sim.parallel import ParallelRows, in_order, in_turns
from sim.pictures import Pictures
from sim.rendering import Renderer
from sim.robot import SECOND
from sim.rowenvs import Info
from sim.scene import Body
from sim.site import Site
from sim.tasks.fleet import FleetConfig, fleet
from sim.tasks.task import TaskConfig
from sim.tasks.track import TrackConfig, track_site

TASKS = tuple(ids().values())
"""By name, as Gymnasium's ids have them."""


class FleetParallelEnv(ParallelRows):
    """The robots of one world. One whose episode ended leaves `agents`; the world begins anew when all have.

    `state()` is what all of them see at once, float32 (robots * observation,), zeros for those that take no part.
    """

    metadata: ClassVar[Info] = RENDERING | {"name": "fleet_v1", "is_parallelizable": True}

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
        super().__init__(
            lambda seed: FleetEnv(site, config, worlds=1, robots=robots, seed=seed, body=body, threads=1),
            robots,
            word="robot",
            pictures=Pictures(render_mode, Renderer),
        )


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


raw_env = in_turns(parallel_env)
"""As `parallel_env`, one robot after the other."""

env = in_order(raw_env)
"""As `raw_env`, with PettingZoo's check of the order of calls."""
