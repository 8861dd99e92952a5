"""The simulated floor that a plant serves: one world, many robots, walking people, and two witnesses of every contact.

A `World` owns one MuJoCo simulation of a site. `step` moves it one control period on under the commands in force;
`readings` gives what the robots' sensors say then. Physics, drives, people, lidar and sensor errors are those that
policies train in (sim/), with one row per robot. Sensors that are simulated in time (sim/suite.py) look within the
period and answer late, and stamps say when they looked. Each physics step is checked twice for contacts, by the
engine's contact list and by `fleet.oracle`, on the same poses: those at the step's start, where the engine looks for
contacts too. A robot and the map, another robot or one person are a contact each.

Memory is written for the record: a pose per robot and person and period, for pictures and the report. No sockets, no
clocks.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
# (mujoco and warp define these names at run time)

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import warp as wp
from numpy.typing import NDArray

from fleet.oracle import SPEED_LIMIT, ContactTally, Touch, touching
from fleet.pods import FleetPods, add_pods, legs_of, one_world
from fleet.spilled import Spilled, add_boxes, box_places
from sim.battery import Battery, battery_numbers, make_batteries, run_batteries
from sim.bodies.parts import ROBOT_BIT, STATIC_BIT, TRACTION, Body
from sim.crowd import GOALS, CrowdKind, record_walk
from sim.device import start_warp
from sim.doors import Doors
from sim.drive import make_drive, record_drive
from sim.files import replacing, write_atomic
from sim.fixtures import DoorState, pack_fixtures
from sim.forklifts import ForkliftSpec, check_bound, make_forklifts, make_yard, record_drivers, record_starts
from sim.furnishing import door_geoms
from sim.kernels import floor_arrays, floor_flags, make_boxes, read_bodies, sweep_lidar
from sim.launches import Launchable, record
from sim.lifting import LEG
from sim.manners import Manners, make_crowd
from sim.people import PERSON_RADIUS, SPEED_HIGH, SPEED_LOW, Profile, make_people
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.reach import FAR, components, distances
from sim.robot import SECOND, Readings, RobotSpec
from sim.scene import build_scene
from sim.sensorrows import sensor_rows
from sim.sensors import measure, no_errors, sensor_errors
from sim.sensorspec import NAMES, SensorError, Sensors
from sim.sights import Sights
from sim.site import MOVES, Site, SiteError
from sim.starts import check_starts
from sim.suite import Senses, SensorSuite
from sim.tasks.navigate_contract import ray_directions
from sim.varied import plant_rows
from sim.vary import Table, draw_episodes, make_arrays
from sim.ways import find_ways

LATENCY_PERIODS = 1
"""Motor periods until a new command rules: 20 ms of bus and driver, of the specification's 50 ms in all."""

LAG = 0.015
"""Time constant of the motors, s: within what the latency leaves of the specification's bound."""

DRAWN = ("localisation", "odometry_scale", "odometry_noise", "lidar_noise", "lidar_dropout")
"""Rows of the plant's table that a fleet's robots draw; the rest of what varies in training is fixed here."""

CLEARANCE = 1.5
"""Nobody starts nearer to a robot than this, m."""


def world_table(spec: RobotSpec, sensors: Sensors) -> Table:
    """What varies from robot to robot in a world: of its table, the rows that are drawn."""
    return Table((*(row for row in plant_rows(spec) if row.name in DRAWN), *sensor_rows(sensors)))


