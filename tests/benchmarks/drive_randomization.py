"""drive_randomization: a policy trained with randomization and one trained without it, on dynamics that neither knows.

Both learn by the functions of `muster driving-train`: a motor level and the lane skill on it, with the same budget of
decisions, seed, roads and code; one with the tasks' own table of what varies, the other with every row at its nominal
value (`--randomization nominal`: dry tyres, an empty car, no lag, no delay, senses without errors, average traffic).
They learn on the kinematic body, and are evaluated without learning, without a shield, on the full body, on the roads
of the evaluation's seeds. `known` is the table that the first one learned with, `nominal` what the second one learned
with. The others lie outside both, and outside what the specification allows, one thing at a time and all at once:

    slippery        tyres at 0.2 to 0.5, packed snow to wet asphalt; learned: 0.75 to 1.05
    laden           375 to 750 kg, up to twice the payload (felt by the full body alone); learned: up to 375
    weak_brakes     0.6 to 0.95 of what they are told; learned: 1.03 to 1.2
    slow_servos     steering 0.1 to 0.25 s, drive 0.12 to 0.3 s, commands 30 to 50 ms late; learned: 0.05, 0.06, 20 ms
    poor_senses     errors of 1.5 to 3 times the largest learned, lists 0.15 to 0.3 s late (0.1), 0.1 to 0.3 missed
                    (0.05)
    everything      all of them, each less than above

Both arms meet the same roads, traffic and draws. The parts named after dynamics, and `held_out` for the six that are
held out together, are shares of episodes that end in success; `contacts` the share with a contact at fault, `way` the
metres driven over those that were allowed, `line` the mean distance to the line (m), both until the episode ends, each
over the six. The rival's values are those of the policy without randomization. `gain_low` and `gain_high` bound the
difference of `held_out` by a paired bootstrap over episodes' places (95 %), which knows nothing of how much one
training differs from the next: that is why there are two of each arm, told apart on standard error.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from drivepolicies import SOURCES
from figure import Figure
from numpy.typing import NDArray
from policy import ROOT, code_hash
from scipy.stats import beta

from agents.driving import EVALUATION, make_road_lanes
from agents.layers import read_layers
from agents.policy import Policy
from fleet.driving_train import Config, make_task, train_motor, train_skill
from fleet.learning import NOMINAL
from fleet.metrics import TrainingMetrics
from sim.bodies.specs import CAR
from sim.driving.blame import Blame
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.sensing import LaneCamera, ObjectList, Odometer, RoadSensors
from sim.driving.skill import Driving
from sim.tasks.task import Ending
from sim.vary import Row

ARMS = {"with": "", "without": NOMINAL}
"""`--randomization` of each."""

SEEDS, STEPS = (1, 2), 0.15
"""Of the trainings; the share of the levels' full numbers of decisions."""

ENOUGH = 1800.0
"""Bound of each level's wall time, s: never reached, or the budgets would differ."""

EPISODES, QUICK = 32, 6
"""Of each policy and dynamics."""

BOOTSTRAPS = 2000

Range = tuple[float, float]
Floats = NDArray[np.float64]

SLIPPERY: Mapping[str, Range] = {"tyre_friction": (0.2, 0.5)}
LADEN: Mapping[str, Range] = {"payload": (CAR.payload_max, 2.0 * CAR.payload_max)}
WEAK: Mapping[str, Range] = {"brake_strength": (0.6 * CAR.car.brake_min, 0.95 * CAR.car.brake_min)}
SLOW: Mapping[str, Range] = {"steer_lag": (0.1, 0.25), "drive_lag": (0.12, 0.3), "latency": (3.0, 5.0)}
HALFWAY: Mapping[str, Range] = {
    "tyre_friction": (0.35, 0.6), "payload": (CAR.payload_max, 1.5 * CAR.payload_max),
    "brake_strength": (0.8 * CAR.car.brake_min, CAR.car.brake_min), "steer_lag": (0.05, 0.15),
    "drive_lag": (0.06, 0.2), "latency": (2.0, 4.0),
}  # fmt: skip
"""Own choices, all of them: outside what is trained and guaranteed, and not beyond what cars are like."""


Part = TypeVar("Part", ObjectList, Odometer, LaneCamera)


def coarser(part: Part, worse: float) -> Part:
    """A sensor whose largest errors are so many times as large."""
    errors = ("scale", "heading", "offset", "curvature")
    names = [each.name for each in fields(part) if each.name.endswith("noise") or each.name in errors]
    return replace(part, **{name: worse * getattr(part, name) for name in names})


