"""Roads without anybody else, seen without errors, and a driver by hand: what the skills' tests drive with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.contract import BEND, PREVIEW, SIDE, SPEED, STEERING, asks
from sim.driving.motornet import motor_rows
from sim.driving.path import before_lanes, make_lane_errors, make_match, see_path, start_match
from sim.driving.plant import RoadPlant
from sim.driving.scene import RoadBody
from sim.driving.skill import Driving, Skill
from sim.driving.starts import Places
from sim.driving.state import View
from sim.driving.variedcars import car_rows
from sim.launches import Launchable
from sim.perceptron import Layers
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.tasks.task import struct_arrays
from sim.vary import Table
from sim.worlds import Worlds


@wp.kernel
def see_own(
    mask: wp.array(dtype=wp.uint8),  # type: ignore[valid-type]
    pose: wp.array2d(dtype=wp.float32),  # type: ignore[valid-type]
    motion: wp.array2d(dtype=wp.float32),  # type: ignore[valid-type]
    view: View,  # type: ignore[valid-type]
) -> None:
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        for k in range(3):
            view.pose[row, k] = pose[row, k]
        for k in range(4):
            view.motion[row, k] = motion[row, k]
        view.range[row] = 150.0


class Plain:
    """A sense (`sim.driving.plant.Sense`) that is right and sees nobody."""

    def __init__(self, plant: RoadPlant) -> None:
        self.plant = plant
        self.match, self.errors = make_match(plant.rows, plant.device), make_lane_errors(plant.rows, plant.device)
        self.before = before_lanes(plant.atlas)

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        plant = self.plant
        return [plant.record(start_match, plant.rows, [plant.atlas.lanes, plant.footing, mask, self.match])]

    def look(self, mask: wp.array) -> Sequence[Launchable]:
        plant = self.plant
        atlas, pose = plant.atlas, plant.state.pose
        path = [atlas.lanes, atlas.routes, self.before, pose, plant.footing, self.errors, mask, self.match, plant.view]
        return [
            plant.record(see_own, plant.rows, [mask, pose, plant.true_motion, plant.view]),
            plant.record(see_path, plant.rows, path),
        ]

    def arrays(self) -> Mapping[str, wp.array]:
        return struct_arrays("match", self.match)


def plain_atlas() -> Atlas:
    """One road of each kind."""
    return Atlas([generate_highway(1), generate_rural(2), generate_town(3)], routes=16, seed=1)


def plain_worlds(
    skill: Skill,
    worlds: int,
    *,
    robots: int = 1,
    seed: int = 3,
    body: RoadBody = "kinematic",
    atlas: Atlas | None = None,
    motor: Layers | None = None,
    places: Places | None = None,
) -> Worlds:
    """Worlds of a skill with nobody else on the road."""
    table = Table((*car_rows(CAR), *(motor_rows() if motor is not None else ())))
    plant = RoadPlant(
        atlas or plain_atlas(), CAR, worlds=worlds, robots=robots, actors=robots, vary=table, seed=3, body=body,
        threads=1, motor=motor,
    )  # fmt: skip
    plant.complete(Plain(plant), [])
    return Worlds(plant, Driving(plant, skill, 20.0, places), about={})


def by_hand(seen: NDArray[np.float32], pull: bool = False) -> NDArray[np.float32]:
    """Actions of a driver who follows the line, limits and bends (observation (rows, n)); `pull`: who stops, too."""
    v, side, turn = seen[:, 0] * SPEED, seen[:, 6] * 2.0, seen[:, 7]
    allowed = np.full(len(seen), np.inf)
    for i, time in enumerate(PREVIEW):
        bend, limit = np.abs(seen[:, 15 + 2 * i]) * BEND, seen[:, 16 + 2 * i] * SPEED
        here = np.minimum(limit, np.sqrt(SIDE / np.maximum(bend, 1e-4)))
        allowed = np.minimum(allowed, np.sqrt(here**2 + 3.0 * time * v))
    if pull:
        allowed = np.where(np.abs(side) < 0.3, 0.0, 0.5 * allowed)
    span = np.minimum(STEERING, SIDE / np.maximum(v * v, 1.0))
    bend = -(2.0 * turn / np.maximum(v, 3.0) + side / np.maximum(v, 3.0) ** 2)
    ahead = asks(np.clip(allowed - v, -CAR.car.brake_min, CAR.car.accel_max), seen, CAR.car)
    return np.stack([ahead, np.clip(bend / span, -1.0, 1.0)], axis=-1).astype(np.float32)
