"""Missions of two arms as tests need them, from a seed."""

from __future__ import annotations

import numpy as np

from fleet.judge.missions import Mission

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
BEGIN = 1000 * HOUR


def missions(
    seed: int = 0,
    hours: float = 24.0,
    each: int = 100,
    robots: int = 10,
    candidate: float = 0.02,
    baseline: float = 0.02,
    slower: float = 1.0,
) -> list[Mission]:
    """`each` missions an hour and arm by their ends; rates of interventions, candidate's time over baseline's."""
    rng = np.random.default_rng(seed)
    made = []
    for arm, rate, scale in (("candidate", candidate, slower), ("baseline", baseline, 1.0)):
        count = int(hours * each)
        ends = np.sort(rng.uniform(0.0, hours, count))
        steps = np.maximum(3000 * np.exp(0.3 * rng.standard_normal(count)) * scale, 1.0).astype(int)
        events = rng.random((count, 4)) < (rate, 0.002, 0.05, 0.01)
        energy, latency = (
            2e4 * np.exp(0.3 * rng.standard_normal(count)),
            0.01 * np.exp(0.3 * rng.standard_normal(count)),
        )
        for i in range(count):
            end = BEGIN + int(ends[i] * HOUR)
            made.append(
                Mission(
                    id=f"{arm}-{i}",
                    robot=f"{arm[0]}{i % robots}",
                    shift=f"2026-11-22T{int(ends[i]):02d}",
                    arm=arm,
                    begin=end - int(steps[i]) * SECOND // 10,
                    end=end,
                    steps=int(steps[i]),
                    interventions=int(events[i, 0]),
                    contacts=int(events[i, 1]),
                    near_misses=int(events[i, 2]),
                    done=not events[i, 3],
                    energy=float(energy[i]),
                    latency_p99=float(latency[i]),
                )
            )
    return sorted(made, key=lambda mission: (mission.end, mission.id))
