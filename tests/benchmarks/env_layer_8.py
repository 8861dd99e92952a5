"""The environment over bare physics with eight robots per world (see envlayer.py)."""

from __future__ import annotations

from collections.abc import Iterable

from envlayer import layer
from figure import Figure


def measure(quick: bool) -> Iterable[Figure]:
    """Parts env and with_lidar."""
    return layer(worlds=128, robots=8, quick=quick)
