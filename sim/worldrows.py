"""What a backend is handed from outside, checked in one place: masks, values of fields, snapshots, substeps.

Every array has a row for each world. One of another length was made for other worlds, and writing what fits of it would
leave the rest as it happened to be, so that nothing is written before all of it was checked. Both engines
(`sim/backend.py`, `sim/warp_backend.py`) refuse the same things in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.fields import FIELDS

SNAPSHOT_OF = "a snapshot fits the model and the number of worlds that it was taken of"


class SnapshotError(MusterError, ValueError):
    """A snapshot that does not fit what is to go on from it."""


def check_mask(mask: Any, worlds: int) -> None:  # whatever a caller hands over
    """A flag for each world, bool or whole numbers, uint8 on a device. Raises ValueError for anything else."""
    if isinstance(mask, wp.array):
        shape, flags = tuple(mask.shape), mask.dtype is wp.uint8
    else:
        values = np.asarray(mask)
        shape, flags = values.shape, values.dtype.kind in "biu"
    if shape != (worlds,) or not flags:
        kind = f"an array of shape {shape}" if flags else f"{getattr(mask, 'dtype', type(mask).__name__)}"
        raise ValueError(f"mask: expected a flag for each of {worlds} worlds, got {kind}; make one of ({worlds},)")


def check_values(name: str, values: Any, shape: tuple[int, ...]) -> None:  # whatever a caller hands over
    """Values of a field, one row for each world. Raises ValueError for another shape."""
    if np.shape(values) != shape:
        raise ValueError(
            f"{name}: expected values of shape {shape}, a row for each world, got {np.shape(values)}; repeat one "
            "world's row to set all alike"
        )


def check_substeps(substeps: int) -> None:
    """At least one. Raises ValueError for fewer."""
    if substeps < 1:
        raise ValueError(f"expected 1 substep or more, got {substeps}; time does not go back: see snapshot and restore")


def check_snapshot(
    saved: Mapping[str, NDArray], own: Mapping[str, NDArray], shape_of: Callable[[str], tuple[int, ...] | None]
) -> None:
    """Whether a backend's snapshot fits `own`, one that it would make now; model fields may come and go.

    `shape_of` gives the shape in which the backend keeps a model field by name, (worlds, ...), None where the model
    has no such field. Raises SnapshotError with the first thing that does not fit.
    """
    for name, values in own.items():
        if name.partition(".")[0] in ("field", "derived"):
            continue
        if name not in saved:
            raise SnapshotError(f'expected "{name}" in the snapshot, it is not there; {SNAPSHOT_OF}')
        if np.shape(saved[name]) != values.shape:
            raise SnapshotError(
                f"{name}: expected shape {values.shape} in the snapshot, got {np.shape(saved[name])}; {SNAPSHOT_OF}"
            )
    for key, values in saved.items():
        kind, _, name = key.partition(".")
        own_field = kind == "field" and name in FIELDS
        shape = shape_of(name) if own_field or kind == "derived" else None
        if shape is None and key not in own:
            raise SnapshotError(
                f'expected nothing that the backend does not have in the snapshot, got "{key}"; {SNAPSHOT_OF}'
            )
        if shape is not None and np.shape(values) != shape:
            raise SnapshotError(f"{key}: expected shape {shape} in the snapshot, got {np.shape(values)}; {SNAPSHOT_OF}")
