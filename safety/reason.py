"""Why a released command is not the proposed one: the codes that the shield, its records and its gauges share.

Ordered by what is found out first: a number that is none leaves nothing to judge, a corridor is judged before the
obstacles in it. Kernels name the members too; Warp compiles their values in.
"""

from __future__ import annotations

import enum


class Reason(enum.IntEnum):
    """Why a released command is not the proposed one; with a negative margin the stored plan is playing."""

    NONE = 0
    LIMITS = 1
    """Beyond what the robot may be told: cut to its limits, and safe so."""
    CORRIDOR = 2
    """The proposal's stopping plan leaves the corridor."""
    OBSTACLE = 3
    """It comes too near to something that stands."""
    PHANTOM = 4
    """It comes too near to where a person may step out of hiding."""
    PERSON = 5
    """It comes too near to something that moves."""
    NO_CORRIDOR = 6
    """There is no permission to move."""
    STALE_SCAN = 7
    """The scan is older than the robot's bound."""
    NOT_FINITE = 8
    """A number among the inputs is none, or a speed absurd."""
