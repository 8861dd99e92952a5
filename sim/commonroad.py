"""Scenarios from CommonRoad XML files (2018b, 2020a): lanelets, obstacles with trajectories, planning problems.

Lanelets become `Lane`s, resampled at `STEP`; crosswalk lanelets become `Crossing`s; intersections number the lanelets
inside them. Speed limits are those of 2018b's <speedLimit> and of the traffic signs that a lanelet names (their values
are in m/s). Obstacles become `Actor`s, with the middle of whatever interval or area a file states and the area's radius
as `spread`; time is a step number in the file and seconds here. Traffic lights, signs without a limit, environment
obstacles and whatever else stands in a file and not in `READ` are told with their lines in `Road.ignored`; an obstacle
that moves without a trajectory is an error. After Althoff, Koschi and Manzinger (IV 2017) and the format's
documentation, versions 2018b and 2020a.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.actors import KINDS, Actor, ActorKind, Goal, Problem, Trajectory
from sim.commonroadvalues import extent, interval, outline_of, place, point, scalar
from sim.lanelets import beside, both_ways, even, keeps_right, room
from sim.leftout import LeftOut, word
from sim.road import LENGTH_MAX, METRES_MAX, Crossing, Floats, Lane, LaneKind, Road, RoadError, check_road
from sim.xmltree import Element, XmlReader

VERSIONS = ("2018b", "2020a")

CHORDS = 10.0
"""Way over which bends of lanelets are averaged, m: their bounds are polylines with points every 3 to 15 m, some drawn
by hand. By its vertices US 101, a straight motorway, bends by 1/24 m here and there; over 10 m by 1/200 m at most."""

LANE_KINDS = {
    "crosswalk": LaneKind.WALKWAY, "sidewalk": LaneKind.WALKWAY, "bicycleLane": LaneKind.BICYCLE,
    "shoulder": LaneKind.SHOULDER, "parking": LaneKind.OTHER, "restricted": LaneKind.OTHER,
    "border": LaneKind.OTHER, "driveWay": LaneKind.DRIVING,
}  # fmt: skip
"""Lanelet types that are no driving lanes; the first of a lanelet's types that stands here decides."""

SPEED_SIGNS = {"274", "274.1", "R2-1", "s301", "R-301", "C43", "B14", "maxSpeed"}
"""Traffic sign elements whose value is a speed limit in m/s: Germany, USA, Spain, Belgium and the neutral "Zamunda"."""

SOLID = {"solid", "broad_solid", "solid_solid", "solid_dashed"}
"""Line markings of a border that may not be crossed from its lanelet."""


ROOM_MIN = 0.05
"""Mean width of a lanelet, m: narrower ones are lines, or bounds that are swapped."""

TIME_MAX = 86400.0
"""Latest moment of a file, s: a day; recordings last minutes."""

EXTENT_MIN, EXTENT_MAX = 1e-3, 1000.0
"""Length and width of an obstacle, m: at most a building."""

SPEED_MAX = 150.0
"""Of an obstacle, m/s: the fastest cars reach 136."""

NAMED = (
    "lanelet", "trafficSign", "intersection", "dynamicObstacle", "staticObstacle", "obstacle",
    "planningProblem",
)  # fmt: skip
"""Elements that are read and have ids."""

_OBSTACLE = {"role", "type", "shape", "initialState", "trajectory"}
_STATE = {"position", "orientation", "time", "velocity", "acceleration", "yawRate", "slipAngle"}
"""Accelerations and yaw rates of obstacles follow from the places and speeds that are read."""

