"""Several of our cars in each world, batched: the road's worlds as sim/fleetview.py shows them.

    env = CarsEnv(atlas, RoadConfig(), Together(fewest=2, shared=True), worlds=64, cars=4)
    first = env.reset()
    step = env.step(action)            # (64, 4, 2); rows of cars that take no part are ignored

They begin together, among the same traffic, on their own routes. Whoever has ended leaves the road; a world begins anew
when all have. With one world and PettingZoo: sim/drive_v1.py.
"""

from __future__ import annotations

from typing import Any

from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.fleetview import FleetStep, FleetWorlds, check_fewest
from sim.tasks.together import Together

__all__ = ["CarsEnv", "FleetStep", "Together"]


class CarsEnv(FleetWorlds):
    """A driving task of several cars in many worlds; `environment` is a `RoadEnv`."""

    environment: RoadEnv

    def __init__(
        self,
        atlas: Atlas,
        config: RoadConfig,
        together: Together = Together(),  # noqa: B008  # frozen
        *,
        worlds: int,
        cars: int,
        seed: int = 0,
        **options: Any,  # of RoadEnv, as they are
    ) -> None:
        """`options` are RoadEnv's: filter, body, places, threads, device and so on.

        Raises ValueError where a world has fewer cars than are to take part.
        """
        check_fewest(together.fewest, cars)
        super().__init__(RoadEnv(atlas, config, worlds=worlds, robots=cars, seed=seed, together=together, **options))
