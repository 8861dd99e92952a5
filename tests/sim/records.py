"""A plant's record to draw, and whether this machine can."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from sim.generate import generate_warehouse
from sim.opengl import OpenGLError, find_library


def write_record(folder: Path, periods: int = 21, robots: int = 2) -> None:
    """Robots that drive east through the lowest aisle of a small warehouse, 0.1 m a period; one person."""
    site = generate_warehouse(3, width=12, height=11, stations=2, chargers=0)
    poses = np.zeros((periods, robots, 3), np.float32)
    poses[..., 0] = 2.0 + 0.1 * np.arange(periods)[:, None] + 2.0 * np.arange(robots)
    poses[..., 1] = 3.0
    np.savez(
        folder / "plant.npz",
        names=np.array([f"r{k}" for k in range(robots)]),
        stamps=np.arange(periods) * 100_000_000,
        poses=poses,
        people=np.full((periods, 1, 2), 3.0, np.float32),
        footprint=np.array([0.64, 0.48, 0.3], np.float32),
        blocked=site.blocked,
        person_free=site.person_free,
        stations=site.stations,
        chargers=site.chargers,
        cell=np.array(site.cell),
    )


@functools.cache
def has_opengl() -> bool:
    """Whether EGL or OSMesa works here."""
    try:
        find_library()
    except OpenGLError:
        return False
    return True


needs_opengl = pytest.mark.skipif(not has_opengl(), reason="neither EGL nor OSMesa is installed")
