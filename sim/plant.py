"""The plant: one floor in many worlds, its robots, their drives and sensors, and the people; no task.

Rows are robots, row = world * robots + robot. `Plant` owns the arrays of all of them and the recorded launches that
move them through one control step:

    open      actions that are no numbers are refused; flags are cleared, time goes on (the task then writes commands)
    move      5 times: people walk 20 ms -> drive writes controls -> physics -> contacts, poses
    sense     readings, then the lidar, of masked rows; sensors in time (sim/suite.py) look in `move` already
    renew     masked rows: next episode number, drive and floor drawn, everything at rest
    place     masked rows: the body where `pose` says

A task (sim/tasks/task.py) fills in what lies between: commands, places, goals. Random numbers are keyed draws of (seed,
row, episode), so that world i lives the same life whatever the number of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import warp as wp

from sim.backend import Backend, make_backend
from sim.bounds import check_named, check_whole
from sim.crowd import CrowdKind
from sim.device import check_device, start_warp
from sim.diverged import Recorder
from sim.doors import PlantDoors
from sim.drive import make_drive, record_drive
from sim.fixtures import DoorState
from sim.forklifts import ForkliftSpec, check_bound
from sim.launches import Launchable, Several, record
from sim.loads import NO_LOADS, Loads
from sim.manners import Manners
from sim.movers import Movers
from sim.pace import NO_LIMIT, keep_pace, make_zones
from sim.people import MOVING, Profile
from sim.plantsenses import PlantSenses
from sim.pods import Pods
from sim.rays import floor_arrays
from sim.robot import SECOND, RobotSpec
from sim.rows import make_draws, make_robots, open_step, place_rows, renew_rows
from sim.scene import Body, Scene, build_scene
from sim.seeds import SEEDS, seed_key
from sim.sensorspec import Sensors
from sim.site import Site, opened
from sim.slopes import record_raise
from sim.specfile import check_spec
from sim.spilling import Spills
from sim.tasks.aside import leave_floor
from sim.tasks.task import check_people, make_corridor, struct_arrays
from sim.truth import after_substep, read_bodies
from sim.varied import latency_room, plant_table
from sim.variedfields import FieldWriter
from sim.vary import Table, make_arrays

THRUST = 240.0
"""Largest force of both drives together, N: 2.4 m/s^2 with full payload, above what the firmware commands."""

THRUST_FOR = 100.0
"""The mass, kg, that `THRUST` is stated for: the small AMR with its payload; a heavier robot pushes more."""


class Plant:
    """`worlds` worlds of one floor with `robots` robots each. Owns physics, people, drives and sensors."""

    def __init__(
        self,
        site: Site,
        spec: RobotSpec,
        *,
        worlds: int,
        robots: int = 1,
        people: int = 0,
        profile: Profile = Profile.STILL,
        crowd: CrowdKind = "cells",
        manners: Manners | None = None,
        forklifts: int = 0,
        forklift: ForkliftSpec | None = None,
        vary: Table | None = None,
        sensors: Sensors | None = None,
        seed: int = 0,
        body: Body = "planar",
        loads: Loads = NO_LOADS,
        threads: int = 2,
        device: str = "cpu",
        backend: Callable[[Scene, int], Backend] | None = None,
        filtered: bool = False,
        lidar: bool = True,
    ) -> None:
        """Build the scene and record the launches. `filtered`: a filter makes `drive.released` of `state.proposed`.

        `vary` is the table of what varies (None: `plant_table`); `table` and `varies` keep it and its arrays.
        `loads` are pods, boxes and shelves; a task commands lifts by `pods.state.wanted`. `backend` makes the physics
        from a scene and the number of worlds (None: `BatchBackend` with `threads` on "cpu", `WarpBackend` on any other
        device); `lidar=False` leaves the sweep out. `sensors` simulates sensors in time, whose rows `vary` must hold
        (`sim.sensorrows`); contacts are then counted at each physics step. Raises SpecError for a robot that cannot be,
        ConfigError for another number, name or device that cannot.
        """
        start_warp()
        check_spec(spec)
        check_people(people, forklifts, crowd, profile)
        for name, value in (("worlds", worlds), ("robots", robots), ("threads", threads)):
            check_whole(name, value, 1)
        check_whole("rows (worlds * robots)", worlds * robots, 1)
        check_whole("seed", seed, 0, SEEDS - 1)
        check_named("body", body, get_args(Body))
        check_device(device)
        self.site, self.spec, self.seed, self.device = site, spec, seed_key(seed), device
        self.worlds, self.robots, self.rows, self.profile = worlds, robots, worlds * robots, profile
        self.table = vary or plant_table(spec)
        """What varies."""
        self.varies = make_arrays(self.table, self.rows, device)
        """The same on the device, with what was drawn for each row's episode."""
        truck = forklift or ForkliftSpec()
        if forklifts:
            check_bound(truck, profile)
        self.scene = build_scene(
            site,
            spec,
            robots,
            people,
            body,
            forklifts=forklifts,
            forklift_spec=truck,
            movable_pods=loads.movable_pods,
            own_pods=loads.pods,
            pod_size=loads.pod_size,
            boxes=loads.boxes,
            shelves=loads.shelves,
            moving_doors=bool(site.fixtures.door_cells(DoorState.AUTOMATIC)),
        )
        self.backend: Backend = (
            backend(self.scene, worlds) if backend else make_backend(self.scene.model, worlds, threads, device)
        )
        self.pods = Pods(self.scene, self.backend, spec.motor_period / SECOND) if self.scene.pods else None
        """Who carries what; None where no pod can be moved."""
        self.spills = Spills(site, self.scene, self.backend, self.seed, self.table) if self.scene.boxes else None
        """Where boxes lie; None where none can."""
        automatic = site.fixtures.door_cells(DoorState.AUTOMATIC)
        self.doors = PlantDoors(site, worlds, robots, device) if automatic else None
        """Doors that open by themselves, in each world for itself; None where there are none."""
        # pods that move are things that the lidar sees, not cells of the map
        mapped = replace(site, fixtures=replace(site.fixtures, pods=())) if loads.movable_pods else site
        self.floor = floor_arrays(mapped, device)
        """The map as people take it: an automatic door is a wall to them."""
        self.seen = floor_arrays(opened(mapped), device) if automatic else self.floor
        """The map as the lidar takes it: automatic doors are things there."""
        self.zones = make_zones(site, spec, device) if site.fixtures.zones else None
        """The floor's speed limits; None where there are none, and nothing is launched for them."""
        self.speed_limit = wp.full(self.rows, NO_LIMIT, dtype=wp.float32, device=device)
        """What each row may be commanded at most in this step, m/s; written by `pace`."""
        self.drive = make_drive(self.rows, device)
        self.state = make_robots(self.rows, spec.lidar, self.scene.contacts.shape[1], device)
        if not filtered:
            self.state.proposed = self.drive.released
        self.diverged = self.backend.diverged_flags
        self.limits = self.backend.field("actuator_forcerange")
        self.all_rows = wp.full(self.rows, 1, dtype=wp.uint8, device=device)
        self.recorder: Recorder | None = None
        """Keeps what a world that blows up started from; None: nobody asks for it."""
        self.movers = Movers(
            site,
            self.floor,
            spec,
            truck,
            worlds=worlds,
            robots=robots,
            people=people,
            forklifts=forklifts,
            profile=profile,
            crowd=crowd,
            manners=manners or Manners(),
            seed=self.seed,
            pose=self.state.pose,
            twist=self.state.twist,
            mocap=self.backend.mocap_pos,
            turns=self.backend.data("mocap_quat"),
            table=self.table,
            values=self.varies.values,
        )
        self.people, self.crowd, self.forklifts = self.movers.people, self.movers.crowd, self.movers.forklifts
        self.walk: Launchable = self.movers.step
        """A motor period of people and forklifts; a test may put somebody else's steps in its place."""
        self.senses = PlantSenses(self, sensors or Sensors(), lidar=lidar)
        self.suite = self.senses.suite
        """The sensors in time; None where none was asked for."""
        self._record()

    def _record(self) -> None:
        spec, scene, backend, state = self.spec, self.scene, self.backend, self.state
        self.substeps = round(spec.motor_period / SECOND / scene.timestep)
        self._door_steps: Sequence[Launchable] = ()
        if self.doors is not None:
            self._door_steps = (self.doors.step(state.pose, self.people.position, spec.period / SECOND),)
        self._drives = record_drive(spec, self.drive, backend.ctrl, self.robots, scene.ctrl_stride, self.device)
        bodies = [backend.qpos, backend.qvel, self.robots, scene.qpos_stride, scene.qvel_stride]
        self._contacts = wp.array(scene.contacts, dtype=wp.int32, device=self.device)
        self._settle = self.record(
            after_substep,
            self.rows,
            [backend.sensordata, *bodies, self._contacts, MOVING, state.pose, state.twist, state.touching,
             state.collided, state.bumped],
        )  # fmt: skip
        self.every_period: list[Launchable] = []
        """Run before the physics of each motor period: lifts, and what a task moves faster than it is asked."""
        self._after_physics: list[Launchable] = [self._settle]
        if self.pods is not None:
            self.every_period.append(self.pods.handle)
            # before `_settle`: both speak of the state that the sensors saw, which `_settle` then leaves
            self._after_physics.insert(0, self.pods.settle(state.twist, MOVING, state.collided, state.bumped))
        self._read = self.record(read_bodies, self.rows, [*bodies, state.pose, state.twist])
        self._fields = FieldWriter(self.scene, self.backend, self.table, self.varies)
        self._draws = make_draws(self.table, self.varies)
        for name, value in (
            ("thrust", THRUST * (spec.mass + spec.payload_max) / THRUST_FOR),
            ("mass", spec.mass),
            ("payload_max", spec.payload_max),
            ("lag_room", latency_room(spec)),
            ("motor_period", spec.motor_period / SECOND),
            ("half_track", spec.diff.track / 2),
            ("wheel_radius", spec.diff.wheel_radius),
        ):
            setattr(self._draws, name, float(value))

    @property
    def grid(self) -> list[Any]:  # an array and numbers, as kernels take them
        """The floor's flags, width, height and cell size."""
        return [self.floor.flags, self.floor.width, self.floor.height, self.floor.cell]

    def record(self, kernel: Any, dim: int | tuple[int, int], inputs: list[Any]) -> Launchable:  # Warp's own types
        """A launch to be repeated; of no threads (no people) one that does nothing."""
        return record(kernel, dim, inputs, self.device)

    def open(self, action: wp.array) -> Launchable:
        """The launch that begins a control step, before the task makes commands of the actions."""
        return self.record(open_step, self.rows, [self.robots, action, self.state, self.drive, self.diverged])

    def pace(self, corridor: Any) -> Sequence[Launchable]:  # an instance of the Warp struct `Corridor`, or None
        """The launch that keeps proposed commands within the floor's speed zones, if it has some; after the task's act.

        `corridor` is where the rows are going; without one only the zones that they are in count.
        """
        if self.zones is None:
            return []
        way = make_corridor(self.rows, self.device) if corridor is None else corridor
        state = self.state
        inputs = [self.zones, state.measured_pose, state.measured_twist, way.points, way.count, state.proposed,
                  self.speed_limit]  # fmt: skip
        return [self.record(keep_pace, self.rows, inputs)]

    def renew(self, mask: wp.array) -> Launchable:
        """The launch that begins the next episode of the masked rows; then the task's `begin` and `place` follow."""
        stride = self.scene.ctrl_stride
        drawn = self.record(
            renew_rows,
            self.rows,
            [self.seed, self.robots, stride, stride - self.spec.tools, self._draws, mask, self.state, self.drive,
             self.limits],
        )  # fmt: skip
        written = self._fields.begin(mask)
        return Several((drawn, *written)) if written else drawn

    def leave(self, mask: wp.array) -> Launchable:
        """The launch after which the masked rows' poses are those of robots that take no part; then `place` follows."""
        return self.record(leave_floor, self.rows, [self.robots, mask, self.state, self.drive])

    def place(self, mask: wp.array) -> Launchable:
        """The launch that puts the masked rows' bodies where `state.pose` says, and what moves in new worlds."""
        backend, scene = self.backend, self.scene
        bodies = self.record(
            place_rows,
            self.rows,
            [self.robots, scene.qpos_stride, scene.qvel_stride, scene.rest_height, mask, self.state.pose,
             backend.qpos, backend.qvel, backend.qacc_warmstart],
        )  # fmt: skip
        loads: tuple[Launchable, ...] = (self.pods.begin(mask),) if self.pods else ()
        if scene.body == "wheeled" and self.site.fixtures.ramps:
            raised = record_raise(
                self.site, self.spec, self.robots, scene.qpos_stride, mask, self.state.pose, backend.qpos
            )
            loads = (raised, *loads)
        if self.doors is not None:
            loads = (*loads, self.doors.begin(mask))
        if self.spills is not None:
            loads = (*loads, self.spills.begin(mask, self.state, self.varies))
        return Several((bodies, *loads, *self.movers.begin(mask, self.state.episode)))

    def sense(self, mask: wp.array, *, begins: bool = False) -> Sequence[Launchable]:
        """The launches by which the masked rows read their sensors; `begins`: their episodes have just begun."""
        return self.senses.look(mask, begins=begins)

    def move(self, look: Callable[[], None] | None = None) -> None:
        """One control step of people, drives and physics; `look` is called after every physics substep."""
        if self.recorder is not None:
            self.recorder.begin()
        last = len(self._drives) - 1
        at_once = look is None and self.suite is None
        for period, drive in enumerate(self._drives):
            self.walk.launch()
            drive.launch()
            for tool in self.every_period:
                tool.launch()
            if self.recorder is not None:
                self.recorder.inputs(period)
            for substep in range(1 if at_once else self.substeps):
                self.backend.step(self.substeps if at_once else 1)
                if period == last and (at_once or substep == self.substeps - 1):
                    self.backend.watch()
                for launch in self._after_physics:
                    launch.launch()
                if self.suite is not None:
                    for launch in self.suite.step:
                        launch.launch()
                if look is not None:
                    look()
        for launch in self._door_steps:
            launch.launch()

    def read(self) -> None:
        """The true poses and twists from the bodies' coordinates."""
        self._read.launch()

    def parts(self) -> list[object]:
        """What a captured step depends on beside the physics: a test may put another walk in its place."""
        return [self.walk]

    def arrays(self) -> dict[str, wp.array]:
        """Everything that later steps depend on beside the backend's state, by name."""
        return (
            struct_arrays("robot", self.state)
            | self.movers.arrays()
            | struct_arrays("drive", self.drive)
            | {"vary.values": self.varies.values, "vary.pinned": self.varies.pinned}
            | (self.pods.arrays() if self.pods else {})
            | (struct_arrays("door", self.doors.state) if self.doors else {})
            | (self.suite.arrays() if self.suite else {})
        )
