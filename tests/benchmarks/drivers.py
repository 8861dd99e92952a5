"""Who proposes commands in campaigns of drives: (acceleration m/s^2, curvature 1/m) of every row, batched in numpy.

    lane       a brisk driver: limits, bends, who drives ahead, the lanes that the route asks for, and lanes beside it
               at random; a pace of its own in each batch
    random     accelerations and curvatures drawn anew after random times, beside the lane's or of any size
    throttle   full throttle along the lane: the best that asks for no mercy
    wild       full throttle, the steering thrown from side to side
    worst      every 0.2 s, of six commands the one that a shield of its own admits with the least margin; where it
               admits none, the one that closes fastest on whatever is nearest

`Proposals` puts them where a filter finds them: in front of the shield, or in place of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from safety.roadshield import RoadShield
from sim.driving.contract import ALLOWED, GOAL, LANES, OWN, PLACE, PREVIEW, SPEED, WISH
from sim.driving.env import RoadEnv
from sim.driving.filter import RoadInputs
from sim.driving.skill import Driving
from sim.driving.state import PATH_BEHIND, PATH_STEP, PathColumn
from sim.filter import FilterOutputs

Floats = NDArray[np.float32]

POLICIES = ("lane", "random", "throttle", "wild", "worst")

HELD = (0.1, 3.0)
"""Shortest and longest time for which a drawn command is held, s."""

ASK_EVERY = 4
"""Control steps between two questions of the worst policy."""

BRISK = OWN + PLACE + WISH
"""Where the observation says how fast limits, bends and vehicles ahead allow to drive."""

DUE = BRISK + ALLOWED + 2 * len(PREVIEW) + LANES + 1
"""Where it says which changes of lane the route asks for, and how far ahead."""
assert GOAL == 3


@dataclass(frozen=True)
class Nothing:
    """The memory of no shield."""


class Proposals:
    """A filter that takes the proposals of a driver and hands them to a shield, or releases them as they are."""

    def __init__(self, shield: RoadShield | None) -> None:
        self.shield = shield
        self.told: wp.array | None = None
        """What to propose, float32 (rows, 2)"""

    def init(self, rows: int, device: str) -> Any:  # the shield's own memory type
        """The shield's memory."""
        self.told = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        return self.shield.init(rows, device) if self.shield else Nothing()

    def launch(self, inputs: RoadInputs, memory: Any, out: FilterOutputs) -> None:
        """Judge what is told, not what the task made of its action."""
        assert self.told is not None  # `init` made it
        if self.shield is None:
            wp.copy(out.command, self.told)
            return
        wp.copy(inputs.command, self.told)
        self.shield.launch(inputs, memory, out)

    def reset(self, mask: wp.array, memory: Any) -> None:
        """The shield forgets the masked rows."""
        if self.shield is not None:
            self.shield.reset(mask, memory)


