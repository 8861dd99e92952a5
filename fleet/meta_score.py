"""What the meta level is worth: order lines per hour in the coordinator's own rehearsal, beside the hand-written twin.

A run is a lockstep rehearsal (`coordination/rehearsal.py`: the real coordinator, store and right of way; robots that
drive at the pace of the measured navigate skill) of a warehouse that no training saw, with batteries as in
sim/battery.py, and a client that keeps a standing stock of deliveries. The arms of one seed share floor, starts,
charges and the stream of tasks; only the answers to the offers differ. A run counts the deliveries that were done:

    lines per hour = lines / (T + owed)       owed = 3600 s x mean over robots of (charge at the start - at the end)

so that an hour that ends with emptier batteries pays for the charging that it put off (negative for fuller ones).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import warp as wp
from numpy.typing import NDArray

from agents.policy import Policy
from coordination.coordinator import Coordinator
from coordination.messages import Chosen, Leg, LegKind, Offer
from coordination.rehearsal import CYCLE, Actor, Floor, Pace
from coordination.requests import Submit, Submitted, Task
from coordination.tasks import Store
from fleet.legs import CHARGE_SECONDS, LegsConfig, LegTable
from hierarchy.chooser import TASKS, Choose, Chooser, Rule, answer, choose_contract
from hierarchy.curriculum import Comparison
from sim.battery import Battery, battery_numbers, make_batteries, run_batteries
from sim.device import start_warp
from sim.generate import generate_warehouse
from sim.launches import record
from sim.robot import SECOND, RobotSpec
from sim.site import CELL, Site

HELD_OUT = 3_000_000
"""First seed of the warehouses that are measured on, none of which was looked at while meta was designed; those that it
trains on begin at 0, those for checks at `fleet.meta_train.CHECKS`."""

UNEVEN = 0.2
"""Speeds are drawn this far around the skill's mean: what is left of the measured spread without its outliers."""

LOOK = 10
"""Cycles between two looks of the client at its stock: a second."""


@dataclass(frozen=True)
class ScoreConfig:
    """One run."""

    robots: int = 6
    stock: int = 24
    """Deliveries that wait, kept so by the client"""
    seconds: float = 3600.0
    legs: LegsConfig = field(default_factory=LegsConfig)
    spec: RobotSpec = field(default_factory=RobotSpec)


@dataclass(frozen=True)
class Score:
    """What one run delivered."""

    lines: int
    seconds: float
    owed: float
    """s"""
    waited: float
    """Mean of the tasks that were done, from submission to assignment, s"""
    longest: float
    """Longest wait until assignment, of any task, s"""
    charged: int
    """Charging errands that were chosen"""

    @property
    def per_hour(self) -> float:
        """Lines per hour."""
        return self.lines / (self.seconds + self.owed) * 3600.0


class Power:
    """Owns the batteries of a rehearsal's robots: one launch a cycle writes what is left into the actors."""

    def __init__(self, floor: Floor, spec: RobotSpec, payload: float) -> None:
        start_warp()
        self.floor, self._payload_kg = floor, payload
        rows = len(floor.actors)
        self._twist = wp.zeros((rows, 3), dtype=wp.float32, device="cpu")
        self._payload = wp.zeros(rows, dtype=wp.float32, device="cpu")
        self._charging = wp.zeros(rows, dtype=wp.uint8, device="cpu")
        self._batteries = make_batteries(rows, "cpu")
        inputs = [battery_numbers(Battery(), spec, "cpu"), self._twist, self._payload, self._charging]
        inputs += [CYCLE / SECOND, self._batteries]
        self._launch = record(run_batteries, rows, inputs)
        self._views = [array.numpy() for array in (self._twist, self._payload, self._charging)]
        self._charge = self._batteries.charge.numpy()
        self._charge[:] = [actor.battery for actor in floor.actors.values()]

    def step(self) -> None:
        """A cycle on."""
        twist, payload, charging = self._views
        for row, actor in enumerate(self.floor.actors.values()):
            twist[row, 0] = actor.speed
            payload[row] = self._payload_kg if actor.legs_done == 1 and actor.task[0] else 0.0
            charging[row] = actor.charging
        self._launch.launch()
        for row, actor in enumerate(self.floor.actors.values()):
            actor.battery = float(self._charge[row])


