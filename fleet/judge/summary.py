"""One arm in plain numbers: counts, rates, means and tails, and what did not arrive."""

from __future__ import annotations

import bisect
import math
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np

from fleet.judge.missions import Mission
from fleet.judge.settings import COUNTED, MEASURED, MISSION, Settings

STEPS = "steps"
"""What a rate per 1,000 actions needs besides its metric."""
SECOND = 1_000_000_000
RECENT = 20
"""Missions whose stamps are looked at together."""
ODD = 10.0
"""Times longer or shorter for its steps than the median mission: no traffic does that, a clock that jumps does."""
PACES = 5
"""Missions whose median pace is one."""
STEP_TOLERANCE = 0.2
"""Relative, of a mission's time to its steps times the period, where that is known."""


class Summary(msgspec.Struct, frozen=True):
    """A metric of an arm; None for what it has not or cannot have."""

    missions: int
    """That had the metric"""
    missing: int
    total: float | None = None
    """Of what is counted"""
    per_mission: float | None = None
    per_1000_actions: float | None = None
    """Per 1,000 control steps"""
    per_robot_hour: float | None = None
    mean: float | None = None
    p95: float | None = None
    p99: float | None = None
    cvar95: float | None = None
    """Mean of the worst 5 %"""

    def of(self, kind: str) -> float | None:
        """What a guardrail of this kind compares (fleet/judge/settings.py)."""
        return getattr(self, {MISSION: "per_mission", "cvar": "cvar95"}.get(kind, kind))


@dataclass
class Missing:
    """How often a metric was not there: in all, and in the last missions in a row."""

    total: int = 0
    row: int = 0

    def note(self) -> None:
        """Once more."""
        self.total += 1
        self.row += 1


@dataclass
class Total:
    """A count so far."""

    value: float = 0.0


class Arm:
    """Owns one arm's plain numbers."""

    def __init__(self, settings: Settings) -> None:
        self.missions = 0
        self.robots: set[str] = set()
        self.missing = {metric: Missing() for metric in (*COUNTED, *MEASURED, STEPS)}
        self._counted = [self.missing[metric] for metric in COUNTED]
        self._measured = [self.missing[metric] for metric in MEASURED]
        self._period = settings.period
        self._steps = 0
        self._seconds = 0.0
        self._counts = [Total() for _ in COUNTED]
        self._values: list[list[float]] = [[] for _ in MEASURED]
        self._ends: deque[int] = deque(maxlen=RECENT)
        self._odd: deque[bool] = deque(maxlen=RECENT)
        self._paces: list[float] = []

    def add(self, mission: Mission) -> tuple[float, float, float]:
        """Take a mission in; its time, energy and latency, nan where they are not known."""
        self.missions += 1
        self.robots.add(mission.robot)
        self._ends.append(mission.end)
        seconds = self._time(mission)
        self._odd.append(seconds is None)
        if self._period and mission.steps:
            self._seconds += mission.steps * self._period
        elif seconds is not None:
            self._seconds += seconds
        if mission.steps:
            self._steps += mission.steps
            self.missing[STEPS].row = 0
        else:
            self.missing[STEPS].note()
        undone = None if mission.done is None else not mission.done
        for count, total, missing in zip(
            (mission.interventions, mission.contacts, mission.near_misses, undone),
            self._counts,
            self._counted,
            strict=True,
        ):
            if count is None:
                missing.note()
            else:
                total.value += count
                missing.row = 0
        for value, known, missing in zip(
            (seconds, mission.energy, mission.latency_p99), self._values, self._measured, strict=True
        ):
            if value is None:
                missing.note()
            else:
                known.append(value)
                missing.row = 0
        return (
            math.nan if seconds is None else seconds,
            math.nan if mission.energy is None else mission.energy,
            math.nan if mission.latency_p99 is None else mission.latency_p99,
        )

    def _time(self, mission: Mission) -> float | None:
        """How many s the mission took; None where its stamps cannot be."""
        seconds = (mission.end - mission.begin) / SECOND
        if seconds < 0.0 or mission.begin < 0:
            return None
        if not mission.steps:
            return seconds
        if self._period:
            due = mission.steps * self._period
            return seconds if abs(seconds - due) <= STEP_TOLERANCE * due + self._period else None
        pace = seconds / mission.steps
        if len(self._paces) >= PACES:
            median = self._paces[len(self._paces) // 2]
            if not median / ODD <= pace <= median * ODD:
                return None
        bisect.insort(self._paces, pace)
        return seconds

    @property
    def newest(self) -> int:
        """The end in ns of the recent missions that the clock shows, one wrong stamp aside."""
        return sorted(self._ends)[max(0, len(self._ends) - 2)] if len(self._ends) > 2 else max(self._ends)

    @property
    def latest(self) -> int:
        """The latest end in ns of the recent missions."""
        return max(self._ends)

    @property
    def odd_share(self) -> float:
        """Of the recent missions, those whose stamps cannot be."""
        return sum(self._odd) / max(len(self._odd), 1)

    def summary(self, metric: str) -> Summary:
        """The numbers of one metric."""
        missing = self.missing[metric].total
        known = self.missions - missing
        if metric in COUNTED:
            count = self._counts[COUNTED.index(metric)].value
            return Summary(
                known,
                missing,
                total=count,
                per_mission=count / known if known else None,
                per_1000_actions=1000.0 * count / self._steps if self._steps else None,
                per_robot_hour=3600.0 * count / self._seconds if self._seconds else None,
            )
        values = np.array(self._values[MEASURED.index(metric)])
        if not len(values):
            return Summary(known, missing)
        p95, p99 = (float(value) for value in np.quantile(values, [0.95, 0.99]))
        return Summary(
            known, missing, mean=float(values.mean()), p95=p95, p99=p99, cvar95=float(values[values >= p95].mean())
        )
