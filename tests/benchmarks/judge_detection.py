"""judge_detection: share of canaries with doubled interventions that are rolled back within a day, and after how long.

2 %, known from history, become 4 %; 100 missions an hour and arm, 24 h, the settings of judge_false_rollback. At least
0.95, after at most 10 h (median; a canary that is not found counts as later than all others) are the goals.

Beside it Kayenta's classifier, asked every hour for the interventions alone, on the same missions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from canaries import Array, Effect, World, kayenta_fails, missions, over, rolled_back, settings
from figure import Figure

CANARIES, QUICK = 500, 8
RIVALS, QUICK_RIVALS = 50, 4
SEED = 100_001
WORSE = World(effect=Effect(rates=(2.0, 1.0, 1.0, 1.0)))


def measure(quick: bool) -> Iterable[Figure]:
    """Share and median hours."""
    canaries, rivals = (QUICK, QUICK_RIVALS) if quick else (CANARIES, RIVALS)
    found, beside = over(canaries, _judge), over(rivals, _kayenta)
    yield Figure("share", float(np.isfinite(found).mean()), "1", "Kayenta, hourly", float(np.isfinite(beside).mean()))
    yield Figure("median_hours", _median(found), "h", "Kayenta, hourly", _median(beside))


def _judge(seed: int) -> float:
    return rolled_back(WORSE, SEED + seed, settings())


def _kayenta(seed: int) -> float:
    made = missions(WORSE, SEED + seed)
    return next((float(hour) for hour in range(1, 25) if kayenta_fails(made, hour, ("interventions",))), math.inf)


def _median(hours: Array) -> float:
    """The median; a day where it is not reached within one."""
    return min(float(np.median(hours)), 24.0)