def senses(worse: float, latency: Range, miss: Range) -> RoadSensors:
    """Senses whose largest errors are so many times as large, with lists so late and so often incomplete.

    Fixes of the place stay what they are, without outages: localisation must keep within its specification.
    """
    usual = RoadSensors()
    return replace(
        usual,
        objects=replace(coarser(usual.objects, worse), latency=latency, miss=miss),
        gnss=replace(usual.gnss, outage=(0.0, 0.0)),
        odometer=coarser(usual.odometer, worse),
        lane=coarser(usual.lane, worse),
    )


@dataclass(frozen=True)
class Elsewhere(RoadConfig):
    """The task with cars outside their specification: rows' bounds make way for the ranges."""

    ranges: tuple[tuple[str, Range], ...] = ()

    def rows(self) -> tuple[Row, ...]:
        """The task's, some of them elsewhere."""
        given = dict(self.ranges)
        return tuple(elsewhere(row, given[row.name]) if row.name in given else row for row in super().rows())


def elsewhere(row: Row, ends: Range) -> Row:
    """A row with another range, and bounds that hold it."""
    least, most = row.bounds
    return replace(row, low=ends[0], high=ends[1], bounds=(min(least, ends[0]), max(most, ends[1])))


DYNAMICS: Mapping[str, tuple[Mapping[str, Range], RoadSensors | None]] = {
    "slippery": (SLIPPERY, None),
    "laden": (LADEN, None),
    "weak_brakes": (WEAK, None),
    "slow_servos": (SLOW, None),
    "poor_senses": ({}, senses(3.0, (0.15, 0.3), (0.1, 0.3))),
    "everything": (HALFWAY, senses(2.0, (0.1, 0.2), (0.05, 0.15))),
}
"""What is held out, by part."""


@dataclass(frozen=True)
class Driven:
    """The first episode of every row, in the order of rows."""

    success: NDArray[np.bool_]
    contact: NDArray[np.bool_]
    """At fault."""
    ending: NDArray[np.int64]
    way: Floats
    """Driven, m."""
    allowed: Floats
    """What limits, bends and vehicles ahead allowed, m."""
    aside: Floats
    """Sum of the distances to the line at each step, m."""
    steps: Floats


def joined(parts: Iterable[Driven]) -> Driven:
    """One behind the other."""
    parts = list(parts)
    return Driven(
        **{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Driven)}
    )


def trained(home: Path, arm: str, seed: int, steps: float) -> Path:
    """The run of an arm, with its levels `motor` and `lane`; trains what is missing."""
    place = home / f"{arm}-{seed}"
    config = Config(seconds=ENOUGH, steps=steps, seed=seed, randomization=ARMS[arm], out=place)
    for level in ("motor", "lane"):
        (place / level).mkdir(parents=True, exist_ok=True)
        if (place / level / "policy.json").exists():
            continue
        with contextlib.redirect_stdout(sys.stderr):  # lines of JSON go where trainings tell how they go
            if level == "motor":
                train_motor(config, place, ENOUGH, TrainingMetrics())
            else:
                train_skill(config, place, "lane", ENOUGH, TrainingMetrics())
    return place


def task_of(place: Path, dynamics: str) -> RoadConfig:
    """What a run's lane skill is asked to drive, on its own motor level."""
    motor = read_layers(place / "motor")
    usual = make_task(Config(randomization=NOMINAL if dynamics == "nominal" else ""), "lane", motor)
    if dynamics not in DYNAMICS:
        return usual
    ranges, sensors = DYNAMICS[dynamics]
    given = {each.name: getattr(usual, each.name) for each in fields(RoadConfig)}
    return Elsewhere(**{**given, "sensors": sensors or usual.sensors}, ranges=tuple(ranges.items()))


def drive(place: Path, dynamics: str, episodes: int, seed: int) -> Driven:
    """Evaluate a run's lane skill; two lanes of environments in threads."""
    lanes = make_road_lanes(task_of(place, dynamics), EVALUATION, episodes, seed, shielded=False, body="full")
    with ThreadPoolExecutor(len(lanes)) as pool:
        return joined(pool.map(lambda lane: first_episodes(lane, Policy.load(place / "lane")), lanes))


