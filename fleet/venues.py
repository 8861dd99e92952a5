"""Where drives are driven: generated roads with traffic, files of roads with traffic, and recorded scenarios.

    town:7, highway:3, rural:5    sim/roadgen.py; others are traffic and people (sim/driving/traffic.py)
    *.xodr                        OpenDRIVE, with traffic and people
    *.xml                         CommonRoad: its planning problem among what the others did (sim/driving/recorded.py);
                                  without a planning problem its road, with traffic and people
    cut_in:gap=20,lateral=1.2     a scenario (sim/driving/scenariotext.py); what is not fixed a drive's seed draws

`make_venue` reads one word, `make_env` builds the environment of one drive on it: one world, one car, the whole route.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleet.driveguard import Guard
from fleet.roadranges import Ranges
from sim.bodies.specs import CAR
from sim.commonroad import read_commonroad
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.families import FAMILIES
from sim.driving.idmdriver import Following
from sim.driving.moment import CarSize, Course
from sim.driving.problems import problem_env
from sim.driving.recorded import AFTER, Recorded, recorded_of
from sim.driving.scenario import Scenario, evaluate, sample
from sim.driving.scenariorows import narrowed
from sim.driving.scenariotext import scenario_of
from sim.driving.scene import RoadBody
from sim.driving.sensing import FAULTS, VIEW_FAULTS, Fault, RoadFaults, RoadSensors
from sim.driving.skill import Driving
from sim.driving.trials import scenario_worlds
from sim.errors import MusterError, nearest, shown
from sim.filter import Filter
from sim.perceptron import Layers
from sim.road import LaneKind, Road, RoadError
from sim.roadbends import drivable
from sim.roadfile import GENERATORS, load_road
from sim.robot import SECOND
from sim.seeds import seed_key
from sim.vary import Variation

ROUTES = 64
"""Routes of a generated road, one of which a drive's seed chooses."""

POLICY = "policy"
"""The fault that no sensor has: the policy says nothing any more, and the fallback drives."""

LATEST, FOREVER = 600.0, 3600.0
"""s; when a fault begins at the latest, and how long it stays."""

USUAL = Ranges()
"""Roads and scenarios as nobody said otherwise."""


@dataclass(frozen=True, eq=False)
class Venue:
    """A road to drive on, and the problem to solve there, if it has one."""

    name: str
    road: Road
    recorded: Recorded | None = None
    scenario: Scenario | None = None
    """Then the road is its own"""


class FaultError(MusterError):
    """What should fail in a drive is none of what can."""


@dataclass(frozen=True)
class DriveFault:
    """What fails in a drive, and from when on."""

    name: str = ""
    sensors: RoadSensors = field(default_factory=RoadSensors)
    fails_at: float = math.inf
    """When the policy falls silent, whole s"""


@dataclass(frozen=True)
class Among:
    """Who else is there, and how the car is simulated."""

    seconds: float = 60.0
    """Bound of a drive, s"""
    traffic: int = 16
    """Slots of other vehicles"""
    walkers: int = 6
    """Slots of people on foot"""
    shield: bool = True
    body: RoadBody = "kinematic"
    motor: Layers | None = None
    """A frozen motor policy; None: the firmware alone"""
    by_rule: bool = False
    """Whether the car drives as traffic does (sim/driving/idmdriver.py)"""
    fault: DriveFault = field(default_factory=DriveFault)
    randomization: Variation = Variation()  # noqa: RUF009  # frozen
    """What is said of what varies in a drive"""


def read_fault(text: str, lidar: bool = False) -> DriveFault:
    """What fails: `policy:10` or a sensor's fault, `lane_lost:5`; empty for nothing. Raises `FaultError`.

    `lidar`: whether the car has one; it takes one to have its faults.
    """
    if not text:
        return DriveFault(sensors=RoadSensors(lidar=lidar))
    name, _, when = text.partition(":")
    known = (POLICY, *FAULTS)
    if name not in known:
        raise FaultError(
            f"--fault: expected {POLICY}:SECONDS or a sensor's fault, got {shown(text)}{nearest(name, known)}"
        )
    try:
        seconds = float(when)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= LATEST:
        raise FaultError(
            f"--fault: expected seconds from 0 to {LATEST:g} after {name}:, got {shown(when)}; write {name}:10"
        )
    if name == POLICY:
        # choices of manoeuvres last a second
        return DriveFault(text, RoadSensors(lidar=lidar), fails_at=math.ceil(seconds))
    if name not in VIEW_FAULTS and not lidar:
        raise FaultError(f"--fault: expected a lidar that {name} can break, got none; add --lidar")
    sane = RoadFaults()
    fault = Fault(1.0, (seconds, seconds), (FOREVER, FOREVER), getattr(sane, name).size)
    return DriveFault(text, RoadSensors(faults=replace(sane, **{name: fault}), lidar=lidar))


