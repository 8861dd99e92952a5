"""Collisions per episode of the same runs as nav_success, by both counts, and what the shield costs in mission time."""

from __future__ import annotations

from collections.abc import Iterable

from episodes import measurements
from figure import Figure


def measure(quick: bool) -> Iterable[Figure]:
    """Collisions per episode by contacts (value) and by the geometric oracle (rival); mission time over no_shield."""
    alone = float("nan")
    for found in measurements(quick):
        yield Figure(found.profile, found.collisions, "per episode", "geometric oracle", found.oracle_collisions)
        if found.profile == "no_shield":
            alone = found.mission_time
        else:
            yield Figure(f"{found.profile}_mission_time", found.mission_time / alone, "1", "no_shield, s", alone)
