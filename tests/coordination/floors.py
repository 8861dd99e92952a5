"""Floors drawn with characters, and ids of tasks, for tests."""

import numpy as np

from sim.site import Site, make_site


def floor(*rows: str, chargers: tuple[int, ...] = ()) -> Site:
    """`@` and `T` are blocked, everything else is free."""
    blocked = np.array([[character in "@T" for character in row] for row in rows])
    return make_site("test", blocked, chargers=chargers)


def task_id(number: int) -> str:
    """A UUIDv7 that tests can name."""
    return f"00000000-0000-7000-8000-{number:012x}"
