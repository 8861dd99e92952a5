"""The road as Gymnasium knows environments (sim/rowenvs.py): an atlas and a driving task.

    DriveVectorEnv   gymnasium.vector.VectorEnv over all rows; the row that ended is reset in the same step
    DriveEnv         gymnasium.Env with one car

Their ids stand in sim/gym.py, what `gymnasium.make` takes for them in sim/driving/gym.py; cars that begin and end
together are in PettingZoo's form (sim/drive_v1.py).
"""

from __future__ import annotations

from typing import ClassVar

from gymnasium.vector import AutoresetMode

from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.rendering import RoadPainter
from sim.driving.scene import RoadBody
from sim.pictures import Pictures
from sim.rowenvs import Info, RowEnv, RowsEnv, rendering

RENDERING = rendering(20)
"""A frame for each control period of 50 ms."""


class DriveVectorEnv(RowsEnv):
    """Every row of a `RoadEnv` as one of `num_envs` environments (autoreset mode SAME_STEP)."""

    metadata: ClassVar[Info] = RENDERING | {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        atlas: Atlas,
        config: RoadConfig,
        num_envs: int,
        *,
        robots: int = 1,
        body: RoadBody = "kinematic",
        threads: int = 2,
        render_mode: str | None = None,
    ) -> None:
        """`num_envs` rows, in worlds of `robots`, which must divide it. Raises ValueError where it does not."""
        super().__init__(
            lambda seed, worlds: RoadEnv(
                atlas, config, worlds=worlds, robots=robots, seed=seed, body=body, threads=threads
            ),
            num_envs,
            robots=robots,
            pictures=Pictures(render_mode, RoadPainter),
        )


class DriveEnv(RowEnv):
    """One car in one world, as Gymnasium's classic interface."""

    metadata: ClassVar[Info] = RENDERING

    def __init__(
        self, atlas: Atlas, config: RoadConfig, *, body: RoadBody = "kinematic", render_mode: str | None = None
    ) -> None:
        super().__init__(
            lambda seed: RoadEnv(atlas, config, worlds=1, seed=seed, body=body, threads=1),
            pictures=Pictures(render_mode, RoadPainter),
        )
