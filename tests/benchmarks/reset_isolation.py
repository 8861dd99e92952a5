"""Share of random cases in which resets, snapshots and threads changed no bit of what they must not (isolation.py)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from figure import Figure
from isolation import case, make_pairs


def measure(quick: bool) -> Iterable[Figure]:
    """Part isolated: 10,000 cases over every task, 1,000 with --quick."""
    pairs, cases = make_pairs(), 1_000 if quick else 10_000
    rng = np.random.default_rng(2026)
    sound = sum(not case(pairs[number % len(pairs)], rng) for number in range(cases))
    yield Figure("isolated", sound / cases, "1")
