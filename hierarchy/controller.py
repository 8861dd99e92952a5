"""The controller: from what a robot knows to what it would like to do; the same in simulation and on the robot.

    picture, pose -> meta (which option, which goal, what to report)
                  -> skill (corridor -> observation -> policy) -> proposal

`step` is pure: everything that matters from one step to the next is in `ControllerMemory`; the object holds
preallocated arrays alone. It has no authority: what it proposes goes to the shield. Replanning is the coordinator's:
the controller reports which granted cells are blocked, and follows the next grant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from coordination.messages import Assignment
from hierarchy import meta
from hierarchy.corridors import Way, centre, obstructed, window
from hierarchy.options import OptionName
from hierarchy.skills import Act, Answer, NavigateSkill, Observed, settle
from sim.fixtures import DoorState
from sim.robot import RobotSpec
from sim.site import Site

STANDING = 0.05
"""Slower than this, m/s, a robot looks at what closes its way: a moving one is not blocked."""
NEAR_END = 0.3
"""In the last cell of its corridor and this near to its middle, m, the hold skill takes over from the policy."""
SLOW = 0.22
"""Or slower than this, m/s, anywhere in that cell: above the hold skill's own speed, so that it finishes."""


class ControllerMemory(msgspec.Struct, frozen=True):
    """What the controller remembers."""

    meta: meta.MetaMemory = meta.MetaMemory()


@dataclass(frozen=True)
class ControllerInputs:
    """What the controller knows at one step; checked by the caller."""

    now: int
    """Site clock, ns"""
    pose: tuple[float, float, float]
    """p_WB"""
    twist: tuple[float, float]
    """v, w in B"""
    scan: NDArray[np.float32]
    """(rays,), m"""
    last_command: NDArray[np.float32]
    """Released in the cycle before, (2,)"""
    cells: tuple[int, ...]
    """Granted cells in driving order; empty for no permission"""
    assignment: Assignment | None
    held: bool
    """A protective or emergency stop holds the robot"""


@dataclass(frozen=True)
class Proposal:
    """What the controller would like to do."""

    command: NDArray[np.float32]
    """v, w, (2,); not finite when the policy's answer is not"""
    intent: meta.Intent
    way: Way
    corridor: Observed
    """The corridor as arrays, for the shield"""
    answer: Answer | None
    """The policy's raw answer; None when no policy was asked"""
    observation: bytes
    """What the policy saw, float32; empty when it was not asked"""


class Controller:
    """The hierarchy of one robot: meta level, skill library."""

    def __init__(self, spec: RobotSpec, site: Site, policy: Policy | None) -> None:
        """Raises agents.errors.ContractMismatch when the policy does not fit the robot."""
        self.spec = spec
        self.site = site
        self.navigate = NavigateSkill(spec, site, policy)
        self._doors = frozenset(site.fixtures.door_cells(DoorState.AUTOMATIC))
        angles = spec.lidar.angles()
        self._directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)

    def step(self, inputs: ControllerInputs, memory: ControllerMemory, act: Act) -> tuple[Proposal, ControllerMemory]:
        """One step; `act` answers an observation (the policy, or a recording of it)."""
        position = inputs.pose[:2]
        goal = meta.goal_cell(inputs.assignment, memory.meta)
        way = window(self.site, inputs.cells, position, goal, self.spec.radius + self.spec.localisation_bound)
        speed = abs(inputs.twist[0])
        blocked: tuple[int, ...] = ()
        if way.ahead and speed < STANDING:
            seen = obstructed(self.site, way, inputs.scan, self._directions, self.spec.lidar.range_max, inputs.pose)
            blocked = tuple(cell for cell in seen if cell not in self._doors)  # a door opens for who waits before it
        view = meta.View(
            now=inputs.now,
            position=position,
            speed=speed,
            assignment=inputs.assignment,
            ahead=way.ahead,
            path_left=way.left,
            distance=lambda cell: math.dist(centre(self.site, cell), position),
            obstructed=blocked,
            held=inputs.held,
        )
        intent, meta_memory = meta.step(view, memory.meta)
        lane = self.navigate.set_corridor(way)
        command, answer, observation = np.zeros(2, np.float32), None, b""
        at_end = bool(way.cells) and not way.ahead and (way.left <= NEAR_END or speed < SLOW)
        if (at_end or intent.blocked) and way.cells and not inputs.held:
            command[:] = settle(inputs.pose, centre(self.site, way.cells[way.here]))
        elif intent.option is OptionName.NAVIGATE and way.cells and not inputs.held:
            seen = self.navigate.observe(
                inputs.scan,
                np.array(inputs.pose, np.float32),
                np.array(inputs.twist, np.float32),
                inputs.last_command,
            )
            observation = seen.tobytes()
            answer = act(seen)
            command = self.navigate.command(answer)
        proposal = Proposal(
            command=command, intent=intent, way=way, corridor=lane, answer=answer, observation=observation
        )
        return proposal, ControllerMemory(meta=meta_memory)
