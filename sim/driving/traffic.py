"""Traffic of many worlds: cars, trucks, motorcycles, bicycles and people, batched, every choice a keyed draw.

    traffic = Traffic(atlas, actors, road=road, route=route, episode=episode, robots=1, seed=7)
    begin = traffic.begin(mask)     recorded; for masked worlds, after their egos' rows of `actors` were written
    begin.launch()
    traffic.decide.launch()         once per control step, after the egos' rows were written
    traffic.move.launch()           once per motor period

Who follows whom and how is in following.py (IDM, Krauss's safe speed, RSS), junctions and changes of lane in
deciding.py (first come first served; MOBIL), people in walkers.py. Everybody keeps `RoadProfile`. Slots of `actors`
behind egos, vehicles and walkers are others' (scenarios, recordings): traffic reacts to whoever is in them.

What it does not do: overtake where there is no lane to do so, obey traffic lights (files' signals are not read), honk.
"""

# pyright: reportGeneralTypeIssues=false
# Warp's structures are no classes to a type checker.

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import warp as wp

from sim.driving.atlas import Atlas
from sim.driving.crossways import way_arrays
from sim.driving.deciding import decide
from sim.driving.following import Rules
from sim.driving.looking import look
from sim.driving.movers import FAR, make_movers, map_arrays, mover_arrays
from sim.driving.moving import move
from sim.driving.profile import RoadProfile
from sim.driving.spawning import begin_traffic, renew_traffic
from sim.driving.state import ActorArrays
from sim.driving.steering import steer_egos  # noqa: F401 its kernel belongs to the same Warp module
from sim.driving.surveying import survey
from sim.driving.walkers import begin_walkers, move_walkers, think_walkers
from sim.fields import Recompute
from sim.launches import Launchable, Several, record
from sim.randomization import Term
from sim.vary import Row, Table, VaryArrays, make_arrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})  # of the kernels that name this module as theirs


@dataclass(frozen=True)
class TrafficConfig:
    """Who is on the road besides the egos."""

    vehicles: int = 20
    """Slots of vehicles in each world."""
    walkers: int = 0
    """Slots of people."""
    reach: float = 500.0
    """Vehicles keep within so many metres of an ego, so that there are some where it drives; inf: the whole road, m."""
    hidden: float = 180.0
    """Those that come anew do so no nearer to an ego, m."""
    profile: RoadProfile = field(default_factory=RoadProfile)


_ROWS = (
    ("traffic_speed", 0.85, 1.1, "of the limit", (0.3, 1.15), "Treiber and Kesting 2013: v0 120 km/h +- 20 %"),
    ("traffic_headway", 0.9, 1.8, "s", (0.5, 4.0), "Treiber and Kesting 2013, table 11.2: 1.0 to 1.5 s"),
    ("traffic_accel", 1.0, 2.0, "m/s^2", (0.5, 3.5), "Treiber and Kesting 2013, table 11.2: 1.0 to 1.5 m/s^2"),
    ("traffic_brake", 1.5, 2.5, "m/s^2", (1.0, 4.0), "Treiber and Kesting 2013, table 11.2: 1.5 to 2 m/s^2"),
    ("traffic_politeness", 0.0, 0.5, "1", (0.0, 1.0), "Kesting et al. 2007: 0 to 0.5"),
    ("traffic_threshold", 0.1, 0.6, "m/s^2", (0.0, 5.0), "Kesting et al. 2007: 0.1 m/s^2"),
    ("traffic_trucks", 0.1, 0.1, "1", (0.0, 1.0), "share of heavy vehicles on German motorways, rounded (BASt)"),
    ("traffic_motorcycles", 0.03, 0.03, "1", (0.0, 1.0), "own choice"),
    ("traffic_bicycles", 0.1, 0.1, "1", (0.0, 1.0), "share of trips in Germany (MiD 2017: 11 %)"),
    ("traffic_density", 1.0, 1.0, "of the slots", (0.0, 1.0), "own choice: how many of the slots are taken"),
    ("walker_speed", 0.8, 1.6, "m/s", (0.1, 1.6), "ISO 13855: 1.6 m/s; 0.8 m/s: people with walking aids (RiLSA)"),
    ("walker_careless", 0.05, 0.05, "1", (0.0, 1.0), "own choice: people who step out without looking"),
    ("walker_density", 1.0, 1.0, "of the slots", (0.0, 1.0), "own choice"),
)  # fmt: skip


def traffic_rows() -> tuple[Row, ...]:
    """What varies of traffic, for the table of what varies: personalities, kinds and numbers; in this order."""
    return tuple(
        Row(Term.TRAFFIC, name, "uniform", low, high, unit, "", Recompute.NONE, source, bounds, number, drawn=False)
        for number, (name, low, high, unit, bounds, source) in enumerate(_ROWS)
    )


