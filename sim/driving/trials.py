"""Drives through a scenario by the batch: rows of its parameters as the worlds of one environment.

    trials = Trials(scenario, RoadConfig("route"), worlds=64, filter=RoadShield(CAR))
    found = trials.drive(grid(scenario), driver)                  any number of rows, `worlds` at a time
    state = search_round(scenario, state, trials.evaluate(driver))        adversarial search (sim/driving/search.py)

A driver is who proposes commands: `drive(env, watch)` steps an environment that was reset and calls `watch` after every
control step until that says that all is over. What is found is measured from true places: least clearance and least
time to collision, the contacts by the judge's classes, and how the drive ended. Rows differ in noise and in the car by
their world and by how many batches came before: the same calls in the same order find the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.driving.blame import Blame
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.plant import RoadPlant
from sim.driving.scenario import Bools, Floats, Scenario, check, evaluate, sample
from sim.driving.scene import RoadBody
from sim.driving.script import ScenarioPlayer, runs_on, scenario_atlas
from sim.driving.search import Evaluate
from sim.driving.witness import HORIZON, boxes, distances
from sim.filter import Filter
from sim.robot import SECOND
from sim.seeds import seed_key

FAST = 3.0
"""m/s; a slower ego's time to collision says nothing (own choice): it stops within a metre, and creeps up to others."""

HARDEST = 20.0
"""m/s^2; no more braking is told apart: it is twice what tyres can."""


class Driver(Protocol):
    """Proposes commands for all worlds of an environment."""

    def drive(self, env: RoadEnv, watch: Callable[[], bool]) -> None:
        """Drive `env` until `watch`, called after every control step, says that it is over."""
        ...


@dataclass(frozen=True, eq=False)
class Found:
    """What came of each row, (n,)."""

    contacts: NDArray[np.int64]
    """By class, (n, `Blame`)"""
    impact: Floats
    """The ego's speed at its first contact at fault, m/s; 0 without one"""
    clearance: Floats
    """Least, m"""
    ttc: Floats
    """Least time to collision while faster than FAST, if all went straight on, s; inf where never within HORIZON"""
    braking: Floats
    """Most that would have been needed to lose all speed relative to who comes nearer, m/s^2; up to HARDEST"""
    ending: NDArray[np.int64]
    """`sim.tasks.task.Ending` of an episode that ended before the scenario did, else 0"""

    @property
    def at_fault(self) -> Bools:
        """Rows with a contact at fault."""
        return self.contacts[:, Blame.AT_FAULT] > 0

    @property
    def exempt(self) -> Bools:
        """Rows with contacts, none of them at fault."""
        return (self.contacts.sum(axis=1) > 0) & ~self.at_fault

    @property
    def danger(self) -> Floats:
        """Lower is worse: less the braking that was needed, m/s^2; at fault less HARDEST and the speed of impact, m/s.

        Not the least time or clearance alone: who always stops a decimetre off has the same of both in every row. A
        contact that is exempt counts as harmless (inf): with bounds that others do not keep nothing is to be found.
        """
        missed = np.where(self.exempt, math.inf, -self.braking)
        return np.where(self.at_fault, -HARDEST - self.impact, missed)


