"""Where drives are driven: generated roads with traffic, files of roads with traffic, and recorded scenarios.

    town:7, highway:3, rural:5    sim/roadgen.py; others are traffic and people (sim/driving/traffic.py)
    *.xodr                        OpenDRIVE, with traffic and people
    *.xml                         CommonRoad: its planning problem among what the others did (sim/driving/recorded.py);
                                  without a planning problem its road, with traffic and people

`make_venue` reads one word, `make_env` builds the environment of one drive on it: one world, one car, the whole route.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from safety.roadshield import RoadShield
from sim.bodies.specs import CAR
from sim.commonroad import read_commonroad
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.idmdriver import Following
from sim.driving.moment import CarSize, Course
from sim.driving.problems import problem_env
from sim.driving.recorded import AFTER, Recorded, from_commonroad
from sim.driving.scene import RoadBody
from sim.perceptron import Layers
from sim.road import Road, RoadError
from sim.roadfile import load_road
from sim.robot import SECOND

ROUTES = 64
"""Routes of a generated road, one of which a drive's seed chooses."""


@dataclass(frozen=True, eq=False)
class Venue:
    """A road to drive on, and the problem to solve there, if it has one."""

    name: str
    road: Road
    recorded: Recorded | None = None

    @property
    def asks(self) -> str:
        """What is asked of a drive there, for people; empty where it is to reach its route's end."""
        return "" if self.recorded is None else asks_of(self.recorded)


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


def read_venues(text: str) -> list[Venue]:
    """The venues of words between commas. Raises `RoadError` or `FileError`, one line for a person."""
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise RoadError(f'expected roads between commas, as town:7,highway:3, got "{text}"; name at least one')
    return [make_venue(word) for word in words]


def make_venue(word: str) -> Venue:
    """One venue. Raises `RoadError` or `FileError`."""
    path = Path(word)
    if path.suffix == ".xml" and read_commonroad(path).problems:
        recorded = from_commonroad(path)
        return Venue(recorded.name, recorded.road, recorded)
    return Venue(word if path.suffix == "" else path.stem, load_road(word))


def make_env(venue: Venue, seed: int, among: Among) -> RoadEnv:
    """The environment of one drive; raises what `RoadEnv` does for roads on which nothing can be driven."""
    shield = RoadShield(CAR) if among.shield else None
    filter = Following(shield) if among.by_rule else shield
    config = RoadConfig(
        skill="route", traffic=among.traffic, walkers=among.walkers, time_limit=among.seconds, motor=among.motor
    )
    if venue.recorded is not None:
        return problem_env(
            [venue.recorded], config, worlds=1, seed=seed, filter=filter, body=among.body, drive_egos=among.by_rule,
            threads=1,
        )  # fmt: skip
    atlas = Atlas([venue.road], routes=ROUTES, seed=seed)
    return RoadEnv(
        atlas, config, worlds=1, seed=seed, filter=filter, body=among.body, drive_egos=among.by_rule, threads=1
    )


def shield_of(env: RoadEnv) -> RoadShield | None:
    """The shield that judges an environment's commands, whoever stands in front of it."""
    filter = env.filter.shield if isinstance(env.filter, Following) else env.filter
    return filter if isinstance(filter, RoadShield) else None


def course_of(venue: Venue, env: RoadEnv, seed: int, driver: str) -> Course:
    """What stays the same through the episode that `env` (after `reset`) has begun."""
    spec, routes = env.spec, env.plant.atlas.routes
    route = int(env.plant.footing.route.numpy()[0])
    left = float(env.plant.footing.left.numpy()[0])
    return Course(
        name=venue.name,
        road=venue.road,
        period=spec.period / SECOND,
        size=CarSize(spec.length, spec.width, spec.height, spec.car.rear_overhang),
        route=route_lanes(env, route),
        length=left if math.isfinite(left) else float(routes.length.numpy()[route]),
        seed=seed,
        driver=driver,
        shielded=shield_of(env) is not None,
        asks=venue.asks,
    )


def asks_of(recorded: Recorded) -> str:
    """The goals of a planning problem in words, times since its beginning."""
    begin, words = recorded.problem.time, list[str]()
    for goal in recorded.problem.goals:
        said = ["be in the goal area" if goal.areas else "be in the goal's lane" if goal.lanes else "drive on"]
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
