"""Many robots on one floor, batched: the warehouse's worlds as sim/fleetview.py shows them.

    env = FleetEnv(site, fleet(NavigateConfig(), fewest=4, shared=True), worlds=64, robots=16)
    first = env.reset()
    step = env.step(action)            # (64, 16, 2); rows of agents that take no part are ignored

With one world and PettingZoo: `sim.fleet_v1.FleetParallelEnv`.
"""

from __future__ import annotations

from typing import Any

from sim.env import BatchEnv
from sim.fleetview import FleetStep, FleetWorlds, check_fewest
from sim.site import Site
from sim.tasks.fleet import FleetConfig

__all__ = ["FleetEnv", "FleetStep"]


class FleetEnv(FleetWorlds):
    """A fleet's task on one floor in many worlds; `environment` is a `BatchEnv`."""

    environment: BatchEnv

    def __init__(
        self,
        site: Site,
        config: FleetConfig,
        *,
        worlds: int,
        robots: int,
        seed: int = 0,
        **options: Any,  # of BatchEnv, as they are
    ) -> None:
        """`options` are BatchEnv's: filter, body, threads, device and so on.

        Raises ValueError where a world has fewer robots than the task wants to take part.
        """
        check_fewest(config.fewest, robots)
        super().__init__(BatchEnv(site, config, worlds=worlds, robots=robots, seed=seed, **options))
