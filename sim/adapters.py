"""The warehouse as Gymnasium knows environments (sim/rowenvs.py): a site and any of its tasks.

    WarehouseVectorEnv   gymnasium.vector.VectorEnv over all rows; the row that ended is reset in the same step
    WarehouseEnv         gymnasium.Env with one row

Their ids in Gymnasium's registry stand in sim/gym.py; many robots that begin and end together are in PettingZoo's form
(sim/fleet_v1.py).
"""

from __future__ import annotations

from typing import ClassVar

from gymnasium.vector import AutoresetMode

from sim.env import BatchEnv
from sim.pictures import Pictures
from sim.rendering import Renderer
from sim.rowenvs import Info, RowEnv, RowsEnv, rendering
from sim.site import Site
from sim.tasks.task import TaskConfig

RENDERING = rendering(10)
"""A frame for each control period of 100 ms."""


class WarehouseVectorEnv(RowsEnv):
    """Every row of a `BatchEnv` as one of `num_envs` environments (autoreset mode SAME_STEP)."""

    metadata: ClassVar[Info] = RENDERING | {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        site: Site,
        config: TaskConfig,
        num_envs: int,
        *,
        robots: int = 1,
        threads: int = 2,
        render_mode: str | None = None,
    ) -> None:
        """`num_envs` rows, in worlds of `robots`, which must divide it. Raises ValueError where it does not."""
        super().__init__(
            lambda seed, worlds: BatchEnv(site, config, worlds=worlds, robots=robots, seed=seed, threads=threads),
            num_envs,
            robots=robots,
            pictures=Pictures(render_mode, Renderer),
        )


class WarehouseEnv(RowEnv):
    """One robot in one world, as Gymnasium's classic interface."""

    metadata: ClassVar[Info] = RENDERING

    def __init__(self, site: Site, config: TaskConfig, *, render_mode: str | None = None) -> None:
        super().__init__(
            lambda seed: BatchEnv(site, config, worlds=1, seed=seed, threads=1),
            pictures=Pictures(render_mode, Renderer),
        )
