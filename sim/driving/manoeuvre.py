"""The manoeuvre level: once a second, which skill drives, how fast, and to which side; frozen skills drive in between.

`Manoeuvres` is a drive along routes (`sim.driving.skill`, skill "route") as an environment of its own: an action is a
choice (`manoeuvre_contract`), a step is a second of driving, a reward is what that second gave. Episodes end within a
step where they end; the row goes on in its next episode at once, with nothing wished until the next choice.

What a choice means, and which skill answers it, stands in sim/driving/choosing.py, for one car and for many.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.driving.appointment import Appointments
from sim.driving.choosing import PERIOD, aimless, decide, drive
from sim.driving.contract import OBSERVATION, SKILLS, manoeuvre_contract
from sim.driving.env import RoadEnv
from sim.driving.skill import Driving
from sim.launches import record
from sim.perceptron import Layers, make_net
from sim.robot import SECOND
from sim.tasks.task import Outcome, make_outcome
from sim.worlds import ActionError, Array, Step

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.kernel
def gather(
    first: int,
    inner: Outcome,
    seen: wp.array2d(dtype=wp.float32),
    outer: Outcome,
    kept: wp.array2d(dtype=wp.float32),
) -> None:
    """Add a control step's outcome to the choice's; what comes after an episode's end belongs to the next choice."""
    row = wp.tid()
    if first != 0:
        outer.reward[row] = 0.0
        outer.ended[row] = wp.uint8(0)
        outer.terminated[row] = wp.uint8(0)
        outer.truncated[row] = wp.uint8(0)
        outer.ending[row] = wp.uint8(0)
        outer.success[row] = wp.uint8(0)
        outer.collision[row] = wp.uint8(0)
    if outer.ended[row] != wp.uint8(0):
        return
    outer.reward[row] = outer.reward[row] + inner.reward[row]
    if inner.ended[row] != wp.uint8(0):
        outer.ended[row] = wp.uint8(1)
        outer.terminated[row] = inner.terminated[row]
        outer.truncated[row] = inner.truncated[row]
        outer.ending[row] = inner.ending[row]
        outer.success[row] = inner.success[row]
        outer.collision[row] = inner.collision[row]
        for k in range(seen.shape[1]):
            kept[row, k] = seen[row, k]


class Manoeuvres:
    """An environment of choices over a `RoadEnv` of the skill "route"; `agents.rollout.Environment`."""

    def __init__(
        self,
        environment: RoadEnv,
        skills: Mapping[str, Layers],
        period: float = PERIOD,
        *,
        appointments: Appointments | None = None,
    ) -> None:
        """`skills`: the frozen policies by name, all of SKILLS; `period` s; `appointments` stand above choices.

        Raises ValueError for another set of skills or another task.
        """
        if set(skills) != set(SKILLS):
            raise ValueError(f"expected the skills {', '.join(SKILLS)}, got {', '.join(sorted(skills)) or 'none'}")
        if not isinstance(environment.task, Driving) or environment.task.skill != "route":
            raise ValueError("expected drives along routes, RoadConfig(skill='route'), got another task")
        task = environment.task
        self.environment, self.task = environment, task
        self.rows, self.device = environment.rows, environment.device
        self.contract = manoeuvre_contract(environment.spec, period)
        self.observation_size, self.action_size = OBSERVATION, self.contract.action_size
        self.steps = max(round(period * SECOND / environment.spec.period), 1)
        """Control steps of a choice."""
        rows, device = self.rows, self.device
        self.action = wp.zeros((rows, self.action_size), dtype=wp.float32, device=device)
        self.outcome = make_outcome(rows, device)
        self.final_observation = wp.zeros_like(task.observation)
        nets = [make_net(aimless(skills[name]), rows, device, OBSERVATION, "driving") for name in SKILLS]
        view = environment.plant.view
        self._decide = record(decide, rows, [self.action, view, task.wish], device)
        self._keep = appointments.keep if appointments is not None else None
        self._drive = record(drive, rows, [*nets, task.wish, task.observation, task.action], device)
        self._gather = [
            record(gather, rows, [first, task.outcome, environment.final_observation, self.outcome,
                                  self.final_observation], device)
            for first in (1, 0)
        ]  # fmt: skip
        host = device == "cpu"
        shown = {name: getattr(self.outcome, name) for name in self.outcome._cls.vars}
        shown |= {"observation": task.observation, "final_observation": self.final_observation}
        shown |= {"bumped": environment.state.bumped}
        views: dict[str, Any] = {name: array.numpy() if host else array for name, array in shown.items()}
        if host:
            views |= {name: views[name].view(bool) for name in ("success", "collision")}
        self._step = Step(**{name: views[name] for name in Step.__dataclass_fields__})
        self.watch: Callable[[], None] | None = None
        """Called after every control step, for recorders and pictures."""

    def reset(self, rows: NDArray[np.bool_] | None = None) -> Array:
        """Begin the next episode of the rows that are set, all for None; (rows, observation)."""
        return self.environment.reset(rows)

    def step(self, action: NDArray[np.float32] | wp.array | None = None) -> Step:
        """One choice of every row and the driving that follows; action (rows, 3) in [-1, 1].

        None: `self.action` holds it already. Numbers that are not finite ask for nothing. Raises ActionError for
        another shape.
        """
        if action is not None:
            if tuple(np.shape(action)) != self.action.shape:
                raise ActionError(f"expected an action of shape {self.action.shape}, (rows, 3), got {np.shape(action)}")
            self.action.assign(action)
        self.choose()
        for k in range(self.steps):
            self.drive(k)
            if self.watch is not None:
                self.watch()
        return self._step

    def choose(self, action: NDArray[np.float32] | None = None) -> None:
        """Take what each row's action asks for, (rows, 3); None: `self.action` holds it. The first part of `step`."""
        if action is not None:
            self.action.assign(action)
        self._decide.launch()

    def drive(self, k: int) -> Step:
        """Control step k of a choice; the environment's own outcome."""
        if self._keep is not None:
            self._keep.launch()
        self._drive.launch()
        step = self.environment.step()
        self._gather[min(k, 1)].launch()
        return step

    def end_rollout(self) -> None:
        """As the environment's."""
        self.environment.end_rollout()

    def snapshot(self) -> Mapping[str, NDArray[Any]]:  # arrays of any dtype
        """The environment's: a choice leaves nothing beside the wish, which is the task's."""
        return self.environment.snapshot()

    def restore(self, saved: Mapping[str, NDArray[Any]], /) -> None:  # arrays of any dtype
        """Go on from a snapshot, bit for bit."""
        self.environment.restore(saved)