def read_venues(text: str, ranges: Ranges = USUAL) -> list[Venue]:
    """The venues of words between commas; those of a scenario's parameters belong to it.

    Roads are generated from the tables of `ranges`, scenarios sampled.

    Raises `RoadError`, `ScenarioError` or `FileError`, one line for a person.
    """
    words: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        name, sign, _ = part.partition("=")
        family, colon, _ = words[-1].partition(":") if words else ("", "", "")
        if sign and ":" not in name and colon and family in FAMILIES:
            words[-1] += f",{part}"
        else:
            words.append(part)
    if not all(words):
        raise RoadError(f'expected roads between commas, as town:7,highway:3, got "{text}"; name at least one')
    made = {word: make_venue(word, ranges) for word in dict.fromkeys(words)}
    return [made[word] for word in words]


def make_venue(word: str, ranges: Ranges = USUAL) -> Venue:
    """One venue. Raises `RoadError`, `ScenarioError` or `FileError`."""
    name, path = word.partition(":")[0], Path(word)
    if name in FAMILIES:
        scenario = narrowed(scenario_of(word), ranges.scenarios)
        return Venue(word, scenario.road, scenario=scenario)
    if path.suffix == ".xml":
        file = read_commonroad(path)
        if not file.problems:
            return Venue(path.stem, drivable(file.road, CAR.car.curvature_max))
        recorded = recorded_of(file, path)
        speed, most = recorded.problem.speed, CAR.car.speed_max
        if not 0.0 <= speed <= most:
            raise RoadError(
                f"{path}: expected a speed from 0 to {most:g} m/s at which the car of planning problem "
                f"{recorded.problem.name} begins, got {speed:g}; correct it"
            )
        recorded = _followable(recorded, path)
        return Venue(recorded.name, recorded.road, recorded)
    if path.suffix == "" and name not in GENERATORS:
        known = [*GENERATORS, *FAMILIES]
        raise RoadError(
            "expected a road (highway:SEED, rural:SEED, town:SEED, a file .xodr or .xml) or a scenario, got "
            f"{shown(word)}{nearest(name, known)}"
        )
    road = load_road(word, ranges.roads)
    return Venue(word, road) if path.suffix == "" else Venue(path.stem, drivable(road, CAR.car.curvature_max))


def _followable(recorded: Recorded, path: Path) -> Recorded:
    """The problem on what the car can follow of its road; raises `RoadError` where that does not lead to its goal."""
    road, plan = drivable(recorded.road, CAR.car.curvature_max), recorded.plan
    left_out = road.ignored[len(recorded.road.ignored) :]
    ends = {plan.start_lane: "begin", plan.goal_lane: "end"}
    for lane, word in ends.items():
        if road.lanes[lane].kind != LaneKind.DRIVING:
            raise RoadError(
                f"{path}: expected planning problem {recorded.problem.name} to {word} on a lane that the car can "
                f"follow, got one of {left_out[0]}; choose another"
            )
    try:
        Atlas([road], routes=[[plan]])  # raises where no way leads to the goal
    except RoadError as error:
        if not left_out:
            raise
        raise RoadError(f"{error}, or widen the {left_out[0]}") from None
    return replace(recorded, road=road)


def make_env(venue: Venue, seed: int, among: Among, judged: Filter | None = None) -> RoadEnv:
    """The environment of one drive; raises what `RoadEnv` does for roads on which nothing can be driven.

    `judged`: who releases commands in it, in place of a shield of its own.
    """
    guard = Guard(CAR, fails_at=among.fault.fails_at) if among.shield and judged is None else None
    filter = Following(guard) if among.by_rule else judged or guard
    config = RoadConfig(
        skill="route", traffic=among.traffic, walkers=among.walkers, time_limit=among.seconds, motor=among.motor,
        sensors=among.fault.sensors,
        randomization=among.randomization,
    )  # fmt: skip
    if venue.recorded is not None:
        return problem_env(
            [venue.recorded], config, worlds=1, seed=seed, filter=filter, body=among.body, drive_egos=among.by_rule,
            threads=1,
        )  # fmt: skip
    if venue.scenario is not None:
        return scenario_env(venue.scenario, seed, config, filter, among)
    atlas = Atlas([venue.road], routes=ROUTES, seed=seed)
    # a route ends a drive where it cannot be reached any more, but the fallback may stop on a shoulder
    return RoadEnv(
        atlas, config, worlds=1, seed=seed, filter=filter, body=among.body, drive_egos=among.by_rule,
        open_ended=math.isfinite(among.fault.fails_at), threads=1,
    )  # fmt: skip


