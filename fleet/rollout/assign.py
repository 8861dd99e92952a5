"""Who drives which release: the same robots from stage to stage, spread over zones, and a holdout that waits.

Robots are ordered by a hash of the rollout and their name, zones likewise, and taken zone by zone in turn. Each stage
takes a beginning of that order, so who drives the candidate keeps driving it; the holdout is its end. A robot that
joins later takes its place in the order and nobody's arm.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from fleet.rollout.plan import RolloutError, Share

CANDIDATE, BASELINE, HOLDOUT = "candidate", "baseline", "holdout"
FEWEST = 2
"""Robots of a fleet that can have both arms."""


def order(robots: Mapping[str, str], seed: str, zones: int = 0) -> list[str]:
    """Robots (name to zone) in the order in which they get the candidate; of the first `zones` zones alone if given."""
    queues: dict[str, list[str]] = {}
    for robot in sorted(robots, key=lambda name: _rank(seed, name)):
        queues.setdefault(robots[robot], []).append(robot)
    lines = [queues[zone] for zone in sorted(queues, key=lambda name: _rank(seed, f"zone {name}"))]
    chosen = lines[:zones] if zones else lines
    longest = max((len(line) for line in chosen), default=0)
    return [line[turn] for turn in range(longest) for line in chosen if turn < len(line)]


def holdout(robots: Mapping[str, str], seed: str, share: float) -> tuple[str, ...]:
    """Who stays on the old release to the last: the end of the order, at least one robot."""
    if len(robots) < FEWEST:
        raise RolloutError(f"expected {FEWEST} robots at least, got {len(robots)}; a rollout compares two releases")
    return tuple(order(robots, seed)[-math.ceil(share * len(robots) - 1e-9) :])


def arms(
    robots: Mapping[str, str], seed: str, share: Share, held: tuple[str, ...], before: Mapping[str, str]
) -> dict[str, str]:
    """Each robot's arm in a stage.

    Args:
        robots: zone by robot
        seed: the rollout's
        share: what the stage asks
        held: the holdout
        before: arms of the stage before: whoever drives the candidate keeps it

    """
    wanted = max(1, math.ceil(share.robots * len(robots) - 1e-9))
    chosen = [robot for robot in robots if before.get(robot) == CANDIDATE]
    queue = order(robots, seed, share.zones)
    queue += [robot for robot in order(robots, seed) if robot not in set(queue)] if not share.zones else []
    for robot in queue:
        if len(chosen) >= wanted:
            break
        if robot not in held and robot not in chosen:
            chosen.append(robot)
    taken = set(chosen)
    return {robot: HOLDOUT if robot in held else CANDIDATE if robot in taken else BASELINE for robot in sorted(robots)}


def _rank(seed: str, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
