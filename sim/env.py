"""Many worlds of one task, stepped together: actions in, observations, rewards and endings out.

One control step of 100 ms:

    action -> command -> filter (if any) -> released command
    5 times: people walk 20 ms -> drive writes controls -> physics -> contacts, poses
    progress, reward, endings -> readings -> lidar -> observation
    rows that ended: their last observation is kept, the next episode is drawn, and they observe again

Every kernel launch is recorded once on arrays that never move; a step allocates nothing and loops over no world in
Python. Rows are robots, row = world * robots + robot. All results are functions of (seed, actions): worlds do not
know of each other, and world i lives the same life whatever the number of worlds.

Pieces for other plants (a fleet in one world): `build_scene`, `BatchBackend`, `record_drive`, `walk_people`,
`sweep_lidar` and `read_bodies` are used here exactly as they are used there; none needs this class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import Backend, BatchBackend
from sim.device import start_warp
from sim.drive import make_drive, record_drive
from sim.filter import PHANTOMS, Filter, FilterInputs, FilterOutputs
from sim.kernels import after_substep, floor_arrays, read_bodies, sweep_lidar
from sim.people import MOVING, SPEED_HIGH, SPEED_LOW, Profile, make_people, walk_people
from sim.robot import SECOND
from sim.scene import Body, Scene, build_scene
from sim.sensors import measure
from sim.site import Site
from sim.tasks.contract import Contract
from sim.tasks.episodes import reset_rows
from sim.tasks.navigate import (
    COLLIDED,
    SUCCEEDED,
    NavigateConfig,
    advance,
    make_navigate,
    make_paths,
)
from sim.tasks.navigate_contract import (
    ACTION,
    OBSERVATION,
    act,
    bin_hull,
    bin_rays,
    navigate_contract,
    observe,
    ray_directions,
)


@dataclass(frozen=True)
class Step:
    """What one control step gave. Arrays are views that the next step overwrites."""

    observation: NDArray[np.float32]
    """After the step, after the reset where the episode ended; (rows, observation)."""
    reward: NDArray[np.float32]
    """(rows,)"""
    terminated: NDArray[np.uint8]
    """The episode has no future; (rows,)."""
    truncated: NDArray[np.uint8]
    """The time limit cut the episode; (rows,)."""
    final_observation: NDArray[np.float32]
    """What the rows that ended saw before the reset; other rows hold older values; (rows, observation)."""
    success: NDArray[np.bool_]
    """(rows,)"""
    collision: NDArray[np.bool_]
    """The episode ended by a collision; (rows,)."""
    ending: NDArray[np.uint8]
    """How each row's episode stands: RUNNING ... of sim.tasks.navigate; (rows,)."""
    bumped: NDArray[np.uint8]
    """Something touched the robot while it stood; (rows,)."""


