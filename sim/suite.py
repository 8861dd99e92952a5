"""The sensors of many robots in time: one launch a sensor and physics step, one a sensor and control step.

    step       after each physics step: clocks go on; each sensor looks where it is due (sim/sampling.py)
    begin      the masked rows' episodes begin: rings are emptied, the first sample is taken where the robot stands
    deliver    the masked rows read what has arrived: scan, pose and twist where tasks and filters find them, the rest
               and all ages here

A sensor that the configuration leaves out costs nothing and is not here: the plant reads it as it always did. All
launches are recorded; nothing is allocated or read back after the suite is made. Who steps it (`sim.plant.Plant`, or a
fleet's world) says by `Senses` where the truth lies. `arrays` holds all that later steps depend on.
"""

# pyright: reportGeneralTypeIssues=false
# Warp's structs are no classes to a type checker.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.battery import Battery, battery_numbers, make_batteries, plug_in, run_batteries, truck_battery
from sim.encoders import NUMBERS as WHEEL_NUMBERS
from sim.encoders import make_wheels, start_wheels, turn_wheels, wheel_numbers
from sim.gauges import find_place, gauge, gauge_numbers, press, start_battery, start_bumper, start_place
from sim.inertial import NUMBERS as IMU_NUMBERS
from sim.inertial import feel, imu_numbers, make_imu, start_imu
from sim.launches import Launchable
from sim.robot import RobotSpec
from sim.sampling import (
    Clockwork,
    Ring,
    count_steps,
    deliver,
    find_oldest,
    make_clockwork,
    make_ring,
    restart_clocks,
    slots_for,
)
from sim.scanning import keep_scan, look_around, look_first, scan_faults
from sim.sensors import sensor_errors
from sim.sensorspec import NAMES, Sensors, check_sensors
from sim.tasks.task import struct_arrays
from sim.vary import Table

FILTERED = 3
"""Sensors that a filter judges by, the first of `NAMES`: its `scan_age` is the oldest of these."""

WIDTHS = {"localisation": 3, "odometry": WHEEL_NUMBERS, "imu": IMU_NUMBERS, "bumper": 1, "battery": 2}
"""Numbers of a sample; of a scan its rays."""

Record = Callable[[Any, int, list[Any]], Launchable]
"""`record(kernel, threads, inputs)`: a launch to be repeated (Warp's own types)."""


@dataclass(frozen=True)
class Senses:
    """Where the truth lies that sensors look at, and where what tasks and filters read is written."""

    spec: RobotSpec
    robots: int
    rows: int
    timestep: float
    """Physics step, s."""
    seed: int
    table: Table
    """What varies; it holds the sensors' rows (`sim.sensorrows`)."""
    values: wp.array
    """What was drawn from it for each row's episode, float32 (rows, rows of the table)."""
    device: str
    record: Record
    episode: wp.array
    """int32 (rows,)"""
    pose: wp.array
    twist: wp.array
    touching: wp.array
    """uint8 (rows, counterparts)"""
    friction: wp.array
    payload: wp.array
    qpos: wp.array
    qvel: wp.array
    qpos_stride: int
    qvel_stride: int
    scan: wp.array
    measured_pose: wp.array
    measured_twist: wp.array
    sweep: Callable[[wp.array, wp.array], Sequence[Launchable]]
    """`sweep(mask, scan)`: the launches that write the masked rows' faultless ranges into scan (rows, rays)."""
    chargers: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    """Where robots charge that stand there, (n, 2), m."""
    cell: float = 0.0
    """Side of a charger's cell, m."""


