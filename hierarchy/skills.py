"""The skill library: what an option's name stands for at the controls, each with its version.

    hold       stand in the middle of the cell: creep the last decimetres, then stand still; no policy
    navigate   follow the corridor by the learned policy, on the observation of `sim/tasks/navigate_contract.py`

A skill observes (rows of arrays to rows of observations) and maps the policy's action to a command. What runs
the policy is passed in as a function, because a replay answers with what was recorded instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from hierarchy.corridors import NO_WAY, Way, corridor
from hierarchy.pace import Pace
from sim.geometry import CORRIDOR_POINTS, wrap_angle
from sim.robot import RobotSpec
from sim.site import CELL, Site
from sim.tasks.navigate_contract import OBSERVATION, NavigateObserver, action_to_command, navigate_contract

HOLD_VERSION = "hold/1"
"""Nothing was learned for it."""


class Answer(msgspec.Struct, frozen=True):
    """What a policy said to one observation, as it is recorded."""

    action: tuple[float, ...]
    """float32 values, before any check"""
    late: bool = False
    """It came too late to be used"""
    policy: str = ""
    """Hash of the policy that said it, cut to twelve digits; empty where that was not said"""
    novelty: tuple[float, ...] = ()
    """How new the observation was to it (`agents.policy.Policy.judge`), 1 at the limit; empty where it does not tell"""
    fix: tuple[float, ...] = ()
    """How far the pose was off by the scan: x, y (m), yaw, of which some scores are; empty where none is"""


TRAINED = np.float32(0.5) * np.float32(CELL)
"""Half width of the corridors that policies are trained in, m: another one is a number that they have never seen."""
SETTLE_SPEED = 0.2
"""Fastest that the hold skill creeps, m/s."""
SETTLE_TURN = 0.8
"""And turns, rad/s."""
SETTLED = 0.08
"""Nearer than this to the middle it stands still, m: below REACHED by more than the localisation bound."""
SETTLE_GAIN = 1.0
"""Speed per distance, 1/s: from 0.3 m the middle is reached in about 2 s without overshoot."""
SETTLE_AHEAD = 0.6
"""Bearing beyond which it turns on the spot first, rad."""

Act = Callable[[NDArray[np.float32]], Answer]
"""One observation (1, n) to the answer of a policy, or of a recording."""


@dataclass(frozen=True)
class Observed:
    """The skill's inputs of one step as the shield needs them too: views that the next step overwrites."""

    points: NDArray[np.float32]
    """Corridor, (1, CORRIDOR_POINTS, 2)"""
    half_width: NDArray[np.float32]
    """(1, CORRIDOR_POINTS)"""
    count: NDArray[np.int32]
    """(1,)"""


def settle(pose: tuple[float, float, float], middle: tuple[float, float]) -> tuple[float, float]:
    """The hold skill: v and w that bring a robot at `pose` to `middle`, forwards or backwards, whichever is nearer."""
    dx, dy = middle[0] - pose[0], middle[1] - pose[1]
    distance = math.hypot(dx, dy)
    if distance <= SETTLED:
        return (0.0, 0.0)
    bearing = wrap_angle(math.atan2(dy, dx) - pose[2])
    backwards = abs(bearing) > math.pi / 2.0
    if backwards:
        bearing = wrap_angle(bearing + math.pi)
    turn = max(-SETTLE_TURN, min(SETTLE_TURN, 2.0 * bearing))
    if abs(bearing) > SETTLE_AHEAD:
        return (0.0, turn)
    speed = min(SETTLE_SPEED, SETTLE_GAIN * distance)
    return (-speed if backwards else speed, turn)


def version_of(policy: str) -> str:
    """Name of the navigate skill by the hash of its policy, cut to twelve digits."""
    return f"navigate/{policy}"


def sees_limit(policy: Policy, spec: RobotSpec) -> bool:
    """Whether a navigate policy sees the speed limit of its floor. Raises ContractMismatch when it fits neither way."""
    if policy.contract_hash == navigate_contract(spec, limited=True).hash:
        return True
    policy.check(navigate_contract(spec))
    return False


class NavigateSkill:
    """Follow a corridor. Owns the observation kernel's arrays for one robot; all that matters is written each step."""

    name = "navigate"

    def __init__(self, spec: RobotSpec, site: Site, policy: Policy | None) -> None:
        """Raises agents.errors.ContractMismatch when the policy was trained for another observation or body.

        Without a policy the skill can only be replayed.
        """
        limited = policy is not None and sees_limit(policy, spec)
        self.version = version_of(policy.hash[:12] if policy else "none")
        self.contract_hash = policy.contract_hash if policy is not None else ""
        self._spec = spec
        self._site = site
        self._pace = Pace(spec, site) if limited else None
        self._way = NO_WAY
        self._observer: Any = NavigateObserver(
            spec, limited=limited
        )  # its arrays are views of Warp's, which have no types
        self._half_width = np.zeros((1, CORRIDOR_POINTS), np.float32)
        self._filled: tuple[int, ...] | None = None

    def set_corridor(self, way: Way) -> Observed:
        """Write the corridor of the granted cells; returns the views.

        In cells larger than those that policies are trained in, the policy sees it no wider than there; the shield
        gets it whole.
        """
        o = self._observer
        if way.cells != self._filled:  # the cells change about once a second: the arrays are kept in between
            lane = corridor(self._site, way)
            n = min(len(way.cells), CORRIDOR_POINTS)
            o.count[0] = n
            if n:
                o.points[0, :n] = lane.points[:n]
                o.points[0, n:] = lane.points[n - 1]
                self._half_width[0, :n] = lane.half_width[:n]
                self._half_width[0, n:] = lane.half_width[n - 1]
            else:
                o.points[0] = 0.0
                self._half_width[0] = 0.0
            np.minimum(self._half_width, TRAINED, out=o.half_width)
            self._filled = way.cells
        self._way = way
        o.final[0] = way.final
        return Observed(points=o.points, half_width=self._half_width, count=o.count)

    def observe(
        self,
        scan: NDArray[np.float32],
        pose: NDArray[np.float32],
        twist: NDArray[np.float32],
        last_command: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The observation (1, n) of the corridor that was set and these readings; overwritten by the next call."""
        o = self._observer
        o.scan[0] = scan
        o.pose[0] = pose
        o.twist[0] = twist
        o.last_command[0] = last_command
        if self._pace is not None:
            limit = self._pace.limit((float(pose[0]), float(pose[1])), abs(float(twist[0])), self._way)
            o.out[0, OBSERVATION] = min(limit / self._spec.diff.speed_max, 1.0)
        return o.observe()

    def command(self, answer: Answer) -> NDArray[np.float32]:
        """The proposed v (m/s) and w (rad/s) of an answer, float32 (2,); not finite when the action is not."""
        return action_to_command(np.array(answer.action, np.float32), self._spec)
