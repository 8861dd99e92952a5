"""Many worlds of one task, stepped together: actions in, observations, rewards and endings out.

One control step:

    action -> command -> filter (if any) -> released command
    motor periods: others move -> drive writes controls -> physics -> contacts, poses
    progress, reward, endings -> readings -> observation
    rows that ended: their last observation is kept, the next episode is drawn, and they observe again

What moves is the plant's (sim/anyplant.py), what it means the task's (sim/tasks/task.py), and a filter may stand
between. `sim.env.BatchEnv` are the warehouse's worlds, `sim.driving.env.RoadEnv` the road's. Every kernel launch is
recorded once on arrays that never move; a step allocates nothing and loops over no world in Python. Rows are robots,
row = world * robots + robot. All results are functions of (seed, actions): worlds do not know of each other, and world
i lives the same life whatever the number of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.anyplant import AnyPlant
from sim.diverged import Recorder
from sim.errors import MusterError
from sim.filter import Filter, FilterOutputs
from sim.graph import GraphReport, StepGraph
from sim.launches import Launchable
from sim.ranges import write_ranges
from sim.rows import copy_rows
from sim.snapshots import SEED, WORKING, check_fits
from sim.tally import Tally
from sim.tasks.contract import Contract
from sim.tasks.sensed import Sensed
from sim.tasks.task import Ending, Task
from sim.vary import Table

Array = Any  # one of two types by device
"""A numpy view of host memory where the environment is on the CPU, a Warp array on any other device."""


class ActionError(MusterError):
    """An action that no environment can take."""


@dataclass(frozen=True)
class Step:
    """What one control step gave. The arrays are the environment's own: the next step overwrites them."""

    observation: Array
    """After the step, after the reset where the episode ended; float32 (rows, observation)."""
    reward: Array
    """float32 (rows,)"""
    terminated: Array
    """The episode has no future; uint8 (rows,)."""
    truncated: Array
    """The time limit cut the episode; uint8 (rows,)."""
    final_observation: Array
    """What the rows that ended saw before the reset; other rows hold older values; float32 (rows, observation)."""
    success: Array
    """bool (rows,), as uint8 on a device"""
    collision: Array
    """The episode ended by a collision; bool (rows,), as uint8 on a device."""
    ending: Array
    """How each row's episode stands: `sim.tasks.task.Ending`; uint8 (rows,)."""
    bumped: Array
    """Something touched the robot while it stood; uint8 (rows,)."""


