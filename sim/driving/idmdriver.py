"""An ego driven as traffic drives: the rival that a policy is compared with, and a reference for demonstrations.

    traffic = Traffic(..., drive_egos=True)
    driver = IdmDriver(traffic, plant.footing, plant.state.twist, commands)
    driver.launch()                    commands (rows, 2): acceleration and curvature, before the plant's step

It knows the truth (`ActorArrays`): everybody's place and speed at the beginning of the last control step, so that it
reacts 50 ms late. It follows its route, changes lanes for it and by MOBIL, waits its turn at junctions and stops for
people, all by traffic's own kernels, and steers by sim/driving/steering.py. It has no shield and promises nothing.
"""

# pyright: reportGeneralTypeIssues=false
# Warp's structures are no classes to a type checker.

from __future__ import annotations

import warp as wp

from sim.driving.state import Footing
from sim.driving.steering import steer_egos
from sim.driving.traffic import Traffic
from sim.launches import record


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
