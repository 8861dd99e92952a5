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
    SPEED_LIMIT = 9
    """From here on the codes of the road: it would drive faster than is allowed there."""
    LANE_BOUNDARY = 10
    """It would leave its lane, and not for a lane that it may enter."""
    VEHICLE_AHEAD = 11
    """It could not stop behind a vehicle that goes its way and brakes as hard as vehicles can."""
    VEHICLE = 12
    """It comes too near to a vehicle that keeps no lane of its own, or comes towards it."""
    REAR = 13
    """It enters a lane too near in front of somebody there."""
    CROSSING = 14
    """It would be on ground that another lane shares while somebody may come there."""
    PEDESTRIAN = 15
    """It comes too near to where a person on foot can be."""
    UNSEEN = 16
    """It could not stop within what is seen."""
    PATH_END = 17
    """It could not stop before its way ends."""
    STALE_VIEW = 18
    """Nothing has told for too long where the car is."""
    STALE_OBJECTS = 19
    """Nothing has told for too long who else is there."""
