"""The simulated floor that a plant serves: one world, many robots, walking people, and two witnesses of every contact.

A `World` owns one MuJoCo simulation of a site. `step` moves it one control period on under the commands in force;
`readings` gives what the robots' sensors say then. Physics, drives, people, lidar and sensor errors are those that
policies train in (sim/), with one row per robot. Its parts have modules of their own: where everybody begins
(fleet/placement.py), people and forklifts (fleet/traffic.py), what robots sense (fleet/perception.py), who touches what
(fleet/witnesses.py), and what is kept of it all (fleet/history.py).

No sockets, no clocks.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
# (mujoco and warp define these names at run time)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import warp as wp
from numpy.typing import NDArray

from fleet.history import History
from fleet.oracle import SPEED_LIMIT, ContactTally
from fleet.perception import Perception
from fleet.placement import start_cells, start_yaws
from fleet.pods import FleetPods, one_world
from fleet.spilled import Spilled, box_places
from fleet.traffic import Traffic
from fleet.witnesses import Witnesses
from sim.battery import Battery, battery_numbers, make_batteries, run_batteries
from sim.bodies.parts import ROBOT_BIT, STATIC_BIT, Body
from sim.crowd import CrowdKind
from sim.device import start_warp
from sim.doors import Doors
from sim.drive import make_drive, record_drive
from sim.fixtures import DoorState
from sim.forklifts import ForkliftSpec, check_bound
from sim.furnishing import door_geoms
from sim.launches import record
from sim.people import Profile
from sim.rays import floor_arrays, floor_flags
from sim.robot import SECOND, Readings, RobotSpec
from sim.scene import build_scene
from sim.sensorspec import LidarSensor, Localisation, Odometry, SensorError, Sensors, Timing
from sim.sights import Sights
from sim.site import Site, make_site
from sim.starts import check_starts
from sim.truth import read_bodies

LATENCY_PERIODS = 1
"""Motor periods until a new command rules: 20 ms of bus and driver, of the specification's 50 ms in all."""

LAG = 0.015
"""Time constant of the motors, s: within what the latency leaves of the specification's bound."""


