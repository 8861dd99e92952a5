"""judge_false_rollback: share of canaries no worse than their baseline that are rolled back; at most 0.01 is the goal.

A day of 100 missions an hour and arm by 20 robots each, twelve guardrails, asked after every mission: the share over
all of them. `share_ar1`: the same with missions that remember (AR(1), 0.7), in one half of the canaries robot by
robot, in the other half an arm as a whole.

Beside it Kayenta's classifier on the same missions, any of six metrics called high: at one of eight looks, and, where
missions remember, at one look at the end of the day.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from canaries import World, kayenta_fails, missions, rolled_back, settings
from figure import Figure

CANARIES, QUICK = 1000, 12
RIVALS, QUICK_RIVALS = 100, 4
LOOKS = (3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0)
"""h"""
SEED = 1


def measure(quick: bool) -> Iterable[Figure]:
    """Shares of innocent canaries."""
    canaries, rivals = (QUICK, QUICK_RIVALS) if quick else (CANARIES, RIVALS)
    calm = World()
    share = np.mean([np.isfinite(rolled_back(calm, SEED + seed, settings())) for seed in range(canaries)])
    beside = np.mean([_any(missions(calm, SEED + seed), LOOKS) for seed in range(rivals)])
    yield Figure("share", float(share), "1", "Kayenta, eight looks", float(beside))
    worlds = [World(memory=0.7), World(memory=0.7, of_arm=True)]
    share = np.mean([np.isfinite(rolled_back(worlds[seed % 2], SEED + seed, settings())) for seed in range(canaries)])
    beside = np.mean([_any(missions(worlds[seed % 2], SEED + seed), LOOKS[-1:]) for seed in range(rivals)])
    yield Figure("share_ar1", float(share), "1", "Kayenta, one look", float(beside))


def _any(made: list, looks: Iterable[float]) -> bool:
    return any(kayenta_fails(made, look) for look in looks)
