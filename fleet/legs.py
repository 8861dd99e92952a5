"""A fleet at the level of legs: many worlds in numpy, each step one robot's decision (semi-Markov).

In every world the robot that is free first decides; what it chose takes as long as the tables say, and the world's
clock goes to the next decision. One decision's reward is

    r = lines - rate (t + 3600 s (b - b'))

with the order lines that it delivered, its time t and the charge that it took, b - b', at the price of the charger's
time: the differential form of the average reward (Mahadevan 1996), where `rate` is what is delivered in a second of a
robot. Its sum grows where a fleet beats that rate. What a task takes in any case, from its first leg on, is put back to
the mean of all tasks: this is potential-based shaping (Ng, Harada and Russell 1999), the potential being what the
waiting tasks take, so that a task's own length is no reason to leave it to others, and half of the noise is gone.

    travel       cells x seconds per cell + a constant, times a keyed draw of the measured spread (`LegTable`)
    failures     a leg fails with the measured share and takes `retry` longer
    stations     one robot at a time: who comes while another loads waits; chargers: one robot each
    congestion   travel grows with the robots of the floor (`LegTable.crowding`)
    tasks        a standing stock, each taken one replaced by a new one; offered by the coordinator's own rule
    battery      what sim/battery.py takes at cruising speed, at rest and at work, and what its charger gives

What it leaves out: ways that depend on other robots' ways, messages, and that a robot may be pushed aside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordination.offers import OVERDUE, SLICE
from hierarchy.chooser import TASKS, Rows, possible, write_rows
from sim.battery import CURVE, Battery
from sim.bodies.parts import GRAVITY
from sim.reach import FAR, distances
from sim.robot import SECOND, RobotSpec
from sim.site import CELL, Site

CHARGE_SECONDS = 3600.0
"""From empty to full (sim/battery.py: 20 Ah at 20 A)."""
RESERVE = 0.15
"""`coordination.assignment.Energy.reserve`: what must be left after a task."""
PER_CELL = 1.2e-4
"""`coordination.assignment.Energy.per_cell`."""
CLEAR = 3.0
"""Until the next can stand where a robot worked, s: two cells of driving off."""
WAIT = 30.0
"""A robot that can do nothing looks again after this, s."""
FULL = 0.95
"""Charging is offered below this (`coordination.coordinator.Policy.battery_full`)."""


@dataclass(frozen=True)
class LegTable:
    """What legs cost, as the frozen navigate skill was measured to drive them."""

    seconds_per_cell: float = 1.5
    constant: float = 3.0
    """s: turning, starting, stopping"""
    spread: tuple[float, ...] = (0.85, 0.93, 1.0, 1.06, 1.25)
    """Measured over fitted time: means of equal shares of the legs"""
    failure: float = 0.02
    """Share of the legs that did not arrive at the first try"""
    retry: float = 30.0
    """What such a leg costs more, s"""
    crowding: float = 0.01
    """Growth of travel with each further robot"""
    skill: str = ""
    """Hash of the skill that was measured"""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LegTable:
        """From JSON."""
        return cls(**{**values, "spread": tuple(values["spread"])})

    def seconds(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected travel without failures, s."""
        return np.where(cells > 0, cells * self.seconds_per_cell + self.constant, 0.0)


@dataclass(frozen=True)
class Drain:
    """What a battery loses, as shares of a full one a second (sim/battery.py at cruising speed)."""

    driving: float
    standing: float

    @classmethod
    def of(cls, spec: RobotSpec, battery: Battery, speed: float, payload: float) -> Drain:
        """At `speed` m/s with `payload` kg on board."""
        joules = battery.capacity * 3600.0 * battery.cells * CURVE[5][1]
        power = battery.rolling * (spec.mass + payload) * GRAVITY * speed / battery.efficiency
        return cls((battery.idle + power) / joules, battery.idle / joules)


@dataclass(frozen=True)
class Places:
    """A floor's stations and chargers, and the ways between them."""

    cells: NDArray[np.float64]
    """(places, places) cells from row to column; stations first, then chargers"""
    stations: int

    @classmethod
    def of(cls, site: Site) -> Places:
        """Raises ValueError where a way is missing."""
        goals = [*site.stations.tolist(), *site.chargers.tolist()]
        matrix = np.stack([distances(site, np.array([goal]))[goals] for goal in goals], axis=1)
        if (matrix >= FAR).any():
            raise ValueError(f"expected ways between all stations and chargers of {site.name}; connect them")
        return cls(matrix.astype(np.float64), len(site.stations))