@dataclass
class Record:
    """What has happened, period by period."""

    stamps: list[int] = field(default_factory=list)
    poses: list[NDArray[np.float32]] = field(default_factory=list)
    people: list[NDArray[np.float32]] = field(default_factory=list)
    forklifts: list[NDArray[np.float32]] = field(default_factory=list)
    doors: list[NDArray[np.bool_]] = field(default_factory=list)
    pods: list[NDArray[np.float32]] = field(default_factory=list)


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
        self._sensors = sensors or Sensors()
        if self._sensors.battery is not None:
            raise SensorError("battery: expected no gauge in a fleet's world, which has batteries of its own; leave it")
        self.site, self.spec, self.robots, self.people, self.seed = site, spec, robots, people, seed
        self.forklifts, self.truck = forklifts, ForkliftSpec()
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
        self.pods = None
        """Pods that robots lift; None where they stay or there are none."""
        if self.scene.pods:
            period = spec.motor_period / SECOND
            self.pods = FleetPods(self.scene, self.model, self.data, period, spec.payload_max, goods)
        self.period = spec.period / SECOND
        self.motor_periods = int(spec.period // spec.motor_period)
        self.physics_steps = round(spec.motor_period / SECOND / self.scene.timestep)
        """Physics steps in a motor period."""
        self.spilled = None
        """Boxes that lie about; None without any."""
        if boxes:
            self.spilled = Spilled(self.scene, self.data, box_places(site, self.starts, boxes, seed))
        self.stamp = 0
        """Site clock, ns."""
        self.physics = ContactTally(robots, people, forklifts)
        self.oracle = ContactTally(robots, people, forklifts)
        self.record = Record()
        self.battery: NDArray[np.float64]
        """State of charge, 0 to 1, (robots,)."""
        self.poses: NDArray[np.float32]
        """True poses, (robots, 3)."""
        self.twists: NDArray[np.float32]
        """True forward speed, yaw rate and sideways speed, (robots, 3)."""
        self.bumper = np.zeros(robots, bool)
        self.doors = Doors(site)
        self._site_now = self._with_doors()
        self._geoms = _geom_kinds(self.model, robots)
        self._prepare(profile, crowd)
        self._place_robots()
        self._place_people()
        self._read.launch()
        self._place_forklifts()
        self._look(begins=True)
        self._remember()

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
        steps = self.motor_periods * self.physics_steps
        poses = np.empty((steps, self.robots, 3))
        people = np.empty((steps, self.people, 2))
        trucks = np.empty((steps, self.forklifts, 3))
        pods = np.empty((steps, self.pods.count if self.pods else 0, 3))
        carrier = np.full(pods.shape[:2], -1)
        boxes = np.empty((steps, self.spilled.count if self.spilled else 0, 3))
        speed, turn = np.empty((steps, self.robots)), np.empty((steps, self.robots))
        touch = Touch(
            map=np.zeros((steps, self.robots), bool),
            robot=np.zeros((steps, self.robots, self.robots), bool),
            person=np.zeros((steps, self.robots, self.people), bool),
            forklift=np.zeros((steps, self.robots, self.forklifts), bool),
        )
        for step in range(steps):
            if step % self.physics_steps == 0:
                if self._walk is not None:
                    self._walk.launch()
                for driver in self._drivers:
                    driver.launch()
                self._drive[step // self.physics_steps].launch()
                if self.pods is not None:
                    self.pods.handle()
            if self.pods is not None:
                pods[step], carrier[step] = self.pods.poses(), self.pods.carrier
            if self.spilled is not None:
                boxes[step] = self.spilled.poses()
            people[step] = self.data.mocap_pos[: self.people, :2]
            trucks[step] = self._trucks.pose.numpy()[0]
            poses[step] = self.poses
            np.hypot(self.twists[:, 0], self.twists[:, 2], out=speed[step])
            turn[step] = self.twists[:, 1]
            mujoco.mj_step(self.model, self.data)
            if self.data.ncon:
                self._contacts(touch, step)
            self._read.launch()
            if self.suite is not None:
                self._touching.numpy()[:, 0] = touch.pairs[step].any(axis=1)
                _run(self.suite.step)
        self.physics.add(touch, speed, turn)
        seen = touching(
            self._site_now,
            self.spec.length,
            self.spec.width,
            poses,
            people,
            PERSON_RADIUS,
            trucks,
            (self.truck.length, self.truck.width),
        )
        if self.pods is not None:
            size, truck = (self.spec.length, self.spec.width), (self.truck.length, self.truck.width)
            add_pods(seen, self._site_now, size, poses, people, trucks, truck, pods, carrier)
        if self.spilled is not None:
            add_boxes(seen, (self.spec.length, self.spec.width), poses, boxes)
            for leg in legs_of(self.site.fixtures.pod_size, pods):
                add_boxes(seen, (LEG, LEG), leg, boxes, carrier)
        self.oracle.add(seen, speed, turn)
        self.bumper = touch.pairs.any(axis=(0, 2))
        self.stamp += self.spec.period
        self._step.numpy()[...] += 1
        self._charge(speed[-1])
        if self.doors.step(self.period, self.poses, self._people.position.numpy()[0]):
            self._move_doors()
        self._look()
        self._remember()

    def readings(self, robot: int) -> Readings:
        """What one robot's sensors say now."""
        return Readings(
            stamp=self.stamp,
            scan=self._scan.numpy()[robot].copy(),
            scan_stamp=self._looked(robot, "lidar"),
            pose=self._measured_pose.numpy()[robot].copy(),
            pose_stamp=self._looked(robot, "localisation"),
            twist=self._measured_twist.numpy()[robot].copy(),
            twist_stamp=self._looked(robot, "odometry"),
            battery=float(self.battery[robot]),
            bumper=bool(self.bumper[robot]),
            lift=self.pods.lift(robot) if self.pods is not None else -1.0,
        )

    def _look(self, *, begins: bool = False) -> None:
        """Read the sensors at the end of a period, or for the first time: those in time say what has arrived."""
        self._sense.launch()
        if self._sensors.lidar is None:
            _run(self._sights_look)
            self._sweep.launch()
        if self.suite is not None:
            if begins:
                _run(self._suite_begin)
            _run(self._suite_deliver)
            if self._sensors.bumper is not None:
                self.bumper = self.suite.readings["bumper"].numpy()[:, 0] > 0.0

    def _looked(self, robot: int, sensor: str) -> int:
        """When a sensor looked at what it says now, ns; before the start it stood where it stands."""
        if self.suite is None or sensor not in self.suite.names:
            return self.stamp
        steps = round(float(self.suite.age.numpy()[robot, NAMES.index(sensor)]) / self.scene.timestep)
        return self.stamp - steps * (self.spec.motor_period // self.physics_steps)

    def write(self, folder: Path, names: tuple[str, ...], **notes: Any) -> None:
        """Write plant.npz (poses, for pictures) and plant.json (counts, and `notes`: plain JSON values) into `folder`.

        Raises `FileError` where they cannot be written; neither is ever half there.
        """
        with replacing(folder / "plant.npz") as temporary:
            np.savez_compressed(
                temporary,
                names=np.array(names),
                stamps=np.array(self.record.stamps, np.int64),
                poses=np.array(self.record.poses, np.float32).reshape(len(self.record.stamps), self.robots, 3),
                doors=np.array(self.record.doors, bool).reshape(len(self.record.stamps), len(self.doors.open)),
                fixtures=np.frombuffer(pack_fixtures(self.site.fixtures), np.uint8),
                boxes=(self.spilled.poses() if self.spilled else np.zeros((0, 3))).astype(np.float32),
                pods=np.array(self.record.pods, np.float32).reshape(len(self.record.stamps), -1, 3),
                people=np.array(self.record.people, np.float32).reshape(len(self.record.stamps), self.people, 2),
                forklifts=np.array(self.record.forklifts, np.float32).reshape(
                    len(self.record.stamps), self.forklifts, 3
                ),
                truck=np.array([self.truck.length, self.truck.width, self.truck.height], np.float32),
                footprint=np.array([self.spec.length, self.spec.width, self.spec.height], np.float32),
                exits=self.site.exits,
                blocked=self.site.blocked,
                person_free=self.site.person_free,
                stations=self.site.stations,
                chargers=self.site.chargers,
                cell=np.array(self.site.cell),
            )
        write_atomic(folder / "plant.json", json.dumps(self.summary(names) | notes, indent=2) + "\n")

    def summary(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Counts of both witnesses, and every episode of contact that the engine saw."""
        moved = (
            np.diff(np.array(self.record.poses)[:, :, :2], axis=0) if len(self.record.poses) > 1 else np.zeros((1, 1))
        )
        motor = self.spec.motor_period // self.physics_steps
        return {
            "site": self.site.name,
            "site_hash": self.site.hash,
            "robots": self.robots,
            "people": self.people,
            "forklifts": self.forklifts,
            "seed": self.seed,
            "sim_seconds": self.stamp / SECOND,
            "metres": float(np.hypot(moved[..., 0], moved[..., 1]).sum()) if moved.ndim == 3 else 0.0,
            "collisions": self.physics.collisions,
            "oracle_collisions": self.oracle.collisions,
            "person_contacts": self.physics.person_contacts,
            "oracle_person_contacts": self.oracle.person_contacts,
            "struck": self.physics.struck,
            "oracle_struck": self.oracle.struck,
            "contacts": [
                {
                    "stamp": contact.step * motor,
                    "robot": names[contact.robot],
                    "with": "person" if contact.person else "solid",
                    "speed": round(contact.speed, 4),
                    "turn": round(contact.turn, 4),
                    "collision": contact.collision,
                }
                for contact in self.physics.contacts[:1000]
            ],
        }

    def _prepare(self, profile: Profile, crowd: CrowdKind) -> None:
        """Allocate all arrays and record all launches."""
        site, spec, robots, device = self.site, self.spec, self.robots, "cpu"
        qpos, qvel, ctrl = (_row(array) for array in (self.data.qpos, self.data.qvel, self.data.ctrl))
        movers = self.people + self.forklifts
        mocap = wp.array(
            ptr=self.data.mocap_pos.ctypes.data, dtype=wp.float64, shape=(1, movers, 3), device=device, copy=False
        )
        quat = wp.array(
            ptr=self.data.mocap_quat.ctypes.data, dtype=wp.float64, shape=(1, movers, 4), device=device, copy=False
        )
        drive = make_drive(robots, device)
        drive.latency.fill_(LATENCY_PERIODS)
        drive.lag.fill_(LAG)
        self._released, self._before = drive.released, drive.before
        self._pose, self._twist = wp.zeros((robots, 3), dtype=wp.float32), wp.zeros((robots, 3), dtype=wp.float32)
        self._measured_pose = wp.zeros((robots, 3), dtype=wp.float32)
        self._measured_twist = wp.zeros((robots, 2), dtype=wp.float32)
        self._scan = wp.zeros((robots, spec.lidar.rays), dtype=wp.float32)
        self.poses, self.twists = np.asarray(self._pose.numpy()), np.asarray(self._twist.numpy())
        self._step, episode = wp.zeros(robots, dtype=wp.int32), wp.zeros(robots, dtype=wp.int32)
        every = wp.array(np.ones(robots, np.uint8), dtype=wp.uint8)
        batteries = make_batteries(robots, device)
        self.battery = np.asarray(batteries.charge.numpy())
        self._charging = wp.zeros(robots, dtype=wp.uint8)
        self._payload = wp.zeros(robots, dtype=wp.float32)
        self._drain = record(
            run_batteries,
            robots,
            [
                battery_numbers(Battery(), spec, device),
                self._twist,
                self._payload,
                self._charging,
                self.period,
                batteries,
            ],
        )
        floor = floor_arrays(self._mapped(site), device)
        self._flags = floor.flags
        self._trucks = make_forklifts(1, self.forklifts, device)
        self._sights = None
        if self.scene.pods or self.scene.boxes:
            carried = self.pods.pods if self.pods is not None else None
            self._sights = Sights(self.scene, one_world(self.model, self.data), carried)
        things = self._sights.things if self._sights is not None else None
        self._sights_look = self._sights.look if self._sights is not None else []
        boxes = make_boxes(self._trucks.pose, self.truck.length, self.truck.width, things)
        self._people = make_people(1, self.people, device)
        self._drive = record_drive(spec, drive, ctrl, robots, self.scene.ctrl_stride, device)
        self._read = record(
            read_bodies,
            robots,
            [qpos, qvel, robots, self.scene.qpos_stride, self.scene.qvel_stride, self._pose, self._twist],
        )
        table = Table((*plant_rows(spec), *sensor_rows(self._sensors)))
        varies = make_arrays(table, robots, device)
        wp.launch(draw_episodes, dim=robots, inputs=[self.seed, episode, every, varies], device=device)
        errors = sensor_errors(table, varies.values)
        self._sense = record(
            measure,
            robots,
            [
                self._pose,
                self._twist,
                errors,
                self.period,
                self.seed,
                episode,
                self._step,
                every,
                self._measured_pose,
                self._measured_twist,
            ],
        )

        def sweep(mask: wp.array, scan: wp.array, errors: Any) -> Launchable:  # SensorErrors, a struct
            return record(
                sweep_lidar,
                robots,
                [
                    self._pose,
                    ray_directions(spec.lidar, device),
                    floor.flags,
                    floor.width,
                    floor.height,
                    floor.cell,
                    floor.pod,
                    self._people.position,
                    boxes,
                    robots,
                    spec.length / 2,
                    spec.width / 2,
                    spec.lidar.range_max,
                    errors,
                    self.seed,
                    episode,
                    self._step,
                    mask,
                    scan,
                ],
            )

        self._sweep = sweep(every, self._scan, errors)
        self.suite: SensorSuite | None = None
        """The sensors in time; None where none was asked for."""
        if self._sensors.timings():
            self._touching = wp.zeros((robots, 1), dtype=wp.uint8)
            self.suite = SensorSuite(
                self._sensors,
                Senses(
                    spec=spec,
                    robots=robots,
                    rows=robots,
                    timestep=self.scene.timestep,
                    seed=self.seed,
                    table=table,
                    values=varies.values,
                    device=device,
                    record=record,
                    episode=episode,
                    pose=self._pose,
                    twist=self._twist,
                    touching=self._touching,
                    friction=wp.full(robots, TRACTION, dtype=wp.float32),
                    payload=wp.zeros(robots, dtype=wp.float32),
                    qpos=qpos,
                    qvel=qvel,
                    qpos_stride=self.scene.qpos_stride,
                    qvel_stride=self.scene.qvel_stride,
                    scan=self._scan,
                    measured_pose=self._measured_pose,
                    measured_twist=self._measured_twist,
                    sweep=lambda mask, scan: [*self._sights_look, sweep(mask, scan, no_errors(robots, device))],
                ),
            )
            self._suite_begin, self._suite_deliver = self.suite.begin(every), self.suite.deliver(every)
        self._drivers = self._starts = ()
        if self.forklifts:
            yard = make_yard(
                site,
                self.truck,
                robots=robots,
                radius=spec.radius,
                pose=self._pose,
                people=self._people.position,
                seed=self.seed,
            )
            period = spec.motor_period / SECOND
            self._drivers = record_drivers(
                yard, self._trucks, mocap, quat, bodies=self.people, dt=period, seed=self.seed
            )
            self._starts = record_starts(yard, self._trucks, every, episode, seed=self.seed)
        self._walk = None
        if self.people:
            self._walk = record_walk(
                crowd,
                site,
                floor,
                self._people,
                make_crowd(1, self.people, device),
                self._pose,
                self._twist,
                mocap,
                robots=robots,
                robot_radius=spec.radius,
                dt=spec.motor_period / SECOND,
                profile=int(profile),
                seed=self.seed,
                manners=Manners(),
                ways=find_ways(~(site.standing | site.person_free), GOALS, self.seed),  # through automatic doors
                boxes=boxes,
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

    def _place_people(self) -> None:
        """Everybody on a cell of their own from which there is a way on, drawn by the seed, away from the robots."""
        if not self.people:
            return
        cells = people_cells(self.site, self.starts, self.people, self.seed)
        crowd = self._people
        crowd.origin.numpy()[0] = cells
        crowd.target.numpy()[0] = cells
        crowd.position.numpy()[0] = self.site.centre(cells)
        crowd.speed.numpy()[0] = SPEED_LOW + (SPEED_HIGH - SPEED_LOW) * unit_numpy(
            draw_numpy(self.seed, int(Term.PERSON_SPEED), 0, 0, np.arange(self.people))
        )
        self.data.mocap_pos[: self.people, :2] = crowd.position.numpy()[0]
        self.data.mocap_pos[: self.people, 2] = 0.0

    def _place_forklifts(self) -> None:
        """Each on a place of its own, drawn by the seed, away from robots and people; who finds none stays away."""
        for start in self._starts:
            start.launch()
        x, y, yaw = self._trucks.pose.numpy()[0].T
        self.data.mocap_pos[self.people :, :2] = np.stack([x, y], axis=-1)
        self.data.mocap_quat[self.people :] = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], axis=-1)

    def _contacts(self, touch: Touch, step: int) -> None:
        """Flags of one step from the engine's contact list: each pair that overlaps, floor and wheels left out."""
        contact = self.data.contact
        for one, two in contact.geom[contact.dist < 0.0]:
            for geom, other in ((one, two), (two, one)):
                (kind, robot), (other_kind, number) = self._held(*self._geoms[geom]), self._held(*self._geoms[other])
                if kind != "robot" or (other_kind == "robot" and robot == number):
                    continue
                if other_kind == "map":
                    touch.map[step, robot] = True
                elif other_kind == "robot":
                    touch.robot[step, robot, number] = True
                elif other_kind == "person":
                    touch.person[step, robot, number] = True
                elif other_kind == "forklift" and touch.forklift is not None:
                    touch.forklift[step, robot, number] = True

    def _held(self, kind: str, number: int) -> tuple[str, int]:
        """What a geom counts as: a carried pod as its robot, one that stands as the map."""
        if kind != "pod" or self.pods is None:
            return kind, number
        robot = int(self.pods.carrier[number])
        return ("robot", robot) if robot >= 0 else ("map", 0)

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
        self.record.stamps.append(self.stamp)
        self.record.poses.append(self.poses.copy())
        self.record.doors.append(self.doors.open.copy())
        self.record.pods.append((self.pods.poses() if self.pods else np.zeros((0, 3))).astype(np.float32))
        self.record.people.append(np.array(self._people.position.numpy()[0], np.float32))
        self.record.forklifts.append(np.array(self._trucks.pose.numpy()[0], np.float32))


def start_cells(site: Site, robots: int, seed: int, given: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """A cell of its own for each robot: the given ones in order, then drawn ones.

    Drawn cells are connected with the first station (or lie in the largest part of the floor, where there is none),
    and are no station or charger where that is possible. Raises `SiteError` for more robots than free cells, and for a
    given cell that is blocked or given twice.
    """
    first = np.zeros(0, np.int32) if given is None else np.asarray(given, np.int32)[:robots]
    for number, cell in enumerate(first.tolist()):
        if not 0 <= cell < site.blocked.size or site.filled.reshape(-1)[cell] or cell in first[:number]:
            raise SiteError(
                f"expected a free cell of its own for each robot to start on, got cell {cell} for robot {number}; "
                "choose another start"
            )
    part = components(site)
    home = part[site.stations[0]] if len(site.stations) else np.bincount(part[part >= 0]).argmax()
    rank = np.where(part == home, 0, 9)
    if len(site.stations):
        rank[distances(site, site.stations[:1]) >= FAR] = 9
    rank[np.concatenate([site.stations, site.chargers])] += 1
    rank[[*first, *site.fixtures.pods, *site.fixtures.door_cells(*DoorState)]] = 9
    room = len(first) + int((rank < 9).sum())
    if robots > room:
        raise SiteError(
            f"expected at most {room} robots, one for each free cell of {site.name} that has a way to the others, "
            f"got {robots}; take fewer or a larger site"
        )
    order = np.argsort(draw_numpy(seed, int(Term.START), 0, 0, np.arange(site.blocked.size)), kind="stable")
    drawn = order[np.argsort(rank[order], kind="stable")][: robots - len(first)]
    return np.concatenate([first, drawn.astype(np.int32)])


def people_cells(site: Site, starts: NDArray[np.int32], people: int, seed: int) -> NDArray[np.int32]:
    """A cell of their own for each person, away from robots on `starts`. Raises `SiteError` where there is no room."""
    open_cells = np.flatnonzero(_walkable(site).reshape(-1))
    gap = site.centre(open_cells)[:, None] - site.centre(starts)[None]
    away = open_cells[(np.hypot(gap[..., 0], gap[..., 1]) > CLEARANCE).all(axis=1)]
    if len(away) < people:
        raise SiteError(
            f"expected room for {people} people on {site.name}, got {len(away)} cells that people may "
            f"enter {CLEARANCE} m from all robots; take fewer people, or a site that is not person-free"
        )
    order = np.argsort(draw_numpy(seed, int(Term.PERSON_START), 0, 0, np.arange(len(away))), kind="stable")
    return away[order[:people]].astype(np.int32)


def start_yaws(site: Site, cells: NDArray[np.int32], seed: int) -> NDArray[np.float64]:
    """A direction for each robot in which it may leave its cell, drawn by the seed; east where there is none."""
    yaws = np.zeros(len(cells))
    for robot, cell in enumerate(cells.tolist()):
        moves = np.flatnonzero(site.exits.reshape(-1, 4)[cell])
        if len(moves):
            pick = int(draw_numpy(seed, int(Term.START), 0, 1, robot)) % len(moves)
            row, column = MOVES[moves[pick]]
            yaws[robot] = np.arctan2(-row, column)
    return yaws


def _walkable(site: Site) -> NDArray[np.bool_]:
    """Cells that people may enter and leave again."""
    cells = ~(site.filled | site.person_free)
    beside = np.zeros_like(cells)
    beside[1:] |= cells[:-1]
    beside[:-1] |= cells[1:]
    beside[:, 1:] |= cells[:, :-1]
    beside[:, :-1] |= cells[:, 1:]
    return cells & beside


def _geom_kinds(model: mujoco.MjModel, robots: int) -> list[tuple[str, int]]:
    """What each geom is: "robot" (its hull), "person" or "map", with the number of the robot or person; or "floor"."""
    kinds = []
    for geom in range(model.ngeom):
        name, body = model.geom(geom).name, model.body(model.geom(geom).bodyid[0]).name
        if body.startswith("pod"):
            kinds.append(("pod", int(body.removeprefix("pod"))))
        elif name.startswith("hull"):
            kinds.append(("robot", int(name.removeprefix("hull"))))
        elif name.startswith("person"):
            kinds.append(("person", int(name.removeprefix("person"))))
        elif name.startswith("forklift"):
            kinds.append(("forklift", int(name.removeprefix("forklift"))))
        elif name.startswith(("rack", "wall", "pod", "door", "box")):
            kinds.append(("map", 0))
        else:
            kinds.append(("floor", 0))  # the floor, and wheels and casters, which meet the floor alone
    assert sum(kind == "robot" for kind, _ in kinds) == robots
    return kinds


def _run(launches: Sequence[Launchable]) -> None:
    for launch in launches:
        launch.launch()


def _row(array: NDArray[np.float64]) -> wp.array:
    """A vector of the simulation as a (1, n) Warp array on the same memory."""
    return wp.array(ptr=array.ctypes.data, dtype=wp.float64, shape=(1, len(array)), device="cpu", copy=False)