def score(choose: Choose | None, site: Site, config: ScoreConfig, seed: int) -> Score:
    """One run; `choose` answers the robots' offers, None leaves all to the coordinator's rule."""
    draws = np.random.default_rng([seed, 0x5C0E])
    spec, legs = config.spec, config.legs
    starts = draws.choice(_reachable(site), config.robots, replace=False).tolist()
    speed = CELL / legs.table.seconds_per_cell
    stream = _stream(site, draws, legs)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "tasks.sqlite")
        try:
            pace = Pace(slow=(1.0 - UNEVEN) * speed, fast=(1.0 + UNEVEN) * speed)
            floor = Floor(site, Coordinator(site, store, spec=spec), starts, seed=seed, pace=pace, spec=spec)
            floor.choose, floor.chooses = _answerer(choose), TASKS
            for actor in floor.actors.values():
                actor.battery = float(draws.uniform(*legs.battery))
            begin = np.mean([actor.battery for actor in floor.actors.values()])
            power = Power(floor, spec, legs.payload)
            for cycle in range(round(config.seconds * SECOND / CYCLE)):
                if cycle % LOOK == 0:
                    _top_up(floor, stream, config.stock)
                floor.cycle()
                power.step()
            end = np.mean([actor.battery for actor in floor.actors.values()])
            return _read(store, floor, config, float(begin - end) * CHARGE_SECONDS)
        finally:
            store.close()


def compare_meta(place: Path, *, seeds: Sequence[int], config: ScoreConfig | None = None) -> Comparison:
    """A frozen meta policy and the twin that its manifest carries, on the held-out warehouses of `seeds`."""
    policy, config = Policy.load(place), config or ScoreConfig()
    policy.check(choose_contract(config.spec))
    training = policy.manifest["training"]
    config = with_table(config, LegTable.of(training["legs"]))
    rule = Rule(**training["rule"])
    learned = [score(Chooser(policy), held_out_site(seed), config, seed) for seed in seeds]
    twin = [score(rule, held_out_site(seed), config, seed) for seed in seeds]
    return Comparison(
        level="meta",
        figure="order lines per hour of a fleet",
        unit="lines/h",
        learned=float(np.mean([one.per_hour for one in learned])),
        twin=float(np.mean([one.per_hour for one in twin])),
        goal=1.0,
        better="higher",
        episodes=len(seeds),
        twin_name=f"nearest task less {rule.urgency:g} cells a minute of waiting; charge below {rule.low:g}",
    )


def ratio(over: Sequence[Score], under: Sequence[Score]) -> float:
    """Mean lines per hour of one arm over the other's, same seeds."""
    return float(np.mean([one.per_hour for one in over]) / np.mean([one.per_hour for one in under]))


def held_out_site(seed: int) -> Site:
    """A warehouse of the generator that meta never trained on."""
    return generate_warehouse(HELD_OUT + seed)


def _answerer(choose: Choose | None) -> Callable[[Actor, Offer], Chosen | None] | None:
    if choose is None:
        return None
    return lambda actor, offer: answer(choose, offer, actor.battery)


def _reachable(site: Site) -> NDArray[np.int32]:
    """Free cells that are neither stations nor chargers: where a run's robots start."""
    special = np.isin(site.free_cells, np.concatenate([site.stations, site.chargers]))
    return site.free_cells[~special]


def _stream(site: Site, draws: np.random.Generator, legs: LegsConfig) -> Callable[[], Task]:
    """The run's tasks one after the other: fetch at one station, deliver at another (fleet/work.py)."""
    number = 0

    def following() -> Task:
        nonlocal number
        number += 1
        origin = int(draws.choice(site.stations))
        goal = int(draws.choice(site.stations[site.stations != origin]))
        way = (Leg(origin, LegKind.FETCH, legs.dwell), Leg(goal, LegKind.DELIVER, legs.dwell))
        return Task(f"00000000-0000-7000-8000-{number:012x}", way, payload=legs.payload)

    return following


def _top_up(floor: Floor, stream: Callable[[], Task], stock: int) -> None:
    missing = stock - floor.coordinator.store.counts()["QUEUED"]
    if missing > 0:
        tasks = tuple(stream() for _ in range(missing))
        (said,) = floor.coordinator.handle("client", Submit("stock", tasks), floor.now)
        assert isinstance(said[1], Submitted)
        assert not said[1].error, said[1].error


def _read(store: Store, floor: Floor, config: ScoreConfig, owed: float) -> Score:
    begun = dict(store.connection.execute("SELECT task, min(started) FROM attempts GROUP BY task"))
    submitted = dict(store.connection.execute("SELECT id, submitted FROM tasks"))
    waits = np.array([(begun.get(task, floor.now) - stamp) / SECOND for task, stamp in submitted.items()])
    served = np.array([task in begun for task in submitted])
    charged = store.connection.execute("SELECT count(*) FROM events WHERE event = 'charge'").fetchone()[0]
    return Score(
        lines=store.counts()["DONE"],
        seconds=config.seconds,
        owed=owed,
        waited=float(waits[served].mean()) if served.any() else 0.0,
        longest=float(waits.max(initial=0.0)),
        charged=charged,
    )


def with_table(config: ScoreConfig, table: LegTable) -> ScoreConfig:
    """The same run at the pace of another skill."""
    return replace(config, legs=LegsConfig(table=table))