class SensorSuite:
    """Owns clocks, rings and the sensors' own memory."""

    def __init__(self, sensors: Sensors, senses: Senses) -> None:
        """Allocate everything and record the launches of a physics step. Raises `SensorError`."""
        check_sensors(sensors)
        self.sensors, self.senses = sensors, senses
        rows, device = senses.rows, senses.device
        self.names = tuple(sensors.timings())
        """The sensors that there are, by number."""
        self.clock = wp.zeros(rows, dtype=wp.int32, device=device)
        """Physics steps of each row's episode, (rows,)."""
        self.age = wp.zeros((rows, len(NAMES)), dtype=wp.float32, device=device)
        """Age of what each row holds, by the sensors' numbers, s, (rows, sensors); 0 for a sensor that is not here."""
        self.oldest = wp.zeros(rows, dtype=wp.float32, device=device)
        """The largest age of scan, pose and twist, s, (rows,)."""
        self.rings: dict[str, Ring] = {}
        self.readings: dict[str, wp.array] = {}
        """What each row holds of `WIDTHS`' sensors, float32 (rows, numbers): odometry's v, w and reckoned pose, the
        IMU's force and turn rate in B, bumper, charge and voltage."""
        self._clockworks: dict[str, Clockwork] = {}
        for name, timing in sensors.timings().items():
            width = WIDTHS.get(name, senses.spec.lidar.rays)
            longest = max(senses.table.row(f"{name}_latency").high, timing.latency)
            self.rings[name] = make_ring(rows, slots_for(timing, longest, senses.timestep), width, device)
            self._clockworks[name] = make_clockwork(
                name, timing, senses.timestep, senses.seed, senses.table, senses.values
            )
            if name in WIDTHS:
                self.readings[name] = wp.zeros((rows, width), dtype=wp.float32, device=device)
        self._own: dict[str, wp.array] = {}
        self._starts: list[Callable[[wp.array], list[Launchable]]] = []
        self.step: list[Launchable] = [senses.record(count_steps, rows, [self.clock])]
        """To be run after each physics step, once `pose`, `twist` and `touching` are of that step."""
        for name in self.names:
            getattr(self, f"_add_{name}")(self._clockworks[name], self.rings[name])

    def begin(self, mask: wp.array) -> list[Launchable]:
        """The launches that begin the episodes of the masked rows (uint8 (rows,)), put down already."""
        launches = [self._record(restart_clocks, [mask, self.clock])]
        for start in self._starts:
            launches += start(mask)
        return launches

    def deliver(self, mask: wp.array) -> list[Launchable]:
        """The launches by which the masked rows read what has arrived."""
        senses, launches = self.senses, []
        for name in self.names:
            targets = {"lidar": [senses.scan], "localisation": [senses.measured_pose]}.get(name, [])
            targets += [senses.measured_twist] if name == "odometry" else []
            targets += [self.readings[name]] if name in self.readings else []
            for target in targets:
                inputs = [self.rings[name], self._clockworks[name], self.clock, senses.episode, mask, target, self.age]
                launches.append(self._record(deliver, inputs))
        return [*launches, self._record(find_oldest, [FILTERED, mask, self.age, self.oldest])]

    def arrays(self) -> dict[str, wp.array]:
        """All that later steps depend on, by name."""
        named = {"sensor.clock": self.clock, "sensor.age": self.age, "sensor.oldest": self.oldest}
        for name, ring in self.rings.items():
            named |= struct_arrays(f"sensor.{name}", ring)
        named |= {f"sensor.{name}.held": held for name, held in self.readings.items()}
        return named | {f"sensor.{name}": array for name, array in self._own.items()}

    def _record(self, kernel: Any, inputs: list[Any]) -> Launchable:  # Warp's own types
        return self.senses.record(kernel, self.senses.rows, inputs)

    def _add_lidar(self, clockwork: Clockwork, ring: Ring) -> None:
        senses, sensor = self.senses, self.sensors.lidar
        assert sensor is not None
        slot = wp.full(senses.rows, -1, dtype=wp.int32, device=senses.device)
        due = wp.zeros(senses.rows, dtype=wp.uint8, device=senses.device)
        ranges = wp.zeros((senses.rows, senses.spec.lidar.rays), dtype=wp.float32, device=senses.device)
        faults = scan_faults(sensor, senses.spec, senses.seed, senses.table, senses.values)
        sweep = [
            *senses.sweep(due, ranges),
            self._record(keep_scan, [faults, ranges, slot, senses.episode, ring]),
        ]
        self.step += [
            self._record(look_around, [self.clock, clockwork, senses.episode, ring, slot, due]),
            *sweep,
        ]
        self._starts.append(lambda mask: [self._record(look_first, [mask, ring, slot, due]), *sweep])

    def _add_localisation(self, clockwork: Clockwork, ring: Ring) -> None:
        senses = self.senses
        errors = sensor_errors(senses.table, senses.values)
        episode, pose = senses.episode, senses.pose
        self.step.append(
            self._record(find_place, [self.clock, clockwork, episode, errors, senses.timestep, pose, ring])
        )
        self._starts.append(lambda mask: [self._record(start_place, [mask, senses.seed, episode, errors, pose, ring])])

    def _add_odometry(self, clockwork: Clockwork, ring: Ring) -> None:
        senses, sensor = self.senses, self.sensors.odometry
        assert sensor is not None
        numbers = wheel_numbers(
            sensor,
            senses.spec,
            timestep=senses.timestep,
            table=senses.table,
            values=senses.values,
            wheels=0 if senses.qpos_stride == senses.qvel_stride else 6,  # behind the free joint's six speeds
            seed=senses.seed,
        )
        wheels = make_wheels(senses.rows, senses.device)
        self._own |= struct_arrays("odometry.wheels", wheels)
        self.step.append(
            self._record(
                turn_wheels,
                [numbers, self.clock, clockwork, senses.episode, senses.twist, senses.friction, senses.qvel,
                 senses.robots, senses.qvel_stride, wheels, ring],
            )
        )  # fmt: skip
        self._starts.append(lambda mask: [self._record(start_wheels, [mask, senses.pose, wheels, ring])])

    def _add_imu(self, clockwork: Clockwork, ring: Ring) -> None:
        senses, sensor = self.senses, self.sensors.imu
        assert sensor is not None
        numbers = imu_numbers(
            sensor, timestep=senses.timestep, seed=senses.seed, table=senses.table, values=senses.values
        )
        imu = make_imu(senses.rows, senses.device)
        self._own |= struct_arrays("imu.memory", imu)
        self.step.append(
            self._record(
                feel,
                [numbers, self.clock, clockwork, senses.episode, senses.qpos, senses.qvel, senses.robots,
                 senses.qpos_stride, senses.qvel_stride, imu, ring],
            )
        )  # fmt: skip
        self._starts.append(lambda mask: [self._record(start_imu, [numbers, mask, senses.episode, imu, ring])])

    def _add_bumper(self, clockwork: Clockwork, ring: Ring) -> None:
        senses = self.senses
        latched = wp.zeros(senses.rows, dtype=wp.uint8, device=senses.device)
        self._own["bumper.latched"] = latched
        self.step.append(self._record(press, [self.clock, clockwork, senses.episode, senses.touching, latched, ring]))
        self._starts.append(lambda mask: [self._record(start_bumper, [mask, latched, ring])])

    def _add_battery(self, clockwork: Clockwork, ring: Ring) -> None:
        senses, sensor = self.senses, self.sensors.battery
        assert sensor is not None
        pack = battery_numbers(truck_battery() if senses.spec.fork else Battery(), senses.spec, senses.device)
        batteries = make_batteries(senses.rows, senses.device)
        self._own |= struct_arrays("battery.pack", batteries)
        numbers = gauge_numbers(sensor, senses.seed, senses.table, senses.values)
        charging = wp.zeros(senses.rows, dtype=wp.uint8, device=senses.device)
        if len(senses.chargers):
            at = wp.array(senses.chargers.astype(np.float32), dtype=wp.float32, device=senses.device)
            self.step.append(self._record(plug_in, [senses.pose, senses.twist, at, senses.cell / 2, charging]))
        self.step += [
            self._record(run_batteries, [pack, senses.twist, senses.payload, charging, senses.timestep, batteries]),
            self._record(gauge, [self.clock, clockwork, senses.episode, numbers, pack, batteries, ring]),
        ]
        self._starts.append(
            lambda mask: [self._record(start_battery, [mask, senses.episode, numbers, pack, batteries, ring])]
        )
