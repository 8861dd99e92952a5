"""shadow_verdict: how often a shadow's verdict is wrong, over 1,000 simulated candidates of 100 blocks (5,000 pairs).

Four robots; what is judged of a block of 50 pairs is drawn at once. Rates of interventions and failures, margins and
speeds of both sides hang together over time (AR(1) 0.7 from block to block) and over the sides, as they see the same.
Looked at after every block.

    reject          share of candidates like production that are rejected at any look; the level is 0.01
    reject_ar1      the same where what differs between the sides hangs together too (AR(1) 0.7)
    reject_edge     the same of candidates that are worse by exactly their tolerance in margin and progress, alike else
    passes          share of candidates like production that pass at the end
    passes_worse    share of those that intervene at twice production's rate, beyond the slack, that ever pass; at most
                    0.05 is the level
    found           share of those with twice the rate that are rejected; blocks: the median until then

`--quick`: 20 candidates of 60 blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import Figure
from numpy.typing import NDArray

from fleet.shadow.verdict import BLOCK, COLUMNS, PASS, REJECT, Evidence

SEED = 300_001
ROBOTS = 4
RATE, ALONE = 0.02, 0.4
"""Interventions that begin per step; share of them that the other side does not have."""
FAILS = 0.0005
HANGS = 0.7
"""AR(1) from block to block, as the judge's figures have it."""
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How a candidate is beside production."""

    rate: float = 1.0
    """Its interventions over production's"""
    near: float = 0.0
    """m nearer"""
    slow: float = 0.0
    """m/s slower"""
    hangs: float = 0.0
    """AR(1) of what differs between the two"""
    differing: float = 0.05


@dataclass(frozen=True)
class Verdicts:
    """What was said of one candidate."""

    rejected: int
    """Blocks until then; 0 for never"""
    passed: bool
    """At any look"""
    ends: bool
    """It passes at the end"""


def measure(quick: bool) -> Iterable[Figure]:
    """Shares over all candidates."""
    count, blocks = (20, 60) if quick else (1000, 100)
    alike = _over(World(), count, blocks)
    yield Figure("reject", _share([each.rejected > 0 for each in alike]), "1")
    again = _over(World(hangs=HANGS), count, blocks, looks=False)
    yield Figure("reject_ar1", _share([each.rejected > 0 for each in again]), "1")
    edge = _over(World(near=0.05, slow=0.05, hangs=HANGS), count, blocks, looks=False)
    yield Figure("reject_edge", _share([each.rejected > 0 for each in edge]), "1")
    yield Figure("passes", _share([each.ends for each in alike]), "1")
    worse = _over(World(rate=2.0), count, blocks)
    yield Figure("passes_worse", _share([each.passed for each in worse]), "1")
    found = [each.rejected for each in worse if each.rejected]
    yield Figure("found", len(found) / count, "1")
    yield Figure("blocks", float(np.median(found)) if found else float("nan"), "1")


def _over(world: World, count: int, blocks: int, *, looks: bool = True) -> list[Verdicts]:
    return [verdicts(world, np.random.default_rng(SEED + number), blocks, looks=looks) for number in range(count)]


def verdicts(world: World, draws: np.random.Generator, blocks: int, *, looks: bool = True) -> Verdicts:
    """The verdicts on one candidate; without `looks` only whether it is rejected, after every block."""
    evidence, rejected, passed, ends = Evidence(), 0, False, False
    for number, row in enumerate(rows(world, draws, blocks)):
        evidence.close(f"r{number % ROBOTS}", row)
        evidence.pairs += BLOCK
        if evidence.rejected:
            return Verdicts(number + 1, passed, False)
        if looks and (number % 10 == 9 or number == blocks - 1):
            decision = evidence.look().decision
            assert decision != REJECT
            ends = decision == PASS
            passed = passed or ends
    return Verdicts(rejected, passed, ends)


def rows(world: World, draws: np.random.Generator, blocks: int) -> Rows:
    """Blocks of both sides, (blocks, COLUMNS)."""
    both = np.exp(0.5 * _series(draws, blocks, HANGS) - 0.125)  # how busy it is where the robots are
    apart = np.exp(0.5 * _series(draws, blocks, world.hangs) - 0.125) if world.hangs else np.ones(blocks)
    found: dict[str, NDArray[Any]] = dict.fromkeys(COLUMNS, np.zeros(blocks))  # counts and sums
    for what, rate, more in (("interventions", RATE, world.rate), ("failures", FAILS, 1.0)):
        shared = draws.binomial(BLOCK, np.minimum(rate * (1.0 - ALONE) * both, 1.0))
        production = draws.binomial(BLOCK, np.minimum(rate * ALONE * both, 1.0))
        candidate_rate = rate * ALONE * both * apart + rate * (more - 1.0) * both
        candidate = draws.binomial(BLOCK, np.minimum(candidate_rate, 1.0))
        found[f"{what}_production"], found[f"{what}_candidate"] = shared + production, shared + candidate
        found[f"{what}_production_alone"], found[f"{what}_candidate_alone"] = production, candidate
    found["differing"] = draws.binomial(BLOCK, world.differing, blocks)
    for what, mean, worse in (("margin", 0.7, world.near), ("progress", 0.6, world.slow)):
        seen = BLOCK * (mean + 0.1 * _series(draws, blocks, HANGS))
        found[f"{what}_production"] = seen
        differs = 0.05 * _series(draws, blocks, world.hangs)
        found[f"{what}_candidate"] = seen + BLOCK * (differs - worse)
    return np.stack([np.asarray(found[name], float) for name in COLUMNS], axis=1)


def _series(draws: np.random.Generator, count: int, hangs: float) -> Rows:
    """Standard normal, AR(1) from one block of a robot to its next."""
    noise = draws.normal(size=count)
    found = noise.copy()
    for number in range(ROBOTS, count):
        found[number] = hangs * found[number - ROBOTS] + (1.0 - hangs**2) ** 0.5 * noise[number]
    return found


def _share(said: list[bool]) -> float:
    return round(float(np.mean(said)), 4)
