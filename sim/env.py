"""Many worlds of one task, stepped together: actions in, observations, rewards and endings out.

One control step of 100 ms:

    action -> command -> filter (if any) -> released command
    5 times: people walk 20 ms -> drive writes controls -> physics -> contacts, poses
    progress, reward, endings -> readings -> lidar -> observation
    rows that ended: their last observation is kept, the next episode is drawn, and they observe again

What moves is the plant's (sim/plant.py), what it means the task's (sim/tasks/task.py), and a filter may stand between.
Every kernel launch is recorded once on arrays that never move; a step allocates nothing and loops over no world in
Python. Rows are robots, row = world * robots + robot. All results are functions of (seed, actions): worlds do not
know of each other, and world i lives the same life whatever the number of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import Backend
from sim.filter import PHANTOMS, Filter, FilterInputs, FilterOutputs
from sim.people import SPEED_HIGH, Profile
from sim.plant import Plant
from sim.scene import Body, Scene
from sim.site import Site
from sim.tasks.contract import Contract
from sim.tasks.task import Ending, Launchable, Task, TaskConfig


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
    """How each row's episode stands: `sim.tasks.task.Ending`; (rows,)."""
    bumped: NDArray[np.uint8]
    """Something touched the robot while it stood; (rows,)."""


class BatchEnv:
    """A task in `worlds` worlds of one site, `robots` robots each: plant, task and filter. See `snapshot`."""

    def __init__(
        self,
        site: Site,
        config: TaskConfig,
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
        """Build the plant, the task and every launch; call `reset` before the first step.

        `filter` judges every command; `point_speeds` (`sim.points.Points`) fills the filter's `point_speed` and
        `phantoms` before it (without one every point may move at the profile's speed). `substep_hook` is called after
        every physics substep, for oracles and recorders that evaluate; contacts are then counted at each of them, and
        without it (the wheeled body in training) once a motor period. `lidar=False` leaves the sweep out (benchmarks).
        Raises ValueError for a filter on a task without a corridor.
        """
        if device != "cpu":
            raise ValueError(f"expected device cpu, got {device!r}: steps hand out views of host memory")
        self.plant = Plant(
            site,
            config.spec,
            worlds=worlds,
            robots=robots,
            people=config.people,
            profile=config.profile,
            crowd=config.crowd,
            manners=config.manners,
            vary=config.randomization,
            seed=seed,
            body=body,
            threads=threads,
            device=device,
            backend=backend,
            filtered=filter is not None,
            lidar=lidar,
        )
        plant = self.plant
        self.site, self.config, self.spec, self.scene = site, config, plant.spec, plant.scene
        self.worlds, self.robots, self.rows = worlds, robots, plant.rows
        self.seed, self.device = seed, device
        self.backend, self.people, self.drive, self.state = plant.backend, plant.people, plant.drive, plant.state
        self.task: Task = config.build(plant)
        self.observation_size, self.action_size = self.contract.observation_size, self.contract.action_size
        self.observation = self.task.observation
        self.final_observation = wp.zeros_like(self.observation)
        self.filter, self._point_speeds, self.substep_hook = filter, point_speeds, substep_hook
        self.margin = wp.zeros(self.rows, dtype=wp.float32, device=device)
        self.reason = wp.zeros(self.rows, dtype=wp.int8, device=device)
        if filter is not None:
            self.filter_inputs = self._filter_inputs()
            self.filter_outputs = FilterOutputs(command=self.drive.released, margin=self.margin, reason=self.reason)
            self.filter_memory = filter.init(self.rows, device)
        outcome = self.task.outcome
        self._sense_all, self._sense_ended = (self._sense(mask) for mask in (plant.all_rows, outcome.ended))
        self._begin_all = self._begin(plant.all_rows, everything=True)
        self._begin_ended = self._begin(outcome.ended, everything=False)
        self._view = {
            "action": self.task.action.numpy(),
            "observation": self.observation.numpy(),
            "final_observation": self.final_observation.numpy(),
            "bumped": self.state.bumped.numpy(),
        } | {name: getattr(outcome, name).numpy() for name in ("reward", "terminated", "truncated", "ended", "ending")}

    @property
    def contract(self) -> Contract:
        """What a policy for this environment must agree to."""
        return self.task.contract

    def _filter_inputs(self) -> FilterInputs:
        def floats(*shape: int, value: float = 0.0) -> wp.array:
            return wp.full(shape, value, dtype=wp.float32, device=self.device)

        rows, rays, state, corridor = self.rows, self.spec.lidar.rays, self.state, self.task.corridor
        if corridor is None:
            raise ValueError(f"expected a task with a corridor under a filter, got {self.contract.task!r}")
        person_speed = 0.0 if self.config.profile == Profile.STILL else SPEED_HIGH
        return FilterInputs(
            command=state.proposed,
            last_command=self.drive.before,
            scan=state.scan,
            point_speed=floats(rows, rays, value=person_speed),
            scan_age=floats(rows),
            pose=state.measured_pose,
            twist=state.measured_twist,
            corridor_points=corridor.points,
            corridor_half_width=corridor.half_width,
            corridor_count=corridor.count,
            phantoms=floats(rows, PHANTOMS, 6),
            person_free=floats(rows),
        )

    def _begin(self, mask: wp.array, *, everything: bool) -> list[Launchable]:
        return [self.plant.renew(mask), *self.task.begin(mask, everything), self.plant.place(mask)]

    def _sense(self, mask: wp.array) -> list[Launchable]:
        return [*self.plant.sense(mask), *self.task.observe(mask)]

    def reset(self) -> NDArray[np.float32]:
        """Begin every row's next episode; (rows, observation)."""
        self.backend.reset(np.ones(self.worlds, bool))
        _run(self._begin_all)
        self.plant.write_limits(np.ones(self.rows, bool))
        if self.filter is not None:
            self.filter.reset(self.plant.all_rows, self.filter_memory)
        self.plant.read()
        return self.observe()

    def observe(self) -> NDArray[np.float32]:
        """Readings, scans and observations of all rows as they stand, (rows, observation); no time passes."""
        _run(self._sense_all)
        return self._view["observation"]

    def step(self, action: NDArray[np.float32]) -> Step:
        """One control step; action (rows, actions) in [-1, 1], clipped."""
        view = self._view
        view["action"][...] = action
        _run(self.task.act)
        self.plant.open()
        if self.filter is not None:
            if self._point_speeds is not None:
                self._point_speeds(self.filter_inputs)
            self.filter.launch(self.filter_inputs, self.filter_memory, self.filter_outputs)
        hook = self.substep_hook
        self.plant.move(None if hook is None else lambda: hook(self))
        _run(self.task.advance)
        self.observe()
        ended = view["ended"].view(bool)
        if ended.any():
            view["final_observation"][ended] = view["observation"][ended]
            _run(self._begin_ended)
            self.plant.write_limits(ended)
            if self.filter is not None:
                self.filter.reset(self.task.outcome.ended, self.filter_memory)
            _run(self._sense_ended)
        ending = view["ending"]
        return Step(
            observation=view["observation"],
            reward=view["reward"],
            terminated=view["terminated"],
            truncated=view["truncated"],
            final_observation=view["final_observation"],
            success=ending == Ending.SUCCEEDED,
            collision=ending == Ending.COLLIDED,
            ending=ending,
            bumped=view["bumped"],
        )

    def _arrays(self) -> dict[str, wp.array]:
        named = {**self.plant.arrays(), **{f"task.{name}": array for name, array in self.task.arrays().items()}}
        named["final_observation"] = self.final_observation
        if self.filter is not None:
            named |= {f"filter.{name}": array for name, array in _memory_arrays(self.filter_memory).items()}
        return named

    def snapshot(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Copies of everything that the next step depends on, the filter's memory included."""
        saved: dict[str, NDArray[Any]] = {name: array.numpy().copy() for name, array in self._arrays().items()}
        return saved | {f"backend.{name}": values for name, values in self.backend.snapshot().items()}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from a snapshot, bit for bit."""
        for name, array in self._arrays().items():
            array.assign(saved[name])
        self.backend.restore(
            {name.removeprefix("backend."): values for name, values in saved.items() if name.startswith("backend.")}
        )


def _run(launches: Sequence[Launchable]) -> None:
    for launch in launches:
        launch.launch()


def _memory_arrays(memory: Any) -> dict[str, wp.array]:  # the filter's own memory type
    """The Warp arrays of a filter's memory: a dataclass of arrays."""
    values = {each.name: getattr(memory, each.name) for each in fields(memory)}
    return {name: value for name, value in values.items() if isinstance(value, wp.array)}
