"""The road's plant: many worlds, each on one road of an atlas, with its cars, their senses, and everybody else.

Rows are cars, row = world * robots + robot. `RoadPlant` owns the arrays of all of them and the recorded launches that
move them through one control step:

    open      actions that are no numbers are refused; flags are cleared, time goes on (the task then writes commands)
    move      others decide; then 5 times: others move 10 ms -> motor policy, if any -> drive writes controls
              -> physics -> poses, contacts; then on which lane each car stands
    sense     what masked rows sense of themselves, their lane and others, into `view`
    renew     masked rows: next episode number, drive, tyres and load drawn
    place     masked rows: the car where `state.pose` says, rolling; others begin around it

A task (sim/driving/skill.py) fills in what lies between: commands, places, goals. Others are movers: traffic, people, a
scenario's actors. Random numbers are keyed draws, so that world i lives the same life whatever the number of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import warp as wp

from sim.backend import Backend
from sim.bounds import check_named, check_whole
from sim.device import check_device, start_warp
from sim.diverged import Recorder
from sim.driving.atlas import Atlas
from sim.driving.blame import Judge
from sim.driving.cars import RoadCars
from sim.driving.drive import make_car_drive, make_cars, record_car_drive
from sim.driving.footing import find_footing
from sim.driving.motornet import FrozenMotor
from sim.driving.pathframe import make_around, map_objects
from sim.driving.plantkernels import (
    find_whole,
    leave_road,
    next_episode,
    note_contacts,
    rolling,
    show_footing,
    tell_motion,
)
from sim.driving.scene import RoadBody, build_road_scene, make_physics
from sim.driving.state import OBJECTS, make_actors, make_footing, make_view
from sim.driving.touching import record_touching
from sim.driving.variedcars import make_car_draws, record_renew
from sim.launches import Launchable, Several, per_thread, record
from sim.perceptron import Layers
from sim.robot import SECOND, RobotSpec
from sim.rows import make_robots, open_step
from sim.seeds import SEEDS, seed_key
from sim.tasks.task import struct_arrays
from sim.variedfields import FieldWriter
from sim.vary import Table, make_arrays


class Mover(Protocol):
    """Others on the road: they fill slots of `ActorArrays` behind the egos'."""

    decide: Launchable
    """Once a control step."""
    move: Launchable
    """Once a motor period."""

    def begin(self, mask: wp.array) -> Launchable:
        """The next episode of the masked worlds (uint8 (worlds,)), around their cars, which are placed."""
        ...

    def arrays(self) -> Mapping[str, wp.array]:
        """Everything that later steps depend on, by name."""
        ...


class Sense(Protocol):
    """What fills a plant's `view`."""

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """Forget what the masked rows (uint8 (rows,)) sensed: their episodes have just begun."""
        ...

    def look(self, mask: wp.array) -> Sequence[Launchable]:
        """The view of the masked rows."""
        ...

    def arrays(self) -> Mapping[str, wp.array]:
        """Everything that later steps depend on, by name."""
        ...


