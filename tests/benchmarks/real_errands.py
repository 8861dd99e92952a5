"""`real_errands`: the trained policy, not retrained, on a League-of-Robot-Runners problem: 40 robots, 200 errands.

The first 200 errands of TR23-random, one leg each, from the file's start cells, on its map with 1.2 m cells; the floor
is declared person-free and nobody is on it. Bound to 20 minutes of wall time. `seconds` is the wall time from the
submission to the last errand or the bound.
"""

from __future__ import annotations

from collections.abc import Iterable

from figure import Figure
from launched import SHARED, launch
from policy import trained_policy

SLOW = True

PROBLEM = SHARED / "lorr2023" / "test" / "random.domain" / "TR23-random.json"
LIMIT = 1200.0
"""s of wall time."""


def measure(quick: bool) -> Iterable[Figure]:
    """One run; the policy is trained before the clock starts."""
    arguments = [
        f"site:={PROBLEM}:person-free",
        f"policy:={trained_policy()}",
        "robots:=40",
        "tasks:=200",
        "people:=0",
        f"limit:={LIMIT:g}",
        "video:=false",
    ]
    run = launch("warehouse.launch.yaml", arguments, limit=LIMIT + 180.0)
    yield Figure("completed", len(run.findings.done), "1")
    yield Figure("collisions", run.collisions, "1")
    yield Figure("double_grants", run.double_grants, "1")
    yield Figure("seconds", round(run.findings.audit["fleet_seconds"], 1), "s")
