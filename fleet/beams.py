"""The lidar's beams while a robot looks around: which of them see nothing, how noisy the others are, how many drop out.

While the robot turns once on the spot every beam sweeps the same surroundings. One that hardly ever meets anything
while most do, or that reads the same whatever it is turned to, is blocked: by dirt, a strap, a load, or broken. Noise
and dropout are taken from scans in a row while the robot stands. Pure functions of scans, (scans, rays).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.freeroom import SEEN
from fleet.tolerance import share_at_most
from sim.errors import MusterError

MOST = 0.5
"""Share of scans without a return from which on a beam sees nothing; over all beams the middle one must be below."""

CHANGES = 0.05
"""m; a beam whose readings change less over a whole turn looks at the robot itself. The middle beam must change more,
or the room is round and tells nothing."""

ROUND = 0.2
"""Least change of the middle beam over the turn, m."""


class BeamError(MusterError):
    """The lidar cannot be judged, or must not be driven with."""


@dataclass(frozen=True)
class Beams:
    """What was found of the lidar."""

    rays: int
    scans: int
    noise: float
    """Standard deviation of one range, the largest of any two scans in a row, m."""
    dropout: float
    """Upper bound of the share of rays that read nothing for once."""


def blocked_beams(turned: NDArray[np.floating], range_max: float) -> list[tuple[int, int]]:
    """First and last of the blocked beams, sector by sector, from scans of one turn on the spot, (scans, rays).

    Raises `BeamError` where the surroundings do not tell.
    """
    met = turned < SEEN * range_max
    silent = 1.0 - met.mean(axis=0)
    if np.median(silent) > MOST:
        raise BeamError(
            f"expected walls or racks within the lidar's {range_max:g} m, most beams meet nothing; begin nearer to some"
        )
    low, high = np.where(met, turned, np.inf).min(axis=0), np.where(met, turned, -np.inf).max(axis=0)
    change = np.where(met.any(axis=0), high - low, 0.0)
    if np.median(change) < ROUND:
        raise BeamError(
            "expected beams to change while the robot turned, they do not: it does not turn, or stands in the middle "
            "of something round; see that it turns, or begin elsewhere"
        )
    return _sectors((silent > MOST) | (change < CHANGES))


def judge_beams(still: NDArray[np.floating], range_max: float, confidence: float) -> Beams:
    """Noise and dropout from scans in a row while the robot stands, (scans, rays), at least three."""
    met = still < SEEN * range_max
    noises = []
    for before, after, seen in zip(still[:-1], still[1:], met[:-1] & met[1:], strict=True):
        change = (after - before)[seen]
        if len(change) >= 20:
            noises.append(1.4826 * float(np.median(np.abs(change - np.median(change)))) / math.sqrt(2.0))
    around = met[:-2] & met[2:]
    lost = int((around & ~met[1:-1]).sum())
    return Beams(
        still.shape[1], len(still), max(noises, default=0.0), share_at_most(lost, int(around.sum()), confidence)
    )


def _sectors(bad: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of marked beams around the circle, as (first, last); last < first where one goes over the end."""
    if bad.all():
        return [(0, len(bad) - 1)]
    begins = np.flatnonzero(bad & ~np.roll(bad, 1))
    ends = np.flatnonzero(bad & ~np.roll(bad, -1))
    if len(begins) and ends[0] < begins[0]:
        ends = np.roll(ends, -1)
    return [(int(first), int(last)) for first, last in zip(begins, ends, strict=True)]
