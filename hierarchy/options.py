"""Options: courses of action that begin somewhere, go on by themselves and know when they end.

An option is a triple (I, pi, beta) of Sutton, Precup and Singh (Artificial Intelligence 112, 1999): where it may
begin, what it does at each control step, and where it ends. The meta level chooses among options, about once a
second and whenever the running one ends; between those moments the option's own policy drives.

Here an option states I and beta over a `Situation`; pi is a skill of `hierarchy/skills.py`, named by the option, so
that the meta level can be tested without any network.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from coordination.messages import Assignment, Leg, LegKind
from hierarchy.lifting import UP
from sim.robot import SECOND

REACHED = 0.12
"""A cell is reached when the centre is this near to the cell's centre, m. The navigate task ends at 0.25 m, where the
footprint (0.43 m with the localisation bound) still reaches into the cell behind and keeps it from others: the hold
skill settles the rest."""
REACHED_SPEED = 0.1
"""And the speed is below this, m/s: work begins at rest."""


class OptionName(enum.IntEnum):
    """The courses of action of a warehouse robot."""

    STAND = 0
    NAVIGATE = 1
    WORK = 2
    ASK = 3


@dataclass(frozen=True)
class Situation:
    """What the meta level and the options look at."""

    now: int
    """Site clock, ns"""
    position: tuple[float, float]
    """p_WB, m"""
    speed: float
    """|v|, m/s"""
    assignment: Assignment | None
    """What the coordinator wants done; None for nothing"""
    legs_done: int
    failed: bool
    """This attempt was given up"""
    working_since: int
    """Stamp at which the work at this leg's cell began; -1 when it did not"""
    goal_distance: float
    """To the centre of the open leg's cell, m; infinite without one"""
    path_left: float
    """To the centre of the last granted cell, m"""
    lift: float = -1.0
    """How far the lift with a pod is up, m; -1 without a pod"""

    @property
    def leg(self) -> Leg | None:
        """The open leg of the assignment; None when there is nothing left to do."""
        if self.assignment is None or self.failed or self.legs_done >= len(self.assignment.legs):
            return None
        return self.assignment.legs[self.legs_done]

    @property
    def arrived(self) -> bool:
        """At the open leg's cell, slow enough."""
        return self.goal_distance <= REACHED and self.speed < REACHED_SPEED

    @property
    def worked(self) -> float:
        """Time since the work began, s; 0 before."""
        return 0.0 if self.working_since < 0 else (self.now - self.working_since) / SECOND


@dataclass(frozen=True)
class Option:
    """One course of action."""

    name: OptionName
    skill: str
    """Which skill drives while it runs"""
    initiation: Callable[[Situation], bool]
    """Whether it may begin here"""
    termination: Callable[[Situation], bool]
    """Whether it ends here"""


def _must_drive(situation: Situation) -> bool:
    """There is a leg to drive to, or right of way that leads elsewhere (the fleet asks an idle robot to make room)."""
    if situation.failed:
        return situation.path_left > REACHED
    if situation.leg is not None:
        return not situation.arrived
    return situation.path_left > REACHED


def _at_work(situation: Situation) -> bool:
    leg = situation.leg
    return leg is not None and (situation.working_since >= 0 or situation.arrived)


def _work_done(situation: Situation) -> bool:
    leg = situation.leg
    if leg is None:
        return True
    if (leg.kind is LegKind.LIFT and situation.lift < UP) or (leg.kind is LegKind.SET_DOWN and situation.lift >= 0.0):
        return False
    return situation.working_since >= 0 and situation.worked >= leg.dwell


ASK = Option(
    OptionName.ASK,
    "hold",
    initiation=lambda s: s.failed and not _must_drive(s),
    termination=lambda s: not s.failed or _must_drive(s),
)
"""Stand and wait until the coordinator takes the failed attempt away; still make room where the fleet asks."""

WORK = Option(OptionName.WORK, "hold", initiation=_at_work, termination=_work_done)
"""Load, unload or charge at the leg's cell."""

NAVIGATE = Option(OptionName.NAVIGATE, "navigate", initiation=_must_drive, termination=lambda s: not _must_drive(s))
"""Follow the granted corridor."""

STAND = Option(OptionName.STAND, "hold", initiation=lambda s: True, termination=lambda s: _must_drive(s) or _at_work(s))
"""Nothing to do here."""

OPTIONS = (ASK, WORK, NAVIGATE, STAND)
"""In the order in which the meta level asks whether one may begin: the first that may is taken."""
