"""How episodes ended, counted on the device by the boundary that they were pinned to: what curricula decide by.

Integers are added, so that the counts do not depend on the order in which rows are worked through. They are read once
a rollout. An episode that diverged says nothing about the policy and is not counted.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.tasks.task import DIVERGED_C, Outcome

if TYPE_CHECKING:
    from sim.anyplant import AnyPlant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class Tally:
    """Owns the counts of one environment; run it when rows have ended, before their next episodes begin."""

    def __init__(self, plant: AnyPlant, outcome: Outcome) -> None:
        self.counts = wp.zeros((2 * len(plant.table) + 1, 2), dtype=wp.int32, device=plant.device)
        """Since the last `take`."""
        self._launch = plant.record(count_endings, plant.rows, [outcome, plant.varies.pinned, self.counts])

    def launch(self) -> None:
        """Count the rows that ended."""
        self._launch.launch()

    def take(self) -> NDArray[np.int64]:
        """Episodes and successes since the last call, (2 rows of the table + 1, 2); see `count_endings`."""
        counts = self.counts.numpy().astype(np.int64)
        self.counts.zero_()
        return counts


@wp.kernel
def count_endings(outcome: Outcome, pinned: wp.array(dtype=wp.int32), counts: wp.array2d(dtype=wp.int32)) -> None:
    """Add each row that ended to (boundaries + 1, 2): episodes and successes; the last row is for those not pinned."""
    row = wp.tid()
    if outcome.ended[row] == wp.uint8(0) or int(outcome.ending[row]) == DIVERGED_C:
        return
    where = pinned[row]
    if where < 0:
        where = counts.shape[0] - 1
    wp.atomic_add(counts, where, 0, 1)
    if outcome.success[row] != wp.uint8(0):
        wp.atomic_add(counts, where, 1, 1)
