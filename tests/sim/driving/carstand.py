"""A stand for cars: one body, the firmware and what reads them, driven by commands of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.bodies.specs import CAR
from sim.driving.cars import RoadCars
from sim.driving.drive import make_car_drive, make_cars, record_car_drive
from sim.driving.motornet import FrozenMotor, motor_rows
from sim.driving.scene import RoadBody, build_road_scene, make_physics
from sim.driving.state import make_actors
from sim.driving.variedcars import car_rows, make_car_draws, record_renew
from sim.perceptron import Layers
from sim.robot import RobotSpec
from sim.rows import make_robots
from sim.variedfields import FieldWriter
from sim.vary import Table, make_arrays, vary


class Stand:
    """`worlds` cars on a road without end."""

    def __init__(
        self,
        body: RoadBody,
        worlds: int = 1,
        robots: int = 1,
        actors: int = 1,
        spec: RobotSpec = CAR,
        backend: Any = None,  # whatever keeps `sim.backend.Backend`
    ) -> None:
        self.spec, self.scene = spec, build_road_scene(spec, robots, actors, body)
        self.backend = backend or make_physics(self.scene, worlds)
        device, rows = self.backend.device, worlds * robots
        self.rows = rows
        self.drive, self.cars = make_car_drive(spec, rows, device), make_cars(rows, device)
        self.pose, self.twist = (wp.zeros((rows, 3), dtype=wp.float32, device=device) for _ in range(2))
        self.actors = make_actors(worlds, actors, device)
        self.roadcars = RoadCars(self.scene, self.backend, self.drive, self.cars, self.pose, self.twist, self.actors)
        self.speed, self.curvature = (wp.zeros(rows, dtype=wp.float32, device=device) for _ in range(2))
        self.mask = wp.full(rows, 1, dtype=wp.uint8, device=device)
        self.periods = record_car_drive(
            self.scene, self.drive, self.cars, self.backend.qpos, self.backend.qvel, self.backend.ctrl, device
        )
        self.read, self.grip = self.roadcars.read(), self.roadcars.grip(self.mask)
        self.put = self.roadcars.place(self.mask, self.speed, self.curvature)
        self.show_egos, self.show_others = self.roadcars.show_egos(), self.roadcars.show_others()
        self.motor: FrozenMotor | None = None
        """Corrects the firmware; None: nobody does."""

    def place(self, speed: Any = 0.0, pose: Any = (0.0, 0.0, 0.0), curvature: Any = 0.0) -> None:  # numbers, arrays
        """Every row at a pose, rolling."""
        for array, given in ((self.speed, speed), (self.pose, pose), (self.curvature, curvature)):
            array.assign(np.broadcast_to(np.asarray(given, np.float32), array.shape))
        self.grip.launch()
        self.put.launch()
        self.show_egos.launch()
        self.show_others.launch()

    def go(self, command: Any, cycles: int = 1) -> NDArray[np.float64]:  # (2,) or (rows, 2) numbers
        """The command for some control cycles; x, y, yaw, v, yaw rate, sideways, a, curvature of each motor period."""
        seen = []
        for _ in range(cycles):
            self.drive.before.assign(self.drive.released)
            self.drive.released.assign(np.broadcast_to(np.asarray(command, np.float32), (self.rows, 2)))
            for period in self.periods:
                self.show_others.launch()
                if self.motor is not None:
                    self.motor.step.launch()
                period.launch()
                self.backend.step(self.scene.substeps)
                self.read.launch()
                seen.append(np.hstack([self.pose.numpy(), self.twist.numpy(), self.cars.motion.numpy()]))
        self.show_egos.launch()
        return np.array(seen, np.float64).transpose(1, 0, 2)


def draw(
    stand: Stand, seed: int = 3, level: float = 1.0, motor: Layers | None = None, **ranges: tuple[float, float]
) -> None:
    """The whole randomization, applied to a stand's cars; a frozen `motor` policy corrects them from here on."""
    rows = (*car_rows(stand.spec, level), *(motor_rows(level) if motor is not None else ()))
    table = Table(rows).changed(vary(**ranges).changes)
    arrays = make_arrays(table, stand.rows, "cpu")
    episode = wp.zeros(stand.rows, dtype=wp.int32)
    draws = make_car_draws(table, arrays)
    record_renew(seed, stand.mask, episode, draws, stand.drive, stand.cars, "cpu").launch()
    if stand.scene.model is not None:
        for launch in FieldWriter(stand.scene, stand.backend, table, arrays).begin(stand.mask):
            launch.launch()
    if motor is not None:
        state = make_robots(stand.rows, stand.spec.lidar, 1, "cpu")
        state.twist, state.episode = stand.twist, episode
        stand.motor = FrozenMotor(
            motor, stand.spec, seed=seed, table=table, varies=arrays, state=state, drive=stand.drive, cars=stand.cars,
            device="cpu",
        )  # fmt: skip
        stand.motor.begin(stand.mask).launch()
