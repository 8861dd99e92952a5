"""Who else is on the road: what an actor is, where it was recorded to drive, and what a driver is asked to reach.

Plain data that readers fill and scenarios play (`sim/driving/`). Times are s from the scenario's beginning, places
W in m, headings rad counter-clockwise, speeds m/s. An actor's pose is that of the middle of its box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class ActorKind(IntEnum):
    """What an actor is."""

    STATIC = 0
    CAR = 1
    TRUCK = 2
    """Trucks, buses, trains: long vehicles"""
    MOTORCYCLE = 3
    BICYCLE = 4
    PEDESTRIAN = 5


KINDS = {
    "unknown": ActorKind.CAR, "car": ActorKind.CAR, "truck": ActorKind.TRUCK, "bus": ActorKind.TRUCK,
    "train": ActorKind.TRUCK, "bicycle": ActorKind.BICYCLE, "pedestrian": ActorKind.PEDESTRIAN,
    "priorityVehicle": ActorKind.CAR, "motorcycle": ActorKind.MOTORCYCLE, "taxi": ActorKind.CAR,
    "parkedVehicle": ActorKind.STATIC, "constructionZone": ActorKind.STATIC, "roadBoundary": ActorKind.STATIC,
    "building": ActorKind.STATIC, "pillar": ActorKind.STATIC, "median_strip": ActorKind.STATIC,
}  # fmt: skip
"""CommonRoad's types of obstacles."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where something was at given times; held before the first and after the last."""

    time: Floats
    """(states,), s, rising"""
    position: Floats
    """(states, 2), m"""
    heading: Floats
    """(states,), continuous, rad"""
    speed: Floats
    """(states,), m/s"""
    spread: Floats
    """Radius around each position within which it really was, (states,), m"""

    def at(self, time: float) -> tuple[float, float, float, float]:
        """x, y, heading and speed at a time, between two states linearly; the speed is 0 before and after."""
        inside = self.time[0] <= time <= self.time[-1]
        x, y = (float(np.interp(time, self.time, self.position[:, axis])) for axis in (0, 1))
        speed = float(np.interp(time, self.time, self.speed)) if inside else 0.0
        return x, y, float(np.interp(time, self.time, self.heading)), speed


@dataclass(frozen=True, eq=False)
class Actor:
    """One of the others."""

    name: str
    kind: ActorKind
    length: float
    """m"""
    width: float
    trajectory: Trajectory

    @property
    def moves(self) -> bool:
        """Whether it ever does."""
        return self.kind != ActorKind.STATIC and len(self.trajectory.time) > 1


@dataclass(frozen=True, eq=False)
class Goal:
    """A state to be reached: all that is stated must hold at one time."""

    time: tuple[float, float]
    """s"""
    areas: tuple[Floats, ...] = ()
    """Polygons (corners, 2), one of which the middle of the vehicle must be in; with `lanes` empty too: anywhere"""
    lanes: tuple[int, ...] = ()
    """Lanes of the road, one of which it may be on instead"""
    heading: tuple[float, float] = (-math.inf, math.inf)
    speed: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Problem:
    """A planning problem: where a driver begins, and one of which goals it is to reach."""

    name: str
    position: tuple[float, float]
    heading: float
    speed: float
    yaw_rate: float
    time: float
    goals: tuple[Goal, ...]