class Trials:
    """Owns the worlds; see the module."""

    def __init__(
        self,
        scenario: Scenario,
        config: RoadConfig,
        *,
        worlds: int,
        seed: int = 0,
        filter: Filter | None = None,
        body: RoadBody = "kinematic",
        drive_egos: bool = False,
    ) -> None:
        """Nobody but the scenario's actors is there. Raises what `RoadEnv` does."""
        self.scenario, self.worlds = scenario, worlds
        self.env, self.player = scenario_worlds(
            scenario, sample(scenario, seed_key(seed), worlds), config, seed=seed, filter=filter, body=body,
            drive_egos=drive_egos,
        )  # fmt: skip
        self._period = config.spec.period / SECOND
        plant, blame = self.env.plant, self.env.plant.judge.blame
        self._kind, self._pose = plant.actors.kind.numpy(), plant.actors.pose.numpy()
        self._motion, self._size = plant.actors.motion.numpy(), plant.actors.size.numpy()
        self._counts, self._ended_counts = blame.counts.numpy(), blame.ended_counts.numpy()
        self._ending = self.env.task.outcome.ending.numpy()

    def drive(self, rows: Floats, driver: Driver) -> Found:
        """Every row (n, p), driven once. Raises ScenarioError for rows that cannot be run."""
        rows = check(self.scenario, rows)
        parts = [self._batch(rows[k : k + self.worlds], driver) for k in range(0, len(rows), self.worlds)]
        return Found(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Found)))

    def evaluate(self, driver: Driver, found: list[tuple[Floats, Found]] | None = None) -> Evaluate:
        """Scores for `search_round` and `refine`: `Found.danger`; what was found is kept in `found`."""

        def score(rows: Floats) -> Floats:
            each = self.drive(rows, driver)
            if found is not None:
                found.append((rows, each))
            return each.danger

        return score

    def _batch(self, rows: Floats, driver: Driver) -> Found:
        many = len(rows)
        idle = np.repeat(rows[-1:], self.worlds - many, axis=0)  # worlds that are left over; nobody looks at them
        played = np.concatenate([rows, idle])
        self.player.load([runs_on(self.env.atlas, 0, self.scenario, played)])
        self.player.play(np.arange(self.worlds))
        self.env.reset()
        lasts = evaluate(self.scenario.duration, self.scenario.named(played), self.worlds)
        contacts, ending = np.zeros((self.worlds, len(Blame)), np.int64), np.zeros(self.worlds, np.int64)
        impact, braking = np.zeros(self.worlds), np.zeros(self.worlds)
        clearance, ttc = np.full(self.worlds, math.inf), np.full(self.worlds, math.inf)
        over, steps = np.arange(self.worlds) >= many, 0

        def watch() -> bool:
            nonlocal steps
            steps += 1
            ended = (self._ending != 0) & ~over
            going = ~over & ~ended  # who has ended has begun anew already
            contacts[going], contacts[ended] = self._counts[going], self._ended_counts[ended]
            ending[ended] = self._ending[ended]
            for row in np.flatnonzero(ended & (contacts[:, Blame.AT_FAULT] > 0)):
                verdicts = self.env.plant.judge.verdicts(int(row), ended=True)
                impact[row] = next(each.speed for each in verdicts if each.at_fault)
            apart, time, needed = self._look(going)
            braking[going] = np.maximum(braking[going], needed)
            clearance[going], ttc[going] = np.minimum(clearance[going], apart), np.minimum(ttc[going], time)
            clearance[ended & (contacts.sum(axis=1) > 0)] = 0.0
            over[:] |= ended | (steps * self._period >= lasts - 1e-9)
            return bool(over.all())

        driver.drive(self.env, watch)
        return Found(contacts[:many], impact[:many], clearance[:many], ttc[:many], braking[:many], ending[:many])

    def _look(self, rows: Bools) -> tuple[Floats, Floats, Floats]:
        """Clearance, time to collision and braking needed of some worlds' egos as everybody is now, (n,) each."""
        many, others = int(rows.sum()), self._kind.shape[1] - 1
        pose, size = self._pose[rows].astype(np.float64), self._size[rows].astype(np.float64)
        corners = boxes(pose.reshape(-1, 3), size.reshape(-1, 2)).reshape(many, others + 1, 4, 2)
        heading = np.stack([np.cos(pose[..., 2]), np.sin(pose[..., 2])], axis=-1)
        velocity = heading * self._motion[rows, :, :1]
        own = np.repeat(corners[:, 0], others, axis=0)
        theirs = corners[:, 1:].reshape(-1, 4, 2)
        towards = (velocity[:, 1:] - velocity[:, :1]).reshape(-1, 2)
        there, fast = self._kind[rows, 1:] >= 0, self._motion[rows, :1, 0] > FAST
        apart = np.where(there, distances(own, theirs).reshape(many, others), math.inf)
        time = np.where(there & fast, meeting(own, theirs, towards).reshape(many, others), math.inf)
        closing = np.hypot(towards[:, 0], towards[:, 1]).reshape(many, others)
        needed = np.minimum(closing / (2.0 * np.maximum(time, 1e-3)), HARDEST)  # v^2 / 2 d, where d = v t
        return apart.min(axis=1, initial=math.inf), time.min(axis=1, initial=math.inf), needed.max(axis=1, initial=0.0)


def meeting(own: Floats, theirs: Floats, velocity: Floats) -> Floats:
    """When boxes (n, 4, 2) first touch if the second ones move on at `velocity` (n, 2) relative to the first, s, (n,).

    Exact: the times at which no side's direction separates them; inf where that is not within HORIZON.
    """
    first, last = np.zeros(len(own)), np.full(len(own), HORIZON)
    for box in (own, theirs):
        for side in (0, 1):
            axis = box[:, side + 1] - box[:, side]
            a, b = ((points * axis[:, None]).sum(-1) for points in (own, theirs))
            speed = (velocity * axis).sum(-1)
            still = np.abs(speed) < 1e-9
            pace = np.where(still, 1.0, speed)
            ends = np.stack([a.min(1) - b.max(1), a.max(1) - b.min(1)]) / pace
            apart = still & ((a.min(1) >= b.max(1)) | (a.max(1) <= b.min(1)))
            first = np.maximum(first, np.where(still, np.where(apart, math.inf, 0.0), ends.min(axis=0)))
            last = np.minimum(last, np.where(still, math.inf, ends.max(axis=0)))
    return np.where(first <= last, first, math.inf)


def scenario_worlds(
    scenario: Scenario,
    rows: Floats,
    config: RoadConfig,
    *,
    seed: int,
    filter: Filter | None = None,
    body: RoadBody = "kinematic",
    drive_egos: bool = False,
) -> tuple[RoadEnv, ScenarioPlayer]:
    """One world for each row of a scenario's parameters, with its actors and nobody else, and who plays them."""
    atlas, players = scenario_atlas([scenario]), list[ScenarioPlayer]()

    def movers(plant: RoadPlant) -> Sequence[ScenarioPlayer]:
        players.append(ScenarioPlayer([runs_on(atlas, 0, scenario, rows)], atlas.lanes, plant.actors).join(plant))
        return players

    env = RoadEnv(
        atlas,
        replace(config, traffic=0, walkers=0),
        worlds=len(rows),
        seed=seed,
        filter=filter,
        body=body,
        open_ended=True,
        drive_egos=drive_egos,
        movers=movers,
        slots=len(scenario.actors),
        threads=1,
    )
    return env, players[0]