def first_episodes(env: RoadEnv, policy: Policy) -> Driven:
    """The first episode of every row."""
    policy.check(env.contract)
    task, plant, rows = env.task, env.plant, env.rows
    assert isinstance(task, Driving)
    kept = {name: np.zeros(rows) for name in ("way", "allowed", "aside", "steps")}
    success, contact, over = (np.zeros(rows, bool) for _ in range(3))
    ending = np.zeros(rows, np.int64)
    way, allowed = task.course.way.numpy(), task.course.allowed.numpy()
    line, place = task.wish.line.numpy(), plant.footing.place.numpy()
    judged = plant.judge.blame.ended_counts.numpy()
    observation = env.reset()
    while not over.all():
        outcome = env.step(policy.act(observation))
        observation = outcome.observation
        ended = np.logical_or(outcome.terminated, outcome.truncated) & ~over
        still = ~over & ~ended  # what ends has begun anew already, and left with its last step the metres of that step
        kept["way"][still], kept["allowed"][still] = way[still], allowed[still]
        kept["aside"][still] += np.minimum(np.abs(place[still, 1] - line[still]), 6.0)  # m, as rewards count it
        kept["steps"][still] += 1.0
        success[ended], ending[ended] = outcome.success[ended], outcome.ending[ended]
        contact[ended] = judged[ended, Blame.AT_FAULT] > 0
        over |= ended
    return Driven(success=success, contact=contact, ending=ending, **kept)


def spread(hits: int, of: int) -> Range:
    """The exact (Clopper-Pearson) interval of a share, two-sided 95 %."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, of - hits + 1))
    return low, 1.0 if hits == of else float(beta.ppf(0.975, hits + 1, of - hits))


def gain(pairs: Floats, rng: np.random.Generator) -> Range:
    """95 % of the mean of differences (dynamics, episodes), by a bootstrap over episodes."""
    means = pairs.mean(axis=0)
    drawn = rng.integers(0, means.size, (BOOTSTRAPS, means.size))
    low, high = np.percentile(means[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def told(name: str, driven: Driven) -> str:
    """A line for people."""
    many, hits, struck = len(driven.success), int(driven.success.sum()), int(driven.contact.sum())
    (low, high), (least, most) = spread(hits, many), spread(struck, many)
    ends = np.bincount(driven.ending, minlength=len(Ending))
    causes = ", ".join(f"{ends[each]} {each.name.lower()}" for each in Ending if ends[each])
    return (
        f"{name:26} success {hits}/{many} ({low:.3f} to {high:.3f}), at fault {struck} ({least:.3f} to {most:.3f}), "
        f"way {driven.way.sum() / driven.allowed.sum():.3f}, line {driven.aside.sum() / driven.steps.sum():.3f} m: "
        f"{causes}"
    )


def _both(arms: Mapping[str, Driven], of: Callable[[Driven], float], unit: str = "1") -> tuple[float, str, str, float]:
    """A number of the arm with randomization, and its rival's."""
    return float(of(arms["with"])), unit, "without randomization", float(of(arms["without"]))


def measure(quick: bool) -> Iterable[Figure]:
    """Train what is not there, then drive; `--quick` trains next to nothing and shows that everything runs."""
    seeds, steps, episodes = (SEEDS[:1], 0.002, QUICK) if quick else (SEEDS, STEPS, EPISODES)
    home = ROOT / "runs" / "bench" / f"randomization-{code_hash((*SOURCES, 'sim/vary.py'))}" / f"{steps:g}"
    runs = {(arm, seed): trained(home, arm, seed, steps) for seed in seeds for arm in ARMS}
    held_out = ("slow_servos", "everything") if quick else tuple(DYNAMICS)
    found: dict[str, dict[str, Driven]] = {}
    for dynamics in ("known", "nominal", *held_out):
        each = {key: drive(place, dynamics, episodes, EVALUATION + key[1]) for key, place in runs.items()}
        for (arm, seed), driven in each.items():
            print(told(f"{dynamics} {arm} {seed}", driven), file=sys.stderr, flush=True)
        found[dynamics] = {arm: joined(each[arm, seed] for seed in seeds) for arm in ARMS}
        yield Figure(dynamics, *_both(found[dynamics], lambda driven: driven.success.mean()))
    out = {arm: joined(found[dynamics][arm] for dynamics in held_out) for arm in ARMS}
    for arm, driven in out.items():
        print(told(f"held out {arm}", driven), file=sys.stderr)
    yield Figure("held_out", *_both(out, lambda driven: driven.success.mean()))
    yield Figure("contacts", *_both(out, lambda driven: driven.contact.mean()))
    yield Figure("way", *_both(out, lambda driven: driven.way.sum() / driven.allowed.sum()))
    yield Figure("line", *_both(out, lambda driven: driven.aside.sum() / driven.steps.sum(), "m"))
    pairs = [found[name]["with"].success.astype(float) - found[name]["without"].success for name in held_out]
    low, high = gain(np.array(pairs), np.random.default_rng(1))
    many = float(np.array(pairs).size)
    yield Figure("gain_low", low, "1", "pairs of episodes", many)
    yield Figure("gain_high", high, "1", "pairs of episodes", many)