class Traffic:
    """Owns what traffic knows of itself; see the module."""

    def __init__(
        self,
        atlas: Atlas,
        actors: ActorArrays,
        *,
        road: wp.array,
        route: wp.array,
        episode: wp.array,
        robots: int,
        seed: int,
        config: TrafficConfig | None = None,
        vary: VaryArrays | None = None,
        first_row: int = 0,
        step: float = 0.05,
        period: float = 0.01,
        drive_egos: bool = False,
    ) -> None:
        """`road` (worlds,) of the atlas, `route` and `episode` (worlds * robots,) of each ego, all int32, may change.

        `vary` is the table's arrays, in which `traffic_rows` begin at `first_row`; without it their ranges hold.
        `drive_egos`: work out for egos, too, when to change lanes (sim/driving/idmdriver.py).
        """
        config = config or TrafficConfig()
        self.config, self.atlas, self.actors = config, atlas, actors
        self.worlds, self.slots = actors.kind.shape
        if robots + config.vehicles + config.walkers > self.slots:
            raise ValueError(
                f"expected slots for {robots} egos, {config.vehicles} vehicles and {config.walkers} walkers, got "
                f"{self.slots}; make more"
            )
        self.map, self.ways = map_arrays(atlas), way_arrays(atlas)
        self.movers = make_movers(self.worlds, self.slots, atlas.device)
        self.vary = vary or make_arrays(Table(traffic_rows()), self.worlds * robots, atlas.device)
        self.rules = _rules(config, robots, seed, step, period, drive_egos)
        self.first_row = first_row
        self._road, self._route, self._episode = road, route, episode
        self._robots = robots
        self.decide: Launchable = Several(self._decide())
        self.move: Launchable = Several(self._move())

    def begin(self, mask: wp.array) -> Several:
        """Recorded: new vehicles and walkers for the worlds whose flag is set (uint8, (worlds,))."""
        atlas, c = self.atlas, self.config
        drawn = [self.vary, self.first_row, self._road, self._episode, mask, self.actors, self.movers]
        first = self._record(begin_traffic, self.worlds, [self.rules, self.map, atlas.lanes, *drawn])
        inputs = [self.rules, atlas.lanes, atlas.crossings, self.ways, *drawn]
        return Several([first, self._record(begin_walkers, (self.worlds, c.walkers), inputs)])

    def arrays(self) -> dict[str, wp.array]:
        """Everything that later steps depend on, beside `actors`."""
        return mover_arrays(self.movers)

    def _decide(self) -> list[Launchable]:
        atlas, c, rules = self.atlas, self.config, self.rules
        driven = self._robots + c.vehicles
        drawn = [self.vary, self.first_row, self._road, self._episode, self.actors, self.movers]
        state = [self.actors, self.movers]
        on_route = [atlas.routes, self._route, *state]
        ways = [rules, atlas.lanes, atlas.crossings, self.ways]
        return [
            self._record(renew_traffic, self.worlds, [rules, self.map, atlas.lanes, *drawn]),
            self._each(look, self.slots, [rules, self.map, atlas.lanes, *on_route]),
            self._each(think_walkers, c.walkers, [*ways, *drawn]),
            self._each(survey, driven, [rules, self.map, atlas.lanes, atlas.conflicts, atlas.crossings, *state]),
            self._each(decide, driven, [rules, self.map, atlas.lanes, atlas.conflicts, *on_route]),
        ]

    def _move(self) -> list[Launchable]:
        atlas, c, state = self.atlas, self.config, [self.actors, self.movers]
        ways = [self.rules, atlas.lanes, atlas.crossings, self.ways]
        return [
            self._each(move, c.vehicles, [self.rules, self.map, atlas.lanes, *state]),
            self._each(move_walkers, c.walkers, [*ways, *state]),
        ]

    def _record(self, kernel: Any, dim: int | tuple[int, int], inputs: list[object]) -> Launchable:  # Warp's own types
        return record(kernel, dim=dim, inputs=inputs, device=self.atlas.device)

    def _each(self, kernel: Any, many: int, inputs: list[object]) -> Launchable:  # Warp's own types
        """A kernel over actors: a thread for each on a GPU; one for all of a world on the CPU.

        There a thread copies its arguments, 4 kB of structures, which takes as long as a vehicle's motor period.
        """
        each = max(many, 1) if self.atlas.device == "cpu" else 1
        return self._record(kernel, (self.worlds, -(-many // each)), [*inputs, each])


def _rules(config: TrafficConfig, robots: int, seed: int, step: float, period: float, drive_egos: bool) -> Rules:
    rules, profile = Rules(), config.profile
    rules.period, rules.step, rules.robots, rules.seed = period, step, robots, seed
    rules.vehicles, rules.walkers, rules.drive_egos = config.vehicles, config.walkers, int(drive_egos)
    rules.reach, rules.hidden = min(config.reach, 2.0 * FAR), config.hidden
    for name in ("accel", "brake", "brake_least", "reaction", "over_limit", "speed", "lateral", "lateral_change",
                 "wander", "cyclist_accel", "pedestrian"):  # fmt: skip
        setattr(rules, name, getattr(profile, name))
    rules.cyclist = profile.cyclist
    return rules