class Driver:
    """One policy for all rows of an environment."""

    def __init__(self, env: RoadEnv, policy: str, seed: int) -> None:
        """Raises ValueError for a policy that is none."""
        if policy not in POLICIES:
            raise ValueError(f"expected a policy of {', '.join(POLICIES)}, got {policy}")
        self.env, self.rng, self.propose = env, np.random.default_rng(seed), getattr(self, policy)
        rows, view = env.rows, env.view
        self.path, self.where, self.motion = view.path.numpy(), view.where.numpy(), view.motion.numpy()
        self.objects, self.kind = view.objects.numpy(), view.object_kind.numpy()
        self.around = env.plant.around.objects.numpy()
        self.left = np.zeros(rows, int)
        self.held = np.zeros((rows, 2), np.float32)
        self.beside = np.zeros(rows, bool)
        self.pace = self.rng.uniform(0.6, 1.05, rows)
        self.steps = 0
        self.judge = Asking(env) if policy == "worst" else None

    def keeping(self, line: Floats | float = 0.0) -> Floats:
        """The curvature that follows the lane at an offset."""
        v, rows = self.motion[:, 0], np.arange(len(self.where))
        at = PATH_BEHIND + np.minimum((0.3 * v / PATH_STEP).astype(int), 20)
        bend = self.path[rows, at, PathColumn.CURVATURE]
        pace = np.maximum(v, 3.0)
        wish = np.clip(-1.5 * (self.where[:, 0] - line) - 2.2 * pace * np.sin(self.where[:, 1]), -2.0, 2.0)
        return bend + wish / pace**2

    def lane(self) -> Floats:
        """The brisk driver's commands; also writes what lanes it wishes for."""
        task = self.env.task
        assert isinstance(task, Driving)
        seen, drive = task.observation.numpy(), self.env.spec.car
        side, line = task.wish.side.numpy(), task.wish.line.numpy()
        v = self.motion[:, 0]
        asked = np.sign(seen[:, DUE]) * (seen[:, DUE + 1] * 300.0 < 250.0)
        whim = (self.rng.random(len(v)) < 0.004) * self.rng.choice((-1, 1), len(v))
        here = self.path[:, PATH_BEHIND]
        wish = np.where(asked != 0, asked, whim).astype(np.int32)
        room = np.where(wish > 0, here[:, PathColumn.LEFT_LANE], here[:, PathColumn.RIGHT_LANE]) > 0.0
        side[:] = np.where((side == 0) & room, wish, side)
        task.wish.pace.numpy()[:] = self.pace
        a = (seen[:, BRISK] * SPEED - v) / 1.0
        return np.stack([np.clip(a, -drive.brake_min, drive.accel_max), self.keeping(line)], -1)

    def may_leave_lanes(self) -> None:
        """A change of lane or a stop at the side under way is what the task takes as wished: no drive ends by one."""
        task = self.env.task
        assert isinstance(task, Driving)
        side, d, here = task.wish.side.numpy(), self.where[:, 0], self.path[:, PATH_BEHIND]
        to_left = (d > 0.3) & (here[:, PathColumn.LEFT_LANE] > 0.0)
        to_right = (d < -0.3) & (here[:, PathColumn.RIGHT_LANE] > 0.0)
        side[:] = np.where(to_left, 1, np.where(to_right, -1, side))
        task.wish.pull.numpy()[:] = (d < -0.3) & ~to_right & (here[:, PathColumn.SHOULDER] > 0.0)

    def drawn(self, change: NDArray[np.bool_]) -> None:
        """New commands where asked for."""
        drive, many = self.env.spec.car, int(change.sum())
        a = self.rng.uniform(-drive.brake_min, drive.accel_max, many)
        a[self.rng.random(many) < 0.4] = drive.accel_max
        self.held[change, 0] = a
        self.beside[change] = self.rng.random(many) < 0.7
        v = np.maximum(self.motion[change, 0], 1.0)
        small = np.minimum(0.06, 2.0 / v**2) * self.rng.uniform(-1.0, 1.0, many) * (self.rng.random(many) < 0.8)
        large = drive.curvature_max * self.rng.uniform(-1.0, 1.0, many)
        self.held[change, 1] = np.where(self.beside[change], small, large)

    def random(self) -> Floats:
        """Commands that are held for random times."""
        self.left -= 1
        change = self.left <= 0
        period = self.env.spec.period / 1e9
        self.left[change] = self.rng.uniform(HELD[0] / period, HELD[1] / period, int(change.sum()))
        self.drawn(change)
        turn = np.where(self.beside, self.path[:, PATH_BEHIND, PathColumn.CURVATURE], 0.0) + self.held[:, 1]
        return np.stack([self.held[:, 0], turn], -1)

    def throttle(self) -> Floats:
        """Full throttle."""
        turn = self.keeping()
        return np.stack([np.full_like(turn, self.env.spec.car.accel_max), turn], -1)

    def wild(self) -> Floats:
        """Full throttle, full lock."""
        self.left -= 1
        change = self.left <= 0
        self.left[change] = self.rng.integers(2, 40, int(change.sum()))
        lock = self.env.spec.car.curvature_max
        self.held[change, 1] = self.rng.choice((-lock, lock, 0.0), int(change.sum()))
        self.held[:, 0] = self.env.spec.car.accel_max
        return self.held

    def worst(self) -> Floats:
        """What the shield admits with the least margin."""
        assert self.judge is not None
        if self.steps % ASK_EVERY == 0:
            self.held = self.judge.worst(self._tries(), self._closing())
        self.steps += 1
        return self.held

    def _tries(self) -> list[Floats]:
        drive, keeps, v = self.env.spec.car, self.keeping(), np.maximum(self.motion[:, 0], 3.0)
        aside = drive.lateral_max / v**2
        a = np.full_like(keeps, drive.accel_max)
        turns = (keeps, keeps + 0.5 * aside, keeps - 0.5 * aside, keeps + aside, keeps - aside)
        return [*(np.stack([a, turn], -1) for turn in turns), np.stack([0.0 * a, keeps], -1)]

    def _closing(self) -> Floats:
        """Full throttle towards the nearest object ahead."""
        ahead = self.around[:, :, 0] - self.env.plant.spec.middle
        far = np.where((self.kind >= 0) & (ahead > 0.0), np.hypot(ahead, self.around[:, :, 1]), np.inf)
        rows, nearest = np.arange(len(far)), far.argmin(axis=1)
        s, d = ahead[rows, nearest], self.around[rows, nearest, 1] - self.where[:, 0]
        turn = np.where(np.isfinite(far[rows, nearest]), 2.0 * d / np.maximum(s * s + d * d, 1.0), 0.0)
        bend = self.path[:, PATH_BEHIND, PathColumn.CURVATURE]
        return np.stack([np.full_like(turn, self.env.spec.car.accel_max), bend + turn], -1).astype(np.float32)


