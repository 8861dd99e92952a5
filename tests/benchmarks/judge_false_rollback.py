"""judge_false_rollback: share of canaries no worse than their baseline that are rolled back; at most 0.01 is the goal.

A day of 100 missions an hour and arm by 20 robots each, twelve guardrails, asked after every mission: share over all
of them. `share_ar1`: the same with missions that remember (AR(1), 0.7), in one half of the canaries robot by robot, in
the other half an arm as a whole.

Beside it Kayenta's classifier on the same missions, any of six metrics called high: at one of eight looks, and, where
missions remember, at one look at the end of the day.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from canaries import World, kayenta_fails, missions, over, rolled_back, settings
from figure import Figure

CANARIES, QUICK = 1000, 8
RIVALS, QUICK_RIVALS = 50, 2
LOOKS = (3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0)
"""h"""
SEED = 1
CALM = (World(), World())
REMEMBER = (World(memory=0.7), World(memory=0.7, of_arm=True))
"""Worlds of the even and the odd canaries"""


def measure(quick: bool) -> Iterable[Figure]:
    """Shares of innocent canaries."""
    canaries, rivals = (QUICK, QUICK_RIVALS) if quick else (CANARIES, RIVALS)
    share = float(over(canaries, partial(_judge, CALM)).mean())
    beside = float(over(rivals, partial(_kayenta, CALM, LOOKS)).mean())
    yield Figure("share", share, "1", "Kayenta, eight looks", beside)
    share = float(over(canaries, partial(_judge, REMEMBER)).mean())
    beside = float(over(rivals, partial(_kayenta, REMEMBER, LOOKS[-1:])).mean())
    yield Figure("share_ar1", share, "1", "Kayenta, one look", beside)


def _judge(worlds: tuple[World, World], seed: int) -> bool:
    return rolled_back(worlds[seed % 2], SEED + seed, settings()) < float("inf")


def _kayenta(worlds: tuple[World, World], looks: tuple[float, ...], seed: int) -> bool:
    made = missions(worlds[seed % 2], SEED + seed)
    return any(kayenta_fails(made, look) for look in looks)