READ = {
    "commonRoad": {
        "lanelet", "trafficSign", "intersection", "dynamicObstacle", "staticObstacle", "obstacle", "planningProblem",
        "location", "scenarioTags",
    },
    "lanelet": {
        "leftBound", "rightBound", "predecessor", "successor", "adjacentLeft", "adjacentRight", "laneletType",
        "speedLimit", "trafficSignRef", "trafficLightRef",
    },
    "leftBound": {"point", "lineMarking"},
    "rightBound": {"point", "lineMarking"},
    "trafficSign": {"trafficSignElement", "position", "virtual"},
    "trafficSignElement": {"trafficSignID", "additionalValue"},
    "intersection": {"incoming"},
    "incoming": {"incomingLanelet", "successorsLeft", "successorsRight", "successorsStraight"},
    "dynamicObstacle": _OBSTACLE,
    "staticObstacle": _OBSTACLE,
    "obstacle": _OBSTACLE,
    "trajectory": {"state"},
    "initialState": _STATE,
    "state": _STATE,
    "planningProblem": {"initialState", "goalState"},
    "goalState": {"position", "orientation", "time", "velocity"},
}  # fmt: skip
"""What is read inside what; a lanelet's traffic lights are told where they stand themselves."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """What one file states."""

    road: Road
    actors: tuple[Actor, ...]
    problems: tuple[Problem, ...]
    step: float
    """Time step of the file, s."""


def read_commonroad(path: Path) -> Scenario:
    """The scenario of an .xml file. Raises `RoadError` (file, line, what to do) and `FileError`."""
    return _Reader(path).read()


class _Reader:
    """Owns what is known of one file while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index: dict[str, int] = {}
        self.left = LeftOut()
        self.metres = 0.0
        """Of all lanelets so far"""

    def read(self) -> Scenario:
        root = XmlReader(self.path, RoadError).root("commonRoad")
        version = root.word("commonRoadVersion")
        if version not in VERSIONS:
            raise root.fault(f"expected CommonRoad {' or '.join(VERSIONS)}, got {version}; convert the file")
        self.step = root.number("timeStepSize", low=1e-3, high=10.0)
        self._check_names(root)
        self.index = {lanelet.word("id"): number for number, lanelet in enumerate(root.all("lanelet"))}
        self.limits = dict(self._limits(root))
        self.junctions = dict(self._junctions(root))
        lanes = [self._lane(lanelet) for lanelet in root.all("lanelet")]
        for lane, lanelet in zip(lanes, root.all("lanelet"), strict=True):
            self._check_sides(lanes, lane, lanelet)
        crossings = [
            _crossing(lane) for lane, e in zip(lanes, root.all("lanelet"), strict=True) if "crosswalk" in _types(e)
        ]
        actors = tuple(self._actors(root))
        problems = tuple(self._problem(problem) for problem in root.all("planningProblem"))
        self.left.walk(root, READ)
        road = Road(self.path.stem, both_ways(lanes), tuple(crossings), keeps_right(lanes), self.left.told())
        return Scenario(check_road(road), actors, problems, self.step)

    def _check_names(self, root: Element) -> None:
        """Two things of one name, of which a reference could mean either."""
        known: set[tuple[str, str]] = set()
        for element in root.children:
            if element.tag in NAMED:
                kind = "obstacle" if element.tag.endswith("bstacle") else element.tag
                name = element.name()
                if (kind, name) in known:
                    raise element.fault(f"{kind} {word(name)} stands twice; renumber one")
                known.add((kind, name))

    # lanes -------------------------------------------------------------------------------------------------------

    def _lane(self, lanelet: Element) -> Lane:
        left, right = (self._border(lanelet.one(name)) for name in ("leftBound", "rightBound"))
        if len(left) != len(right):
            raise lanelet.fault(
                f"expected as many points in both bounds of lanelet {lanelet.word('id')}, got {len(left)} and "
                f"{len(right)}; repair them"
            )
        length = float(np.hypot(*np.diff(0.5 * (left + right), axis=0).T).sum())
        if length > LENGTH_MAX:
            raise lanelet.fault(
                f"expected lanelet {lanelet.word('id')} to be at most {LENGTH_MAX:g} m long, got {length:g}; repair it"
            )
        self.metres += length
        if self.metres > METRES_MAX:
            raise lanelet.fault(f"expected {METRES_MAX:g} m of lanelets in a file at most, got more; cut it into parts")
        across = room(left, right)
        if not across > ROOM_MIN:
            raise lanelet.fault(
                f"expected the left bound of lanelet {lanelet.word('id')} to the left of its right one, got "
                f"{across:.2f} m between them; swap them, or turn one round"
            )
        left, right = even(left, right)
        links = {tag: tuple(self._refer(link) for link in lanelet.all(tag)) for tag in ("successor", "predecessor")}
        sides = {}
        for side in ("Left", "Right"):
            link = lanelet.some(f"adjacent{side}")
            direction = link.word("drivingDir") if link else ""
            if link and direction not in ("same", "opposite"):
                raise link.fault(f'expected drivingDir "same" or "opposite", got "{direction}"; repair it')
            sides[side] = (self._refer(link) if link else -1, direction == "same")
        beyond = [index for index, same in sides.values() if index >= 0 and not same]
        limit = lanelet.some("speedLimit")
        limits = [limit.value(low=0.0)] if limit else []
        for reference in lanelet.all("trafficSignRef"):
            sign = reference.word("ref")
            if sign not in self.limits:
                raise reference.fault(f"expected the id of a traffic sign, got {sign}; repair it")
            limits.append(self.limits[sign])
        kinds = [LANE_KINDS[name] for name in _types(lanelet) if name in LANE_KINDS]
        return Lane(
            name=lanelet.word("id"),
            left=left,
            right=right,
            limit=min(limits, default=math.inf),
            kind=kinds[0] if kinds else LaneKind.DRIVING,
            successors=links["successor"],
            predecessors=links["predecessor"],
            left_neighbour=sides["Left"][0] if sides["Left"][1] else -1,
            right_neighbour=sides["Right"][0] if sides["Right"][1] else -1,
            oncoming=beyond[0] if beyond else -1,
            may_change_left=_marking(lanelet.one("leftBound")) not in SOLID,
            may_change_right=_marking(lanelet.one("rightBound")) not in SOLID,
            junction=self.junctions.get(lanelet.word("id"), -1),
            chords=CHORDS,
        )

    def _check_sides(self, lanes: Sequence[Lane], lane: Lane, lanelet: Element) -> None:
        """A change of lane goes to where the neighbour is."""
        for side in ("Left", "Right"):
            link = lanelet.some(f"adjacent{side}")
            other = None if link is None else lanes[self._refer(link)]
            if link is None or other is None or other is lane:
                continue
            if not beside(lane, side, other, same=link.word("drivingDir") == "same"):
                raise link.fault(
                    f"expected lanelet {word(other.name)} beside the {side.lower()} border of lanelet "
                    f"{word(lane.name)}, {link.word('drivingDir')} in direction, it is not; repair it"
                )

    def _border(self, bound: Element) -> Floats:
        points = np.array([point(each) for each in bound.all("point")])
        if len(points) < 2:
            raise bound.fault(f"expected at least 2 points of a bound, got {len(points)}; add them")
        return points

    def _refer(self, link: Element) -> int:
        name = link.word("ref")
        if name not in self.index:
            raise link.fault(f"expected the id of a lanelet, got {name}; repair it")
        return self.index[name]

    def _limits(self, root: Element) -> Iterator[tuple[str, float]]:
        for sign in root.all("trafficSign"):
            limits = [math.inf]
            for element in sign.all("trafficSignElement"):
                name = element.one("trafficSignID").text.strip()
                values = list(element.all("additionalValue"))
                if name in SPEED_SIGNS and values:
                    limits.extend(value.value(low=0.0) for value in values)
                else:
                    self.left.note(f"traffic sign {word(name)}", element)
            yield sign.word("id"), min(limits)

    def _junctions(self, root: Element) -> Iterator[tuple[str, int]]:
        """Lanelets inside intersections: what follows their incoming ones."""
        for number, intersection in enumerate(root.all("intersection")):
            for incoming in intersection.all("incoming"):
                for child in incoming.children:
                    if child.tag.startswith("successors"):
                        self._refer(child)
                        yield child.word("ref"), number

    # actors ------------------------------------------------------------------------------------------------------

    def _actors(self, root: Element) -> Iterator[Actor]:
        for element in root.children:
            if element.tag in ("dynamicObstacle", "staticObstacle", "obstacle"):
                moves = element.tag == "dynamicObstacle"
                if element.tag == "obstacle":
                    role = element.one("role").text.strip()
                    if role not in ("static", "dynamic"):
                        raise element.fault(f'expected the role "static" or "dynamic", got "{role}"; repair it')
                    moves = role == "dynamic"
                yield self._actor(element, moves)

    def _actor(self, element: Element, moves: bool) -> Actor:
        name, kind = element.word("id"), element.one("type").text.strip()
        if kind not in KINDS:
            raise element.one("type").fault(f'expected a type of obstacle, got "{kind}"; known: {", ".join(KINDS)}')
        states = [element.one("initialState")]
        trajectory = element.some("trajectory")
        if trajectory is not None:
            states.extend(trajectory.all("state"))
        elif moves:
            raise element.fault(f"expected a <trajectory> of obstacle {name}, which moves, got none; add it")
        length, width, (x, y), turn = extent(element.one("shape"))
        if not EXTENT_MIN <= min(length, width) <= max(length, width) <= EXTENT_MAX:
            raise element.one("shape").fault(
                f"expected obstacle {word(name)} to be {EXTENT_MIN:g} m to {EXTENT_MAX:g} m long and wide, got "
                f"{length:g} by {width:g}; repair it"
            )
        rows, spreads = [], []
        for state in states:
            px, py, spread = place(state.one("position"))
            heading = scalar(
                state.some("orientation"), 0.0 if KINDS[kind] == ActorKind.STATIC or not moves else None, state
            )
            speed = scalar(state.some("velocity"), 0.0, state)
            time = self._time(scalar(state.one("time"), None, state), state)
            c, w = math.cos(heading), math.sin(heading)
            rows.append((time, px + c * x - w * y, py + w * x + c * y, heading + turn, speed))
            spreads.append(spread)
        values = np.array(rows)
        if (np.diff(values[:, 0]) <= 0.0).any():
            raise element.fault(f"expected the times of obstacle {name} in rising order; sort its states")
        ways = np.hypot(*np.diff(values[:, 1:3], axis=0).T) / np.diff(values[:, 0])
        fastest = max(float(np.abs(values[:, 4]).max()), float(ways.max(initial=0.0)))
        if fastest > SPEED_MAX:
            raise element.fault(
                f"expected obstacle {name} to move by at most {SPEED_MAX:g} m/s from state to state, got "
                f"{fastest:.4g}; repair its states"
            )
        values[:, 3] = np.unwrap(values[:, 3])
        turns = round(float(values[0, 3]) / math.tau)
        if abs(turns) > 1:  # of many turns float32 keeps no direction
            values[:, 3] -= math.tau * turns
        path = Trajectory(values[:, 0], values[:, 1:3], values[:, 3], values[:, 4], np.array(spreads))
        return Actor(name, KINDS[kind] if moves else ActorKind.STATIC, length, width, path)

    def _problem(self, element: Element) -> Problem:
        state = element.one("initialState")
        x, y, spread = place(state.one("position"))
        if spread > 0.0:
            raise state.fault(
                "expected an exact position of the planning problem's initial state, got an area; repair it"
            )
        speed = scalar(state.one("velocity"), None, state)
        if speed < 0.0:
            raise state.one("velocity").fault(
                f"expected planning problem {element.word('id')} to begin at 0 m/s or more, got {speed:g}; repair it"
            )
        slip = state.some("slipAngle")
        if slip is not None and interval(slip) != (0.0, 0.0):
            self.left.note("slipAngle of initialState", slip)
        time = self._time(scalar(state.one("time"), None, state), state)
        goals = tuple(self._goal(goal) for goal in element.all("goalState"))
        if goals and not any(goal.time[1] > time for goal in goals):
            raise element.fault(
                f"expected a goal of planning problem {element.word('id')} that ends after its beginning at {time:g} "
                "s, got earlier ones; repair them"
            )
        return Problem(
            name=element.word("id"),
            position=(x, y),
            heading=scalar(state.one("orientation"), None, state),
            speed=speed,
            yaw_rate=scalar(state.some("yawRate"), 0.0, state),
            time=time,
            goals=goals,
        )

    def _time(self, steps: float, element: Element) -> float:
        """A moment in s of one in steps."""
        time = steps * self.step
        if not 0.0 <= time <= TIME_MAX:
            raise element.one("time").fault(f"expected a time from 0 to {TIME_MAX:g} s, got {time:g}; repair it")
        return time

    def _goal(self, element: Element) -> Goal:
        position = element.some("position")
        areas, lanes = [], []
        for part in position.children if position else ():
            if part.tag == "lanelet":
                lanes.append(self._refer(part))
            else:
                areas.append(outline_of(part))
        times = interval(element.one("time"))
        return Goal(
            time=(self._time(times[0], element), self._time(times[1], element)),
            areas=tuple(areas),
            lanes=tuple(lanes),
            heading=interval(element.some("orientation")),
            speed=interval(element.some("velocity")),
        )


def _types(lanelet: Element) -> list[str]:
    return [kind.text.strip() for kind in lanelet.all("laneletType")]


def _marking(bound: Element) -> str:
    marking = bound.some("lineMarking")
    return marking.text.strip() if marking else ""


def _crossing(lane: Lane) -> Crossing:
    start, end = lane.centre[0].tolist(), lane.centre[-1].tolist()
    return Crossing((start[0], start[1]), (end[0], end[1]), float(lane.width.mean()))
