"""What a safety filter sees of a car: the inputs beside those of a robot on a floor (`sim/filter.py`).

The same `Filter` protocol, memory rules and `FilterOutputs` hold: the command is (acceleration m/s^2, curvature 1/m).
The environment takes a filter, `sim` imports none.
"""

# pyright: reportGeneralTypeIssues=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass

import warp as wp

from sim.driving.maparrays import ConflictArrays
from sim.driving.state import View
from sim.frenet import Lanes


@dataclass(frozen=True)
class RoadInputs:
    """What a filter sees, as Warp arrays on one device; written in place before each launch."""

    command: wp.array
    """Proposed acceleration (m/s^2), curvature of base_link's path (1/m, positive to the left); float32 (rows, 2)."""
    last_command: wp.array
    """Released in the cycle before; float32 (rows, 2)."""
    view: View
    """What the car's sensors say now; (rows, ...)."""
    lanes: Lanes
    """The map."""
    conflicts: ConflictArrays
    """Which stretches of lanes share ground."""
