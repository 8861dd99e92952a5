"""What people may do, in the profile's words: a judge that shares no code with the kernels that move people.

It sees positions before and after each 20 ms step and the robots as they were before it; it knows the site and the
profile, nothing of cells walked from, forces or draws made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.people import Profile
from sim.site import Site

DT = 0.02


def violations(
    site: Site,
    profile: Profile,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    robots: NDArray[np.float64],
    speed: NDArray[np.float64],
    turn: NDArray[np.float64],
) -> list[str]:
    """What people did wrong in one step: positions (people, 2), robots (robots, 2), speeds (robots,)."""
    wrong = []
    moved = after - before
    step = np.hypot(*moved.T)
    if (step > 1.6 * DT + 1e-5).any():
        wrong.append("faster than 1.6 m/s")
    column = np.floor(after[:, 0] / site.cell).astype(int)
    row = site.height - 1 - np.floor(after[:, 1] / site.cell).astype(int)
    there = (column >= 0) & (column < site.width) & (row >= 0) & (row < site.height)
    if not there.all():
        wrong.append("off the floor")
    elif (site.blocked | site.person_free)[row, column].any():
        wrong.append("in a blocked or person-free cell")
    for k in range(len(before)):
        if step[k] < 1e-7:
            continue
        for r in range(len(robots)):
            now, then = np.linalg.norm(before[k] - robots[r]), np.linalg.norm(after[k] - robots[r])
            nearer = then < now - 1e-5
            between = then - 0.4 - 0.25
            if nearer and between < 0.1 - 1e-4:
                wrong.append("stepped within 0.1 m of a robot")
            moving = speed[r] > 0.02 or abs(turn[r]) > 0.02
            danger = 1.0 + speed[r] + speed[r] ** 2 / 3.0
            if profile == Profile.STILL and moving and nearer and between < danger - 1e-4:
                wrong.append("came nearer to a moving robot")
    return wrong
