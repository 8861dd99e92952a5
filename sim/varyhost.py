"""A table's draws (sim/vary.py) in double precision, for what is made on the host: roads, parameters of scenarios.

The keys are those of kernels, `draw_numpy(seed, term, ..., counter)`; values are float64, so that a range that is a
point gives that number exactly. What a quantity is stays as it is: a number keeps to numbers' distributions
(CONTINUOUS), a choice stays a choice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sim.randomization import bell_numpy, unit_numpy
from sim.vary import Row, Table, VaryError

CONTINUOUS = ("uniform", "log_uniform", "normal")
"""Distributions of numbers; they may stand for each other."""


def exact_numpy(row: Row, bits: NDArray[np.uint32]) -> NDArray[np.float64]:
    """What a row of the table gives for `bits`, in their shape."""
    low, high, share = row.low, row.high, unit_numpy(bits).astype(np.float64)
    if row.distribution == "choice":
        many = np.uint64(int(high - low) + 1)
        return low + ((bits.astype(np.uint64) * many) >> np.uint64(32)).astype(np.float64)
    if row.distribution == "bernoulli":
        return (share < 0.5 * (low + high)).astype(np.float64)
    if low == high:
        return np.full(np.shape(bits), low)
    if row.distribution == "log_uniform":
        return np.clip(low * (high / low) ** share, low, high)
    if row.distribution == "normal":
        bell = bell_numpy(bits).astype(np.float64)
        return np.clip(0.5 * (low + high) + (high - low) / 6.0 * bell, low, high)
    return low + (high - low) * share


def check_kinds(table: Table, usual: Iterable[Row]) -> Table:
    """The table. Raises VaryError where a row of it is of another kind than in `usual`."""
    for row, before in zip(table, usual, strict=True):
        known = CONTINUOUS if before.distribution in CONTINUOUS else (before.distribution,)
        if row.distribution not in known:
            raise VaryError(
                f"randomization: {row.name}: distribution: expected {' or '.join(known)}, got {row.distribution}; "
                "leave it"
            )
    return table