class Worlds:
    """A task on a plant with a filter between, stepped together. See `snapshot`."""

    def __init__(
        self,
        plant: AnyPlant,
        task: Task,
        *,
        about: Mapping[str, object],
        filter: Filter | None = None,
        filter_inputs: Any = None,
        before_filter: Callable[[], None] | None = None,
        sensed: Sensed | None = None,
        substep_hook: Callable[[Self], None] | None = None,
        diverged: Path | None = None,
        recorder: Recorder | None = None,
        curriculum: bool = False,
    ) -> None:
        """Record every launch; call `reset` before the first step.

        `filter` judges every command, on `filter_inputs` (its own type), which `before_filter` may complete each step.
        `sensed` adds to the task's observation. `substep_hook` is called after every physics substep, for oracles and
        recorders that evaluate. `recorder` keeps worlds that blow up in the folder `diverged`, with `about`, JSON that
        says whose they are. `curriculum` counts how episodes end (`take_counts`).
        """
        self.worlds, self.robots, self.rows = plant.worlds, plant.robots, plant.rows
        self.seed, self.device, self.spec = plant.seed, plant.device, plant.spec
        self.backend, self.drive, self.state = plant.backend, plant.drive, plant.state
        self._plant, self.task = plant, task
        self._sensed = sensed
        self.observation_size, self.action_size = self.contract.observation_size, self.contract.action_size
        self.action, self.observation = self.task.action, (self._sensed or self.task).observation
        self.final_observation = wp.zeros_like(self.observation)
        self.filter, self._before_filter, self.substep_hook = filter, before_filter, substep_hook
        self.margin = wp.zeros(self.rows, dtype=wp.float32, device=self.device)
        self.reason = wp.zeros(self.rows, dtype=wp.int8, device=self.device)
        if filter is not None:
            self.filter_inputs = filter_inputs
            self.filter_outputs = FilterOutputs(command=self.drive.released, margin=self.margin, reason=self.reason)
            self.filter_memory = filter.init(self.rows, self.device)
        self._tally = Tally(plant, self.task.outcome) if curriculum else None
        self._diverged, self._about = diverged, dict(about)
        plant.recorder = recorder
        self._record()

    def _record(self) -> None:
        """Every launch of a step, and what a step hands out."""
        plant, task, outcome = self._plant, self.task, self.task.outcome
        host = self.device == "cpu"
        self._mask = wp.zeros(self.rows, dtype=wp.uint8, device=self.device)
        self._open = [plant.open(self.action), *task.act, *plant.pace(task.corridor)]
        self._begin, self._begin_ended = self._beginning(self._mask), self._beginning(outcome.ended)
        self._sense_all, self._sense, self._sense_ended = (
            [
                *plant.sense(mask, begins=mask is not plant.all_rows),
                *task.observe(mask),
                *(self._sensed.append(mask) if self._sensed else ()),
            ]
            for mask in (plant.all_rows, self._mask, outcome.ended)
        )
        self._keep_final = plant.record(copy_rows, self.rows, [outcome.ended, self.observation, self.final_observation])
        self._keep = [] if plant.recorder is None else plant.recorder.keep(outcome.ending, Ending.DIVERGED)
        self._view = {name: _view(array, host) for name, array in self._shown().items()}
        if host:
            self._view |= {name: self._view[name].view(bool) for name in ("success", "collision", "ended")}
        self._step = Step(**{name: self._view[name] for name in Step.__dataclass_fields__})
        self._captures = self.backend.captures
        why_not = "" if self._captures else "the physics runs on the host"
        parts = getattr(self.backend, "parts", list)
        self._graph = StepGraph(self._play, self.device, parts=lambda: [*parts(), *plant.parts()], why_not=why_not)

    def _shown(self) -> dict[str, wp.array]:
        outcome = self.task.outcome
        return {
            "action": self.action,
            "observation": self.observation,
            "final_observation": self.final_observation,
            "bumped": self.state.bumped,
        } | {name: getattr(outcome, name) for name in outcome._cls.vars}

    @property
    def contract(self) -> Contract:
        """What a policy for this environment must agree to."""
        return (self._sensed or self.task).contract

    @property
    def graph(self) -> GraphReport:
        """Whether steps are replayed as a graph and why not, for the header of a run; settled after two steps."""
        return self._graph.report

    def _beginning(self, mask: wp.array) -> list[Launchable]:
        return [self._plant.renew(mask), *self.task.begin(mask), self._plant.place(mask)]

    def reset(self, rows: NDArray[np.bool_] | None = None) -> Array:
        """Begin the next episode of the rows that are set, bool (rows,), None for all; (rows, observation).

        Every other row stays as it is, bit for bit, its observation included.
        """
        mask = np.ones(self.rows, bool) if rows is None else np.asarray(rows, bool)
        self._mask.assign(mask.astype(np.uint8))
        self.backend.reset(np.asarray(mask.reshape(self.worlds, self.robots).all(axis=1)))
        _run(self._begin)
        if self.filter is not None:
            self.filter.reset(self._mask, self.filter_memory)
        _run(self._sense)
        return self._view["observation"]

    def observe(self) -> Array:
        """Readings, scans and observations of all rows as they stand, (rows, observation); no time passes."""
        _run(self._sense_all)
        return self._view["observation"]

    def step(self, action: NDArray[np.float32] | wp.array | None = None) -> Step:
        """One control step; action (rows, actions) in [-1, 1], clipped, or None where `self.action` holds it already.

        A row whose action is not finite is told to stand, and its episode ends as diverged. On a device nothing is
        read back and everything is only queued. Raises ActionError for another shape.
        """
        if action is not None:
            if tuple(np.shape(action)) != self.action.shape:
                raise ActionError(
                    f"expected an action of shape {self.action.shape}, (rows, numbers), got {np.shape(action)}"
                )
            if self.device == "cpu":  # `assign` costs 8 us
                self._view["action"][...] = action.numpy() if isinstance(action, wp.array) else action
            else:
                self.action.assign(action)
        if self._captures and self.substep_hook is None:
            self._graph.launch()
        elif self._captures:
            self._play()
        else:
            self._move()
            if self._view["ended"].any():
                if self._keep and (self._view["ending"] == Ending.DIVERGED).any():
                    _run(self._keep)
                    self.save_diverged()
                self._finish()
        return self._step

    def _play(self) -> None:
        """A whole step without a look from the host: kernels that begin episodes run whether one ended or not."""
        self._move()
        _run(self._keep)
        self._finish()

    def _move(self) -> None:
        _run(self._open)
        if self.filter is not None:
            if self._before_filter is not None:
                self._before_filter()
            self.filter.launch(self.filter_inputs, self.filter_memory, self.filter_outputs)
        hook = self.substep_hook
        self._plant.move(None if hook is None else lambda: hook(self))
        _run(self.task.advance)
        _run(self._sense_all)

    def _finish(self) -> None:
        """Rows that ended: what they saw is kept, their next episode begins, and they see again."""
        if self._tally is not None:
            self._tally.launch()
        self._keep_final.launch()
        _run(self._begin_ended)
        if self.filter is not None:
            self.filter.reset(self.task.outcome.ended, self.filter_memory)
        _run(self._sense_ended)

    def save_diverged(self) -> list[Path]:
        """Write the worlds that blew up since the last call into the folder `diverged`; new files.

        Reads from the device: once per rollout. On the CPU steps call it themselves.
        """
        if self._plant.recorder is None:
            return []
        return self._plant.recorder.save(self._diverged, self._about)

    def end_rollout(self) -> None:
        """Raise `BufferOverflowError` if contacts were dropped since the last call, and save diverged worlds.

        Reads from the device: once per rollout.
        """
        self.backend.check_overflow()
        self.save_diverged()

    @property
    def table(self) -> Table:
        """What varies, whole; `set_ranges` may have narrowed it."""
        return self._plant.table

    def set_ranges(self, ranges: NDArray[np.float32], boundaries: Sequence[int] = ()) -> None:
        """Draw later episodes from other ranges (`sim.ranges.write_ranges`); those under way stay as they are.

        Raises VaryError, with nothing changed, for ranges that no row of the table can have.
        """
        write_ranges(self.table, self._plant.varies, ranges, boundaries)

    def take_counts(self) -> NDArray[np.int64]:
        """Episodes and successes since the last call, by boundary (`sim.tally.Tally`); reads from the device.

        Raises ValueError without `curriculum`.
        """
        if self._tally is None:
            raise ValueError("expected an environment made with curriculum=True, nobody counted here")
        return self._tally.take()

    @property
    def diverged_total(self) -> int:
        """Worlds that were kept or counted by `save_diverged`; 0 without a folder to keep them in."""
        return 0 if self._plant.recorder is None else self._plant.recorder.total

    def _arrays(self) -> dict[str, wp.array]:
        named = {**self._plant.arrays(), **{f"task.{name}": array for name, array in self.task.arrays().items()}}
        named |= {"vary.ranges": self._plant.varies.ranges, "vary.edges": self._plant.varies.edges}
        named["final_observation"] = self.final_observation
        if self._tally is not None:
            named["tally.counts"] = self._tally.counts
        if self._sensed:
            named["sensed.observation"] = self.observation
        if self.filter is not None:
            named |= {f"filter.{name}": array for name, array in _memory_arrays(self.filter_memory).items()}
        return named

    def snapshot(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Copies of everything that later steps depend on: the filter's memory, the seed and the ranges included."""
        saved: dict[str, NDArray[Any]] = {name: array.numpy().copy() for name, array in self._arrays().items()}
        saved[SEED], saved[WORKING] = np.array([self.seed]), self._working()
        return saved | {f"backend.{name}": values for name, values in self.backend.snapshot().items()}

    def _working(self) -> NDArray[np.uint8]:
        """Which rows of the randomization write fields of the model, (rows,)."""
        return np.array([row.operation != "" and not row.neutral for row in self.table.rows], np.uint8)

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from a snapshot, bit for bit.

        Raises SnapshotError, with nothing changed, for a snapshot of an environment that was made
        otherwise (`sim.snapshots`).
        """
        arrays = self._arrays()
        shapes = {name: (*array.shape, *getattr(array.dtype, "_shape_", ())) for name, array in arrays.items()}
        check_fits(
            {name: values for name, values in saved.items() if not name.startswith("backend.")},
            shapes | {SEED: (1,), WORKING: self._working().shape},
            self.seed,
            self._working(),
        )
        self.backend.restore(
            {name.removeprefix("backend."): values for name, values in saved.items() if name.startswith("backend.")}
        )
        for name, array in arrays.items():
            array.assign(saved[name])


def _view(array: wp.array, host: bool) -> Array:
    return array.numpy() if host else array


def _run(launches: Sequence[Launchable]) -> None:
    for launch in launches:
        launch.launch()


def _memory_arrays(memory: Any) -> dict[str, wp.array]:  # the filter's own memory type
    """The Warp arrays of a filter's memory: a dataclass of arrays."""
    values = {each.name: getattr(memory, each.name) for each in fields(memory)}
    return {name: value for name, value in values.items() if isinstance(value, wp.array)}
