"""Floors drawn with characters, for tests."""

import numpy as np

from sim.site import Site, make_site


def floor(*rows: str, chargers: tuple[int, ...] = ()) -> Site:
    """`@` and `T` are blocked, everything else is free."""
    blocked = np.array([[character in "@T" for character in row] for row in rows])
    return make_site("test", blocked, chargers=chargers)
