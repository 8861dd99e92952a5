"""drive_scenarios: the R157 families under the shield, over their parameter grids and searched for what is worst.

Each family of sim/driving/families.py is driven by the batch (sim/driving/trials.py), on the kinematic body with noise
and whole randomization, by two drivers: a brisk one, which keeps its lane and asks for its first speed whatever comes,
so that braking is the shield's, and the frozen policies of --policies or MUSTER_BENCH_DRIVING; without them these parts
are left out.

    rows, FAMILY_rows           rows of the grid that were driven: so many at most, drawn by a seed
    at_fault, FAMILY_at_fault   contacts at fault on them
    found_at_fault              rows at fault among those of the adversarial search: cross-entropy over the whole box
                                of a family, then refinement, for the least `Found.danger`
    FAMILY_found, FAMILY_ttc    of that search: rows at fault, and the least time to collision of rows without exempt
                                contacts, s

Parts of the policies begin with `policy_`. The worst row of each search and every row at fault are told on standard
error, as `muster drive` takes them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import os

import numpy as np
from drivepolicies import run
from drivers import Driver, Proposals
from figure import Figure

from fleet.drivers import Learned
from safety.roadshield import RoadShield
from sim.driving.blame import Blame
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.families import FAMILIES
from sim.driving.scenario import Floats, Scenario, grid
from sim.driving.scenariotext import scenario_of
from sim.driving.search import HALVINGS, begin_search, refine, search_round
from sim.driving.trials import HORIZON, Found, Trials
from sim.driving.trials import Driver as AnyDriver
from sim.tasks.task import Ending

SEED = 1

ASKING = 1.0
"""s in which the brisk driver would be at the speed that it asks for."""


@dataclass(frozen=True)
class Size:
    """How much is driven of each family."""

    worlds: int
    rows: int
    """Of the grid, at most"""
    rounds: int
    each: int
    """Rows of a round of the search"""
    near: int
    """Rows of a halving of the refinement"""
    halvings: int


FULL, QUICK = Size(50, 1000, 6, 100, 50, HALVINGS), Size(24, 24, 1, 24, 12, 1)


class Brisk:
    """The brisk driver of campaigns (drivers.py) who keeps the lane and never asks for less than the first speed."""

    def drive(self, env: RoadEnv, watch: Callable[[], bool]) -> None:
        """As `sim.driving.trials.Driver`."""
        driver, filter = Driver(env, "lane", SEED), env.filter
        assert isinstance(filter, Proposals)
        assert filter.told is not None
        told, action = filter.told.numpy(), np.zeros((env.rows, 2), np.float32)
        first, limit = env.plant.state.twist.numpy()[:, 0].copy(), env.spec.car
        over = False
        while not over:
            curvature = driver.keeping()
            asked = (first - driver.motion[:, 0]) / ASKING
            told[...] = np.stack([np.clip(asked, -limit.brake_min, limit.accel_max), curvature], -1)
            env.step(action)
            over = watch()


def trials_of(scenario: Scenario, policies: Learned | None, worlds: int) -> tuple[Trials, AnyDriver]:
    """The worlds of a family and who drives there."""
    config = RoadConfig("route", motor=None if policies is None else policies.motor)
    shield = RoadShield(config.spec, config.profile)
    filter = Proposals(shield) if policies is None else shield
    return Trials(scenario, config, worlds=worlds, seed=SEED, filter=filter), policies or Brisk()


def some_of(rows: Floats, many: int, seed: int) -> Floats:
    """`many` of the rows, drawn once each, in their order; all where there are no more."""
    if len(rows) <= many:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), many, replace=False))]


def search(scenario: Scenario, trials: Trials, driver: AnyDriver, size: Size) -> tuple[Found, str]:
    """What an adversarial search came across, all rows of it, and the worst one in words."""
    kept: list[tuple[Floats, Found]] = []
    score = trials.evaluate(driver, kept)
    state = begin_search(scenario, SEED)
    for _ in range(size.rounds):
        state = search_round(scenario, state, score, size.each)
    state = refine(scenario, state, score, size.near, size.halvings)
    tell_faults(scenario, np.concatenate([rows for rows, _ in kept]), found := joined([each for _, each in kept]))
    return found, f"{word(scenario, state.worst[0])} (danger {state.score[0]:.2f})"


def word(scenario: Scenario, row: Floats) -> str:
    """A row as `muster drive --site` takes it."""
    values = zip(scenario.parameters, row, strict=True)
    return f"{scenario.name}:{','.join(f'{each.name}={value:.9g}' for each, value in values)}"


def tell_faults(scenario: Scenario, rows: Floats, found: Found) -> None:
    """Each row at fault on standard error, with its number, for who looks for its world and batch."""
    for k in np.flatnonzero(found.at_fault):
        print(f"at fault, row {k}, impact at {found.impact[k]:.2f} m/s: {word(scenario, rows[k])}", file=sys.stderr)


def joined(parts: list[Found]) -> Found:
    """One behind the other."""
    return Found(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Found)))


def told(found: Found) -> str:
    """What happened, for people."""
    classes = {each.name: int(found.contacts[:, each].sum()) for each in Blame if found.contacts[:, each].any()}
    endings = {Ending(k).name: int((found.ending == k).sum()) for k in np.unique(found.ending) if k}
    return (
        f"{len(found.ttc)} rows, contacts {classes}, endings {endings}, least clearance {found.clearance.min():.2f} m, "
        f"least time to collision {found.ttc[~found.exempt].min(initial=HORIZON):.2f} s"
    )


def measure(quick: bool) -> Iterable[Figure]:
    """Every family by the brisk driver, then by the policies where there are some."""
    size = QUICK if quick else FULL
    yield from driven(None, size, "")
    given = os.environ.get("MUSTER_BENCH_DRIVING")
    if given:
        yield from driven(Learned(Path(given)), size, "policy_")


def driven(policies: Learned | None, size: Size, prefix: str) -> Iterable[Figure]:
    """All parts of one driver."""
    totals = {"rows": 0, "at_fault": 0, "searched": 0, "found_at_fault": 0}
    for number, name in enumerate(FAMILIES):
        scenario, begin = scenario_of(name), time.perf_counter()
        trials, driver = trials_of(scenario, policies, size.worlds)
        whole = grid(scenario)
        rows = some_of(whole, size.rows, SEED + number)
        found = trials.drive(rows, driver)
        tell_faults(scenario, rows, found)
        middle = time.perf_counter()
        print(f"{prefix}{name} grid of {len(whole)}: {told(found)}, {middle - begin:.0f} s", file=sys.stderr)
        searched, worst = search(scenario, trials, driver, size)
        print(
            f"{prefix}{name} search: {told(searched)}, {time.perf_counter() - middle:.0f} s: {worst}", file=sys.stderr
        )
        least = float(searched.ttc[~searched.exempt].min(initial=HORIZON))
        for part, value in (("rows", len(rows)), ("at_fault", int(found.at_fault.sum()))):
            yield Figure(f"{prefix}{name}_{part}", value, "1", "rows of the grid", len(whole))
            totals[part] += value
        many, faults = len(searched.ttc), int(searched.at_fault.sum())
        yield Figure(f"{prefix}{name}_found", faults, "1", "rows searched", many)
        yield Figure(f"{prefix}{name}_ttc", least, "s", "rows searched", many)
        totals["searched"] += many
        totals["found_at_fault"] += faults
    yield Figure(f"{prefix}rows", totals["rows"], "1")
    yield Figure(f"{prefix}at_fault", totals["at_fault"], "1", "rows", totals["rows"])
    yield Figure(f"{prefix}found_at_fault", totals["found_at_fault"], "1", "rows searched", totals["searched"])


if __name__ == "__main__":
    run(measure)
