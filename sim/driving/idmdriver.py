"""An ego driven as traffic drives: the rival that a policy is compared with, and a reference for demonstrations.

    traffic = Traffic(..., drive_egos=True)
    driver = IdmDriver(traffic, plant.footing, plant.state.twist, commands)
    driver.launch()                    commands (rows, 2): acceleration and curvature, before the plant's step

It knows the truth (`ActorArrays`): everybody's place and speed at the beginning of the last control step, so that it
reacts 50 ms late. It follows its route, changes lanes for it and by MOBIL, waits its turn at junctions and stops for
people, all by traffic's own kernels, and steers by sim/driving/steering.py. It promises nothing.

    filter = Following(shield)         in front of a shield, or with None in its place
    env = RoadEnv(..., filter=filter, drive_egos=True)
    filter.drive(env)
    env.reset(), then each step: filter.wish(env), env.step()
"""

# pyright: reportGeneralTypeIssues=false
# Warp's structures are no classes to a type checker.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from sim.driving.env import RoadEnv
from sim.driving.filter import RoadInputs
from sim.driving.skill import Driving
from sim.driving.state import PATH_BEHIND, Footing, PathColumn
from sim.driving.steering import steer_egos
from sim.driving.traffic import Traffic
from sim.filter import Filter, FilterOutputs
from sim.launches import record

ASIDE = 0.2
"""m across from the lane's middle; who is farther over is on his way into the lane beside it."""


class IdmDriver:
    """Recorded; see the module."""

    def __init__(self, traffic: Traffic, footing: Footing, twist: wp.array, commands: wp.array) -> None:
        """`footing` and `twist` (rows, 3) of the egos' base_link. Raises ValueError for traffic that drives no egos."""
        if not traffic.rules.drive_egos:
            raise ValueError("expected traffic that drives egos, got one that does not; make it with drive_egos=True")
        atlas = traffic.atlas
        inputs = [traffic.rules, traffic.map, atlas.lanes, atlas.routes, footing, twist, traffic.movers, commands]
        self._steer = record(steer_egos, dim=commands.shape[0], inputs=inputs, device=atlas.device)

    def launch(self) -> None:
        """Write the commands."""
        self._steer.launch()


@dataclass(frozen=True)
class Nothing:
    """The memory of no shield."""


class Following:
    """A filter that puts this driver's commands in front of a shield, or in its place."""

    def __init__(self, shield: Filter | None) -> None:
        self.shield = shield
        self._driver: IdmDriver | None = None
        self._told: wp.array | None = None

    def drive(self, env: RoadEnv) -> None:
        """Who drives, once the environment is there. Raises ValueError for one that was made with another filter."""
        if self._told is None or env.filter is not self:
            raise ValueError("expected the environment that this filter was made for, got another")
        self._driver = IdmDriver(env.traffic, env.plant.footing, env.state.twist, self._told)

    def wish(self, env: RoadEnv) -> None:
        """Before a step: changes of lane are wished for while they are made, so that no drive ends by one."""
        assert isinstance(env.task, Driving)
        across, here = env.view.where.numpy()[:, 0], env.view.path.numpy()[:, PATH_BEHIND]
        left = (across > ASIDE) & (here[:, PathColumn.LEFT_LANE] > 0.0)
        right = (across < -ASIDE) & (here[:, PathColumn.RIGHT_LANE] > 0.0)
        env.task.wish.side.numpy()[:] = np.where(left, 1, np.where(right, -1, 0))

    def init(self, rows: int, device: str) -> Any:  # the shield's own memory type
        """The shield's memory."""
        self._told = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        return Nothing() if self.shield is None else self.shield.init(rows, device)

    def launch(self, inputs: RoadInputs, memory: Any, out: FilterOutputs) -> None:
        """Judge what the driver says. Raises ValueError before `drive` was called."""
        if self._driver is None or self._told is None:
            raise ValueError("expected a driver, got none; call `drive` first")
        self._driver.launch()
        wp.copy(inputs.command, self._told)
        if self.shield is None:
            wp.copy(out.command, self._told)
        else:
            self.shield.launch(inputs, memory, out)

    def reset(self, mask: wp.array, memory: Any) -> None:
        """The shield forgets the masked rows."""
        if self.shield is not None:
            self.shield.reset(mask, memory)
