"""What a rollout asks of each stage: how many robots, in how many zones, for how long, and what must be shown there.

The first shares of the fleet bound the harm and show that all data come; from the first stage with `proof` on, the
judge must have said `promote` on the missions so far.
"""

from __future__ import annotations

import enum
import math

import msgspec

from sim.errors import MusterError

HOLDOUT = 0.05
"""Of the fleet, on the old release until 100 % is confirmed: what a season or a new site does to both shows there."""

YEAR = 366 * 86400.0
"""s; no clock that jumps by more is set right again."""


class RolloutError(MusterError):
    """A rollout refuses something, or cannot go on."""


class Stage(enum.IntEnum):
    """Where a rollout is, in the order in which it goes."""

    DRAFT = 0
    OFFLINE = 1
    """Estimates from logs"""
    SUITE = 2
    """Simulated missions"""
    SHADOW = 3
    """Beside the old release, without a writer"""
    COURSE = 4
    """Named robots in a fenced area, slowly; people sign what they saw"""
    PART_1 = 5
    PART_5 = 6
    PART_25 = 7
    PART_50 = 8
    PART_100 = 9
    """All but the holdout"""
    CONFIRMED = 10
    """All"""


def stage_name(stage: Stage) -> str:
    """A stage for people: shares of the fleet in per cent."""
    name = stage.name.lower()
    return f"{name.removeprefix('part_')} %" if name.startswith("part_") else name


GATED = (Stage.OFFLINE, Stage.SUITE, Stage.SHADOW)
"""Stages in which no robot is driven: one gate's verdict ends each."""
DRIVEN = (Stage.PART_1, Stage.PART_5, Stage.PART_25, Stage.PART_50, Stage.PART_100)
"""Stages in which a share of the fleet drives the candidate."""


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stage of the fleet."""

    robots: float
    """Of the fleet, above 0 to 1; at least one robot"""
    zones: int
    """In which they are at most; 0: all"""
    missions: int
    """Of the candidate since the stage began"""
    hours: float
    """Robot-hours of the candidate since the stage began"""
    proof: bool
    """Whether the judge must have said `promote`; without it: that all data come and nothing speaks against it"""


SHARES = (
    Share(0.01, 1, 20, 1.0, False),
    Share(0.05, 2, 50, 4.0, False),
    Share(0.25, 0, 200, 24.0, True),
    Share(0.50, 0, 400, 48.0, True),
    Share(1.00, 0, 400, 48.0, True),
)
"""A floor's robots do 3 to 6 missions an hour: a day at 25 %, a day at 50 %, a night at 100 %."""


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The closed course."""

    robots: tuple[str, ...] = ()
    """Who drives there"""
    fence: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """x and y of its lower left, then of its upper right corner, m; nobody else is let in"""
    speed: float = 0.3
    """m/s at most: a person steps away from that (EN 1525's slow speed)"""
    checklist: tuple[str, ...] = (
        "stops before a person-sized dummy on its way",
        "stops at the emergency stop, and goes on only after its reset",
        "goes back to the old release when its lease ends",
        "keeps inside its corridor beside a rack",
    )
    """What somebody must have seen and signed"""
    signers: int = 2
    """Operators, at least, among the signatures"""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a rollout goes by."""

    shares: tuple[Share, ...] = SHARES
    """Of the stages PART_1 to PART_100"""
    holdout: float = HOLDOUT
    course: Course = Course()
    trips: int = 2
    """Robots whose own guards tripped on the candidate, until it is taken back"""
    silence: float = 600.0
    """s without a mission of the candidate, in a stage of the fleet, until the rollout is held"""
    jump: float = 3600.0
    """s by which the clock may go on between two events; more is a clock that jumped, or a service that was away"""
    back: float = 5.0
    """s by which it may go back: clocks of a site are that close"""
    auto: bool = True
    """Whether evidence alone ends a stage; else an operator's `promote` does, after it"""
    muster: int = 1

    def share(self, stage: Stage) -> Share:
        """Of a stage of the fleet."""
        return self.shares[stage - Stage.PART_1]


def checked(plan: Plan) -> Plan:
    """The plan itself; raises RolloutError for one that cannot be."""
    if len(plan.shares) != len(DRIVEN):
        raise RolloutError(f"expected {len(DRIVEN)} shares of the fleet, got {len(plan.shares)}; give one each")
    before = 0.0
    for share in plan.shares:
        if not (math.isfinite(share.robots) and before < share.robots <= 1.0):
            raise RolloutError(f"expected shares that grow to 1, got {share.robots:g} after {before:g}; order them")
        if share.missions < 1 or not share.hours >= 0.0 or share.zones < 0:
            raise RolloutError("expected at least one mission, and hours and zones of 0 or more; a share has less")
        before = share.robots
    if before != 1.0 or not plan.shares[-1].proof:
        raise RolloutError(f"expected the last share to be all and by proof, got {before:g}; end with 1 and proof")
    if not 0.0 < plan.holdout < 0.5:
        raise RolloutError(f"expected a holdout above 0 and below 0.5, got {plan.holdout:g}; the usual one is 0.05")
    if plan.trips < 1 or not plan.silence > 0.0 or not plan.jump > 0.0 or not plan.back >= 0.0:
        raise RolloutError("expected trips of 1 or more and times above 0; correct the plan")
    if max(plan.silence, plan.jump, plan.back) > YEAR:
        raise RolloutError("expected silence, jump and back of a year at most, in s; correct the plan")
    if not plan.course.robots or not plan.course.checklist or plan.course.signers < 1:
        raise RolloutError("expected robots, a checklist and a signer for the closed course; name them")
    if plan.course.signers > len(set(plan.course.checklist)):
        raise RolloutError(
            f"expected an item of the checklist for each of {plan.course.signers} signers, it has "
            f"{len(set(plan.course.checklist))}; nobody could ever pass the closed course"
        )
    x0, y0, x1, y1 = plan.course.fence
    if not (x0 < x1 and y0 < y1 and all(map(math.isfinite, plan.course.fence))):
        raise RolloutError(f"expected a fence with an inside, got {plan.course.fence}; give x0, y0, x1, y1 in m")
    if not 0.0 < plan.course.speed < math.inf:
        raise RolloutError(f"expected a speed above 0 on the closed course, got {plan.course.speed:g}; 0.3 is usual")
    return plan