class RoadPlant:
    """`sim.anyplant.AnyPlant` of the road: `worlds` worlds of an atlas with `robots` cars each among `actors` slots."""

    def __init__(
        self,
        atlas: Atlas,
        spec: RobotSpec,
        *,
        worlds: int,
        robots: int = 1,
        actors: int,
        vary: Table,
        seed: int = 0,
        body: RoadBody = "kinematic",
        threads: int = 2,
        device: str = "cpu",
        filtered: bool = False,
        motor: Layers | None = None,
    ) -> None:
        """Build scene and physics; `complete` adds who else is on the road and what is sensed of it.

        `actors` counts the egos' slots too. `filtered`: a filter makes `drive.released` of `state.proposed`. `motor`: a
        frozen motor policy that corrects the firmware; `vary` must have `motor_rows` then. Raises SpecError for a car
        that cannot be, ConfigError for another number, name or device that cannot, ValueError for another policy.
        """
        start_warp()
        for name, value in (("worlds", worlds), ("robots", robots), ("threads", threads)):
            check_whole(name, value, 1)
        check_whole("actors", actors, robots)
        check_whole("seed", seed, 0, SEEDS - 1)
        check_named("body", body, ("full", "kinematic"))
        check_device(device)
        self.atlas, self.spec, self.seed, self.device = atlas, spec, seed_key(seed), device
        self.worlds, self.robots, self.rows, self.slots = worlds, robots, worlds * robots, actors
        self.table = vary
        self.varies = make_arrays(vary, self.rows, device)
        self.scene = build_road_scene(spec, robots, actors, body)
        self.backend: Backend = make_physics(self.scene, worlds, threads, device)
        self.diverged = self.backend.diverged_flags
        self.state = make_robots(self.rows, spec.lidar, actors, device)
        self.drive, self.cars = make_car_drive(spec, self.rows, device), make_cars(self.rows, device)
        self.motion: wp.array = self.cars.motion
        """True acceleration and curvature of the steering, (rows, 2)."""
        if not filtered:
            self.state.proposed = self.drive.released
        self.actors = make_actors(worlds, actors, device)
        self.footing = make_footing(self.rows, device)
        self.view, self.around = make_view(self.rows, device), make_around(self.rows, device)
        self.road = wp.zeros(worlds, dtype=wp.int32, device=device)
        """Road of the atlas that each world is on."""
        self.start_speed = wp.zeros(self.rows, dtype=wp.float32, device=device)
        """What each row's episode begins with, m/s."""
        self._start_bend = wp.zeros(self.rows, dtype=wp.float32, device=device)
        self.all_rows = wp.full(self.rows, 1, dtype=wp.uint8, device=device)
        self.recorder: Recorder | None = None
        self.substeps = self.scene.substeps
        self.movers: list[Mover] = []
        self.senses: Sense | None = None
        self._bodies = RoadCars(
            self.scene, self.backend, self.drive, self.cars, self.state.pose, self.state.twist, self.actors
        )
        self._draws = make_car_draws(vary, self.varies)
        full = self.scene.model is not None
        self._fields = FieldWriter(self.scene, self.backend, vary, self.varies) if full else None
        self._drives = record_car_drive(
            self.scene, self.drive, self.cars, self.backend.qpos, self.backend.qvel, self.backend.ctrl, device
        )
        self._touching = wp.zeros((self.rows, actors), dtype=wp.uint8, device=device)
        self.judge = Judge(
            lanes=atlas.lanes, actors=self.actors, twist=self.state.twist, motion=self.motion, touching=self._touching,
            robots=robots, comfort=spec.car.brake_comfort, middle=spec.middle, step=spec.motor_period / SECOND,
        )  # fmt: skip
        """Whose doing each contact of each row's episode was."""
        self.overrule: Callable[[wp.array], Sequence[Launchable]] = lambda mask: ()
        """Launches after a task drew where masked rows (uint8 (rows,)) begin: a scenario puts its ego elsewhere."""
        self._went = wp.zeros(self.rows, dtype=wp.float32, device=device)
        """Speed of each row one motor period before, m/s"""
        self._show_others = self._bodies.show_others()
        self.every_period: list[Launchable] = []
        """Before the drives, once a motor period: who corrects them."""
        self._motor = None if motor is None else self._on_motor(motor)
        self._after_physics = [
            self._bodies.read(),
            self._bodies.show_egos(),
            record_touching(robots, self.actors, self._touching, device),
            self.judge.watch,
            self.record(note_contacts, self.rows, [self._touching, self._went, self.state]),
        ]
        self.true_motion = wp.zeros((self.rows, 4), dtype=wp.float32, device=device)
        """Speed, acceleration, curvature of the steering, yaw rate, (rows, 4): what senses look at."""
        self._tell_motion = self.record(tell_motion, self.rows, [self.state.twist, self.motion, self.true_motion])
        self._stand = [
            self._tell_motion,
            self.record(find_footing, self.rows, [atlas.lanes, atlas.routes, self.state.pose, self.footing]),
            self._show_footing(),
        ]

    def _on_motor(self, layers: Layers) -> FrozenMotor:
        motor = FrozenMotor(
            layers, self.spec, seed=self.seed, table=self.table, varies=self.varies, state=self.state, drive=self.drive,
            cars=self.cars, device=self.device,
        )  # fmt: skip
        self.every_period.append(motor.step)
        return motor

    def complete(self, senses: Sense, movers: Sequence[Mover]) -> None:
        """Who fills the view, and who else is on the road; once, before a task is built."""
        self.senses, self.movers = senses, list(movers)
        self._decide = [mover.decide for mover in movers]
        self._move = [mover.move for mover in movers]

    def _show_footing(self) -> Launchable:
        atlas, spec = self.atlas, self.spec
        inputs = [self.robots, spec.middle, atlas.lanes, atlas.routes, self.footing, self.state, self.actors]
        return self.record(show_footing, self.rows, inputs)

    def record(self, kernel: Any, dim: int | tuple[int, int], inputs: list[Any]) -> Launchable:  # Warp's own types
        """A launch to be repeated; of no threads one that does nothing."""
        return record(kernel, dim, inputs, self.device)

    def open(self, action: wp.array) -> Launchable:
        """The launch that begins a control step, before the task makes commands of the actions."""
        return self.record(open_step, self.rows, [self.robots, action, self.state, self.drive, self.diverged])

    def pace(self, corridor: object) -> Sequence[Launchable]:  # roads have limits, not zones
        """Nothing: speed limits are the lanes'."""
        return []

    def renew(self, mask: wp.array) -> Launchable:
        """The launch that begins the next episode of the masked rows; then the task's `begin` and `place` follow."""
        state = self.state
        drawn = record_renew(self.seed, mask, state.episode, self._draws, self.drive, self.cars, self.device)
        fields = self._fields.begin(mask) if self._fields is not None else ()
        begun = self.record(next_episode, self.rows, [mask, state])
        motor = () if self._motor is None else (self._motor.begin(mask),)
        return Several((begun, drawn, *fields, self._bodies.grip(mask), *motor))

    def leave(self, mask: wp.array) -> Launchable:
        """The launch after which the masked rows' poses are those of cars that take no part; then `place` follows."""
        return self.record(leave_road, self.rows, [mask, self.state, self.footing, self.start_speed])

    def place(self, mask: wp.array) -> Launchable:
        """The launch that puts the masked rows' cars where `state.pose` says, rolling, and others around them."""
        rolls = self.record(rolling, self.rows, [mask, self.footing, self.start_speed, self._start_bend, self._went])
        placed = self._bodies.place(mask, self.start_speed, self._start_bend)
        whole = wp.zeros(self.worlds, dtype=wp.uint8, device=self.device)
        worlds = self.record(find_whole, self.worlds, [self.robots, mask, whole])
        others = [worlds, *(mover.begin(whole) for mover in self.movers)] if self.movers else []
        shown = (self._bodies.show_egos(), self._show_footing(), self._tell_motion)
        return Several((rolls, placed, *shown, *others, self._show_others, self.judge.begin(mask)))

    def sense(self, mask: wp.array, *, begins: bool = False) -> Sequence[Launchable]:
        """The launches by which the masked rows fill their views; `begins`: their episodes have just begun."""
        if self.senses is None:
            raise ValueError("expected senses, call `complete` first")
        each = per_thread(OBJECTS, self.device)
        mapped = self.record(map_objects, (self.rows, OBJECTS // each), [self.view, mask, self.around, each])
        return [*(self.senses.begin(mask) if begins else ()), *self.senses.look(mask), mapped]

    def move(self, look: Callable[[], None] | None = None) -> None:
        """One control step of others, drives and physics; `look` is called after every physics substep."""
        if self.recorder is not None:
            self.recorder.begin()
        for launch in self._decide:
            launch.launch()
        last = len(self._drives) - 1
        for period, drive in enumerate(self._drives):
            for launch in self._move:
                launch.launch()
            self._show_others.launch()
            for launch in self.every_period:
                launch.launch()
            drive.launch()
            if self.recorder is not None:
                self.recorder.inputs(period)
            for _ in range(1 if look is None else self.substeps):
                self.backend.step(self.substeps if look is None else 1)
                if look is not None:
                    look()
            if period == last:
                self.backend.watch()
            for launch in self._after_physics:
                launch.launch()
        for launch in self._stand:
            launch.launch()

    def parts(self) -> list[object]:
        """Nothing that anybody replaces."""
        return []

    def arrays(self) -> dict[str, wp.array]:
        """Everything that later steps depend on beside the backend's state, by name."""
        named = {
            **struct_arrays("robot", self.state),
            **struct_arrays("drive", self.drive),
            **struct_arrays("cars", self.cars),
            **struct_arrays("actors", self.actors),
            **struct_arrays("footing", self.footing),
            **struct_arrays("view", self.view),
            **struct_arrays("around", self.around),
            **self.judge.arrays(),
            "road": self.road,
            "start_speed": self.start_speed,
            "true_motion": self.true_motion,
            "went": self._went,
            "vary.values": self.varies.values,
            "vary.pinned": self.varies.pinned,
        }
        for part in (self.senses, self._motor, *self.movers):
            named |= part.arrays() if part is not None else {}
        return named
