"""Scenarios of the road: actors placed relative to the ego, what they do and when, and the parameters of it all.

A `Scenario` is data. Each number in it is a `Value`: a constant, the name of a parameter, or a formula over parameters;
`rows` evaluates all of them for many rows of parameters at once. Actors follow their lane at their speed; an `Event`
gives one of them an `Action` once its `Trigger` holds, and never again. So

    cut_in     a slower vehicle in the lane beside; when the ego has come near to `gap`, it moves across

`grid` lists every combination of the parameters' grid values, `sample` draws rows by keys, each parameter as a row of
the table of what varies (`Parameter.row`, sim/driving/scenariorows.py); both keep only what the scenario's rules allow,
and each rule says what it asks. The families after UN R157 stand in families.py, the text form
of the command line in scenariotext.py, and who moves the actors in script.py. SI units; d positive to the left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.driving.routes import RUN_OUT, RoutePlan
from sim.errors import MusterError, nearest
from sim.fields import Recompute
from sim.randomization import Term, draw_numpy
from sim.road import Road
from sim.vary import Distribution, Row
from sim.varyhost import exact_numpy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Values = Mapping[str, Floats]
"""A value of each parameter for each row, (n,)."""

Value = float | str | Callable[[Values], Floats]
"""A constant, the name of a parameter, or a formula over parameters."""

EGO = -1
"""In place of an actor's number: the ego."""

LATERAL_ACCEL = 3.0
"""How fast speed across the lane is gained and lost, m/s^2: ISO 11270's bound of lateral acceleration."""

ATTEMPTS = 256
"""Draws of one row until the rules hold; the families keep a fifth of their box at least (2026-11)."""

SIZES = {
    ActorKind.STATIC: (4.6, 1.85),
    ActorKind.CAR: (4.6, 1.85),
    ActorKind.TRUCK: (12.0, 2.55),
    ActorKind.MOTORCYCLE: (2.2, 0.8),
    ActorKind.BICYCLE: (1.8, 0.65),
    ActorKind.PEDESTRIAN: (0.5, 0.6),
}
"""Length and width, m: a compact estate, the largest rigid truck of Directive 96/53/EC, people as Euro NCAP's."""


class ScenarioError(MusterError):
    """A scenario, or what was asked of one, is not as it must be."""


@dataclass(frozen=True)
class Parameter:
    """A number that varies between the runs of a scenario."""

    name: str
    low: float
    high: float
    unit: str
    source: str
    values: tuple[float, ...]
    """Of the grid, rising"""
    choice: bool = False
    """Only the grid's values count, nothing between them"""
    distribution: Distribution = "uniform"
    """Of draws; of those that are no choice"""

    def row(self, family: str, counter: int) -> Row:
        """What draws it, as a row of the table of what varies; of a choice the number of its value, from 0."""
        name, none, last = f"{family}_{self.name}", Recompute.NONE, len(self.values) - 1
        if self.choice:
            unit = "of " + ", ".join(f"{value:g}" for value in self.values)
            return Row(
                Term.SCENARIO, name, "choice", 0, last, unit, "", none, self.source, (0, last), counter, drawn=False
            )
        ends = self.low, self.high
        return Row(
            Term.SCENARIO, name, self.distribution, *ends, self.unit, "", none, self.source, ends, counter, drawn=False
        )


class When(IntEnum):
    """What a trigger waits for."""

    TIME = 0
    """Seconds since the beginning, or since the event `Trigger.after`"""
    GAP = 1
    """Free metres along the road between the actor and `Trigger.to`, whoever is in front; at most"""
    TTC = 2
    """Seconds until that gap is closed as both drive now; at most, and only while it closes"""
    DRIVEN = 3
    """Metres that the ego has driven since the beginning"""


@dataclass(frozen=True)
class Trigger:
    """When an event happens: at the first decision at which this holds."""

    when: When
    value: Value
    to: int = EGO
    """Actor to which gap and time to collision count"""
    after: int = -1
    """Number of an event that must have happened before; -1: none"""


