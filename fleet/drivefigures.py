"""What a drive comes to, in the field's terms: completion, speed, contacts by class, interventions, TTC, comfort.

`figures(course, moments)` reduces a drive's control steps. Percentiles of comfort are over the steps in which the car
moved; jerk is the difference of the acceleration from step to step. A contact stands in the step in which it begins.
A near miss is a stretch in which the moving car has less than NEAR_MISS of room to somebody whom it does not touch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sim.driving.moment import Course, Moment
from sim.driving.witness import NEAR_MISS

MOVING = 0.05
"""Speed from which a car moves, m/s: the bound of a contact at fault."""

APART = 1.0
"""s; what comes sooner after a near miss is the same one."""

SHORT = 1.5
"""s; a time to collision below it is a conflict (van der Horst and Hogema 1993), as sim/driving/meter.py counts it."""

PERCENTILES = (50.0, 95.0, 99.0)

GOAL = "goal reached"
"""Ending of a drive that completed its route."""

PASSED = "scenario passed"
"""Ending of a drive that came through its scenario to its last moment."""

AT_FAULT = "at fault"
"""Blame of contacts that count."""


@dataclass(frozen=True)
class DriveFigures:
    """One drive."""

    name: str
    seed: int
    driver: str
    shielded: bool
    lanes: int
    """Driving lanes of the road"""
    length: float
    """Of the route, m"""
    driven: float
    """m"""
    seconds: float
    completion: float
    """Share of the route that lies behind the car at the end, 0 to 1; of a scenario's time where there is one"""
    speed: float
    """Mean, m/s"""
    speed_share: float
    """Mean speed over the mean limit where there was one; NaN where there was none"""
    contacts: dict[str, int] = field(default_factory=dict)
    """By blame and what was touched: "at fault: car" """
    interventions: dict[str, int] = field(default_factory=dict)
    """Control steps by reason"""
    modes: dict[str, int] = field(default_factory=dict)
    """Control steps by who drove"""
    broken: dict[str, int] = field(default_factory=dict)
    """Control steps by invariant that did not hold"""
    steps: int = 0
    ending: str = ""
    asks: str = ""
    """What was asked of the drive, in words; empty where it was to reach the end of its route"""
    lasts: float = 0.0
    """How long its scenario lasts, s; 0 where there was none"""
    least_ttc: float = math.inf
    """s"""
    least_clearance: float = math.inf
    """m"""
    near_misses: int = 0
    """Stretches of less than NEAR_MISS of room while the car moved, without a contact"""
    ttc_short: float = 0.0
    """Share of the time in motion in which the time to collision is below SHORT"""
    accel: tuple[float, ...] = ()
    """Of its size: `PERCENTILES`, m/s^2"""
    jerk: tuple[float, ...] = ()
    """m/s^3"""
    lateral: tuple[float, ...] = ()
    """Speed squared times curvature, m/s^2"""

    @property
    def solved(self) -> bool:
        """Whether what was asked was done; true where nothing was asked but to drive on."""
        return not self.asks or self.ending in (GOAL, PASSED)

    @property
    def at_fault(self) -> int:
        """Contacts that count."""
        return sum(count for name, count in self.contacts.items() if name.startswith(AT_FAULT))

    def plain(self) -> dict[str, Any]:
        """As JSON has it: what is not finite becomes None."""
        values = asdict(self) | {"at_fault": self.at_fault, "solved": self.solved}
        return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}


def figures(course: Course, moments: Sequence[Moment]) -> DriveFigures:
    """What a drive comes to; zeros for one without moments."""
    speed = np.array([moment.speed for moment in moments])
    limit = np.array([moment.limit for moment in moments])
    accel = np.array([moment.motion[1] for moment in moments])
    curvature = np.array([moment.motion[2] for moment in moments])
    moving = speed > MOVING
    limited = np.isfinite(limit) & (limit > 0.0)
    jerk = np.abs(np.diff(accel)) / course.period
    left = [moment.left for moment in moments if math.isfinite(moment.left)]
    behind = 1.0 - max(left[-1], 0.0) / course.length if left and course.length > 0.0 else 0.0
    ending = moments[-1].ending if moments else ""
    if course.seconds > 0.0:
        behind = len(moments) * course.period / course.seconds
    if ending in (GOAL, PASSED):
        behind = 1.0
    return DriveFigures(
        name=course.name,
        seed=course.seed,
        driver=course.driver,
        shielded=course.shielded,
        lanes=sum(lane.kind == 0 for lane in course.road.lanes),
        length=course.length,
        driven=float(speed.sum() * course.period),
        seconds=len(moments) * course.period,
        completion=float(min(max(behind, 0.0), 1.0)),
        speed=float(speed.mean()) if len(speed) else 0.0,
        speed_share=float(speed[limited].sum() / limit[limited].sum()) if limited.any() else math.nan,
        contacts=dict(contacts(moments)),
        interventions=dict(Counter(m.reason or m.mode for m in moments if m.intervened)),
        modes=dict(Counter(moment.mode for moment in moments)),
        broken=dict(Counter(name for moment in moments for name in moment.broken)),
        steps=len(moments),
        ending=ending,
        asks=course.asks,
        lasts=course.seconds,
        least_ttc=min((moment.ttc for moment in moments), default=math.inf),
        least_clearance=min((moment.clearance for moment in moments), default=math.inf),
        near_misses=near_misses(moments, course.period),
        ttc_short=float(np.mean([m.ttc < SHORT for m, moves in zip(moments, moving, strict=True) if moves] or [0.0])),
        accel=_percentiles(np.abs(accel[moving])),
        jerk=_percentiles(jerk[moving[1:]] if len(jerk) else jerk),
        lateral=_percentiles(np.abs(speed**2 * curvature)[moving]),
    )


def contacts(moments: Iterable[Moment]) -> Counter[str]:
    """Contacts by blame and what was touched."""
    return Counter(f"{moment.blame or AT_FAULT}: {moment.contact}" for moment in moments if moment.contact)


def near_misses(moments: Sequence[Moment], period: float) -> int:
    """Stretches of less than NEAR_MISS of room while the car moves; those that lead to a contact are contacts."""
    close = [k for k, m in enumerate(moments) if (m.clearance < NEAR_MISS and m.speed > MOVING) or m.contact]
    stretches: list[list[int]] = []
    for k in close:
        if stretches and (k - stretches[-1][-1]) * period <= APART:
            stretches[-1].append(k)
        else:
            stretches.append([k])
    touched = {k for k, m in enumerate(moments) if m.contact or m.clearance <= 0.0}
    return sum(touched.isdisjoint(stretch) for stretch in stretches)


def _percentiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.percentile(values, PERCENTILES).tolist()) if len(values) else ()
