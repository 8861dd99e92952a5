"""The controller: from what a robot knows to what it would like to do; the same in simulation and on the robot.

    picture, pose -> meta (which option, which goal, what to report)
                  -> skill (corridor -> observation -> policy) -> proposal

`step` is pure: everything that matters from one step to the next is in `ControllerMemory`; the object holds
preallocated arrays alone. It has no authority: what it proposes goes to the shield. Replanning is the coordinator's:
the controller reports which granted cells are blocked, and follows the next grant.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from coordination.messages import Assignment, Chosen, Leg, LegKind, Offer
from hierarchy import lifting, meta
from hierarchy.corridors import Way, centre, obstructed, window
from hierarchy.lifting import CARRY_VERSION
from hierarchy.options import OptionName
from hierarchy.skills import HOLD_VERSION, Act, Answer, NavigateSkill, Observed, settle
from sim.fixtures import DoorState
from sim.lifting import loaded, pod_above, why_not
from sim.robot import RobotSpec
from sim.site import Site

STANDING = 0.05
"""Slower than this, m/s, a robot looks at what closes its way: a moving one is not blocked."""
NEAR_END = 0.3
"""In the last cell of its corridor and this near to its middle, m, the hold skill takes over from the policy."""
SLOW = 0.22
"""Or slower than this, m/s, anywhere in that cell: above the hold skill's own speed, so that it finishes."""


Answerer = Callable[[Offer, float], Chosen | None]
"""How the meta level answers an offer at a state of charge (a rule, a policy, or a recording of one)."""


class ControllerMemory(msgspec.Struct, frozen=True):
    """What the controller remembers."""

    meta: meta.MetaMemory = meta.MetaMemory()
    chosen: Chosen | None = None
    """Its answer to the newest offer"""


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
    lift: float = -1.0
    """How far its lift with a pod is up, m; -1 without a pod"""
    offer: Offer | None = None
    """Work to choose from"""
    battery: float = 1.0
    manual: bool = False
    """An operator drives: nothing is proposed but the ground"""


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
    lift: bool = False
    """Whether the lift is to be up"""
    version: str = HOLD_VERSION
    """Who proposes, when no policy was asked"""
    chosen: Chosen | None = None
    """The answer to the offer that stands"""


class Controller:
    """The hierarchy of one robot: meta level, skill library."""

    def __init__(self, spec: RobotSpec, site: Site, policy: Policy | None) -> None:
        """Raises agents.errors.ContractMismatch when the policy does not fit the robot."""
        self.spec = spec
        self.site = site
        self.navigate = NavigateSkill(spec, site, policy)
        self._doors = frozenset(site.fixtures.door_cells(DoorState.AUTOMATIC))
        self._pods = frozenset(site.fixtures.pods if not why_not(spec, site) else ())
        self._loaded = loaded(spec, site)
        angles = spec.lidar.angles()
        self._directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)

    def step(
        self, inputs: ControllerInputs, memory: ControllerMemory, act: Act, choose: Answerer | None = None
    ) -> tuple[Proposal, ControllerMemory]:
        """One step; `act` answers an observation (the policy, or a recording of it), `choose` an offer: once each."""
        chosen = memory.chosen
        if inputs.offer is None or choose is None:
            chosen = None
        elif chosen is None or chosen.offer != inputs.offer.id:
            chosen = choose(inputs.offer, inputs.battery)
        position = inputs.pose[:2]
        goal = meta.goal_cell(inputs.assignment, memory.meta) if not inputs.manual else -1
        held = inputs.held or inputs.manual
        body = self._loaded if inputs.lift >= 0.0 else self.spec
        way = window(self.site, inputs.cells, position, goal, body.radius + body.localisation_bound)
        speed = abs(inputs.twist[0])
        blocked: tuple[int, ...] = ()
        if way.ahead and speed < STANDING:
            seen = obstructed(self.site, way, inputs.scan, self._directions, self.spec.lidar.range_max, inputs.pose)
            # a door opens for who waits before it, and a pod is driven under
            blocked = tuple(cell for cell in seen if cell not in self._doors and cell not in self._pods)
        view = meta.View(
            now=inputs.now,
            position=position,
            speed=speed,
            assignment=inputs.assignment,
            ahead=way.ahead,
            path_left=way.left,
            distance=lambda cell: math.dist(centre(self.site, cell), position),
            obstructed=blocked,
            held=held,
            lift=inputs.lift,
        )
        intent, meta_memory = meta.paused(view, memory.meta) if inputs.manual else meta.step(view, memory.meta)
        here = way.cells[way.here] if way.cells else -1
        leg = _open_leg(inputs.assignment, intent)
        near = here in self._pods or (bool(way.ahead) and way.ahead[0] in self._pods)
        works = (
            bool(self._pods) and leg is not None and leg.cell == here and leg.kind in (LegKind.LIFT, LegKind.SET_DOWN)
        )
        at_pods = inputs.lift >= 0.0 or near or works
        lane = self.navigate.set_corridor(way)
        lift, version = inputs.lift >= 0.0, HOLD_VERSION
        command, answer, observation = np.zeros(2, np.float32), None, b""
        at_end = bool(way.cells) and not way.ahead and (way.left <= NEAR_END or speed < SLOW)
        if at_pods and way.cells and not held:
            version = CARRY_VERSION
            moves, lift = self._at_pods(inputs, intent, leg, way)
            if not intent.blocked:
                command[:] = moves
        elif (at_end or intent.blocked) and way.cells and not held:
            command[:] = settle(inputs.pose, centre(self.site, way.cells[way.here]))
        elif intent.option is OptionName.NAVIGATE and way.cells and not held:
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
            command=command,
            intent=intent,
            way=way,
            corridor=lane,
            answer=answer,
            observation=observation,
            lift=lift,
            version=version,
            chosen=chosen,
        )
        return proposal, ControllerMemory(meta=meta_memory, chosen=chosen)

    def _at_pods(
        self, inputs: ControllerInputs, intent: meta.Intent, leg: Leg | None, way: Way
    ) -> tuple[tuple[float, float], bool]:
        """Command and lift where a pod is carried, stood under or about to be: no policy knows these."""
        pose = inputs.pose
        cell = way.cells[way.here]
        middle = centre(self.site, cell)
        if inputs.lift < 0.0 and not way.ahead:
            size = self.site.fixtures.pod_size
            middle = pod_above(inputs.scan, self._directions, pose, size, middle) or middle
        working = intent.option is OptionName.WORK and leg is not None and leg.cell == cell
        up = lifting.wanted(leg, working, lifting.placed(pose, middle), inputs.lift)
        if 0.0 <= inputs.lift < lifting.UP or up != (inputs.lift >= 0.0):
            return (0.0, 0.0), up  # the lift moves: the robot stands
        if not way.ahead:
            return lifting.square(pose, middle), up
        return lifting.follow(pose, self.site, way, lifting.LADEN if inputs.lift >= 0.0 else lifting.UNDER), up


def _open_leg(assignment: Assignment | None, intent: meta.Intent) -> Leg | None:
    """The leg that is to be done, as the meta level has just decided."""
    if assignment is None or intent.failed or intent.legs_done >= len(assignment.legs):
        return None
    return assignment.legs[intent.legs_done]