class Do(IntEnum):
    """What an action changes."""

    SPEED = 0
    """Reach a speed along the lane"""
    ACROSS = 1
    """Move across the lane"""
    WALK = 2
    """Go across the road, facing that way"""


@dataclass(frozen=True)
class Action:
    """What an actor does once told to; the functions below make them."""

    do: Do
    speed: Value
    """Along the lane to be reached, or across it at most, m/s"""
    accel: Value
    """By which either is reached, m/s^2; inf: at once"""
    distance: Value = 0.0
    """Across, to the left, m"""


def reach_speed(speed: Value, accel: Value) -> Action:
    """Reach a speed with an acceleration (its magnitude), then keep it."""
    return Action(Do.SPEED, speed, accel)


def brake(decel: Value) -> Action:
    """Brake to standstill."""
    return Action(Do.SPEED, 0.0, decel)


def move_across(distance: Value, speed: Value, accel: Value = LATERAL_ACCEL) -> Action:
    """Move across the lane by a distance (to the left) at a speed, reached and given up with `accel`."""
    return Action(Do.ACROSS, speed, accel, distance)


def walk_across(distance: Value, speed: Value) -> Action:
    """Walk across the road by a distance (to the left) at a speed, then stand."""
    return Action(Do.WALK, speed, math.inf, distance)


@dataclass(frozen=True)
class Event:
    """Something that happens once."""

    actor: int
    trigger: Trigger
    action: Action


@dataclass(frozen=True)
class Placement:
    """Where an actor begins."""

    kind: ActorKind
    gap: Value
    """Free metres between it and the ego along the road; negative: behind the ego"""
    speed: Value
    lane: Value = 0.0
    """Lanes to the left of the ego's"""
    offset: Value = 0.0
    """From the centre of that lane to the left, m"""
    size: tuple[float, float] | None = None
    """Length and width, m; None: `SIZES` of its kind"""

    @property
    def box(self) -> tuple[float, float]:
        """Length and width, m."""
        return SIZES[self.kind] if self.size is None else self.size


@dataclass(frozen=True)
class EgoStart:
    """Where the ego begins on the scenario's road."""

    lane: int
    """Of `Road.lanes`"""
    s: float
    """Of the middle of its box, m"""
    speed: Value


@dataclass(frozen=True)
class Rule:
    """What rows of parameters must keep; others are dropped from grids and draws."""

    says: str
    """In words, for messages: "the vehicle drives 10 km/h at least" """
    holds: Callable[[Values], Bools]


@dataclass(frozen=True)
class Scenario:
    """A family of runs: one for each row of parameters."""

    name: str
    road: Road
    ego: EgoStart
    actors: tuple[Placement, ...]
    events: tuple[Event, ...]
    parameters: tuple[Parameter, ...]
    duration: Value
    """s"""
    rules: tuple[Rule, ...] = field(default=())

    @property
    def plan(self) -> RoutePlan:
        """The ego's route: to the end of its lane, less a run-out."""
        lane = self.ego.lane
        return RoutePlan(lane, self.ego.s, lane, self.road.lanes[lane].length - RUN_OUT)

    def parameter(self, name: str) -> int:
        """Its column. Raises ScenarioError for a name that no parameter has."""
        names = [parameter.name for parameter in self.parameters]
        if name not in names:
            raise ScenarioError(f'{self.name}: expected the name of a parameter, got "{name}"{nearest(name, names)}')
        return names.index(name)

    def fixed(self, **values: float) -> Scenario:
        """The same with some parameters fixed. Raises ScenarioError for names and values that it has no room for."""
        parameters = list(self.parameters)
        for name, value in values.items():
            column = self.parameter(name)
            given = replace(parameters[column], low=value, high=value, values=(value,))
            check(self, np.array([[value]]), (column,), rules=False)
            parameters[column] = given
        return replace(self, parameters=tuple(parameters))

    def named(self, rows: Floats) -> Values:
        """Rows of parameters (n, p) by name, (n,) each."""
        return {parameter.name: rows[:, k] for k, parameter in enumerate(self.parameters)}


def evaluate(value: Value, values: Values, many: int) -> Floats:
    """A value for each of `many` rows."""
    found = value(values) if callable(value) else values[value] if isinstance(value, str) else value
    return np.broadcast_to(np.asarray(found, np.float64), (many,)).copy()


