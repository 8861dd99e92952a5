"""Drives begin at speeds from which limits, bends and ends of lanes ahead can be kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sim.driving.atlas import Atlas
from sim.driving.calm import ACROSS, GENTLY, calm_speeds
from sim.driving.skill import Skill
from sim.road import Road
from sim.roadgen import generate_highway, generate_town
from tests.sim.driving.plainworld import plain_worlds

FAR = 150.0
"""How far the test looks, m: a stop from 24 m/s."""


def ahead(road: Road, lane: int, s: float, done: float = 0.0) -> Iterator[tuple[float, float]]:
    """(metres on, square of the speed there) of every point ahead, whichever way is taken."""
    here = road.lanes[lane]
    on = here.s - s + done
    for far, turn in zip(on, np.abs(np.gradient(here.heading, here.s)), strict=True):
        if done <= far <= FAR:
            yield float(far), min(here.limit**2, ACROSS / max(float(turn), 1e-6))
    if not here.successors:
        yield done + here.length - s, 0.0
    if on[-1] <= FAR:
        for after in here.successors:
            yield from ahead(road, after, 0.0, float(on[-1]))


def braking(road: Road, lane: int, s: float, speed: float) -> float:
    """The strongest braking that anything ahead asks for, m/s^2; what is above a limit or a bend here counts as inf."""
    harder = [(speed**2 - square, far) for far, square in ahead(road, lane, s)]
    return max(
        over / (2.0 * far) if far > 1.0 else math.inf if over > 0.2 * speed + 1.0 else 0.0 for over, far in harder
    )


@pytest.fixture(scope="module")
def towns() -> Atlas:
    return Atlas([generate_town(3), generate_highway(5), generate_town(8)], routes=24, seed=1)


@pytest.mark.parametrize("skill", ["lane", "route", "change", "pull_over"])
def test_drawn_speeds_ask_for_gentle_braking_at_most(towns: Atlas, skill: Skill) -> None:
    env = plain_worlds(skill, 150, atlas=towns)
    env.reset()
    plant: Any = env._plant  # the road's
    lane, place = plant.footing.lane.numpy(), plant.footing.place.numpy()[:, 0]
    speed, fast = plant.start_speed.numpy(), []
    for row in range(150):
        road = int(towns.road_of[lane[row]])
        where = (towns.roads[road], int(lane[row] - towns.first[road]), float(place[row]))
        assert braking(*where, float(speed[row])) < 1.1 * GENTLY + 0.1
        # and the check would find what signs and the bend under the wheels alone allow
        fast.append(braking(*where, where[0].lanes[where[1]].limit) > 1.5 * GENTLY)
    assert speed.min() > 0.0
    if skill == "pull_over":  # where it begins there is room for a stop from the limit
        assert sum(fast) == 0
    else:
        assert sum(fast) > (0 if skill == "change" else 10)


def test_a_corner_a_limit_and_an_end_reach_back_through_all_lanes_before_them(towns: Atlas) -> None:
    lanes = towns.lanes
    calm, first, length = calm_speeds(lanes), lanes.first.numpy(), lanes.length.numpy()
    successors, limit = lanes.successors.numpy(), lanes.limit.numpy()
    assert (calm <= np.repeat(limit, np.diff(first)) + 1e-3).all()
    for lane in range(len(length)):
        begin, end = calm[first[lane]], calm[first[lane + 1] - 1]
        after = successors[lane][successors[lane] >= 0]
        expected = min((calm[first[next_]] for next_ in after), default=0.0)
        assert end <= expected + 0.05
        assert begin**2 <= end**2 + 2.0 * GENTLY * length[lane] + 1e-2
    # somewhere the whole way to a corner in the next lane is slower than its sign says, and straight
    curvature = np.abs(lanes.points.numpy()[:, 3])
    straight = [np.abs(curvature[low:high]).max() < 1e-4 for low, high in itertools.pairwise(first)]
    slowed = [calm[first[lane + 1] - 1] < 0.6 * limit[lane] for lane in range(len(length))]
    assert np.logical_and(straight, slowed).sum() > 4