class Asking:
    """A shield of its own, asked what it would say of commands that nobody releases."""

    def __init__(self, env: RoadEnv) -> None:
        rows = env.rows
        self.env, self.shield = env, RoadShield(env.spec, env.config.profile)
        self.memory = self.shield.init(rows)
        asked = wp.zeros((rows, 2), dtype=wp.float32)
        # asked before a step: what was released last is not yet what was released before it
        self.inputs = replace(env.filter_inputs, command=asked, last_command=env.drive.released)
        self.out = FilterOutputs(
            command=wp.zeros((rows, 2), dtype=wp.float32),
            margin=wp.zeros(rows, dtype=wp.float32),
            reason=wp.zeros(rows, dtype=wp.int8),
        )
        self.shield.launch(self.inputs, self.memory, self.out)
        self.first = next(iter(self.shield.recorded.values())).commands[0]
        """Judges proposals alone: what a shield would do instead is of no interest."""

    def worst(self, tries: list[Floats], otherwise: Floats) -> Floats:
        """The admitted command of least margin of each row; `otherwise` where none is."""
        history = getattr(self.env.filter_memory, "history", None)
        plan = getattr(self.env.filter_memory, "plan", None)
        margins = np.full((len(tries), self.env.rows), np.inf, np.float32)
        for k, told in enumerate(tries):
            if history is not None:
                wp.copy(self.memory.history, history)
            if plan is not None:
                wp.copy(self.memory.plan, plan)
            self.inputs.command.numpy()[...] = told
            self.first.launch()
            fine = np.isin(self.out.reason.numpy(), (0, 1))
            margins[k] = np.where(fine, self.out.margin.numpy(), np.inf)
        least = margins.argmin(axis=0)
        rows = np.arange(self.env.rows)
        return np.where(np.isfinite(margins[least, rows])[:, None], np.stack(tries)[least, rows], otherwise)
