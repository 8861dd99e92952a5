"""What the robots of a fleet's floor sense: lidar, localisation, odometry and bumper with their errors, row by row.

The sensors and their errors are those that policies train with (sim/sensors.py), one row per robot, drawn by the seed.
Sensors that are simulated in time (sim/suite.py) look within the period and answer late, and stamps say when they
looked; all others are read at the period's end.
"""

# pyright: reportGeneralTypeIssues=false
# (warp's structs are no classes to a type checker)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.bodies.parts import TRACTION
from sim.launches import Launchable, record
from sim.lidar import Boxes, sweep_lidar
from sim.rays import FloorArrays
from sim.robot import SECOND, Readings, RobotSpec
from sim.scene import Scene
from sim.sensorrows import sensor_rows
from sim.sensors import measure, no_errors, sensor_errors
from sim.sensorspec import NAMES, Sensors
from sim.suite import Senses, SensorSuite
from sim.tasks.navigate_contract import ray_directions
from sim.varied import plant_rows
from sim.vary import Table, draw_episodes, make_arrays

DRAWN = ("localisation", "odometry_scale", "odometry_noise", "lidar_noise", "lidar_dropout")
"""Rows of the plant's table that a fleet's robots draw; the rest of what varies in training is fixed here."""


def world_table(spec: RobotSpec, sensors: Sensors) -> Table:
    """What varies from robot to robot in a world: of its table, the rows that are drawn."""
    return Table((*(row for row in plant_rows(spec) if row.name in DRAWN), *sensor_rows(sensors)))


class Perception:
    """Owns what every robot's sensors say, and when they looked."""

    def __init__(
        self,
        sensors: Sensors,
        scene: Scene,
        *,
        pose: wp.array,
        twist: wp.array,
        qpos: wp.array,
        qvel: wp.array,
        floor: FloorArrays,
        people: wp.array,
        boxes: Boxes,
        loads: Sequence[Launchable],
        physics_step: int,
        seed: int,
    ) -> None:
        """Truth is read where it lies: robots at `pose` with `twist` (robots, 3), people (1, people, 2), boxes.

        `loads` writes, before a sweep, the loads that lidars see; a `physics_step` takes so many ns.
        """
        self._sensors, self._physics_step, self._timestep = sensors, physics_step, scene.timestep
        spec, robots, device = scene.spec, scene.robots, "cpu"
        self._measured_pose = wp.zeros((robots, 3), dtype=wp.float32)
        self._measured_twist = wp.zeros((robots, 2), dtype=wp.float32)
        self._scan = wp.zeros((robots, spec.lidar.rays), dtype=wp.float32)
        self._period, episode = wp.zeros(robots, dtype=wp.int32), wp.zeros(robots, dtype=wp.int32)
        every = wp.full(robots, 1, dtype=wp.uint8)
        table = Table((*plant_rows(spec), *sensor_rows(sensors)))
        varies = make_arrays(table, robots, device)
        wp.launch(draw_episodes, dim=robots, inputs=[seed, episode, every, varies], device=device)
        errors = sensor_errors(table, varies.values)
        self.bumper = np.zeros(robots, bool)
        """What each bumper says, (robots,)."""
        self._sense = record(
            measure,
            robots,
            [pose, twist, errors, spec.period / SECOND, seed, episode, self._period, every,
             self._measured_pose, self._measured_twist],
        )  # fmt: skip
        directions = ray_directions(spec.lidar, device)

        def sweep(mask: wp.array, scan: wp.array, errors: Any) -> list[Launchable]:  # SensorErrors, a struct
            inputs = [
                pose, directions, floor.flags, floor.width, floor.height, floor.cell, floor.pod, people, boxes, robots,
                spec.length / 2, spec.width / 2, spec.lidar.range_max, errors, seed, episode, self._period, mask, scan,
            ]  # fmt: skip
            return [*loads, record(sweep_lidar, robots, inputs)]

        self._sweep = sweep(every, self._scan, errors)
        self.suite: SensorSuite | None = None
        """The sensors in time; None where none was asked for."""
        if sensors.timings():
            self._touching = wp.zeros((robots, 1), dtype=wp.uint8)
            self.suite = SensorSuite(
                sensors,
                Senses(
                    spec=spec,
                    robots=robots,
                    rows=robots,
                    timestep=scene.timestep,
                    seed=seed,
                    table=table,
                    values=varies.values,
                    device=device,
                    record=record,
                    episode=episode,
                    pose=pose,
                    twist=twist,
                    touching=self._touching,
                    friction=wp.full(robots, TRACTION, dtype=wp.float32),
                    payload=wp.zeros(robots, dtype=wp.float32),
                    qpos=qpos,
                    qvel=qvel,
                    qpos_stride=scene.qpos_stride,
                    qvel_stride=scene.qvel_stride,
                    scan=self._scan,
                    measured_pose=self._measured_pose,
                    measured_twist=self._measured_twist,
                    sweep=lambda mask, scan: sweep(mask, scan, no_errors(robots, device)),
                ),
            )
            self._begin, self._deliver = self.suite.begin(every), self.suite.deliver(every)

    def begin(self) -> None:
        """Look for the first time, once everything stands where it begins."""
        self._read(begins=True)

    def step(self, touched: NDArray[np.bool_]) -> None:
        """A physics step has been made, in which robots `touched` (robots,) something."""
        if self.suite is not None:
            self._touching.numpy()[:, 0] = touched
            _run(self.suite.step)

    def look(self, touched: NDArray[np.bool_]) -> None:
        """A period has ended, in which robots `touched` (robots,) something: read the sensors."""
        self._period.numpy()[...] += 1
        self.bumper = touched
        self._read(begins=False)

    def readings(self, robot: int, stamp: int, battery: float, lift: float) -> Readings:
        """What one robot's sensors say at a period's end, at `stamp` ns."""
        return Readings(
            stamp=stamp,
            scan=self._scan.numpy()[robot].copy(),
            scan_stamp=self._looked(robot, "lidar", stamp),
            pose=self._measured_pose.numpy()[robot].copy(),
            pose_stamp=self._looked(robot, "localisation", stamp),
            twist=self._measured_twist.numpy()[robot].copy(),
            twist_stamp=self._looked(robot, "odometry", stamp),
            battery=battery,
            bumper=bool(self.bumper[robot]),
            lift=lift,
        )

    def _read(self, *, begins: bool) -> None:
        self._sense.launch()
        if self._sensors.lidar is None:
            _run(self._sweep)
        if self.suite is not None:
            if begins:
                _run(self._begin)
            _run(self._deliver)
            if self._sensors.bumper is not None:
                self.bumper = self.suite.readings["bumper"].numpy()[:, 0] > 0.0

    def _looked(self, robot: int, sensor: str, stamp: int) -> int:
        """When a sensor looked at what it says now, ns; before the start it stood where it stands."""
        if self.suite is None or sensor not in self.suite.names:
            return stamp
        steps = round(float(self.suite.age.numpy()[robot, NAMES.index(sensor)]) / self._timestep)
        return stamp - steps * self._physics_step


def _run(launches: Sequence[Launchable]) -> None:
    for launch in launches:
        launch.launch()
