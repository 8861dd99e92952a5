"""What the baseline's missions of before say, for judges to come: rates, and how missions hang together.

A candidate alone against a known rate is told in half the time that two arms take, and a dispersion that weeks of
missions have shown need not be found in the first hours of a canary.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fleet.judge.evidence import Evidence
from fleet.judge.missions import Mission, check
from fleet.judge.settings import COUNTED, MEASURED, Guardrail, Known, Settings
from fleet.judge.summary import Arm

BLOCK = 10
"""Missions of each half that are taken together."""


def learn(missions: Iterable[Mission]) -> dict[str, Known]:
    """Metric to what is known of it, from the baseline's missions in the order in which they ended.

    Every robot's missions go to the same of two halves, which are compared as the arms of a canary are: what makes
    those differ by more than chance is the dispersion.
    """
    settings = Settings(
        guardrails=(
            *(Guardrail(metric, "rate", 1.0, 2.0) for metric in COUNTED),
            *(Guardrail(metric, "mean", 1.0, 1.1) for metric in MEASURED),
        )
    )
    evidence, arm = Evidence(settings, careful=False), Arm(settings)
    halves: dict[str, int] = {}
    rows: tuple[list, list] = ([], [])
    robots: tuple[list, list] = ([], [])
    shifts: tuple[list, list] = ([], [])
    for mission in missions:
        values = arm.add(check(mission))
        half = halves.setdefault(mission.robot, len(halves) % 2)
        counts = (mission.interventions, mission.contacts, mission.near_misses)
        undone = None if mission.done is None else not mission.done
        rows[half].append((*(np.nan if count is None else count for count in (*counts, undone)), *values))
        robots[half].append(mission.robot)
        shifts[half].append(mission.shift)
        if min(len(rows[0]), len(rows[1])) >= BLOCK:
            evidence.add(rows, robots, shifts)
            rows, robots, shifts = ([], []), ([], []), ([], [])
    events, means = evidence.event_dispersion(), evidence.mean_dispersion()
    known: dict[str, Known] = {}
    for i, metric in enumerate(COUNTED):
        summary = arm.summary(metric)
        if summary.missions:
            rate = summary.per_mission or None
            known[metric] = Known(rate, summary.missions, round(float(events[i]), 4))
    for i, metric in enumerate(MEASURED):
        summary = arm.summary(metric)
        if summary.missions:
            known[metric] = Known(None, summary.missions, round(float(means[i]), 4))
    return known
