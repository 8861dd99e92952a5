"""judge_tail: share of canaries held whose times are 5 % better in the mean and 30 % worse at the 99 % quantile.

Held is never promoted, at any of six looks in 24 h. At least 0.95 is the goal. A judge that promotes nobody would hold
all of them; `innocent` is therefore the share of candidates like their baseline that the same judge promotes within
the day. Beside `held`: the share that Kayenta's classifier does not pass at the end of the day.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from canaries import BEGIN, HOUR, Effect, World, hours, kayenta_fails, missions, over, settings
from figure import Figure

from fleet.judge.judge import PROMOTE, Judge

CANARIES, QUICK = 300, 4
LOOKS = (4.0, 8.0, 12.0, 16.0, 20.0, 24.0)
"""h"""
SEED = 200_001
SHARE = 0.0397
"""Of all time that is in the longest 2 % of the missions: 1 - Phi(z - 0.3), z the 98 % quantile of a normal."""
BULK = (0.95 - SHARE * 1.3) / (1.0 - SHARE)
"""Factor on all times that makes the mean 0.95 where the longest 2 % are 1.3 times theirs."""
HEAVY = World(effect=Effect(mean=BULK, tail=1.3 / BULK))


def measure(quick: bool) -> Iterable[Figure]:
    """Shares held, and promoted."""
    canaries = QUICK if quick else CANARIES
    held = 1.0 - float(over(canaries, partial(promoted, HEAVY)).mean())
    yield Figure("held", held, "1", "Kayenta", float(over(canaries, _kayenta).mean()))
    yield Figure("innocent", float(over(canaries, partial(promoted, World())).mean()), "1")


def _kayenta(seed: int) -> bool:
    return kayenta_fails(missions(HEAVY, SEED + seed), 24.0, ("time",))


def promoted(world: World, seed: int) -> bool:
    """Whether the judge promotes at one of its looks."""
    judge, looks = Judge(settings()), list(LOOKS)
    for mission in [*missions(world, SEED + seed), None]:
        while looks and (mission is None or hours(mission) > looks[0]):
            if judge.look(BEGIN + int(looks.pop(0) * HOUR)).decision == PROMOTE:
                return True
        if mission is not None:
            judge.add(mission)
    return False
