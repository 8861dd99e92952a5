"""drive_fallback: the road's fallback alone, from 10,000 states, with sensors or the policy failing.

A state is what 4 to 6 s of driving under the shield lead to (half of the rows by full throttle along the lane, half by
random commands; whole randomization, traffic, people). Each group has one fault: each of `RoadFaults` that reaches a
view (those of the lidar do not: nobody drives by it, and groups of them would be states without a fault), which begins
between 1 s before the fallback is called and 2 s after it and stays for at least 5 s, or a policy that for half a
second before the call says NaN, the last sane command, the opposite of what it means, or nothing. From then on only
the fallback proposes; the shield judges it as everybody.

    not_reached    cars that do not stand within TIME after the call, or stand elsewhere than in a lane or on its
                   shoulder, by a tolerance for what the fault does to the place across the lane
    at_fault       contacts at fault from the call on
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import warp as wp
from drivers import Driver, Proposals
from drives import ROADS
from figure import Figure
from numpy.typing import NDArray

from agents.driving import EVALUATION, training_atlas
from safety.roadfallback import RoadFallback
from safety.roadshield import RoadShield
from sim.driving.atlas import Atlas
from sim.driving.blame import Blame
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.sensing import VIEW_FAULTS, Fault, RoadFaults, RoadSensors
from sim.driving.starts import Place
from sim.driving.state import PATH_BEHIND, PathColumn
from sim.road import LaneKind
from sim.tasks.task import Ending

POLICY_FAULTS = ("nan", "frozen", "reversed", "silent")

CALLED = (80, 120)
"""Control steps after which the fallback is called, drawn for each row."""

TIME = 25.0
"""s from the call until the car must stand: 12 s from 130 km/h at comfort, and the way onto a shoulder at 8 m/s."""

BEFORE = 10
"""Control steps for which a policy is broken before somebody notices."""

STANDS = 0.05
"""m/s"""

BESIDE = 0.1
"""m; over a border, where sensors are healthy: the lane camera's own error (`RoadRules.lane_error`)."""

FIRST = 900_000
"""Of the batches' seeds."""


@dataclass
class Found:
    """What a group gave."""

    rows: int = 0
    not_reached: int = 0
    at_fault: int = 0
    slowest: float = 0.0
    """s until the last car stood"""
    classes: Counter[str] | None = None


def anywhere(atlas: Atlas, road: int) -> Iterable[Place]:
    """Every lane for driving, outside junctions."""
    for index, lane in enumerate(atlas.roads[road].lanes):
        if lane.kind == LaneKind.DRIVING and lane.junction < 0 and lane.length > 40.0:
            yield Place(index, 5.0, lane.length - 30.0)


def sensors_of(group: str) -> RoadSensors:
    """Sensors with the fault of a group."""
    if group not in VIEW_FAULTS:
        return RoadSensors()
    sane = RoadFaults()
    size = getattr(sane, group).size
    begin, end = CALLED[0] * 0.05 - 1.0, CALLED[1] * 0.05 + 2.0
    fault = Fault(chance=1.0, onset=(begin, end), duration=(5.0, 30.0), size=size)
    return RoadSensors(faults=replace(sane, **{group: fault}))


