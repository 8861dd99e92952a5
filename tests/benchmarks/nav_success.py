"""Success of the trained policy on unseen layouts: 2,000 episodes, alone and under the shield at V = 0 and V = 1.6."""

from __future__ import annotations

from collections.abc import Iterable

from episodes import measurements
from figure import Figure


def measure(quick: bool) -> Iterable[Figure]:
    """Share of successful episodes by profile; the rival of a shielded profile is the policy alone."""
    alone = None
    for found in measurements(quick):
        alone = found.success if alone is None else alone
        shielded = found.profile != "no_shield"
        yield Figure(found.profile, found.success, "1", "no_shield" if shielded else "", alone if shielded else None)
