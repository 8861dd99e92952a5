"""What a plant's robots sense: readings and a sweep of the lidar, or sensors in time (sim/suite.py) in their place.

Once a control step a robot is told of itself (sim/sensors.py) and its lidar sweeps (sim/lidar.py); of those that are
simulated in time it reads what has arrived, and the plant lets them look after each physics step (`suite.step`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import warp as wp

from sim.launches import Launchable
from sim.lidar import sweep_lidar
from sim.robot import SECOND
from sim.sensors import measure, no_errors, sensor_errors
from sim.sensorspec import Sensors
from sim.sights import Sights
from sim.suite import Senses, SensorSuite
from sim.tasks.navigate_contract import ray_directions

if TYPE_CHECKING:
    from sim.plant import Plant


class PlantSenses:
    """Owns what the robots of a plant see beside the map and each other, and their sensors in time."""

    def __init__(self, plant: Plant, sensors: Sensors, *, lidar: bool = True) -> None:
        """Of a plant that has bodies, people and doors already; `lidar=False` leaves the sweep out.

        Raises `SensorError` for `sensors` that cannot be.
        """
        self._plant, self._sensors, self._lidar = plant, sensors, lidar
        doors = plant.doors
        sights = Sights(plant.scene, plant.backend, plant.pods, others=doors.parts if doors else 0)
        self._see = sights.look
        self._boxes = plant.movers.boxes(sights.things)
        self._show_doors: Sequence[Launchable] = ()
        if doors is not None:
            shown = doors.show(plant.backend.mocap_pos, plant.movers.bodies, sights.things, sights.others)
            self._show_doors = (shown,)
        self.errors = sensor_errors(plant.table, plant.varies.values)
        self.directions = ray_directions(plant.spec.lidar, plant.device)
        """Unit vectors of the lidar's rays in B, vec2 (rays,)."""
        self.suite = self._make_suite() if sensors.timings() else None
        """The sensors in time; None where none was asked for."""

    def _make_suite(self) -> SensorSuite:
        plant = self._plant
        backend, scene, state = plant.backend, plant.scene, plant.state
        return SensorSuite(
            self._sensors,
            Senses(
                spec=plant.spec,
                robots=plant.robots,
                rows=plant.rows,
                timestep=scene.timestep,
                seed=plant.seed,
                table=plant.table,
                values=plant.varies.values,
                device=plant.device,
                record=plant.record,
                episode=state.episode,
                pose=state.pose,
                twist=state.twist,
                touching=state.touching,
                friction=state.friction,
                payload=state.payload,
                qpos=backend.qpos,
                qvel=backend.qvel,
                qpos_stride=scene.qpos_stride,
                qvel_stride=scene.qvel_stride,
                scan=state.scan,
                measured_pose=state.measured_pose,
                measured_twist=state.measured_twist,
                sweep=lambda mask, scan: self.sweep(mask, scan, no_errors(plant.rows, plant.device)),
                chargers=plant.site.centre(plant.site.chargers),
                cell=plant.site.cell,
            ),
        )

    def look(self, mask: wp.array, *, begins: bool = False) -> list[Launchable]:
        """The launches by which masked rows (uint8 (rows,)) read; `begins`: their episodes have just begun."""
        plant, state, timed = self._plant, self._plant.state, self._sensors
        launches: list[Launchable] = []
        if timed.localisation is None or timed.odometry is None:
            readings = plant.record(
                measure,
                plant.rows,
                [state.pose, state.twist, self.errors, plant.spec.period / SECOND, plant.seed, state.episode,
                 state.step, mask, state.measured_pose, state.measured_twist],
            )  # fmt: skip
            launches.append(readings)
        launches += self._show_doors
        if self._lidar and timed.lidar is None:
            launches += self.sweep(mask, state.scan, self.errors)
        if self.suite is not None:
            launches += [*(self.suite.begin(mask) if begins else ()), *self.suite.deliver(mask)]
        return launches

    def sweep(self, mask: wp.array, scan: wp.array, errors: Any) -> list[Launchable]:  # SensorErrors, a struct
        """The launches by which the masked rows' lidars sweep, into scan (rows, rays)."""
        plant, state, spec, seen = self._plant, self._plant.state, self._plant.spec, self._plant.seen
        sweep = plant.record(
            sweep_lidar,
            plant.rows,
            [state.pose, self.directions, seen.flags, seen.width, seen.height, seen.cell, seen.pod,
             plant.people.position, self._boxes, plant.robots, spec.length / 2, spec.width / 2, spec.lidar.range_max,
             errors, plant.seed, state.episode, state.step, mask, scan],
        )  # fmt: skip
        return [*self._see, sweep]