class World:
    """Owns the simulation of one site with all its robots and people."""

    def __init__(
        self,
        site: Site,
        spec: RobotSpec,
        robots: int,
        people: int = 0,
        *,
        profile: Profile = Profile.WALKING,
        crowd: CrowdKind = "cells",
        forklifts: int = 0,
        seed: int = 0,
        starts: NDArray[np.int32] | None = None,
        body: Body = "planar",
        sensors: Sensors | None = None,
        goods: float = 0.0,
        boxes: int = 0,
    ) -> None:
        """`goods` kg lie on each pod, where the site has pods that robots lift; `boxes` were spilled.

        `starts` are start cells, in robot order; robots beyond them start on free cells drawn by the seed.

        `sensors` are simulated in time; the others are read at the end of each period. Raises `SiteError` where the
        floor has no room for all robots, `ForkliftError` for forklifts that fit nowhere or that the profile does not
        cover, `SensorError` for sensors that cannot be and for a battery's gauge, whose pack no charger here knows.
        """
        start_warp()
        sensors = sensors or Sensors()
        if sensors.battery is not None:
            raise SensorError("battery: expected no gauge in a fleet's world, which has batteries of its own; leave it")
        self.site, self.spec, self.robots, self.people, self.seed = site, spec, robots, people, seed
        self.truck = ForkliftSpec()
        if forklifts:
            check_bound(self.truck, profile)
        self.starts = start_cells(site, robots, seed, starts)
        self.scene = build_scene(
            site,
            spec,
            robots,
            people,
            body,
            visual=False,
            contacts=False,
            forklifts=forklifts,
            forklift_spec=self.truck,
            movable_pods=site.fixtures.pod_side is not None,
            boxes=boxes,
        )
        self.model = self.scene.model
        self.data = mujoco.MjData(self.model)
        self.period = spec.period / SECOND
        self.motor_periods = int(spec.period // spec.motor_period)
        self.physics_steps = round(spec.motor_period / SECOND / self.scene.timestep)
        """Physics steps in a motor period."""
        physics_step = spec.motor_period // self.physics_steps
        self.pods = None
        """Pods that robots lift; None where they stay or there are none."""
        if self.scene.pods:
            period = spec.motor_period / SECOND
            self.pods = FleetPods(self.scene, self.model, self.data, period, spec.payload_max, goods)
        self.spilled = None
        """Boxes that lie about; None without any."""
        if boxes:
            self.spilled = Spilled(self.scene, self.data, box_places(site, self.starts, boxes, seed))
        self.stamp = 0
        """Site clock, ns."""
        self.doors = Doors(site)
        self._site_now = self._with_doors()
        self.poses: NDArray[np.float32]
        """True poses, (robots, 3)."""
        self.twists: NDArray[np.float32]
        """True forward speed, yaw rate and sideways speed, (robots, 3)."""
        self._prepare_bodies()
        self.battery: NDArray[np.float64]
        """State of charge, 0 to 1, (robots,)."""
        self._prepare_batteries()
        self.witnesses = Witnesses(
            self.model,
            self.data,
            spec,
            self.truck,
            robots=robots,
            people=people,
            forklifts=forklifts,
            steps=self.motor_periods * self.physics_steps,
            pods=self.pods,
            spilled=self.spilled,
        )
        floor = floor_arrays(self._mapped(site), "cpu")
        self._flags = floor.flags
        sights = None
        if self.scene.pods or self.scene.boxes:
            carried = self.pods.pods if self.pods is not None else None
            sights = Sights(self.scene, one_world(self.model, self.data), carried)
        self.traffic = Traffic(
            site,
            floor,
            self.data,
            spec,
            self.truck,
            people=people,
            forklifts=forklifts,
            profile=profile,
            crowd=crowd,
            seed=seed,
            pose=self._pose,
            twist=self._twist,
            things=sights.things if sights is not None else None,
        )
        self.perception = Perception(
            sensors,
            self.scene,
            pose=self._pose,
            twist=self._twist,
            qpos=_row(self.data.qpos),
            qvel=_row(self.data.qvel),
            floor=floor,
            people=self.traffic.people.position,
            boxes=self.traffic.boxes,
            loads=sights.look if sights is not None else [],
            physics_step=physics_step,
            seed=seed,
        )
        self.history = History(site, spec, self.truck, physics_step, seed, robots, people, forklifts)
        self._place_robots()
        self.observe_bodies()
        self.traffic.place(self.starts)
        self.perception.begin()
        self._remember()

    @property
    def physics(self) -> ContactTally:
        """Contacts by the engine."""
        return self.witnesses.physics

    @property
    def oracle(self) -> ContactTally:
        """Contacts by geometry."""
        return self.witnesses.oracle

    def command(self, commands: NDArray[np.floating]) -> None:
        """Put commands (robots, 2) of v and w in force from the next step on, after the drives' latency."""
        self._before.numpy()[...] = self._released.numpy()
        self._released.numpy()[...] = commands

    def lift(self, wanted: NDArray[np.bool_]) -> None:
        """Whether each robot's lift is to be up, (robots,), from the next step on."""
        if self.pods is not None:
            self.pods.command(wanted)

    def step(self) -> None:
        """One control period: drives, people and physics, then the sensors. Contacts are tallied twice."""
        self.witnesses.begin()
        for step in range(self.motor_periods * self.physics_steps):
            if step % self.physics_steps == 0:
                self.traffic.step()
                self._drive[step // self.physics_steps].launch()
                if self.pods is not None:
                    self.pods.handle()
            walkers = self.data.mocap_pos[: self.people, :2]
            self.witnesses.note(self.poses, self.twists, walkers, self.traffic.truck_poses())
            mujoco.mj_step(self.model, self.data)
            self.witnesses.ask_engine()
            self.observe_bodies()
            if self.perception.suite is not None:
                self.perception.step(self.witnesses.touched)
        touched = self.witnesses.end(self._site_now)
        self.stamp += self.spec.period
        self._charge(self.witnesses.speed)
        if self.doors.step(self.period, self.poses, self.traffic.walkers()):
            self._move_doors()
        self.perception.look(touched)
        self._remember()

    def readings(self, robot: int) -> Readings:
        """What one robot's sensors say now."""
        lift = self.pods.lift(robot) if self.pods is not None else -1.0
        # a gauge tells a float32, as sensor_msgs/msg/BatteryState holds it: the same over every wire
        readings = self.perception.readings(robot, self.stamp, float(np.float32(self.battery[robot])), lift)
        rate = float(self.twists[robot, 1])
        return replace(readings, battery_stamp=self.stamp, yaw_rate=rate, yaw_rate_stamp=self.stamp)

    def observe_bodies(self) -> None:
        """Read `poses` and `twists` off the simulation: for who has moved a body in it."""
        self._read.launch()

    def resume(self, poses: NDArray[np.floating], twists: NDArray[np.floating], begin: int = 0) -> None:
        """Put the robots from number `begin` on at `poses` (n, 3), moving by `twists` (n, 2) of v and w as if told so.

        For who restores a floor of the past; who is on the ground stays level with the cell under it.
        """
        rows = slice(begin, begin + len(poses))
        for arrays in (self._released, self._before, self._setpoint, self._output):
            arrays.numpy()[rows] = twists
        for robot, ((x, y, yaw), (v, w)) in enumerate(zip(poses.tolist(), twists.tolist(), strict=True), begin):
            at, speed = robot * self.scene.qpos_stride, robot * self.scene.qvel_stride
            moves = v * np.cos(yaw), v * np.sin(yaw)
            if self.scene.body == "planar":
                self.data.qpos[at : at + 3] = x, y, yaw
                self.data.qvel[speed : speed + 3] = *moves, w
            else:
                self.data.qpos[at : at + 2] = x, y
                self.data.qpos[at + 3 : at + 7] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
                self.data.qvel[speed : speed + 6] = *moves, 0.0, 0.0, 0.0, w
        self.observe_bodies()

    def resume_doors(self, open_: NDArray[np.bool_]) -> None:
        """Let the automatic doors stand as at a moment of the past, (doors,)."""
        self.doors.stand(open_)
        self._move_doors()

    def write(self, folder: Path, names: tuple[str, ...], **notes: Any) -> None:
        """Write plant.npz (poses, for pictures) and plant.json (counts, and `notes`: plain JSON values) into `folder`.

        Raises `FileError` where they cannot be written; neither is ever half there.
        """
        boxes = self.spilled.poses() if self.spilled else np.zeros((0, 3))
        self.history.write(folder, names, self.physics, self.oracle, boxes, notes)

    def summary(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Counts of both witnesses, and every episode of contact that the engine saw."""
        return self.history.summary(names, self.physics, self.oracle)

    def _prepare_bodies(self) -> None:
        """Allocate what robots are told and where they are, and record the launches of drives and of looking."""
        robots, scene = self.robots, self.scene
        drive = make_drive(robots, "cpu")
        drive.latency.fill_(LATENCY_PERIODS)
        drive.lag.fill_(LAG)
        self._released, self._before = drive.released, drive.before
        self._setpoint, self._output = drive.setpoint, drive.output
        self._pose, self._twist = wp.zeros((robots, 3), dtype=wp.float32), wp.zeros((robots, 3), dtype=wp.float32)
        self.poses, self.twists = np.asarray(self._pose.numpy()), np.asarray(self._twist.numpy())
        self._drive = record_drive(self.spec, drive, _row(self.data.ctrl), robots, scene.ctrl_stride, "cpu")
        qpos, qvel = _row(self.data.qpos), _row(self.data.qvel)
        self._read = record(
            read_bodies, robots, [qpos, qvel, robots, scene.qpos_stride, scene.qvel_stride, self._pose, self._twist]
        )

    def _prepare_batteries(self) -> None:
        robots, device = self.robots, "cpu"
        batteries = make_batteries(robots, device)
        self.battery = np.asarray(batteries.charge.numpy())
        self._charging = wp.zeros(robots, dtype=wp.uint8)
        self._payload = wp.zeros(robots, dtype=wp.float32)
        numbers = battery_numbers(Battery(), self.spec, device)
        self._drain = record(
            run_batteries, robots, [numbers, self._twist, self._payload, self._charging, self.period, batteries]
        )

    def _mapped(self, site: Site) -> Site:
        """The floor as a map: pods that robots lift are no part of it."""
        return replace(site, fixtures=replace(site.fixtures, pods=())) if self.pods is not None else site

    def _place_robots(self) -> None:
        yaws = start_yaws(self.site, self.starts, self.seed)
        check_starts(self.site, self.spec, np.column_stack([self.site.centre(self.starts), yaws]))
        for robot, (x, y) in enumerate(self.site.centre(self.starts)):
            at = robot * self.scene.qpos_stride
            if self.scene.body == "planar":
                self.data.qpos[at : at + 3] = x, y, yaws[robot]
            else:
                half = yaws[robot] / 2
                ground = float(self.site.corner_height.reshape(-1, 4)[self.starts[robot]].max())
                self.data.qpos[at : at + 7] = x, y, ground, np.cos(half), 0.0, 0.0, np.sin(half)

    def _charge(self, speed: NDArray[np.floating]) -> None:
        """What the period took from the batteries, or a charger under a standing robot put back."""
        at = np.isin(self.site.cell_at(self.poses[:, :2]), self.site.chargers) & (speed < SPEED_LIMIT)
        self._charging.numpy()[:] = at
        if self.pods is not None:
            self._payload.numpy()[:] = self.pods.payload()
        self._drain.launch()

    def _with_doors(self) -> Site:
        """The floor as its doors stand now."""
        doors = tuple(
            replace(door, state=DoorState.OPEN if open_ else DoorState.SHUT)
            for door, open_ in zip(self.site.fixtures.doors, self.doors.open, strict=True)
        )
        return self._mapped(replace(self.site, fixtures=replace(self.site.fixtures, doors=doors)))

    def _move_doors(self) -> None:
        """Tell physics, lidar, people and the geometric witness how the doors stand now."""
        self._site_now = self._with_doors()
        self._flags.numpy()[:] = floor_flags(self._site_now)
        for number, open_ in enumerate(self.doors.open):
            if self.site.fixtures.doors[number].state is DoorState.AUTOMATIC:
                geoms = door_geoms(self.model, self.site, number)
                self.model.geom_contype[geoms] = 0 if open_ else STATIC_BIT
                self.model.geom_conaffinity[geoms] = 0 if open_ else ROBOT_BIT

    def _remember(self) -> None:
        self.history.add(
            self.stamp,
            self.poses,
            self.traffic.walkers(),
            self.traffic.truck_poses(),
            self.doors.open,
            self.pods.poses() if self.pods else np.zeros((0, 3)),
        )


def warm() -> None:
    """Compile (or load from Warp's cache) what a world launches, its generic kernels and sensors in time included."""
    lidar, odometry = Timing(phase=0.0), Timing(rate=50.0, phase=0.0)
    sensors = Sensors(LidarSensor(lidar), Localisation(lidar), Odometry(odometry))
    world = World(make_site("warm", np.zeros((3, 5), bool)), RobotSpec(), 1, sensors=sensors)
    world.command(np.zeros((1, 2), np.float32))
    world.step()


def _row(array: NDArray[np.float64]) -> wp.array:
    """A vector of the simulation as a (1, n) Warp array on the same memory."""
    return wp.array(ptr=array.ctypes.data, dtype=wp.float64, shape=(1, len(array)), device="cpu", copy=False)
