"""Robots that drive by a policy in simulation, as a guard sees them: readings, observations, episodes' beginnings.

Two fleets, half of the rows each: one robot a world under the shield, and three a world without it, which meet each
other. Who is touched (a person walks into a robot, and pushes it) is disturbed until its episode ends: a robot's bumper
would hold it, and nothing of that is driving (`calm`). Campuses are of a range of seeds that no training, check or
evaluation draws from. Nor does an episode count that begins with somebody inside a robot. What a row's feature code and
its guard saw is there as `Raw` readings: golden observations are made from them, and planted shifts change them (`see`,
`sense`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.navigation import BLOCKS, shielded_environment
from agents.policy import Policy
from fleet.guards.raw import Raw
from fleet.guards.senses import RowSenses
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.robot import RobotSpec
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import NavigateObserver, bin_hull, bin_rays

GUARDS = 3_000_000
"""First campus seed; trainings, checks and evaluations have a million each below (agents/navigation.py)."""
TOGETHER = 3
"""Robots of a world of the second fleet."""
INSIDE = 0.03
"""m that a range is shorter than its ray's way out of the robot, of somebody inside: three deviations of its noise."""


class Fleet:
    """One environment and the feature code of its robots; owns both."""

    def __init__(self, task: NavigateConfig, seed: int, worlds: int, *, together: bool) -> None:
        site = generate_campus(GUARDS + seed, blocks=BLOCKS)
        if together:
            self.environment = BatchEnv(site, task, worlds=worlds, robots=TOGETHER, seed=seed, threads=1)
        else:
            self.environment = shielded_environment(site, task, worlds, seed, person_speed=0.0)
        self.rows = self.environment.rows
        self.observation = np.asarray(self.environment.reset()).copy()
        self.first = np.ones(self.rows, bool)
        """Whose episode has just begun"""
        self.calm = np.ones(self.rows, bool)
        """Whom nothing has touched in its episode, and who began it free"""
        self._senses = RowSenses(site, task.spec, self.rows)
        self._rays, self._hull = bin_rays(task.spec.lidar.rays), bin_hull(task.spec) - np.float32(INSIDE)
        self._free()
        self._observer: Any = NavigateObserver(task.spec, self.rows)  # its arrays are views of Warp's, without types

    def step(self, action: NDArray[np.float32]) -> None:
        """A control step by actions (rows, 2)."""
        step = self.environment.step(action)
        self.observation = np.array(step.observation, np.float32)
        self.first = np.logical_or(step.terminated, step.truncated)
        touched = self.environment.plant.state.touching.numpy().any(1)
        self.calm = (self.calm | self.first) & ~touched
        self._free()

    def _free(self) -> None:
        """Whoever begins with something inside has been disturbed."""
        scan = self.environment.plant.state.scan.numpy()[:, self._rays]
        self.calm &= ~(self.first & (scan < self._hull).any(1))

    def raw(self) -> Raw:
        """What the robots read in this step."""
        plant, corridor = self.environment.plant, self.environment.task.corridor
        assert corridor is not None  # navigate has one
        state = plant.state
        return Raw(
            state.scan.numpy().copy(),
            state.measured_pose.numpy().copy(),
            state.measured_twist.numpy().copy(),
            plant.drive.released.numpy().copy(),
            corridor.points.numpy().copy(),
            corridor.half_width.numpy().copy(),
            corridor.count.numpy().copy(),
            corridor.final.numpy().copy(),
        )

    def see(self, raw: Raw) -> NDArray[np.float32]:
        """The observations (rows, n) of readings, by the feature code that training and robots share."""
        for field in fields(raw):
            getattr(self._observer, field.name)[...] = getattr(raw, field.name)
        return np.concatenate([self._observer.observe(), self.observation[:, self._observer.out.shape[1] :]], 1)

    def sense(self, raw: Raw) -> NDArray[np.float32]:
        """The residuals (rows, RESIDUALS) of readings, once in each step: the next are compared with them."""
        return self._senses.look(raw, self.first)


def fleets(task: NavigateConfig, seed: int, rows: int) -> tuple[Fleet, Fleet]:
    """Both fleets, about `rows` robots in all."""
    half = max(rows // 2, TOGETHER)
    return Fleet(task, seed, half, together=False), Fleet(task, seed + 500_000, half // TOGETHER, together=True)


Look = Callable[[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], None]
"""What gets each step's observations and those before (equal where an episode begins), (rows, n), and residuals."""


def drive(fleet: Fleet, policy: Policy, steps: int, look: Look) -> None:
    """Undisturbed."""
    before = fleet.observation
    for _ in range(steps):
        now = fleet.observation
        before = np.where(fleet.first[:, None], now, before)
        look(now, before, fleet.sense(fleet.raw()))
        before = now
        fleet.step(policy.act(now))


def recorded(fleet: Fleet, policy: Policy, steps: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Observations (steps, rows, n) of driving, and where episodes begin, (steps, rows)."""
    seen, first = [], []
    for _ in range(steps):
        seen.append(fleet.observation)
        first.append(fleet.first | ~fleet.calm)  # no window holds what is not calm
        fleet.step(policy.act(fleet.observation))
    return np.stack(seen), np.stack(first)


def samples(fleet: Fleet, policy: Policy, many: int) -> Iterator[tuple[Raw, NDArray[np.float32]]]:
    """Readings and observation of single robots, `many` of them that move and turn, from as many steps."""
    for index in range(many):
        for _ in range(7):  # apart, so that they differ
            fleet.step(policy.act(fleet.observation))
        raw = fleet.raw()
        moves = np.abs(raw.twist) @ np.array([1.0, 2.0]) - 10.0 * fleet.first
        row = int(np.argsort(-moves)[index % 4])
        yield raw.row(row), fleet.observation[row : row + 1].copy()


def task_of(task: NavigateConfig, spec: RobotSpec, *, limited: bool) -> NavigateConfig:
    """The task of a robot, as training takes it: with the task's own rays."""
    lidar = replace(spec.lidar, rays=task.spec.lidar.rays)
    return replace(task, spec=replace(spec, lidar=lidar), limited=limited)