@dataclass(frozen=True)
class LegsConfig:
    """What worlds are drawn from."""

    robots: tuple[int, int] = (3, 10)
    stock: tuple[int, int] = (10, 40)
    """Tasks that wait, standing"""
    dwell: float = 2.0
    """Loading or unloading, s (fleet/warehouse.py)"""
    payload: float = 20.0
    """kg; half of all driving is loaded"""
    battery: tuple[float, float] = (0.2, 1.0)
    """At the start"""
    table: LegTable = field(default_factory=LegTable)


STATE = (
    "floor", "robots", "tasks", "place", "goal", "battery", "free_at", "charging", "visits", "origin", "target", "born",
    "lines", "spent",
)  # fmt: skip
"""Arrays of `LegWorlds` that its future depends on; what robots see follows from them."""


class LegWorlds:
    """Owns the worlds: robots (worlds, most robots), tasks (worlds, most tasks), clocks."""

    def __init__(
        self, places: Sequence[Places], config: LegsConfig, worlds: int, seed: int, spec: RobotSpec, rate: float = 0.0
    ) -> None:
        """`rate` is the reward's price of a robot's second, lines."""
        self.config, self.worlds, self.rate = config, worlds, rate
        self.draws = np.random.default_rng([seed, 0x1E65])
        self._every = np.arange(worlds)
        size = max(len(floor.cells) for floor in places)
        floors = np.zeros((len(places), size, size))
        for index, floor in enumerate(places):
            floors[index, : len(floor.cells), : len(floor.cells)] = floor.cells
        self._floors = floors
        inner = [floor.cells[: floor.stations, : floor.stations] for floor in places]
        self._mean = np.array([cells.sum() / (len(cells) * (len(cells) - 1)) for cells in inner])
        """Cells of a task from its first leg to its last, in the mean of a floor's"""
        self._stations = np.array([floor.stations for floor in places])
        self._places = np.array([len(floor.cells) for floor in places])
        self.drain = Drain.of(spec, Battery(), CELL / config.table.seconds_per_cell, 0.5 * config.payload)
        self.most = config.robots[1]
        self.stock = max(config.stock[1], TASKS)
        self._spread = np.array(config.table.spread)
        self.reset()

    def reset(self) -> NDArray[np.float32]:
        """New worlds; the first observations."""
        worlds, draws, config = self.worlds, self.draws, self.config
        self.floor = draws.integers(len(self._floors), size=worlds)
        self.robots = draws.integers(config.robots[0], config.robots[1] + 1, size=worlds)
        self.tasks = draws.integers(config.stock[0], config.stock[1] + 1, size=worlds)
        stations = self._stations[self.floor][:, None]
        self.place = (draws.random((worlds, self.most)) * stations).astype(np.intp)
        self.goal = np.full((worlds, self.most, 2), -1, np.intp)
        self.battery = draws.uniform(*config.battery, size=(worlds, self.most))
        here = np.arange(self.most) < self.robots[:, None]
        self.free_at = np.where(here, draws.uniform(0.0, 60.0, size=(worlds, self.most)), np.inf)
        self.charging = np.zeros((worlds, self.most), bool)
        self.visits = np.full((worlds, self.most, 2), -np.inf)
        """When each robot begins to work at its two goals"""
        self.origin, self.target = np.zeros((worlds, self.stock), np.intp), np.zeros((worlds, self.stock), np.intp)
        self.born = np.where(np.arange(self.stock) < self.tasks[:, None], 0.0, np.inf)
        self._draw_tasks(np.repeat(self._every, self.stock), np.tile(np.arange(self.stock), worlds))
        self.born -= draws.uniform(0.0, 300.0, size=self.born.shape)  # as if work had been going on
        self.lines = np.zeros(worlds)
        self.spent = np.zeros(worlds)
        """Robot seconds, and charge at its price in seconds"""
        return self._observe()

    def step(self, chosen: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Carry out one answer in each world; the next observations and the rewards."""
        who, before = self.robot, self.battery[self._every, self.robot].copy()
        began = self.now.copy()
        charges = chosen == TASKS
        waits = charges & (self._charger < 0)
        works = ~charges
        sunk = np.where(works, self._sunk(chosen), 0.0)
        self._work(np.flatnonzero(works), chosen)
        self._charge(np.flatnonzero(charges & ~waits))
        self.free_at[waits, who[waits]] = began[waits] + WAIT
        self.battery[waits, who[waits]] -= WAIT * self.drain.standing
        taken = self.free_at[self._every, who] - began
        owed = CHARGE_SECONDS * (before - self.battery[self._every, who])
        self.lines += works
        self.spent += taken + owed
        reward = works - self.rate * (taken + owed - sunk)
        return self._observe(), reward

    def state(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Everything that `load` needs to go on exactly."""
        dice = json.dumps(self.draws.bit_generator.state).encode()
        arrays = {name: np.array(getattr(self, name)) for name in STATE}
        return arrays | {"rate": np.array(self.rate), "draws": np.frombuffer(dice, np.uint8)}

    def load(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:  # arrays of any dtype
        """Go on from `state`; what robots see. Raises ValueError for other worlds', KeyError for less than all."""
        for name in STATE:
            own, saved = getattr(self, name), state[name]
            if own.shape != saved.shape:
                raise ValueError(f"expected {name} of shape {own.shape}, got {saved.shape}")
            setattr(self, name, np.array(saved, own.dtype))
        self.rate = float(state["rate"])
        self.draws.bit_generator.state = json.loads(state["draws"].tobytes())
        return self._observe()

    # inside ----------------------------------------------------------------------------------------------------

    def _sunk(self, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        """What the chosen tasks take in any case, charge at its price, less what the floor's mean task takes, s."""
        slot = self._slots[self._every, np.minimum(chosen, TASKS - 1)]
        between = self._way(self._every, self.origin[self._every, slot], self.target[self._every, slot])
        price = (1.0 + CHARGE_SECONDS * self.drain.driving) * self.config.table.seconds_per_cell
        crowd = 1.0 + self.config.table.crowding * (self.robots - 1)
        return price * crowd * self._spread.mean() * (between - self._mean[self.floor])

    def _draw_tasks(self, worlds: NDArray[np.intp], slots: NDArray[np.intp]) -> None:
        """Fetch at one station, deliver at another, drawn evenly (fleet/work.py)."""
        stations = self._stations[self.floor[worlds]]
        origin = (self.draws.random(len(worlds)) * stations).astype(np.intp)
        other = (self.draws.random(len(worlds)) * (stations - 1)).astype(np.intp)
        self.origin[worlds, slots] = origin
        self.target[worlds, slots] = other + (other >= origin)

    def _way(self, worlds: NDArray[np.intp], start: NDArray[np.intp], goal: NDArray[np.intp]) -> NDArray[np.float64]:
        return self._floors[self.floor[worlds], start, goal]

    def _travel(self, worlds: NDArray[np.intp], cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """Drawn travel times, s."""
        table = self.config.table
        share = self.draws.random((3, len(worlds)))
        spread = self._spread[(share[0] * len(self._spread)).astype(np.intp)]
        crowd = 1.0 + table.crowding * (self.robots[worlds] - 1)
        failed = (share[1] < table.failure) & (cells > 0)
        return table.seconds(cells) * spread * crowd + failed * table.retry * 2.0 * share[2]

    def _work(self, worlds: NDArray[np.intp], chosen: NDArray[np.intp]) -> None:
        robot, slot = self.robot[worlds], self._slots[worlds, chosen[worlds]]
        now = self.now[worlds]
        stops = (self.origin[worlds, slot], self.target[worlds, slot])
        place, driving = self.place[worlds, robot], np.zeros(len(worlds))
        clock = now.copy()
        for number, stop in enumerate(stops):
            travel = self._travel(worlds, self._way(worlds, place, stop))
            begin = self._begin(worlds, robot, stop, clock + travel)
            self.visits[worlds, robot, number] = begin
            clock = begin + self.config.dwell
            driving += travel
            place = stop
        standing = clock - now - driving
        self.battery[worlds, robot] -= driving * self.drain.driving + standing * self.drain.standing
        self.place[worlds, robot] = place
        self.goal[worlds, robot, 0], self.goal[worlds, robot, 1] = stops
        self.free_at[worlds, robot] = clock
        self.charging[worlds, robot] = False
        self.born[worlds, slot] = now
        self._draw_tasks(worlds, slot)

    def _begin(
        self, worlds: NDArray[np.intp], robot: NDArray[np.intp], stop: NDArray[np.intp], arrival: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """When a robot that arrives can work at a station: after those whose work there it would meet."""
        time = self.config.dwell + CLEAR
        visits = np.where(self.goal[worlds] == stop[:, None, None], self.visits[worlds], -np.inf)
        visits[np.arange(len(worlds)), robot] = -np.inf
        met = np.abs(visits - arrival[:, None, None]) < time
        return np.maximum(arrival, np.where(met, visits + time, -np.inf).max(axis=(1, 2)))

    def _charge(self, worlds: NDArray[np.intp]) -> None:
        robot, charger = self.robot[worlds], self._charger[worlds]
        travel = self._travel(worlds, self._way(worlds, self.place[worlds, robot], charger))
        battery = self.battery[worlds, robot] - travel * self.drain.driving
        dwell = np.minimum(SLICE, np.maximum(FULL - battery, 0.0) * CHARGE_SECONDS)
        self.battery[worlds, robot] = np.minimum(battery + dwell / CHARGE_SECONDS, 1.0)
        self.place[worlds, robot] = charger
        self.goal[worlds, robot] = charger[:, None]
        self.visits[worlds, robot] = -np.inf
        self.free_at[worlds, robot] = self.now[worlds] + travel + np.maximum(dwell, 1.0)
        self.charging[worlds, robot] = True

    def _observe(self) -> NDArray[np.float32]:
        """Who decides next in each world, what it is offered, and how it sees that."""
        every = self._every
        self.robot = np.argmin(self.free_at, axis=1)
        self.now = self.free_at[every, self.robot]
        place, battery = self.place[every, self.robot], self.battery[every, self.robot]
        floors = self._floors[self.floor]
        way = floors[every[:, None], place[:, None], self.origin]
        between = floors[every[:, None], self.origin, self.target]
        waited = self.now[:, None] - self.born
        exists = np.arange(self.stock) < self.tasks[:, None]
        feasible = exists & (battery[:, None] >= (way + between) * PER_CELL + RESERVE)
        self._slots, offered = _offered(feasible, waited, way)
        slots = self._slots
        take = every[:, None]
        target = self.target[take, slots]
        onward = floors[take[..., None], target[..., None], self.origin[:, None, :]]  # (worlds, TASKS, stock)
        onward = np.where(exists[:, None, :] & (np.arange(self.stock) != slots[..., None]), onward, np.inf).min(-1)
        chargers = np.arange(floors.shape[1]) >= self._stations[self.floor][:, None]
        chargers &= np.arange(floors.shape[1]) < self._places[self.floor][:, None]
        home = np.where(chargers[:, None, :], floors[take, target], np.inf).min(-1)
        others = np.arange(self.most) != self.robot[:, None]
        others &= np.isfinite(self.free_at)
        busy = others & (self.free_at > self.now[:, None])
        occupied = np.zeros(chargers.shape, bool)
        world, robot = np.nonzero(others)
        occupied[world, self.place[world, robot]] = True
        reach = np.where(chargers & ~occupied, floors[every, place], np.inf)
        nearest = np.argmin(reach, axis=1)
        may = np.isfinite(reach[every, nearest]) & (battery < FULL)
        self._charger = np.where(may, nearest, -1)
        origin = self.origin[take, slots]
        goals = self.goal[:, None, :, :]  # (worlds, 1, robots, 2)
        at = (goals == origin[..., None, None]) | (goals == target[..., None, None])
        crowd = (at & busy[:, None, :, None]).any(-1).sum(-1)
        rows = Rows(
            offered=offered,
            way=way[take, slots],
            between=between[take, slots],
            level=waited[take, slots] / 60.0,
            home=home,
            onward=np.where(np.isfinite(onward), onward, -1.0),
            crowd=crowd.astype(float),
            dwell=np.full(slots.shape, 2.0 * self.config.dwell),
            battery=battery,
            charger=np.where(may, reach[every, nearest], -1.0),
            queued=self.tasks.astype(float),
            robots=self.robots.astype(float),
            charging=(self.charging & busy).sum(1).astype(float),
        )
        observation = write_rows(rows)
        self.can = possible(observation)
        self.can[:, TASKS] |= ~self.can.any(axis=1)  # nothing to do: it waits, whatever it answers
        return observation


def _offered(
    feasible: NDArray[np.bool_], waited: NDArray[np.float64], way: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The coordinator's offers (`coordination.offers.choice_of`) over worlds: task places (worlds, TASKS), which count.

    Priorities are alike here, so assignment's cost is the way less a cell a second of waiting.
    """
    overdue = feasible & (waited >= OVERDUE / SECOND)
    pool = np.where(overdue.any(axis=1, keepdims=True), overdue, feasible)
    cost = np.where(pool, way - waited, np.inf)
    every = np.arange(len(cost))[:, None]
    pressing = np.argsort(cost, axis=1, kind="stable")[:, : (TASKS + 1) // 2]
    near = np.where(pool, way, np.inf)
    near[every, pressing] = np.inf
    # of equally near ones the cheaper first, as the coordinator's stable sort has it
    rank = np.argsort(np.argsort(cost, axis=1, kind="stable"), axis=1, kind="stable")
    nearest = np.lexsort((rank, near), axis=1)[:, : TASKS - pressing.shape[1]]
    slots = np.concatenate([pressing, nearest], axis=1)
    counts = np.concatenate([np.isfinite(cost[every, pressing]), np.isfinite(near[every, nearest])], axis=1)
    order = np.argsort(np.where(counts, cost[every, slots], np.inf), axis=1, kind="stable")
    return slots[every, order], counts[every, order]
