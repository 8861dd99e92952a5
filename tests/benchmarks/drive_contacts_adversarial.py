"""drive_contacts_adversarial: the same by random, full-throttle, worst-margin and steering-wild policies.

`distance_share` is how far shielded cars come, over how far the same policies come without a shield: metres per drive
of each policy, summed; an unshielded drive goes on after a contact in its next episode.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from drive_contacts import figures, of
from figure import Figure

NAME = "drive_contacts_adversarial"


def distances(records: list[dict], shielded: bool) -> float:
    """Metres of a drive, the policies' means summed."""
    metres: dict[str, list[float]] = {}
    for record in records:
        if record["shielded"] == shielded:
            metres.setdefault(record["policy"], []).append(record["metres"])
    return float(sum(np.mean(values) for values in metres.values()))


def measure(quick: bool) -> Iterable[Figure]:
    """See the module."""
    records = of(NAME, quick)
    yield from figures(records)
    yield Figure("distance_share", distances(records, True) / distances(records, False), "1")