def scenario_env(scenario: Scenario, seed: int, config: RoadConfig, filter: Filter | None, among: Among) -> RoadEnv:
    """The environment of one drive through a scenario: the row of parameters that its seed draws, and nobody else."""
    row, lasts = row_of(scenario, seed)
    limited = replace(config, time_limit=min(config.limit, lasts))
    env, _ = scenario_worlds(
        scenario, row, limited, seed=seed, filter=filter, body=among.body, drive_egos=among.by_rule
    )
    return env


def row_of(scenario: Scenario, seed: int) -> tuple[NDArray[np.float64], float]:
    """The parameters that a drive's seed draws, (1, p), and how long they take, s."""
    row = sample(scenario, seed_key(seed), 1)
    return row, float(evaluate(scenario.duration, scenario.named(row), 1)[0])


def without_policy(env: RoadEnv) -> None:
    """One step in which the policy says nothing; that the car leaves its lane for a shoulder is then wished."""
    assert isinstance(env.task, Driving)
    env.task.wish.pull.fill_(1)
    env.step(np.zeros((1, 2), np.float32))


def guard_of(env: RoadEnv) -> Guard | None:
    """Who decides in an environment, whoever stands in front of him; None without a shield."""
    filter = env.filter.shield if isinstance(env.filter, Following) else env.filter
    return filter if isinstance(filter, Guard) else None


def course_of(venue: Venue, env: RoadEnv, seed: int, driver: str) -> Course:
    """What stays the same through the episode that `env` (after `reset`) has begun."""
    spec, routes = env.spec, env.plant.atlas.routes
    route = int(env.plant.footing.route.numpy()[0])
    left = float(env.plant.footing.left.numpy()[0])
    asks, lasts = "", 0.0
    if venue.recorded is not None:
        asks = asks_of(venue.recorded)
    if venue.scenario is not None:
        row, lasts = row_of(venue.scenario, seed)
        said = (
            f"{each.name} {value:.3g} {each.unit.replace('^2', '²')}"
            for each, value in zip(venue.scenario.parameters, row[0], strict=True)
        )
        asks = f"no contact for {lasts:.0f} s, with {', '.join(said)}"
    return Course(
        name=venue.name,
        road=venue.road,
        period=spec.period / SECOND,
        size=CarSize(spec.length, spec.width, spec.height, spec.car.rear_overhang),
        route=route_lanes(env, route),
        length=left if math.isfinite(left) else float(routes.length.numpy()[route]),
        seed=seed,
        driver=driver,
        shielded=guard_of(env) is not None,
        asks=asks,
        seconds=lasts,
        lidar=spec.lidar.range_max if env.config.sensors.lidar else 0.0,
    )


def asks_of(recorded: Recorded) -> str:
    """The goals of a planning problem in words, times since its beginning."""
    begin, words = recorded.problem.time, list[str]()
    for goal in recorded.problem.goals:
        if not (goal.areas or goal.lanes):
            continue
        said = ["be in the goal area" if goal.areas else "be in the goal's lane"]
        early, late = goal.time[0] - begin, goal.time[1] - begin
        if math.isfinite(late):
            said.append(f"between {max(early, 0.0):.1f} and {late:.1f} s" if early > 0.0 else f"within {late:.1f} s")
        slow, fast = goal.speed
        if math.isfinite(fast):
            said.append(f"at {3.6 * max(slow, 0.0):.0f} to {3.6 * fast:.0f} km/h")
        if math.isfinite(sum(goal.heading)) and goal.heading[1] - goal.heading[0] < math.tau:
            said.append("in its direction")
        words.append(" ".join(said))
    return ", or ".join(dict.fromkeys(words)) or f"drive for {recorded.duration - AFTER:.1f} s"


def route_lanes(env: RoadEnv, route: int) -> tuple[int, ...]:
    """The lanes of a route from its start to its goal."""
    routes = env.plant.atlas.routes
    onward, togo = routes.next_lane.numpy()[route], routes.togo.numpy()[route]
    lane, goal = int(routes.start_lane.numpy()[route]), float(routes.goal_s.numpy()[route])
    lanes: list[int] = []
    while lane >= 0 and lane not in lanes:
        lanes.append(lane)
        if togo[lane] <= goal + 1.0 and lane == int(routes.goal_lane.numpy()[route]):
            break
        lane = int(onward[lane])
    return tuple(lanes)
