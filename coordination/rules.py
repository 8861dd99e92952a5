"""The numbers of the law between robots (`rightofway`)."""

from __future__ import annotations

from dataclasses import dataclass

from sim.robot import SECOND

STANDING_SPEED = 0.02
"""m/s; what counts as standing wherever collisions are counted, too."""


@dataclass(frozen=True)
class Rules:
    """How far ahead a robot is granted cells, and how long everyone is patient."""

    look_ahead: int = 5
    """Cells granted beyond the one under the robot: at 1.5 m/s and 1.5 m/s^2 a robot needs 0.75 m to stop and covers
    0.6 m in the four cycles from its report to the new grant, so three cells of 1.2 m suffice; two more let it plan."""
    lease: int = 2 * SECOND
    """How long a grant holds without a newer picture."""
    silent: int = 1 * SECOND
    """A robot not heard for so long gets no new cells."""
    standing: int = 5 * SECOND
    """A robot that stands for so long and cannot be pushed is routed around."""
    blocked: int = 20 * SECOND
    """How long a cell that was reported blocked is routed around."""
    patience: int = 5 * SECOND
    """A pending step that is not granted for so long is planned anew."""
    detour: int = 60
    """Most cells of extra way for which a detour is taken at once; each second of waiting allows one more."""
    picture_radius: int = 8
    """Cells around a robot whose owners it is told of: the lidar's 10 m."""
    picture_cells: int = 64
    """At most so many of them, the nearest."""
