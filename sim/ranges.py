"""Ranges that are written while an environment runs, as curricula do: checked against the table, then on the device.

What a table refuses when it is made (`sim.vary.faults`) is refused here in the same words: a range that is no number,
turned round or out of its row's bounds would be drawn from by kernels, which check nothing and would read beyond
their arrays. Two more rules hold for later ranges:

- a row whose operation was neutral when the launches were recorded writes no field (sim/variedfields.py), so another
  range of it would change nothing;
- a sensor's latency may not outgrow what its ring has room for (sim/suite.py).
"""

# pyright: reportGeneralTypeIssues=false
# Warp makes its structs itself: they are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.vary import Row, Table, VaryArrays, VaryError, faults


def write_ranges(
    table: Table, arrays: VaryArrays, ranges: NDArray[np.floating], boundaries: Sequence[int] = ()
) -> None:
    """Draw later episodes from `ranges` (rows of the table, 2), half of them pinned to one of `boundaries`.

    Boundary 2 k is the low end of row k, 2 k + 1 its high end. Episodes under way stay as they are; no launch is
    recorded and no graph captured again. Raises VaryError, with nothing written, for what `check_ranges` refuses.
    """
    given = check_ranges(table, ranges, boundaries)
    edges = np.zeros(arrays.edges.shape[0], np.int32)
    edges[: len(boundaries) + 1] = [len(boundaries), *boundaries]
    arrays.ranges.assign(given)
    arrays.edges.assign(edges)


def check_ranges(table: Table, ranges: NDArray[np.floating], boundaries: Sequence[int] = ()) -> NDArray[np.float32]:
    """The ranges as kernels take them, (rows of the table, 2).

    Raises VaryError for another shape, numbers that are not finite, low > high, ends out of a row's bounds, ranges
    that this plant cannot follow, and boundaries that no row has or that stand twice.
    """
    given = np.asarray(ranges)
    if given.shape != (len(table), 2) or given.dtype.kind not in "fiu":
        raise VaryError(
            f"randomization: expected ranges of shape ({len(table)}, 2), low and high of each row of the table, got "
            f"{given.shape} of {given.dtype}; begin with table.ranges()"
        )
    given = given.astype(np.float32)
    for row, (low, high) in zip(table, given.tolist(), strict=True):
        wanted = replace(row, low=_exact(low, row), high=_exact(high, row))
        for text in faults(wanted) or _unfollowed(row, wanted):
            raise VaryError(f"randomization: {row.name}: {text}")
    known = range(2 * len(table))
    for boundary in boundaries:
        if isinstance(boundary, bool) or not isinstance(boundary, (int, np.integer)) or boundary not in known:
            raise VaryError(
                f"randomization: expected boundaries from 0 to {known[-1]}, 2 k for the low end of row k and 2 k + 1 "
                f"for the high, got {boundary}; take Table.index for k"
            )
    if len(set(boundaries)) < len(boundaries):
        raise VaryError(f"randomization: expected each boundary once, got {list(boundaries)}; leave the copies out")
    return given


def _exact(end: float, row: Row) -> float:
    """An end as the table says it, where it is that but for the rounding to float32."""
    for value in (*row.bounds, row.low, row.high):
        if np.float32(value) == np.float32(end):
            return value
    return end


def _unfollowed(row: Row, wanted: Row) -> list[str]:
    """Why a plant that was built with `row` cannot draw from the range of `wanted`."""
    if row.neutral and not wanted.neutral:
        return [
            f"expected {row.low:g} to {row.high:g}, which it was built with and which writes no model field, got "
            f"{wanted.low:g} to {wanted.high:g}; give the range to the configuration (vary({row.name}=...))"
        ]
    if row.name.endswith("_latency") and wanted.high > row.high:
        return [
            f"expected at most {row.high:g} {row.unit}, which the sensor's ring was built for, got {wanted.high:g}; "
            f"give the range to the configuration (vary({row.name}=...))"
        ]
    return []