def valid(scenario: Scenario, rows: Floats) -> Bools:
    """Which rows (n, p) keep every rule of the scenario, (n,)."""
    values, kept = scenario.named(rows), np.ones(len(rows), bool)
    for rule in scenario.rules:
        kept &= np.broadcast_to(rule.holds(values), kept.shape)
    return kept


def check(scenario: Scenario, rows: Floats, columns: Sequence[int] | None = None, *, rules: bool = True) -> Floats:
    """The rows (n, p), of some columns if they are named, as float64. Raises ScenarioError for what cannot be run."""
    rows = np.asarray(rows, np.float64)
    chosen = [scenario.parameters[k] for k in (range(len(scenario.parameters)) if columns is None else columns)]
    if rows.ndim != 2 or rows.shape[1] != len(chosen) or len(rows) == 0:
        names = ", ".join(parameter.name for parameter in chosen)
        raise ScenarioError(
            f"{scenario.name}: expected rows of {len(chosen)} parameters ({names}), got an array of shape "
            f"{rows.shape}; give one column for each"
        )
    for column, parameter in zip(rows.T, chosen, strict=True):
        slack = 1e-9 * max(abs(parameter.low), abs(parameter.high), 1.0)
        wrong = ~((column >= parameter.low - slack) & (column <= parameter.high + slack))
        if parameter.choice:
            wrong |= ~np.isin(column, parameter.values)
        if wrong.any():
            known = f"from {parameter.low:g} to {parameter.high:g}"
            if parameter.choice:
                known = " or ".join(f"{value:g}" for value in parameter.values)
            raise ScenarioError(
                f"{scenario.name}: {parameter.name}: expected {known} {parameter.unit}, got "
                f"{column[wrong][0]:g}; correct it"
            )
    if rules:
        for rule in scenario.rules:
            broken = ~np.broadcast_to(rule.holds(scenario.named(rows)), (len(rows),))
            if broken.any():
                row = rows[int(np.flatnonzero(broken)[0])]
                shown = ", ".join(f"{p.name}={value:g}" for p, value in zip(chosen, row, strict=True))
                raise ScenarioError(f"{scenario.name}: expected that {rule.says}, got {shown}; change one of them")
    return rows


def grid(scenario: Scenario) -> Floats:
    """Every combination of the grid's values that keeps the rules, (n, p); the last parameter changes fastest.

    Raises ScenarioError where none does.
    """
    combinations = list(itertools.product(*(parameter.values for parameter in scenario.parameters)))
    rows = np.array(combinations, np.float64).reshape(len(combinations), len(scenario.parameters))
    return _some(scenario, rows[valid(scenario, rows)])


def sample(scenario: Scenario, seed: int, many: int) -> Floats:
    """`many` rows drawn from what the rules allow, (many, p); row i is the same however many are drawn.

    Raises ScenarioError where hardly anything keeps the rules.
    """
    rows = np.zeros((many, len(scenario.parameters)))
    left = np.arange(many)
    table = [parameter.row(scenario.name, k) for k, parameter in enumerate(scenario.parameters)]
    for attempt in range(ATTEMPTS):
        drawn = np.zeros((len(left), len(scenario.parameters)))
        for k, (row, parameter) in enumerate(zip(table, scenario.parameters, strict=True)):
            value = exact_numpy(row, draw_numpy(seed, int(row.term), left, attempt, row.counter))
            drawn[:, k] = np.array(parameter.values)[value.astype(int)] if parameter.choice else value
        kept = valid(scenario, drawn)
        rows[left[kept]] = drawn[kept]
        left = left[~kept]
        if len(left) == 0:
            return rows
    return _some(scenario, rows[:0])


def _some(scenario: Scenario, rows: Floats) -> Floats:
    if len(rows) == 0:
        rules = "; ".join(rule.says for rule in scenario.rules)
        raise ScenarioError(
            f"{scenario.name}: expected parameters that keep its rules ({rules}), got none; fix fewer of them"
        )
    return rows
