"""What production and a candidate decided in one control step, on the same inputs and the same memory.

    production: step(inputs, memory) with the answer that drove       -> what was proposed, and what the shield released
    candidate:  step(inputs, memory) with the candidate's own answer  -> what it would have proposed, and been allowed

The candidate's memory is production's: what is compared is one decision where production had brought the robot, not a
drive of the candidate's own. What it would have made of a whole drive only simulation or the closed course tells.

A disagreement is the distance of the two proposals in shares of what the robot can do,

    d = max(|v_c - v_p| / v_max, |w_c - w_p| / w_max)        0: the same command, 1: all of the range apart, 2 at most

Pure; nothing here writes anywhere.
"""

from __future__ import annotations

import math

import msgspec

from fleet.records import Outputs
from safety.shield import Reason
from sim.robot import RobotSpec

RECORDED = "recorded"
"""Source of outputs that came from somebody else's robot (`muster import`): nobody of ours proposed them."""
FALLBACK = "fallback"
DIFFERS = 0.25
"""Disagreement from which two proposals are different commands: a quarter of the range."""
MARGIN_MAX = 10.0
"""Margins beyond this, m, are all alike, as a lidar's range: infinite ones can be written to JSON so."""


class Side(msgspec.Struct, frozen=True):
    """One of the two in one step."""

    policy: str
    """Hash of the policy, twelve digits; empty where no policy of ours was asked"""
    proposed: tuple[float, float]
    """v (m/s), w (rad/s); zeros where the proposal is no number"""
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


def asked(outputs: Outputs) -> bool:
    """Whether a policy was at the controls in this step, so that another one can be compared with it.

    Steps in which the robot is stopped, holds its cell, handles a pod or is driven by hand are alike for all policies.
    """
    return outputs.answer is not None or outputs.source == RECORDED


def pair(robot: str, production: Outputs, candidate: Outputs, spec: RobotSpec, name: str, seconds: float) -> Pair:
    """The pair of two outputs on the same inputs; `name` is the candidate's hash."""
    ours, theirs = side(production), side(candidate)
    if not theirs.policy:
        theirs = msgspec.structs.replace(theirs, policy=name[:12])
    return Pair(
        robot=robot,
        cycle=production.cycle,
        stamp=production.stamp,
        production=ours,
        candidate=theirs,
        disagreement=distance(ours.proposed, theirs.proposed, spec),
        seconds=seconds,
    )


def side(outputs: Outputs) -> Side:
    """What one of the two decided."""
    answer = outputs.answer
    failed = answer is not None and (answer.late or not all(map(math.isfinite, answer.action)))
    margin = outputs.margin if not math.isnan(outputs.margin) else -1.0
    return Side(
        policy=answer.policy if answer is not None else "",
        proposed=_finite(outputs.proposed),
        released=_finite(outputs.released),
        reason=int(outputs.reason),
        margin=min(max(margin, -MARGIN_MAX), MARGIN_MAX),
        failed=failed or outputs.source == FALLBACK,
    )


def distance(one: tuple[float, float], other: tuple[float, float], spec: RobotSpec) -> float:
    """The largest difference of two commands, in shares of the robot's top speed and turn rate."""
    drive = spec.diff
    return max(abs(one[0] - other[0]) / drive.speed_max, abs(one[1] - other[1]) / drive.turn_max)


def _finite(command: tuple[float, float]) -> tuple[float, float]:
    return command if all(map(math.isfinite, command)) else (0.0, 0.0)
