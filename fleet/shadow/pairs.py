"""What production and a candidate decided in one control step, on the same inputs and the same memory.

    production: step(inputs, memory) with the answer that drove       -> what was proposed, and what the shield released
    candidate:  step(inputs, memory) with the candidate's own answer  -> what it would have proposed, and been allowed

The candidate's memory is production's: what is compared is one decision where production had brought the robot, not a
drive of the candidate's own. What it would have made of a whole drive only simulation or the closed course tells.

A disagreement is the distance of the two proposals in shares of what the robot can do,

    floor   d = max(|v_c - v_p| / v_max, |w_c - w_p| / w_max)        0: the same command, 1: all of the range apart
    road    d = max(|a_c - a_p| / a_max, |k_c - k_p| / k(v))         k(v): what lateral acceleration leaves at speed v

Pure; nothing here writes anywhere.
"""

from __future__ import annotations

import math

import msgspec

from safety.reason import Reason

FLOOR, ROAD = "floor", "road"
"""Worlds: what a command is, and what margin and progress are judged by."""
DIFFERS = 0.25
"""Disagreement from which two proposals are different commands: a quarter of the range."""
MARGIN_MAX = 10.0
"""Margins beyond this, m, are all alike, as a lidar's range: infinite ones can be written to JSON so."""


class Side(msgspec.Struct, frozen=True):
    """One of the two in one step."""

    policy: str
    """Hash of the policy, twelve digits; empty where no policy of ours was asked"""
    proposed: tuple[float, float]
    """v (m/s), w (rad/s); of a car a (m/s^2), curvature (1/m); zeros where the proposal is no number"""
    released: tuple[float, float]
    """What the shield let through, or put in its place"""
    reason: int
    """Why the shield changed it (`safety.shield.Reason`); 0 where it did not"""
    margin: float
    """Smallest clearance of the released plan, m; negative when the stored plan plays"""
    failed: bool = False
    """The policy gave no usable answer: late, or no number"""

    @property
    def intervened(self) -> bool:
        """Whether the shield changed the proposal."""
        return self.reason != int(Reason.NONE)


class Pair(msgspec.Struct, frozen=True, tag="pair", tag_field="kind"):
    """One step of both."""

    robot: str
    cycle: int
    stamp: int
    """Site clock, ns"""
    production: Side
    candidate: Side
    disagreement: float
    """Distance of the proposals, 0 to 2"""
    seconds: float = 0.0
    """What the candidate's step took, s of wall time"""
    world: str = FLOOR
    """FLOOR or ROAD"""


def bounded(margin: float) -> float:
    """A margin as pairs have it: a number between -MARGIN_MAX and MARGIN_MAX, -1 for none."""
    return min(max(margin if not math.isnan(margin) else -1.0, -MARGIN_MAX), MARGIN_MAX)


def finite(command: tuple[float, float]) -> tuple[float, float]:
    """A command, or zeros where it is no number."""
    return command if all(map(math.isfinite, command)) else (0.0, 0.0)
