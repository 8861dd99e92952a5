"""What a car's policies are told to do, as bytes: so that a record can say it and another decision begin with it.

A wish (sim/driving/wish.py) is what the manoeuvre policy chose last, and what is left of it: a float64 for each of its
arrays, in the order of the struct.
"""

# pyright: reportGeneralTypeIssues=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

import numpy as np

from sim.driving.wish import Wish


class Wishes:
    """The wish of one car as bytes. Owns views of its arrays and no state."""

    def __init__(self, wish: Wish) -> None:
        """`wish`: of one row on the CPU, or of several of which the first counts."""
        names = wish._cls.vars  # type: ignore[attr-defined]  # of a Warp struct
        self._host = [getattr(wish, name).numpy() for name in names]

    def pack(self) -> bytes:
        """The wish as it is."""
        return np.array([array[0] for array in self._host], np.float64).tobytes()

    def write(self, packed: bytes) -> None:
        """Let it be another one; raises ValueError for bytes of another version."""
        if len(packed) != 8 * len(self._host):
            raise ValueError(f"expected {8 * len(self._host)} bytes of a wish, got {len(packed)}")
        for array, value in zip(self._host, np.frombuffer(packed, np.float64), strict=True):
            array[0] = value
