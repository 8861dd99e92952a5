"""How fast a drive may begin: the largest speed at each point of each lane from which all that lies ahead can be kept.

A shield promises what follows from a state in which it has a plan. A drive that began at a town's limit in front of a
corner would have none: whatever was done, the car would leave its lane. So limits, bends and ends of lanes are
carried backwards through the lane graph, whichever way is taken: who begins with what arrives can slow down by GENTLY
for each of them.
"""

# pyright: reportGeneralTypeIssues=false
# Warp makes structs of classes: not what a type checker takes them for.

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from sim.driving.brisk import UNLIMITED
from sim.frenet import Lanes

GENTLY, ACROSS = 2.0, 1.5
"""m/s^2, along and across: half of what the shield's plans use."""


def calm_speeds(lanes: Lanes) -> NDArray[np.float32]:
    """The speed at each of the lanes' points, m/s, (P,); between two points what lies between their speeds is calm too.

    Roads without a limit count as limited by what a brisk driver drives there. Where no lane follows a car stands.
    """
    points, first, length = lanes.points.numpy(), lanes.first.numpy(), lanes.length.numpy().astype(float)
    limit = np.minimum(lanes.limit.numpy().astype(float), float(UNLIMITED))
    lane = np.repeat(np.arange(len(length)), np.diff(first))
    s = (np.arange(len(points)) - first[lane]) * lanes.spacing.numpy().astype(float)[lane]
    cap = np.minimum(limit[lane] ** 2, ACROSS / np.maximum(np.abs(points[:, 3]), 1e-6))
    own = cap + 2.0 * GENTLY * s
    for begin, end in itertools.pairwise(first):
        own[begin:end] = np.minimum.accumulate(own[begin:end][::-1])[::-1]
    after, before = _ends(own[first[:-1]], length, lanes.successors.numpy()), own - 2.0 * GENTLY * s
    return np.sqrt(np.minimum(before, after[lane] + 2.0 * GENTLY * (length[lane] - s)).clip(0.0)).astype(np.float32)


def _ends(alone: NDArray[np.floating], length: NDArray[np.floating], successors: NDArray) -> NDArray[np.floating]:
    """What the square of the speed at each lane's end may be, (L,); `alone`: at its begin, for what lies on it."""
    leads = (successors >= 0).any(axis=1)
    begin = alone
    while True:
        end = np.where(leads, np.where(successors >= 0, begin[successors], np.inf).min(axis=1), 0.0)
        better = np.minimum(alone, end + 2.0 * GENTLY * length)
        if (better == begin).all():
            return end
        begin = better
