"""Canaries as the judge's figures need them: missions of two arms from a seed, with everything that makes judging hard.

Times, energies and latencies are lognormal (sigma 0.3) or Pareto; events happen with given probabilities; all come
from latent normals that may remember (AR(1), per robot or per arm), differ from robot to robot for good, or burst in a
robot's shift. The candidate is the baseline but for what `Effect` changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from fleet.judge.judge import Judge
from fleet.judge.kayenta import Classifier, Direction, Label
from fleet.judge.missions import Mission
from fleet.judge.settings import Known, Settings

Array = NDArray[np.float64]

HOUR = 3600 * 1_000_000_000
BEGIN = 500_000 * HOUR
RATES = (0.02, 0.002, 0.05, 0.01)
"""Interventions, contacts, near misses and missions not done, per mission."""
RATED = ("interventions", "contacts", "near_misses")
KAYENTA = (*RATED, "time", "energy", "latency_p99")
"""Metrics that Kayenta is asked for."""
SCALES = (300.0, 2e4, 0.01)
"""Medians of time, energy and latency: s, J, s."""


@dataclass(frozen=True)
class Effect:
    """What the candidate does otherwise than the baseline; factors."""

    rates: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    mean: float = 1.0
    """Of the time"""
    tail: float = 1.0
    """On top of it, of the times in the worst 2 %"""


@dataclass(frozen=True)
class World:
    """What missions are like."""

    hours: int = 24
    each: int = 100
    """Missions an hour and arm"""
    robots: int = 20
    """Of each arm"""
    memory: float = 0.0
    """Coefficient of the AR(1)"""
    of_arm: bool = False
    """Whether an arm remembers, not each robot for itself"""
    differ: float = 0.0
    """Standard deviation of what a robot is for good, over the latent's own"""
    burst: float = 0.0
    """Probability that a robot's shift has ten times the events"""
    pareto: float = 0.0
    """Tail index of the values; 0 for lognormal"""
    effect: Effect = field(default_factory=Effect)


def missions(world: World, seed: int) -> list[Mission]:
    """The missions of a canary in the order in which they end."""
    rng = np.random.default_rng(seed)
    count = world.hours * world.each
    made: list[Mission] = []
    for arm, effect in (("candidate", world.effect), ("baseline", Effect())):
        hours = np.sort(rng.uniform(0.0, world.hours, count))
        robot = rng.permutation(count) % world.robots
        latent = _latent(world, rng, robot)
        rates = np.array(RATES) * effect.rates
        if world.burst:
            bursts = rng.random((world.robots, world.hours)) < world.burst
            rates = rates * np.where(bursts[robot, hours.astype(int)], 10.0, 1.0)[:, None]
        events = _tail(latent[:, :4]) < rates
        values = _values(world, latent[:, 4:]) * SCALES
        values[:, 0] *= np.where(_tail(latent[:, 4]) < 0.02, effect.tail, 1.0) * effect.mean
        ends = BEGIN + (hours * HOUR).astype(np.int64)
        steps = np.maximum(values[:, 0] * 10.0, 1.0).astype(int)
        for i in range(count):
            end = int(ends[i])
            made.append(
                Mission(
                    id=f"{arm}-{i}",
                    robot=f"{arm}-{robot[i]}",
                    shift=f"hour-{int(hours[i])}",
                    arm=arm,
                    begin=end - int(steps[i]) * 100_000_000,
                    end=end,
                    steps=int(steps[i]),
                    interventions=int(events[i, 0]),
                    contacts=int(events[i, 1]),
                    near_misses=int(events[i, 2]),
                    done=not events[i, 3],
                    energy=float(values[i, 1]),
                    latency_p99=float(values[i, 2]),
                )
            )
    made.sort(key=lambda mission: (mission.end, mission.id))
    return made


def hours(mission: Mission) -> float:
    """When a mission ended, h from the canary's begin."""
    return (mission.end - BEGIN) / HOUR


def settings() -> Settings:
    """What all figures of the judge are taken with: its usual guardrails, and a known rate of interventions."""
    return Settings(history={"interventions": Known(RATES[0])})


def rolled_back(world: World, seed: int, settings: Settings) -> float:
    """Hours until the judge, asked after every mission, rolls the candidate back; inf when it does not."""
    judge = Judge(settings)
    for mission in missions(world, seed):
        judge.add(mission)
        if judge.rolled_back:
            return hours(mission)
    return math.inf


def over(count: int, canary: Callable[[int], float]) -> Array:
    """What `canary` gives for the numbers below `count`; canaries are independent, so every core has its process."""
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        return np.array(list(pool.map(canary, range(count), chunksize=4)), dtype=float)


def kayenta_fails(made: list[Mission], until: float, metrics: Sequence[str] = KAYENTA) -> bool:
    """Whether Kayenta's classifier calls any metric of the candidate high, from all missions of the first hours.

    Counted metrics are sums of ten minutes, measured ones a value per mission.
    """
    classifier = Classifier()
    for metric in metrics:
        samples = []
        for arm in ("baseline", "candidate"):
            own = [mission for mission in made if mission.arm == arm and hours(mission) <= until]
            if metric in RATED:
                bins = np.minimum([int(hours(mission) * 6.0) for mission in own], int(until * 6.0) - 1)
                samples.append(np.bincount(bins, [getattr(mission, metric) for mission in own], int(until * 6.0)))
            elif metric == "time":
                samples.append(np.array([(mission.end - mission.begin) / 1e9 for mission in own]))
            else:
                samples.append(np.array([getattr(mission, metric) for mission in own]))
        if classifier.classify(samples[0], samples[1], Direction.INCREASE).label is Label.HIGH:
            return True
    return False


def _latent(world: World, rng: np.random.Generator, robot: NDArray[np.int64]) -> Array:
    """Standard normals (missions, 7) with the world's memory and robots."""
    from scipy.signal import lfilter

    latent = rng.standard_normal((len(robot), 7))
    if world.memory:
        fresh = np.sqrt(1.0 - world.memory**2)
        rows = (
            [np.arange(len(robot))] if world.of_arm else [np.flatnonzero(robot == one) for one in range(world.robots)]
        )
        for row in rows:
            series = latent[row]
            series[1:] *= fresh
            latent[row] = lfilter([1.0], [1.0, -world.memory], series, axis=0)
    if world.differ:
        own = rng.standard_normal((world.robots, 7)) * world.differ
        latent = (latent + own[robot]) / np.sqrt(1.0 + world.differ**2)
    return latent


def _values(world: World, latent: Array) -> Array:
    """Values of median 1."""
    if world.pareto:
        return (2.0 * _tail(latent)) ** (-1.0 / world.pareto)
    return np.exp(0.3 * latent)


def _tail(latent: Array) -> Array:
    """Probability that a normal is larger."""
    from scipy.special import ndtr

    return ndtr(-latent)