def broken(group: str, meant: NDArray[np.float32], last: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a broken policy says instead of what it means."""
    if group == "nan":
        return np.full_like(meant, np.nan)
    if group == "frozen":
        return last
    return -meant if group == "reversed" else np.zeros_like(meant)


def play(group: str, rows: int, seed: int) -> Found:
    """One group: half of its rows by each driver."""
    found = Found(classes=Counter())
    for number, policy in enumerate(("throttle", "random")):
        part = _play(group, policy, rows // 2 if number else rows - rows // 2, seed + number)
        found.rows += part.rows
        found.not_reached += part.not_reached
        found.at_fault += part.at_fault
        found.slowest = max(found.slowest, part.slowest)
        found.classes = (found.classes or Counter()) + (part.classes or Counter())
    return found


def _play(group: str, policy: str, rows: int, seed: int) -> Found:
    steps = CALLED[1] + round(TIME / 0.05)
    config = RoadConfig(skill="pull_over", time_limit=steps * 0.05 + 60.0, sensors=sensors_of(group))
    atlas = training_atlas(EVALUATION + ROADS * (FIRST + seed), ROADS)
    shield, fallback = RoadShield(config.spec, config.profile), RoadFallback(config.spec, config.profile)
    env = RoadEnv(atlas, config, worlds=rows, seed=seed, threads=1, filter=Proposals(shield), places=anywhere)
    filter = env.filter
    assert isinstance(filter, Proposals)
    assert filter.told is not None
    driver, told = Driver(env, policy, seed), filter.told.numpy()
    mask, memory = wp.zeros(rows, dtype=wp.uint8), fallback.init(rows)
    called, take_over = mask.numpy(), fallback.record(env.view, mask, memory, filter.told)
    call = np.random.default_rng(seed).integers(*CALLED, rows)
    plant = env.plant
    blame, v = plant.judge.blame, plant.state.twist.numpy()[:, 0]
    before, counts = np.zeros((rows, len(Blame)), np.int64), np.zeros((rows, len(Blame)), np.int64)
    since, stood = np.zeros(rows), np.zeros(rows)
    """Of the last moment at which it moved; s after the call"""
    ended, left, place = np.zeros(rows, bool), np.zeros(rows, bool), np.zeros(rows)
    action, last = np.zeros((rows, 2), np.float32), np.zeros((rows, 2), np.float32)
    env.reset()
    for step in range(steps):
        alone = step >= call
        meant = driver.propose().astype(np.float32)
        bad = (step >= call - BEFORE) if group in POLICY_FAULTS else np.zeros(rows, bool)
        told[...] = np.where(bad[:, None], broken(group, meant, last), meant)
        last = np.where(bad[:, None], last, meant)
        called[:] = alone & ~ended
        take_over.launch()
        outcome = env.step(action)
        over = np.logical_or(outcome.terminated, outcome.truncated)
        now = np.where(over[:, None], blame.ended_counts.numpy(), blame.counts.numpy())
        began = np.where(over[:, None] | (now < before), now, now - before)
        counts += np.where((alone & ~ended)[:, None], np.where(over[:, None], np.maximum(now - before, 0), began), 0)
        before = np.where(over[:, None], 0, now)
        # standing at the side for half a second ends the task: that is what was asked for
        left |= alone & over & ~ended & (outcome.ending != Ending.SUCCEEDED)
        moves = np.abs(v) > STANDS
        since = np.where(alone & ~ended & ~over & moves, (step + 1 - call) * 0.05, since)
        place = np.where(alone & ~ended & ~over, over_edges(env), place)
        ended |= alone & over
    stood = since <= TIME
    tolerance = BESIDE + (
        1.5 if group == "lane_bias" else config.spec.localisation_bound if group == "lane_lost" else 0.0
    )
    wrong = left | ~stood | (place > tolerance)
    faults = counts[:, int(Blame.AT_FAULT)]
    for row in np.flatnonzero(wrong)[:4]:
        print(
            f"{group} {policy} seed {seed} row {row} of {rows}: called at {call[row]}, left {left[row]}, moved until "
            f"{since[row]:.2f} s, over its edge {place[row]:.2f} m, v {v[row]:.2f}",
            file=sys.stderr,
        )
    classes = Counter({each.name: int(counts[:, int(each)].sum()) for each in Blame})
    return Found(rows, int(wrong.sum()), int(faults.sum()), float(since[stood].max(initial=0.0)), classes)


def over_edges(env: RoadEnv) -> NDArray[np.float64]:
    """How far a car's rear is over the edges of its lane and the shoulder beside it, m, by the truth."""
    path, d = env.view.path.numpy()[:, PATH_BEHIND], env.plant.footing.place.numpy()[:, 1]
    half = 0.5 * env.spec.width
    right = path[:, PathColumn.RIGHT] + path[:, PathColumn.SHOULDER]
    over = np.maximum(d + half - path[:, PathColumn.LEFT], half - d - right)
    return np.where(env.plant.footing.lane.numpy() == env.view.lane.numpy(), over, 0.0)


def measure(quick: bool) -> Iterable[Figure]:
    """Both parts over all groups; each group on standard error."""
    groups = (*VIEW_FAULTS, *POLICY_FAULTS)
    many = 52 if quick else 10_010
    total, rows = Found(), many // len(groups)
    for number, group in enumerate(groups):
        found = play(group, rows, 2 * number)
        print(f"{group}: {found}", file=sys.stderr, flush=True)
        total.rows += found.rows
        total.not_reached += found.not_reached
        total.at_fault += found.at_fault
    yield Figure("not_reached", total.not_reached, "1", "states", total.rows)
    yield Figure("at_fault", total.at_fault, "1", "states", total.rows)