class BatchEnv:
    """`worlds` worlds of the navigate task on one site, `robots` robots each. Owns all state; see `snapshot`."""

    def __init__(
        self,
        site: Site,
        config: NavigateConfig,
        *,
        worlds: int,
        robots: int = 1,
        seed: int = 0,
        filter: Filter | None = None,
        point_speeds: Callable[[FilterInputs], None] | None = None,
        body: Body = "planar",
        threads: int = 2,
        device: str = "cpu",
        backend: Callable[[Scene, int], Backend] | None = None,
        substep_hook: Callable[[BatchEnv], None] | None = None,
        lidar: bool = True,
    ) -> None:
        """Build the scene, the path library and every launch; call `reset` before the first step.

        `filter` judges every command; `point_speeds` (`sim.points.Points`) fills the filter's `point_speed` and
        `phantoms` before it (without one every point may move at the profile's speed). `substep_hook` is called after
        every physics substep, for oracles and recorders that evaluate; contacts are then counted at each of them, and
        without it (the wheeled body in training) once a motor period. `lidar=False` leaves the sweep out
        (benchmarks).
        """
        if device != "cpu":
            raise ValueError(f"expected device cpu, got {device!r}: steps hand out views of host memory")
        spec = config.spec
        start_warp()
        self.site, self.config, self.spec = site, config, spec
        self.worlds, self.robots, self.rows = worlds, robots, worlds * robots
        self.seed, self.device = seed, device
        self.observation_size, self.action_size = OBSERVATION, ACTION
        self.scene = build_scene(site, spec, robots, config.people, body)
        self.backend: Backend = (
            backend(self.scene, worlds) if backend else BatchBackend(self.scene.model, worlds, threads=threads)
        )
        self.floor = floor_arrays(site, device)
        self.paths = make_paths(site, config, device)
        self.navigate = make_navigate(worlds, robots, self.scene.ctrl_stride, device)
        self.people = make_people(worlds, config.people, device)
        self.drive = make_drive(self.rows, device)
        self.filter, self._point_speeds, self.substep_hook = filter, point_speeds, substep_hook
        self._with_lidar = lidar
        self._allocate()
        self._record()
        if filter is not None:
            self.filter_memory = filter.init(self.rows, device)

    @property
    def contract(self) -> Contract:
        """What a policy for this environment must agree to."""
        return navigate_contract(self.spec)

    def _allocate(self) -> None:
        rows, device = self.rows, self.device

        def floats(*shape: int, value: float = 0.0) -> wp.array:
            return wp.full(shape, value, dtype=wp.float32, device=device)

        def bytes_(n: int = rows, value: int = 0) -> wp.array:
            return wp.full(n, value, dtype=wp.uint8, device=device)

        self.action = floats(rows, ACTION)
        self.pose, self.twist = floats(rows, 3), floats(rows, 3)
        self.measured_pose, self.measured_twist = floats(rows, 3), floats(rows, 2)
        self.scan = floats(rows, self.spec.lidar.rays, value=self.spec.lidar.range_max)
        self.proposed = floats(rows, 2)
        self.observation, self.final_observation = floats(rows, OBSERVATION), floats(rows, OBSERVATION)
        self.reward = floats(rows)
        self.terminated, self.truncated, self.ended, self.ending = (bytes_() for _ in range(4))
        self.collided, self.bumped = bytes_(), bytes_()
        self.touching = wp.zeros((rows, self.scene.contacts.shape[1]), dtype=wp.uint8, device=device)
        self._contacts = wp.array(self.scene.contacts, dtype=wp.int32, device=device)
        self.diverged = bytes_(self.worlds)
        self.all_rows = bytes_(value=1)
        self.margin, self.reason = floats(rows), wp.zeros(rows, dtype=wp.int8, device=device)
        person_speed = 0.0 if self.config.profile == Profile.STILL else SPEED_HIGH
        self.filter_inputs = FilterInputs(
            command=self.proposed,
            last_command=self.drive.before,
            scan=self.scan,
            point_speed=floats(rows, self.spec.lidar.rays, value=person_speed),
            scan_age=floats(rows),
            pose=self.measured_pose,
            twist=self.measured_twist,
            corridor_points=self.navigate.points,
            corridor_half_width=self.navigate.half_width,
            corridor_count=self.navigate.count,
            phantoms=floats(rows, PHANTOMS, 6),
            person_free=floats(rows),
        )
        self.filter_outputs = FilterOutputs(command=self.drive.released, margin=self.margin, reason=self.reason)

    def _launch(self, kernel: Any, dim: int | tuple[int, int], inputs: list[Any]) -> Any:  # Warp's own types
        recorded = wp.launch(kernel, dim=dim, inputs=inputs, device=self.device, record_cmd=True)
        return recorded or _Nothing()

    def _record(self) -> None:
        config, spec, scene, backend = self.config, self.spec, self.scene, self.backend
        floor, paths, nav, people, drive = self.floor, self.paths, self.navigate, self.people, self.drive
        grid = [floor.flags, floor.width, floor.height, floor.cell]
        size = [floor.width, floor.height, floor.cell]
        self._act = self._launch(
            act,
            self.rows,
            [self.action, spec.drive.speed_max, spec.drive.reverse_max, spec.drive.turn_max, int(self.filter is None),
             self.proposed, drive.released, drive.before, self.collided, self.bumped],
        )  # fmt: skip
        self.substeps = round(spec.motor_period / SECOND / scene.timestep)
        self._walk = self._launch(
            walk_people,
            (self.worlds, config.people),
            [*grid, self.seed, spec.motor_period / SECOND, int(config.profile), self.robots, spec.radius,
             self.pose, self.twist, people.position, people.origin, people.target, people.walked, people.speed,
             people.pause, people.held, people.count, people.life, backend.mocap_pos],
        )  # fmt: skip
        self._drives = record_drive(spec, drive, backend.ctrl, self.robots, scene.ctrl_stride, self.device)
        bodies = [backend.qpos, backend.qvel, self.robots, scene.qpos_stride, scene.qvel_stride]
        self._settle = self._launch(
            after_substep,
            self.rows,
            [backend.sensordata, *bodies, self._contacts, MOVING, self.pose, self.twist, self.touching, self.collided,
             self.bumped],
        )  # fmt: skip
        self._read = self._launch(read_bodies, self.rows, [*bodies, self.pose, self.twist])
        weights = config.reward
        corridor = [nav.points, nav.half_width, nav.count, nav.final]
        place = [nav.path, nav.index, nav.granted, nav.lookahead, nav.stall_at, nav.stall_left, nav.remaining]
        self._advance = self._launch(
            advance,
            self.worlds,
            [self.robots, *size, spec.radius, round(config.time_limit * SECOND / spec.period), spec.drive.speed_max,
             spec.drive.turn_max, weights.progress, weights.time, weights.lateral, weights.lateral_free, weights.jerk,
             weights.headway, spec.length / 2, spec.width / 2,
             weights.success, weights.failure, paths.cells, paths.lengths, self.pose, self.twist,
             people.position, drive.released, drive.before, self.collided, self.diverged, nav.step, *place, *corridor,
             self.reward, self.terminated, self.truncated, self.ended, self.ending],
        )  # fmt: skip
        vary = config.randomization

        def reset(everything: int, mask: wp.array) -> wp.Launch:
            return self._launch(
                reset_rows,
                self.worlds,
                [everything, self.seed, self.robots, config.people, *grid, spec.radius, spec.mass, spec.payload_max,
                 max(spec.latency_bound - 0.01, 0.0), spec.motor_period / SECOND, spec.period / SECOND, vary.level,
                 *vary.friction, vary.thrust, vary.start_offset, vary.stall_share, vary.stall_longest,
                 vary.person_share, SPEED_LOW, SPEED_HIGH, scene.qpos_stride, scene.qvel_stride,
                 scene.rest_height, spec.drive.track / 2, spec.drive.wheel_radius, mask,
                 paths.cells, paths.lengths, paths.first, nav.episode, nav.step, nav.layout, *place, *corridor,
                 nav.limits, nav.friction, nav.payload, self.pose, self.twist, self.touching, drive.released,
                 drive.before,
                 drive.latency, drive.lag, drive.setpoint, drive.output, people.position, people.origin, people.target,
                 people.walked, people.speed, people.pause, people.held, people.count, people.life, backend.qpos,
                 backend.qvel, backend.qacc_warmstart],
            )  # fmt: skip

        directions = ray_directions(spec.lidar, self.device)
        bins = wp.array(bin_rays(spec.lidar.rays), dtype=wp.int32, device=self.device)
        hull = wp.array(bin_hull(spec), dtype=wp.float32, device=self.device)

        def sense(mask: wp.array) -> list[wp.Launch]:
            readings = self._launch(
                measure,
                self.rows,
                [self.pose, self.twist, spec.localisation_bound, spec.period / SECOND, vary.level, self.seed,
                 nav.episode, nav.step, mask, self.measured_pose, self.measured_twist],
            )  # fmt: skip
            sweep = self._launch(
                sweep_lidar,
                self.rows,
                [self.pose, directions, *grid, people.position, self.robots, spec.length / 2,
                 spec.width / 2, spec.lidar.range_max, vary.level * spec.lidar.noise, vary.level * spec.lidar.dropout,
                 self.seed, nav.episode, nav.step, mask, self.scan],
            )  # fmt: skip
            observation = self._launch(
                observe,
                self.rows,
                [self.scan, directions, bins, hull, self.measured_pose, self.measured_twist, drive.released, *corridor,
                 spec.drive.speed_max, spec.drive.turn_max, mask, self.observation],
            )  # fmt: skip
            return [readings, sweep, observation] if self._with_lidar else [readings, observation]

        self._reset_all, self._reset_ended = reset(1, self.all_rows), reset(0, self.ended)
        self._sense_all, self._sense_ended = sense(self.all_rows), sense(self.ended)
        self._numpy_views()

    def _numpy_views(self) -> None:
        self._view = {
            name: getattr(self, name).numpy()
            for name in ("action", "observation", "final_observation", "reward", "terminated", "truncated", "ended",
                         "ending", "bumped", "diverged")
        }  # fmt: skip
        self._limits = np.asarray(self.navigate.limits.numpy(), np.float32).reshape(
            self.worlds, -1, 2
        )  # the same memory

    def reset(self) -> NDArray[np.float32]:
        """Begin every row's next episode; (rows, observation)."""
        self.backend.reset(np.ones(self.worlds, bool))
        self._reset_all.launch()
        self._set_limits(np.ones(self.rows, bool))
        if self.filter is not None:
            self.filter.reset(self.all_rows, self.filter_memory)
        self._read.launch()
        return self.observe()

    def observe(self) -> NDArray[np.float32]:
        """Readings, scans and observations of all rows as they stand, (rows, observation); no time passes."""
        for launch in self._sense_all:
            launch.launch()
        return self._view["observation"]

    def step(self, action: NDArray[np.float32]) -> Step:
        """One control step; action (rows, 2) in [-1, 1], clipped."""
        view = self._view
        view["action"][...] = action
        self._act.launch()
        if self.filter is not None:
            if self._point_speeds is not None:
                self._point_speeds(self.filter_inputs)
            self.filter.launch(self.filter_inputs, self.filter_memory, self.filter_outputs)
        for drive in self._drives:
            self._walk.launch()
            drive.launch()
            if self.substep_hook is None:
                self.backend.step(self.substeps)
                self._settle.launch()
            else:
                for _ in range(self.substeps):
                    self.backend.step(1)
                    self._settle.launch()
                    self.substep_hook(self)
        view["diverged"][...] = self.backend.diverged()
        self._advance.launch()
        self.observe()
        ended = view["ended"].view(bool)
        if ended.any():
            view["final_observation"][ended] = view["observation"][ended]
            self._reset_ended.launch()
            self._set_limits(ended)
            if self.filter is not None:
                self.filter.reset(self.ended, self.filter_memory)
            for launch in self._sense_ended:
                launch.launch()
        ending = view["ending"]
        return Step(
            observation=view["observation"],
            reward=view["reward"],
            terminated=view["terminated"],
            truncated=view["truncated"],
            final_observation=view["final_observation"],
            success=ending == SUCCEEDED,
            collision=ending == COLLIDED,
            ending=ending,
            bumped=view["bumped"],
        )

    def _set_limits(self, rows: NDArray[np.bool_]) -> None:
        """Write the force limits drawn for new episodes into the model fields of their worlds."""
        mask = rows if self.robots == 1 else rows.reshape(self.worlds, self.robots).max(axis=1)
        self.backend.set_field("actuator_forcerange", self._limits, mask)

    def _arrays(self) -> dict[str, wp.array]:
        groups = {"navigate": self.navigate, "people": self.people, "drive": self.drive}
        named = {
            f"{group}.{each.name}": getattr(arrays, each.name)
            for group, arrays in groups.items()
            for each in fields(arrays)
        }
        own = (
            "pose",
            "twist",
            "measured_pose",
            "measured_twist",
            "scan",
            "touching",
            "observation",
            "final_observation",
        )
        return named | {name: getattr(self, name) for name in own}

    def snapshot(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Copies of everything that the next step depends on, the filter's memory included."""
        saved: dict[str, NDArray[Any]] = {name: array.numpy().copy() for name, array in self._arrays().items()}
        saved |= {f"backend.{name}": values for name, values in self.backend.snapshot().items()}
        if self.filter is not None:
            for name, array in _memory_arrays(self.filter_memory).items():
                saved[f"filter.{name}"] = array.numpy().copy()
        return saved

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from a snapshot, bit for bit."""
        for name, array in self._arrays().items():
            array.assign(saved[name])
        self.backend.restore(
            {name.removeprefix("backend."): values for name, values in saved.items() if name.startswith("backend.")}
        )
        if self.filter is not None:
            for name, array in _memory_arrays(self.filter_memory).items():
                array.assign(saved[f"filter.{name}"])


class _Nothing:
    """The launch of a kernel over no threads (no people), for which Warp records none."""

    def launch(self) -> None:
        """Do nothing."""


def _memory_arrays(memory: Any) -> dict[str, wp.array]:  # the filter's own memory type
    """The Warp arrays of a filter's memory: a dataclass of arrays."""
    values = {each.name: getattr(memory, each.name) for each in fields(memory)}
    return {name: value for name, value in values.items() if isinstance(value, wp.array)}
