"""The environment over bare physics on the wheeled body, 20 substeps of 5 ms (see envlayer.py)."""

from __future__ import annotations

from collections.abc import Iterable

from envlayer import layer
from figure import Figure


def measure(quick: bool) -> Iterable[Figure]:
    """Parts env and with_lidar."""
    return layer(worlds=64, robots=1, quick=quick, body="wheeled")
