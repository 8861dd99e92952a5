"""What stands beside a road in pictures: houses along walkways, trees elsewhere. Drawn for the eye alone.

They give towns a face and speed a measure. Physics, sensors and traffic know nothing of them: nothing is hidden by a
house, so they keep clear of every lane. Same road, same houses and trees: places are drawn by the road's hash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.drawing import Colour
from sim.driving.drawn import normals
from sim.frenet import middle
from sim.road import Floats, LaneKind, Road

YARD = 4.5
"""From a walkway's outer border to a house, m."""

CLEAR = 3.0
"""From a house or a tree to the nearest border of a lane, at least, m."""

ROOFS: tuple[Colour, ...] = (
    (0.72, 0.45, 0.36, 1.0), (0.62, 0.40, 0.34, 1.0), (0.55, 0.53, 0.52, 1.0), (0.66, 0.60, 0.53, 1.0),
)  # fmt: skip
WALLS: tuple[Colour, ...] = (
    (0.93, 0.90, 0.83, 1.0), (0.88, 0.82, 0.72, 1.0), (0.86, 0.87, 0.88, 1.0), (0.91, 0.80, 0.69, 1.0),
)  # fmt: skip
LEAVES: tuple[Colour, ...] = ((0.36, 0.52, 0.30, 1.0), (0.42, 0.57, 0.33, 1.0), (0.31, 0.46, 0.29, 1.0))
TRUNK: Colour = (0.42, 0.33, 0.26, 1.0)

TREES = 900
"""Trees of a road at most: pictures stay cheap."""


@dataclass(frozen=True)
class House:
    """A block with a flat roof."""

    x: float
    y: float
    yaw: float
    length: float
    width: float
    height: float
    roof: Colour
    wall: Colour

    @property
    def outline(self) -> Floats:
        """Its corners, (4, 2)."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        local = np.array([(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)]) * (self.length, self.width)
        return local @ np.array([[c, s], [-s, c]]) + (self.x, self.y)


@dataclass(frozen=True)
class Tree:
    """A crown on a trunk."""

    x: float
    y: float
    radius: float
    height: float
    leaves: Colour


@dataclass(frozen=True)
class Scenery:
    """What stands beside one road; metres about the road's middle."""

    houses: tuple[House, ...]
    trees: tuple[Tree, ...]


def scenery(road: Road) -> Scenery:
    """Houses and trees of a road."""
    from scipy.spatial import KDTree

    draws = np.random.default_rng(int(road.hash[:15], 16))
    origin = np.array(middle(road))
    points = np.concatenate([lane.centre for lane in road.lanes]) - origin
    half = np.concatenate([0.5 * lane.width for lane in road.lanes])
    tree, most = KDTree(points), float(half.max())

    def clear(places: Floats, reach: float) -> bool:
        near, point = tree.query(places)
        # the nearest centre is not always the nearest border: the widest lane's half bounds what it may miss
        return bool((near - np.minimum(half[point], most) > reach).all())

    houses = _houses(road, origin, draws, clear)
    taken = np.array([(house.x, house.y, 0.5 * math.hypot(house.length, house.width)) for house in houses])
    trees = []
    lanes = [lane for lane in road.lanes if lane.kind != LaneKind.OTHER]
    weights = np.array([lane.length for lane in lanes])
    for number in range(min(int(weights.sum() / 9.0), TREES)):
        lane = lanes[int(draws.choice(len(lanes), p=weights / weights.sum()))]
        side, away = draws.choice((-1.0, 1.0)), CLEAR + 2.0 + draws.exponential(14.0)
        at = int(draws.integers(len(lane.centre)))
        place = lane.centre[at] - origin + side * (0.5 * lane.width[at] + away) * normals(lane.centre)[at]
        radius = float(draws.uniform(1.3, 2.8))
        if not clear(place[None], CLEAR + radius):
            continue
        if len(taken) and (np.hypot(taken[:, 0] - place[0], taken[:, 1] - place[1]) < taken[:, 2] + radius).any():
            continue
        height = float(radius * draws.uniform(2.2, 3.2))
        trees.append(Tree(float(place[0]), float(place[1]), radius, height, LEAVES[number % len(LEAVES)]))
    return Scenery(tuple(houses), tuple(trees))


def _houses(road: Road, origin: Floats, draws: np.random.Generator, clear) -> list[House]:  # noqa: ANN001 a local rule
    """Rows of houses along walkways."""
    houses: list[House] = []
    for lane in road.lanes:
        if lane.kind != LaneKind.WALKWAY or lane.length < 20.0 or lane.left_neighbour < 0:
            continue
        s = float(draws.uniform(6.0, 12.0))
        out = -normals(lane.centre)
        while s < lane.length - 6.0:
            length, width = float(draws.uniform(9.0, 17.0)), float(draws.uniform(8.0, 12.0))
            at = min(int(np.searchsorted(lane.s, s + 0.5 * length)), len(lane.s) - 1)
            away = 0.5 * lane.width[at] + YARD + float(draws.uniform(0.0, 2.0)) + 0.5 * width
            x, y = (lane.centre[at] - origin + away * out[at]).tolist()
            kind, floors = int(draws.integers(4)), int(draws.integers(1, 4))
            house = House(x, y, float(lane.heading[at]), length, width, 2.9 * floors + 0.6, ROOFS[kind], WALLS[kind])
            radius = 0.5 * math.hypot(length, width)
            apart = all(
                math.hypot(other.x - x, other.y - y) > 0.72 * (radius + 0.5 * math.hypot(other.length, other.width))
                for other in houses
            )
            if apart and clear(np.concatenate([house.outline, [[x, y]]]), CLEAR):
                houses.append(house)
            s += length + float(draws.uniform(3.0, 9.0))
    return houses
