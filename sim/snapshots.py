"""An environment's snapshot: which of its parts belong to worlds and which to all, and whether it fits.

A snapshot is a dict of arrays by name. Most have a row for each world or robot. A few are of the whole environment: the
seed that draws are keyed with, the ranges that a curriculum wrote, and how episodes ended since it last asked. An
environment goes on bit for bit from a snapshot of one that was made alike, so that another seed, another shape and
other names are refused before anything is written; the backend's own part is checked by the backend
(`sim.worldrows.check_snapshot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.worldrows import SnapshotError

SEED, WORKING = "seed", "vary.working"

OF_ALL = (SEED, WORKING, "vary.ranges", "vary.edges", "tally.counts")
"""Names of what belongs to no world alone."""

MADE_ALIKE = (
    "restore it into an environment of the same site, task, randomization, numbers of worlds and robots, body and seed"
)


def of_worlds(saved: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:  # arrays of any dtype
    """The arrays with a row for each world or robot."""
    return {name: values for name, values in saved.items() if name not in OF_ALL}


def check_fits(
    saved: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]], seed: int, working: NDArray[np.uint8]
) -> None:  # arrays of any dtype
    """Raise SnapshotError unless `saved`, without the backend's part, has these shapes by name, and the seed.

    `working` says which rows of the randomization write fields of the model: those fields are the snapshot's own.
    """
    missing, more = sorted(shapes.keys() - saved.keys()), sorted(saved.keys() - shapes.keys())
    if missing or more:
        told = f'"{missing[0]}" is not there' if missing else f'"{more[0]}" is one that the environment does not have'
        raise SnapshotError(
            f"expected a snapshot of {len(shapes)} arrays that the environment has, {told}; {MADE_ALIKE}"
        )
    for name, shape in shapes.items():
        if np.shape(saved[name]) != shape:
            raise SnapshotError(
                f"{name}: expected shape {shape} in the snapshot, got {np.shape(saved[name])}; {MADE_ALIKE}"
            )
    if (np.asarray(saved[WORKING]) != working).any():
        raise SnapshotError(
            f"expected a snapshot whose randomization changes the same fields of the model, got another; {MADE_ALIKE}"
        )
    if int(saved[SEED][0]) != seed:
        raise SnapshotError(
            f"expected a snapshot of seed {seed}, got one of {int(saved[SEED][0])}: episodes to come would be others; "
            f"{MADE_ALIKE}"
        )
